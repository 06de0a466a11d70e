"""Make many calls at once. Each ends in a value or an error.

One task reads the requests and starts a task for each call, up to `concurrency` at a time. It is
the parent of all of them. When the `with` block ends, for any reason, the task is cancelled and
awaited. It has its own task group because a block inside an async generator may be left in another
task than it was entered in.

If the iterable of requests raises, or the credentials are refused, nothing more is sent. The calls
already sent still complete, and their outcomes are returned before the error is raised: a charge
must not be cut off.

An outcome stays in the queue until a reader takes it in one step that cannot be interrupted, so no
outcome is lost. The sync client reads the requests in the caller's thread: they may come from a
database cursor, or from the client itself.
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

from .._core.answer import refuses_credentials
from .._core.options import check_reserve
from .._core.sweeps.outcome import Outcome
from .._core.untyped import operation_of
from ..errors import (
    CloudflareError,
    RateLimitError,
    TopupOutcomeUnknownError,
)
from ..types import Params
from ..types._validators import check_whole
from .call import Batch, BatchMember, NotSentError, Slots
from .deadlines import end_task
from .executor import Executor
from .logins import HEAD_START

T = TypeVar("T")

_log = logging.getLogger("cfaigw_billing")


class ManyCalls(Generic[T]):
    """The engine of `send_many`: starts the calls, and keeps their outcomes until they are read.

    At most `concurrency` calls are in flight or waiting to be read.
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
        self._slots = Slots(concurrency)
        self._batch = Batch(reserve, self._slots, several=executor.logins.several)
        self._allow_charges = allow_charges
        self._task: asyncio.Task[None] | None = None
        self._pid: int | None = None
        self._left = False
        self._over = False
        self._fault: Exception | None = None
        self._ended: deque[Outcome[T]] = deque()
        self._cut_off: list[Outcome[T]] = []
        self._open: dict[BatchMember, Params[T]] = {}
        self._refusal: Exception | None = None
        """The first error that refused credentials."""
        self._others = False
        """Whether a call has ended in any other way."""

    async def enter(self) -> None:
        """Start to read the requests and make the calls."""
        if self._task is not None or self._left:
            raise RuntimeError("a `send_many` can be entered once; call it again")
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._calls = anyio.create_task_group()
        self._reading = anyio.CancelScope()
        self._pid = os.getpid()
        self._task = asyncio.create_task(self._run())

    async def leave(self, error: BaseException | None) -> None:
        """Cancel the calls in flight; `error` is the exception that leaves the block, if any."""
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
        """Wait for the next outcome and return it."""
        while not self.readable:
            await self.wait_for_change()
        return self.take()

    @property
    def inherited(self) -> bool:
        """Whether this is a forked child: the calls belong to the parent process."""
        return self._pid not in (None, os.getpid())

    def check_process(self) -> None:
        """Raise in a forked child."""
        if self.inherited:
            raise RuntimeError("read the outcomes in the process that entered the block")

    @property
    def readable(self) -> bool:
        """Whether `take` would return or raise now."""
        self.check_process()
        if self._task is None or self._left:
            raise RuntimeError(
                "read the outcomes inside the block: `with client.send_many(…) as outcomes` "
                "(`async with` on the async client)"
            )
        return bool(self._ended) or self._over

    def take(self) -> Outcome[T]:
        """Return the next outcome. At the end, raise the error that ended the calls, if any."""
        if self._ended:
            self._slots.release()
            return self._ended.popleft()
        if self._fault is not None:
            raise self._fault from self._fault.__cause__
        raise StopAsyncIteration

    def put_back(self, outcome: Outcome[T]) -> None:
        """Put back an outcome that did not reach its reader."""
        self._slots.take_at_once()
        self._ended.appendleft(outcome)

    async def wait_for_change(self) -> None:
        """Wait until `readable` may have changed."""
        self._changed.clear()
        await self._changed.wait()

    def notify(self) -> None:
        """Wake all tasks that wait for news."""
        self._changed.set()

    def lost(self, error: BaseException | None) -> Exception | None:
        """Report charges whose outcome was not read. If `error` is `None`, return one to raise."""
        self.unread = (*self._ended, *self._cut_off)
        self.unsent = tuple(request for member, request in self._open.items() if not member.sent)
        raised = None
        if error is None and self._cut_off:
            raised = error = self._cut_off[0].error
        for outcome in self.unread:
            if not _charges(outcome.request) or outcome.error is error is not None:
                continue
            text = f"a charge whose outcome was not read: {outcome}"
            if error is not None:
                error.add_note(text)
            if not isinstance(error, Exception):  # the caller may not see a cancellation's error
                _log.warning("%s", text)
        cut_off = [outcome.error for outcome in self._cut_off if outcome.error is not None]
        if error is not None and raised is None and cut_off and error.__cause__ is None:
            # `reconcile` follows the cause, even if a time-out replaces the error.
            several = ExceptionGroup("charges that were cut off", cut_off)
            error.__cause__ = cut_off[0] if len(cut_off) == 1 else several
        return raised

    async def _end(self) -> BaseException | None:
        """Cancel the task and wait for its end. Return the last interrupt, if any."""
        if self._task is None:
            return None
        interrupt = await end_task(self._task)
        self._task = None  # its traceback keeps the client alive
        return interrupt

    async def _run(self) -> None:
        """Start the calls, and wait until all have ended."""
        complete = False
        try:
            with self._executor.widened(self._concurrency):
                async with self._calls:
                    await self._start()
            logins = self._executor.logins
            if logins.several and logins.none_accepted and not self._others:
                self._fault = self._fault or self._refusal
            complete = True
        finally:
            if not complete:  # cancelled: after a fault the group ends normally
                self._fault = self._fault or RuntimeError("the calls were ended from outside")
            self._over = True
            self.notify()

    async def _start(self) -> None:
        with self._reading:
            try:
                async with aclosing(self._requests) as requests:
                    await self._wait_for_slot()
                    async for request in requests:
                        member = BatchMember(self._batch)
                        self._open[member] = request
                        if self._batch.several:
                            await self._slots.acquire()
                        self._calls.start_soon(self._call, member, request)
                        if self._executor.logins.wants_proof and not self._answered.is_set():
                            await self._head_start()
                        await self._wait_for_slot()
            except Exception as fault:
                self._fail(fault)
            except asyncio.CancelledError as stray:
                if self._left or self._reading.cancel_called:
                    raise
                self._fail(_cancelled(stray))

    async def _wait_for_slot(self) -> None:
        """Wait until the next call may start."""
        await self._slots.acquire()
        if self._batch.several:  # a waiting call may take the place until the request is read
            self._slots.release()

    async def _head_start(self) -> None:
        """Wait for the client's first answer, so that wrong credentials are refused only once."""
        with anyio.move_on_after(HEAD_START):
            await self._answered.wait()
        self._answered.set()

    async def _call(self, member: BatchMember, request: Params[T]) -> None:
        try:
            outcome = await self._outcome(member, request)
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
            del self._open[member]
            self._ended.append(outcome)
            if (end := self._end_of_all(outcome.error)) is not None:
                self._fail(end)
        finally:
            self._answered.set()
            self.notify()

    async def _outcome(self, member: BatchMember, request: Params[T]) -> Outcome[T]:
        if _charges(request) and not self._allow_charges:
            raise ValueError("`requests` has a charge; pass `allow_charges=True` if you mean it")
        try:
            answer = await self._executor.execute(request, {}, member=member)
            return Outcome(request, answer.parse())
        except (CloudflareError, ValueError, TypeError) as error:
            if type(error) is CloudflareError and not self._executor.logins.several:
                raise  # credentials are missing
            return Outcome(request, error=error)

    def _end_of_all(self, error: Exception | None) -> Exception | None:
        """Return the error to raise if all other calls would fail in the same way."""
        if self._batch.blocked:
            return _never_lifted(error) if isinstance(error, RateLimitError) else error
        # If the credentials were accepted before, they are refused only for this account.
        if not refuses_credentials(error):
            self._others = True
            return None
        self._refusal = self._refusal or error
        return error if self._executor.logins.all_refused() else None

    def _fail(self, fault: Exception) -> None:
        """Stop sending; raise the fault when the calls in flight have ended."""
        self._fault = self._fault or fault
        self._batch.end()
        self._reading.cancel()


def _charges(request: Params[Any]) -> bool:
    return operation_of(request).charges


def _never_lifted(error: RateLimitError) -> RateLimitError:
    request = error.request
    result = RateLimitError(
        f"{request.method} {request.path}: the service refused every call, even after the full "
        f"wait that it asked for; nothing more was sent",
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
    """Return the items as a generator, so that they can be closed."""
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
