"""The cache of recent answers (`max_age`), and requests that equal calls share.

The cache holds bytes, and each call decodes them again, so that callers share no values. Equal
calls at the same time, on one event loop, share one request. The request runs in its own task while
at least one call waits for it, so cancelling one call does not affect the others.

A call that changes an account drops the account's answers, before and after the call. A request in
flight at that time may return the old state: its answer is not cached, and later calls do not join
it.
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
"""The most answers in the cache."""
MOST_BYTES = 64 * 1024 * 1024
"""The most bytes of all bodies together. A year of hourly usage has more than 1 MiB."""

Outcome = Answer[Any] | APIError
"""The result of a call: an answer, or the error to raise."""

Send = Callable[[], Awaitable[tuple[Outcome, object]]]
"""Sends a request; returns its outcome first."""


def max_age_of(options: RequestOptions) -> float | None:
    """Return the `max_age` of a call, if it has one."""
    return cast("ReadOptions", options).get("max_age")


class Call(Protocol):
    """The attributes of a call that the cache needs."""

    operation: Operation[Any]
    request: HTTPRequest
    deadline: float


class AnswerCache:
    """The recent answers and the requests in flight of a client and its copies.

    Args:
        base_url: The base URL of the service.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._begin()
        forget_in_child(self)

    def forget(self) -> None:
        """Drop everything: the requests of the parent process never end here."""
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._answers = _Answers()
        self._flights: dict[asyncio.AbstractEventLoop, dict[Hashable, _Flight]] = {}

    async def ask(
        self, call: Call, max_age: float, terms: Hashable, clock: Clock, send: Send
    ) -> Outcome:
        """Return a recent answer, or send a request.

        Args:
            call: A call that only reads.
            max_age: The oldest answer to accept, in seconds.
            terms: The limits of the request; only calls with the same limits share one.
            clock: The clock.
            send: Sends the request of `call`.

        Raises: What `send` raises, except an `APIError`: that is returned.
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
            # A joined request began earlier, so its timeout does not count for this call: try
            # again. Other exceptions (`None`) are only for the call that sent the request.
            if isinstance(outcome, APITimeoutError) and joined and not again:
                continue
            if outcome is not None:
                return _raisable(outcome)
        outcome, _ = await send()
        return outcome

    @contextmanager
    def changing(self, request: HTTPRequest) -> Generator[None]:
        """Wrap a request that may change its account: drop the account's answers."""
        account = self._account(request)
        self._forget(account)
        try:
            yield
        finally:
            self._forget(account)

    def changed(self, account_id: str) -> None:
        """Drop the answers of an account that changed without a call."""
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
                task.exception()  # else asyncio logs it as never retrieved
            with self._lock:
                if flights.get(place) is flight:
                    del flights[place]

        # The task gets the context of the first call, and the request is traced as part of it.
        flight.task = loop.create_task(self._run(flight, clock, send))
        flight.task.add_done_callback(end)

    async def _run(self, flight: _Flight, clock: Clock, send: Send) -> Outcome:
        try:
            outcome, _ = await send()
        except APIError as error:
            return error.with_traceback(None)
        if isinstance(outcome, Answer) and outcome.error() is None:
            kept = _CachedAnswer(
                _own(outcome, outcome.operation), flight.account, clock.monotonic()
            )
            with self._lock:
                if flight.is_current:
                    self._answers.add(flight.key, kept)
        return outcome


class _Flight:
    """A request in flight, and the calls that wait for it."""

    task: asyncio.Task[Outcome]

    def __init__(self, key: Hashable, account: str | None) -> None:
        self.key = key
        self.account = account
        self.is_current = True
        """Whether no call has changed the account since the request began."""
        self._waiting = 0

    @property
    def can_be_joined(self) -> bool:
        """Whether it is in flight, and its answer will be current."""
        return self.is_current and not self.task.done()

    async def has_ended(self, seconds: float) -> bool:
        """Wait for the end; return false after a timeout. The last call to leave cancels it."""
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
        """Return its outcome; `None` if it was cancelled or raised."""
        if self.task.cancelled() or self.task.exception() is not None:
            return None
        return self.task.result()

    async def _leave(self) -> None:
        from anyio import CancelScope

        self._waiting -= 1
        if self._waiting or self.task.done():
            return
        self.is_current = False
        if not self.task.cancelling():  # a second cancel would interrupt the clean-up
            self.task.cancel()
        with CancelScope(shield=True):
            await asyncio.wait({self.task})


@frozen
class _CachedAnswer:
    """A cached answer, its account (if any) and its time."""

    answer: Answer[Any]
    account: str | None
    came: float

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return len(self.answer.http_response.body)


class _Answers:
    """The cached answers; a LRU cache."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _CachedAnswer] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable, after: float) -> Answer[Any] | None:
        """Return the answer if it came after this time."""
        kept = self._kept.get(key)
        if kept is None or kept.came <= after:
            return None
        self._kept.move_to_end(key)
        return kept.answer

    def add(self, key: Hashable, kept: _CachedAnswer) -> None:
        """Store an answer; it replaces an older one."""
        if key in self._kept:
            self._remove(key)
        self._kept[key] = kept
        self._size += kept.size
        while len(self._kept) > MOST or self._size > MOST_BYTES:
            self._remove(next(iter(self._kept)))

    def forget(self, account: str | None) -> None:
        """Drop all answers that a change of the account may affect; `None`: any account."""
        for key in [key for key, kept in self._kept.items() if _concerns(account, kept.account)]:
            self._remove(key)

    def _remove(self, key: Hashable) -> None:
        self._size -= self._kept.pop(key).size


def _key(request: HTTPRequest) -> Hashable:
    """Return the cache key: all that is sent, with path, parameters, options and credentials."""
    headers = frozenset((name.lower(), value) for name, value in request.headers.items())
    return request.method, request.url, headers, request.body


def _concerns(changed: str | None, account: str | None) -> bool:
    """Return whether the change may affect this account. `None` may be any account."""
    return changed is None or account is None or changed == account


def _own(answer: Answer[Any], operation: Operation[Any]) -> Answer[Any]:
    """Return a copy for one call to decode."""
    request, response = answer.http_request, answer.http_response
    return Answer(operation, request, response, answer.retries_taken, answer.account_id)


def _raisable(error: APIError) -> APIError:
    """Return a copy for one call: a raise changes the traceback."""
    own = copy(error)
    own.__cause__ = error.__cause__
    return own
