"""Time limits that many tasks share, and waits for the end of a task.

A busy client waits for fifty answers at a time, each for at most a minute. A timer for each costs
more than all its other work for an answer. Here, limits that end in the same second share a timer;
aiohttp rounds them in the same way.
"""

from __future__ import annotations

import asyncio
from math import ceil
from types import TracebackType
from typing import Any

SHORTEST = 5.0
"""Seconds. Shorter limits should not be rounded."""


_End = tuple[asyncio.AbstractEventLoop, int]
"""A second of the clock of an event loop."""


class Deadlines:
    """The time limits of one client."""

    def __init__(self) -> None:
        self._due: dict[_End, tuple[set[_Limit], asyncio.TimerHandle]] = {}

    def within(self, seconds: float) -> _Limit:
        """Return a context that raises `TimeoutError` after `seconds`, rounded up to a second."""
        loop = asyncio.get_running_loop()
        end = loop, ceil(loop.time() + seconds)
        due = self._due.get(end)
        if due is None:
            limits: set[_Limit] = set()
            due = self._due[end] = limits, loop.call_at(end[1], self._expire, end)
        return _Limit(self, end, due[0])

    def forget(self, end: _End) -> None:
        """Stop the timer of a second without limits."""
        due = self._due.pop(end, None)
        if due is not None:
            due[1].cancel()

    def _expire(self, end: _End) -> None:
        for limit in self._due.pop(end)[0]:
            limit.expire()


class _Limit:
    """Works like `asyncio.timeout`: it distinguishes its own cancellation from others."""

    __slots__ = ("_cancelling", "_deadlines", "_end", "_expired", "_limits", "_task")

    def __init__(self, deadlines: Deadlines, end: _End, limits: set[_Limit]) -> None:
        self._deadlines = deadlines
        self._end = end
        self._limits = limits
        self._expired = False

    def __enter__(self) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._limits.add(self)

    def expire(self) -> None:
        """Stop the task."""
        self._expired = True
        self._task.cancel()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if not self._expired:
            self._limits.discard(self)
            if not self._limits:
                self._deadlines.forget(self._end)
            return
        others = self._task.uncancel() - self._cancelling
        if others <= 0 and exc_type is asyncio.CancelledError:
            raise TimeoutError from error


async def end_task(task: asyncio.Task[None]) -> BaseException | None:
    """Cancel a task and wait for its end, even if interrupted. Return the last interrupt."""
    task.cancel()
    return await wait_through(task)


async def wait_through(
    task: asyncio.Task[Any], seconds: float | None = None
) -> asyncio.CancelledError | None:
    """Wait for the end of a task, for `seconds` at most, even if interrupted.

    Return the last interrupt. The task is not cancelled.
    """
    from anyio import CancelScope  # single calls do without anyio

    interrupt: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    until = None if seconds is None else loop.time() + seconds
    while not task.done():
        left = None if until is None else until - loop.time()
        if left is not None and left <= 0:
            break
        try:
            with CancelScope(shield=True):
                await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError as error:
            interrupt = error
    return interrupt
