"""Answers of the last seconds, for the calls that accept one (`max_age`), and shared requests.

An answer is kept as the bytes that came, and each call decodes them for itself: what one caller
does to its value reaches no other. Equal calls that are under way at the same time, on one event
loop, wait for one request. It runs in a task of its own for as long as a call waits for it, so that
a call which is cancelled ends no other one's.

A change of an account forgets what is known of it, when it begins and when it has ended. A request
that was under way meanwhile may bring the state from before: it is not kept, and not joined by
calls that come later.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import contextmanager
from copy import copy
from math import inf
from typing import Any, Protocol, cast

from attrs import frozen

from .._core.answer import Answer
from .._core.operations import Operation
from .._core.options import ReadOptions, RequestOptions
from .._core.untyped import account_of
from .._wire.messages import HTTPRequest
from ..errors import APIError, APITimeoutError
from .clock import Clock
from .exchange import connection_error, no_answer_in_time
from .fork import forget_in_child

MOST = 1000
"""How many answers are kept."""
MOST_BYTES = 64 * 1024 * 1024
"""How large their bodies are in all: a year of hourly usage is more than one MiB."""

Outcome = Answer[Any] | APIError
"""The end of a call: an answer, or the error to raise if none came."""

Send = Callable[[], Awaitable[tuple[Outcome, object]]]
"""Sends a request; answers its end first."""


def max_age_of(options: RequestOptions) -> float | None:
    """Return how old the answer may be, if a call accepts one that came before."""
    return cast("ReadOptions", options).get("max_age")


class Call(Protocol):
    """The part of a call that counts here."""

    operation: Operation[Any]
    request: HTTPRequest
    deadline: float


class Recent:
    """The answers and the requests under way of a client and of its copies, on all their loops.

    Args:
        base_url: The address of the service.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._begin()
        forget_in_child(self)

    def forget(self) -> None:
        """Drop everything: the requests of another process never end here."""
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._answers = _Answers()
        self._flights: dict[asyncio.AbstractEventLoop, dict[Hashable, _Flight]] = {}

    async def ask(
        self, call: Call, max_age: float, terms: Hashable, clock: Clock, send: Send
    ) -> Outcome:
        """Return an answer that is young enough, or else that of a request.

        Args:
            call: A call that only reads.
            max_age: The seconds within which the answer may have come.
            terms: The limits of a request; calls of the same limits share one.
            clock: The time.
            send: Sends the request of `call`.

        Raises: what `send` raises, but for an `APIError`, which is returned.
        """
        key = _key(call.request)
        for again in (False, True):
            answer = self._answer(key, clock.monotonic() - max_age)
            if answer is not None:
                return _own(answer, call.operation)
            flight = self._flight(key, terms)
            joined = flight is not None
            if flight is None:
                flight = _Flight(key, self._account(call.request))
                self._start(flight, terms, clock, send)
            if not await flight.has_ended(call.deadline - clock.monotonic()):
                return connection_error(call.request, no_answer_in_time())
            outcome = flight.outcome() if joined else flight.task.result()
            if isinstance(outcome, Answer):
                return _own(outcome, call.operation) if joined else outcome
            # The time of a request that was joined began before this call. And any other fault,
            # such as one of a hook, is for the call that sent it.
            if isinstance(outcome, APITimeoutError) and joined and not again:
                continue
            if outcome is not None:
                return _raisable(outcome)
        outcome, _ = await send()
        return outcome

    @contextmanager
    def changing(self, request: HTTPRequest) -> Generator[None]:
        """Around a request that may change something: forget the account that it is about."""
        account = self._account(request)
        self._forget(account)
        try:
            yield
        finally:
            self._forget(account)

    def changed(self, account_id: str) -> None:
        """Forget an account: the service has changed it by itself."""
        self._forget(account_of(f"/accounts/{account_id}"))

    def _account(self, request: HTTPRequest) -> str | None:
        return account_of(request.url.removeprefix(self._base_url))

    def _forget(self, account: str | None) -> None:
        with self._lock:
            self._answers.forget(account)
            for flights in self._flights.values():
                for flight in flights.values():
                    flight.is_current &= not _concerns(account, flight.account)

    def _answer(self, key: Hashable, after: float) -> Answer[Any] | None:
        with self._lock:
            return self._answers.get(key, after)

    def _flight(self, key: Hashable, terms: Hashable) -> _Flight | None:
        flight = self._flights.get(asyncio.get_running_loop(), {}).get((key, terms))
        return flight if flight is not None and flight.can_be_joined else None

    def _start(self, flight: _Flight, terms: Hashable, clock: Clock, send: Send) -> None:
        loop, place = asyncio.get_running_loop(), (flight.key, terms)
        with self._lock:
            if loop not in self._flights:
                for ended in [other for other in self._flights if other.is_closed()]:
                    del self._flights[ended]
            flights = self._flights.setdefault(loop, {})
            flights[place] = flight

        def end(task: asyncio.Task[Outcome]) -> None:
            if not task.cancelled():
                task.exception()  # nobody may wait for it any more, and asyncio would complain
            with self._lock:
                if flights.get(place) is flight:
                    del flights[place]

        # The task has the context of the call that comes first: its request is traced as a part of
        # that call, as it would be if no other joined.
        flight.task = loop.create_task(self._run(flight, clock, send))
        flight.task.add_done_callback(end)

    async def _run(self, flight: _Flight, clock: Clock, send: Send) -> Outcome:
        try:
            outcome, _ = await send()
        except APIError as error:
            return error.with_traceback(None)
        if isinstance(outcome, Answer) and outcome.error() is None:
            kept = _Kept(_own(outcome, outcome.operation), flight.account, clock.monotonic())
            with self._lock:
                if flight.is_current:
                    self._answers.add(flight.key, kept)
        return outcome


class _Flight:
    """A request under way, and the calls that wait for it."""

    task: asyncio.Task[Outcome]

    def __init__(self, key: Hashable, account: str | None) -> None:
        self.key = key
        self.account = account
        self.is_current = True
        """Whether nothing has changed the account since it began."""
        self._waiting = 0

    @property
    def can_be_joined(self) -> bool:
        """Whether its answer is still to come, and will be of the present state."""
        return self.is_current and not self.task.done()

    async def has_ended(self, seconds: float) -> bool:
        """Wait for its end, at most so long; whether it has ended. The last that leaves ends it."""
        self._waiting += 1
        try:
            await asyncio.wait({self.task}, timeout=None if seconds == inf else max(seconds, 0))
        except asyncio.CancelledError:
            await self._leave()
            raise
        ended = self.task.done()
        await self._leave()
        return ended

    def outcome(self) -> Outcome | None:
        """How it ended; `None` if it was cancelled or raised."""
        if self.task.cancelled() or self.task.exception() is not None:
            return None
        return self.task.result()

    async def _leave(self) -> None:
        from anyio import CancelScope

        self._waiting -= 1
        if self._waiting or self.task.done():
            return
        self.is_current = False
        if not self.task.cancelling():  # a second time would cut off the clean-up of the first
            self.task.cancel()
        with CancelScope(shield=True):
            await asyncio.wait({self.task})


@frozen
class _Kept:
    """An answer, the account that it is about (if it is about one) and when it came."""

    answer: Answer[Any]
    account: str | None
    came: float

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.answer.http_response.body)


class _Answers:
    """The answers that are kept; the least recently used goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable, after: float) -> Answer[Any] | None:
        """Return the answer that came after this moment, if there is one."""
        kept = self._kept.get(key)
        if kept is None or kept.came <= after:
            return None
        self._kept.move_to_end(key)
        return kept.answer

    def add(self, key: Hashable, kept: _Kept) -> None:
        """Keep an answer in the place of an older one."""
        if key in self._kept:
            self._remove(key)
        self._kept[key] = kept
        self._size += kept.size
        while len(self._kept) > MOST or self._size > MOST_BYTES:
            self._remove(next(iter(self._kept)))

    def forget(self, account: str | None) -> None:
        """Drop what may have changed with an account; `None`: with anything."""
        for key in [key for key, kept in self._kept.items() if _concerns(account, kept.account)]:
            self._remove(key)

    def _remove(self, key: Hashable) -> None:
        self._size -= self._kept.pop(key).size


def _key(request: HTTPRequest) -> Hashable:
    """Return all that is sent: path, parameters, options and credentials."""
    headers = frozenset((name.lower(), value) for name, value in request.headers.items())
    return request.method, request.url, headers, request.body


def _concerns(changed: str | None, account: str | None) -> bool:
    """Whether a change may be one of this account. `None` may stand for any account."""
    return changed is None or account is None or changed == account


def _own(answer: Answer[Any], operation: Operation[Any]) -> Answer[Any]:
    """Return a copy for one call, which decodes it for itself."""
    request, response = answer.http_request, answer.http_response
    return Answer(operation, request, response, answer.retries_taken, answer.account_id)


def _raisable(error: APIError) -> APIError:
    """Return a copy for one call: each raise adds to the traceback."""
    own = copy(error)
    own.__cause__ = error.__cause__
    return own
