"""Many calls at once, in blocking code.

The requests are read in the thread of the caller, because they may come from a database cursor, or
from the client itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from attrs import frozen

from ..types import Params
from .executor import BlockingExecutor

if TYPE_CHECKING:
    from .._core.sweeps.outcome import Outcome

T = TypeVar("T")


class Outcomes(Generic[T]):
    """The outcomes of many calls, in the order in which they end.

    A context manager, and inside its block an iterator. Leaving the block cancels the calls in
    flight. The requests are read in the thread that reads the outcomes.
    """

    def __init__(
        self,
        executor: BlockingExecutor,
        requests: Iterable[Params[T]],
        *,
        concurrency: int = 50,
        reserve: float = 0.1,
        allow_charges: bool = False,
    ) -> None:
        # Not needed for single calls.
        from .._io.many_calls import ManyCalls, reading_here

        self._requests = reading_here(requests)
        self._portal = executor.portal
        self._lock = threading.Lock()
        self._place: _Place[T] | None = None
        self._held: tuple[_Place[T], Params[T] | _Failed] | None = None
        self._delivered_to: _Place[T] | None = None
        self._handed: Outcome[T] | None = None
        self._received: Outcome[T] | None = None
        self._calls = ManyCalls(
            executor.inner,
            self._delivered(),
            concurrency=concurrency,
            reserve=reserve,
            allow_charges=allow_charges,
        )

    @property
    def unread(self) -> tuple[Outcome[T], ...]:
        """After the block: the outcomes that were not read, and the charges that were cut off."""
        return self._calls.unread

    @property
    def unsent(self) -> tuple[Params[T], ...]:
        """After the block: the requests that were read from the input but never sent."""
        held = self._held
        if held is None or held[0] is self._delivered_to or isinstance(held[1], _Failed):
            return self._calls.unsent
        return (*self._calls.unsent, *(() if held[1] is _END else (held[1],)))

    def __enter__(self) -> Self:
        self._portal.call(self._calls.enter)
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with closing(self._requests):
            if self._calls.inherited:
                return
            if not self._portal.closed:
                self._portal.call(partial(self._leave, error))
                return
            self._portal.close()  # waits for the end of the loop and of its tasks
            if lost := self._calls.lost(error):
                raise lost

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Outcome[T]:
        self._calls.check_process()  # first, because nothing releases the lock in a forked child
        with self._lock:
            while True:
                try:
                    turn = self._portal.call(partial(self._turn, self._held, self._received))
                except StopAsyncIteration:
                    raise StopIteration from None
                if not isinstance(turn, asyncio.Future):
                    self._received = turn
                    return turn
                if self._held is None or self._held[0] is not turn:
                    self._held = turn, self._next()

    def _next(self) -> Params[T] | _Failed:
        """Return the next request; an error takes the place of a request, to keep the order."""
        try:
            return next(self._requests, _END)
        except Exception as fault:
            return _Failed(fault)

    async def _turn(
        self, held: tuple[_Place[T], Params[T] | _Failed] | None, received: Outcome[T] | None
    ) -> Outcome[T] | _Place[T]:
        """Return the next outcome, or the place for the next request if one is needed.

        Ctrl-C may interrupt at any time, so each step can be repeated: the `held` request may have
        been delivered before, and an outcome that was not `received` is returned again.
        """
        if held is not None and not held[0].done():
            held[0].set_result(held[1])
        self._take_back(received)
        while not self._calls.readable:
            if self._place is not None and not self._place.done():
                return self._place
            await self._calls.wait_for_change()
        self._handed = self._calls.take()
        return self._handed

    async def _leave(self, error: BaseException | None) -> None:
        self._take_back(self._received)
        await self._calls.leave(error)

    def _take_back(self, received: Outcome[T] | None) -> None:
        if self._handed is not None and self._handed is not received:
            self._calls.put_back(self._handed)
        self._handed = None

    async def _delivered(self) -> AsyncGenerator[Params[T]]:
        """Yield the requests; each is asked for here and delivered by `_turn`."""
        while True:
            self._place = asyncio.get_running_loop().create_future()
            self._calls.notify()
            request = await self._place
            self._delivered_to = self._place
            if request is _END:
                return
            if isinstance(request, _Failed):
                raise request.fault
            yield request


@frozen
class _Failed:
    """Takes the place of a request if reading the requests has failed."""

    fault: Exception


_Place = asyncio.Future[Params[T] | _Failed]
"""The place for a request that is needed."""
_END: Any = object()
"""Takes the place of a request at the end of the requests."""
