"""Many calls at once: each ends in a value or in an error of its own.

One task reads the requests and starts the calls, as many as there is room for; a task for each call
makes it. All of them belong to a task of the `with` block: leaving the block, however, ends it and
waits for it. That task, and not the caller's, holds the task group, so that a block inside an async
generator, which may be left in another task than it was entered in, does no harm.

A fault of the requests, or credentials that are refused, end the reading: nothing more is sent, and
what has been sent comes to its end and is handed over first, because a charge must not be cut off.

An outcome stays in the queue until a reader takes it, in one step that cannot be interrupted, so
that none is lost where a reader is. The blocking twin reads the requests in the caller's thread:
they may come from a database cursor, or from the client itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable
from contextlib import aclosing, closing
from typing import Any, Generic, TypeVar, cast

import anyio

from .._core.sweeps.outcome import Outcome
from .._core.untyped import operation_of
from ..errors import (
    APIError,
    AuthenticationError,
    JournalError,
    RateLimitError,
    TopupConfirmationError,
    TopupOutcomeUnknownError,
)
from ..types import Params
from ..types._validators import check_whole
from .batch import Batch, NotSentError, Turn
from .executor import Executor

T = TypeVar("T")

_log = logging.getLogger("cfaigw_billing")

BAD_CREDENTIALS = frozenset({6003, 9106, 9107})
"""Error codes that say, with whatever status, that no call with these credentials can succeed."""
HEAD_START = 2.0
"""How long the first call of a client goes ahead of the others, in seconds."""


class ManyCalls(Generic[T]):
    """The machinery of `send_many`: starts the calls, and keeps their outcomes until they are read.

    Calls begin as their outcomes are read: no more than `concurrency` of them are in flight or
    waiting to be read.
    """

    unread: tuple[Outcome[T], ...] = ()
    unsent: tuple[Params[T], ...] = ()

    def __init__(
        self,
        executor: Executor,
        requests: Iterable[Params[T]] | AsyncIterable[Params[T]],
        *,
        concurrency: int,
        reserve: float,
        allow_charges: bool,
    ) -> None:
        check_whole("concurrency", concurrency, 1)
        check_reserve(reserve)
        self._executor = executor
        self._requests = _reading(requests)
        self._concurrency = concurrency
        self._batch = Batch(reserve)
        self._allow_charges = allow_charges
        self._task: asyncio.Task[None] | None = None
        self._pid: int | None = None
        self._left = False
        self._over = False
        self._fault: Exception | None = None
        self._ended: deque[Outcome[T]] = deque()
        self._cut_off: list[Outcome[T]] = []
        self._open: dict[Turn, Params[T]] = {}

    async def enter(self) -> None:
        """Begin to read the requests, and to make the calls."""
        if self._task is not None or self._left:
            raise RuntimeError("a `send_many` can be entered once; call it again")
        self._news = asyncio.Event()
        self._answered = asyncio.Event()
        self._room = asyncio.Semaphore(self._concurrency)
        self._calls = anyio.create_task_group()
        self._reading = anyio.CancelScope()
        self._pid = os.getpid()
        self._task = asyncio.create_task(self._run())

    async def leave(self, error: BaseException | None) -> None:
        """End what is still in flight; `error` is the one that leaves the block, if any."""
        self._left = True
        if self.inherited:
            return
        interrupt = await self._end()
        lost = self.lost(interrupt or error)
        if interrupt is not None:
            raise interrupt
        if lost is not None:
            raise lost

    async def next(self) -> Outcome[T]:
        """Wait for the next outcome, and take it."""
        while not self.readable:
            await self.news()
        return self.take()

    @property
    def inherited(self) -> bool:
        """Whether a fork has brought it here: the calls, and their outcomes, are the parent's."""
        return self._pid not in (None, os.getpid())

    def check_process(self) -> None:
        """Raise in a forked child of the process that entered the block."""
        if self.inherited:
            raise RuntimeError("the outcomes are read in the process that entered the block")

    @property
    def readable(self) -> bool:
        """Whether there is an outcome, or the end."""
        self.check_process()
        if self._task is None or self._left:
            raise RuntimeError(
                "read the outcomes inside the block: `with client.send_many(…) as outcomes` "
                "(`async with` on the async client)"
            )
        return bool(self._ended) or self._over

    def take(self) -> Outcome[T]:
        """The next outcome, where there is one; else the end, or what ended them all, raised."""
        if self._ended:
            self._room.release()
            return self._ended.popleft()
        if self._fault is not None:
            raise self._fault from self._fault.__cause__
        raise StopAsyncIteration

    def put_back(self, outcome: Outcome[T]) -> None:
        """Undo the taking of an outcome that did not reach its reader."""
        self._ended.appendleft(outcome)

    async def news(self) -> None:
        """Wait until something may have changed."""
        self._news.clear()
        await self._news.wait()

    def tell(self) -> None:
        """Wake those who wait for news."""
        self._news.set()

    def lost(self, error: BaseException | None) -> Exception | None:
        """See to it that no charge goes untold; what to raise, where no error leaves the block."""
        self.unread = (*self._ended, *self._cut_off)
        self.unsent = tuple(request for turn, request in self._open.items() if not turn.sent)
        raised = None
        if error is None and self._cut_off:
            raised = error = self._cut_off[0].error
        for outcome in self.unread:
            if not _charges(outcome.request) or outcome.error is error is not None:
                continue
            text = f"a charge of which no outcome was read: {outcome}"
            if error is not None:
                error.add_note(text)
            if not isinstance(error, Exception):  # a cancellation may never be seen by anyone
                _log.warning("%s", text)
        cut_off = [outcome.error for outcome in self._cut_off if outcome.error is not None]
        if error is not None and raised is None and cut_off and error.__cause__ is None:
            # So that `reconcile` finds it, whatever a time limit makes of the error.
            several = ExceptionGroup("charges that were cut off", cut_off)
            error.__cause__ = cut_off[0] if len(cut_off) == 1 else several
        return raised

    async def _end(self) -> BaseException | None:
        """End the task, and wait for it through all interrupts; the last of them."""
        if self._task is None:
            return None
        interrupt = await end_task(self._task)
        self._task = None  # its cancellation holds frames, and those the client
        return interrupt

    async def _run(self) -> None:
        """Start the calls, as there is room for them, and wait for their ends."""
        complete = False
        try:
            with self._executor.widened(self._concurrency):
                async with self._calls:
                    await self._start()
            complete = True
        finally:
            if not complete:  # and not because it failed: that ends the group in good order
                self._fault = self._fault or RuntimeError("the calls were ended from outside")
            self._over = True
            self.tell()

    async def _start(self) -> None:
        with self._reading:
            try:
                async with aclosing(self._requests) as requests:
                    await self._room.acquire()
                    async for request in requests:
                        turn = Turn(self._batch)
                        self._open[turn] = request
                        self._calls.start_soon(self._call, turn, request)
                        if not (self._executor.accepted or self._answered.is_set()):
                            await self._head_start()
                        await self._room.acquire()
            except Exception as fault:
                self._fail(fault)
            except asyncio.CancelledError as stray:
                if self._left or self._reading.cancel_called:
                    raise
                self._fail(_cancelled(stray))

    async def _head_start(self) -> None:
        """Wait for the first answer of a client that has had none.

        Wrong credentials are then refused once, and not as often as calls go out at a time.
        """
        with anyio.move_on_after(HEAD_START):
            await self._answered.wait()
        self._answered.set()

    async def _call(self, turn: Turn, request: Params[T]) -> None:
        try:
            outcome = await self._outcome(turn, request)
        except NotSentError:
            pass
        except Exception as fault:
            self._fail(fault)
        except BaseException as interrupt:
            if isinstance(interrupt.__cause__, TopupOutcomeUnknownError):
                self._cut_off.append(Outcome(request, error=interrupt.__cause__))
            if self._left or not isinstance(interrupt, asyncio.CancelledError):
                raise
            self._fail(_cancelled(interrupt))
        else:
            del self._open[turn]
            self._ended.append(outcome)
            if (end := self._end_of_all(outcome.error)) is not None:
                self._fail(end)
        finally:
            self._answered.set()
            self.tell()

    async def _outcome(self, turn: Turn, request: Params[T]) -> Outcome[T]:
        if _charges(request) and not self._allow_charges:
            raise ValueError("`requests` holds a charge; pass `allow_charges=True` if it is meant")
        try:
            answer = await self._executor.execute(request, {}, turn=turn)
            return Outcome(request, answer.parse())
        except (APIError, JournalError, TopupConfirmationError, ValueError, TypeError) as error:
            return Outcome(request, error=error)

    def _end_of_all(self, error: Exception | None) -> Exception | None:
        """Return the error to raise if every other call would fail alike."""
        if self._batch.blocked:
            return _never_lifted(error) if isinstance(error, RateLimitError) else error
        # Once the credentials have been accepted, it is the account that they are refused for.
        return error if refuses_credentials(error) and not self._executor.accepted else None

    def _fail(self, fault: Exception) -> None:
        """Send nothing more, and raise the fault when what has been sent has ended."""
        self._fault = self._fault or fault
        self._batch.end()
        self._reading.cancel()


async def end_task(task: asyncio.Task[None]) -> BaseException | None:
    """Cancel a task, and wait for its end through all interrupts; return the last of them."""
    interrupt: BaseException | None = None
    task.cancel()
    while not task.done():
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task])
        except asyncio.CancelledError as error:
            interrupt = error
    return interrupt


def check_reserve(reserve: object) -> None:
    """A part of the rate limit, from 0 to below 1."""
    if isinstance(reserve, bool) or not isinstance(reserve, (int, float)):
        raise TypeError(f"`reserve` must be a number, not {type(reserve).__name__}")
    if not 0 <= reserve < 1:
        raise ValueError(f"`reserve` must be at least 0 and below 1, got {reserve!r}")


def _charges(request: Params[Any]) -> bool:
    return operation_of(request).charges


def refuses_credentials(error: Exception | None) -> bool:
    if isinstance(error, TopupOutcomeUnknownError):
        return False  # whatever it came from, it must be read
    if isinstance(error, AuthenticationError):
        return True
    return isinstance(error, APIError) and any(it.code in BAD_CREDENTIALS for it in error.errors)


def _never_lifted(error: RateLimitError) -> RateLimitError:
    request = error.request
    result = RateLimitError(
        f"{request.method} {request.path}: the service refused every call, and again after all the "
        f"time for which it had asked: nothing more has been sent",
        request=request,
        response=error.response,
        errors=error.errors,
        retries_taken=error.retries_taken,
    )
    result.retry_after = error.retry_after
    return result


def _cancelled(stray: asyncio.CancelledError) -> RuntimeError:
    error = RuntimeError("a call, or the input, was cancelled from outside")
    error.__cause__ = stray
    return error


def _reading(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T]:
    """A generator of the items, which is theirs if they are one: it is closed at the end."""
    if not isinstance(items, AsyncIterable):
        return _one_by_one(reading_here(items))
    iterator = aiter(items)
    if isinstance(iterator, AsyncGenerator):
        return cast("AsyncGenerator[T]", iterator)
    return _each(iterator)


def reading_here(items: Iterable[T]) -> Generator[T]:
    if not isinstance(items, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"`requests` must be an iterable of parameters, such as "
            f"[BillingCreditBalanceParams(…)], not {type(items).__name__}"
        )
    iterator = iter(items)
    if isinstance(iterator, Generator):
        return cast("Generator[T]", iterator)
    return (item for item in iterator)


async def _one_by_one(items: Generator[T]) -> AsyncGenerator[T]:
    with closing(items):
        for item in items:
            yield item


async def _each(items: AsyncIterator[T]) -> AsyncGenerator[T]:
    async for item in items:
        yield item
