"""The way from blocking code into an event loop: what the sync client runs on.

Each sync client owns one `Portal`: a daemon thread with one event loop, on which the coroutines of
the async client run. It works while the caller's own loop is running (a notebook), from many
threads at once, and costs one thread hop a call.

Why not the ready-made `anyio.from_thread.start_blocking_portal`: it is a context manager, and one
that is left open (a notebook never closes anything) hangs the interpreter at exit, because its
clean-up waits for a thread that is already frozen. Here a daemon thread runs `BlockingPortal`
inside `anyio.run`, so a forgotten client ends with the process, and a forked child, which inherits
the portal but not its thread, simply starts another.

Why not `BlockingPortal.call`: interrupted by Ctrl-C, it leaves the coroutine running to its end.
Here the call owns its future and cancels it on the way out.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from importlib.util import find_spec
from typing import Any, Generic, TypeVar, cast

import anyio
from anyio.from_thread import BlockingPortal
from attrs import frozen

from ..errors import CloudflareError
from .fork import forget_in_child

T = TypeVar("T")

_Running = tuple[BlockingPortal, Callable[[], object]]
"""A portal, and what stops it."""


_HAS_UVLOOP = find_spec("uvloop") is not None
"""Whether the loop is one of uvloop (the extra `speedups`), on which a thread hop costs less."""

_CLEAN_UP_SECONDS = 0.4
"""Seconds that an interrupt waits for the call that it cancels to release its connection."""


async def _nothing() -> None:
    """The clean-up of a portal that has none."""


@frozen(eq=False)
class _Loop:
    """A running event loop, its thread, and what stops both."""

    portal: BlockingPortal
    thread: threading.Thread
    stop: Callable[[], object]
    """Callable from any thread, the loop's own too."""
    abandoned: weakref.finalize[..., Any]
    """Stops the loop if the client is collected without having been closed."""


class _Task(Generic[T]):
    """One call on the loop, and its end."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function = function
        self._ended = threading.Event()
        self._abandoned = False
        self._running: asyncio.Task[Any] | None = None
        self.error: BaseException | None = None
        self._result: T | None = None

    async def run(self) -> None:
        """Run it. No future gets its error: that would keep the error, and with it the client."""
        self._running = asyncio.current_task()
        try:
            if self._abandoned:
                raise asyncio.CancelledError  # noqa: TRY301
            self._result = await self._function()
        except BaseException as error:
            self.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._ended.set()

    def result(self) -> T:
        """Return its result, or raise its error."""
        if self.error is not None:
            raise self.error
        return cast("T", self._result)

    def abandon(self) -> None:
        """Cancel it, or keep it from beginning, where no future stands for it."""
        self._abandoned = True  # before the look: `run` does the two in the other order
        if self._running is not None:
            self._running.get_loop().call_soon_threadsafe(self._running.cancel)

    def explain(self, interrupt: BaseException) -> None:
        """Let the interrupt say what the task, once cancelled, has to say."""
        if not self._ended.wait(_CLEAN_UP_SECONDS):
            interrupt.add_note("the call has not ended yet, and may have been carried out")
            return
        if self.error is None:
            interrupt.add_note(f"the call had been answered already: {self._result!r:.2000}")
            return
        _copy_notes(self.error, interrupt)
        interrupt.__cause__ = self.error.__cause__

    def closed(self) -> BaseException:
        """Return the error to raise if the client was closed during the call."""
        self._ended.wait(_CLEAN_UP_SECONDS)
        if self.error is not None and isinstance(self.error.__cause__, CloudflareError):
            return self.error.__cause__
        closed = RuntimeError("this client was closed during the call")
        if self.error is not None:
            _copy_notes(self.error, closed)
        return closed


def _copy_notes(source: BaseException, target: BaseException) -> None:
    for note in getattr(source, "__notes__", ()):
        target.add_note(note)


class Portal:
    """One event loop on a daemon thread, started by the first call.

    Args:
        on_close: Awaited on the loop after the last call, before the loop ends.
    """

    def __init__(self, on_close: Callable[[], Awaitable[None]] = _nothing) -> None:
        self._on_close = on_close
        self._closed = False
        self._loop: _Loop | None = None
        self._lock = threading.Lock()
        forget_in_child(self)

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run `function` on the loop and return what it returns.

        An interrupt (Ctrl-C) cancels it, and takes over what it has to say about that: an
        interrupted charge leaves a note.
        """
        portal = self._started().portal
        task = _Task(function)
        future: Future[None] | None = None
        try:
            future = portal.start_task_soon(task.run)
            future.result()
            return task.result()
        except BaseException as error:
            if error is task.error:
                raise
            if future is None:  # interrupted before there was one, or there is none
                task.abandon()
                if isinstance(error, Exception):
                    raise
            elif isinstance(error, CancelledError):  # another thread has closed the client
                raise task.closed() from None
            else:  # an interrupt, of whatever class a signal handler raises
                future.cancel()
            task.explain(error)
            raise
        finally:
            task.error = None  # whose traceback holds this frame, and the frame the client

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    def close(self) -> None:
        """Cancel what is running, await `on_close`, end the thread. A second close does nothing."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.abandoned.detach()
            loop.stop()
            loop.thread.join()

    def forget(self) -> None:
        """Drop a loop whose thread is gone: what a forked child has to do."""
        self._loop = None
        self._lock = threading.Lock()

    def _started(self) -> _Loop:
        if sys.is_finalizing():  # its thread no longer runs, and a call would wait for ever
            raise RuntimeError("a sync client cannot be called while the interpreter shuts down")
        loop = self._loop
        if loop is None:
            with self._lock:
                if self._closed:
                    raise RuntimeError("this client has been closed; make a new one")
                loop = self._loop = self._loop or self._start()
        if threading.current_thread() is loop.thread:
            raise RuntimeError("a sync client cannot be called from its own event loop thread")
        return loop

    def _start(self) -> _Loop:
        ready: Future[_Running] = Future()
        # The thread holds no reference to this object: a client that is dropped without a close
        # is collected, and its collection stops the thread.
        thread = threading.Thread(
            target=_serve, args=(ready, self._on_close), name="cfaigw_billing portal", daemon=True
        )
        thread.start()
        portal, stop = ready.result()
        abandoned = weakref.finalize(self, _abandon, stop, os.getpid())
        abandoned.atexit = False
        return _Loop(portal, thread, stop, abandoned)


def _serve(ready: Future[_Running], on_close: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        stopped = asyncio.Event()
        stop = partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set)
        async with BlockingPortal() as portal:
            ready.set_result((portal, stop))
            await stopped.wait()
            await portal.stop(cancel_remaining=True)
        await on_close()

    try:
        anyio.run(main, backend_options={"use_uvloop": _HAS_UVLOOP})
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


def _abandon(stop: Callable[[], object], pid: int) -> None:
    if pid == os.getpid():  # in a forked child the portal's thread does not exist
        stop()
        warnings.warn("unclosed Cloudflare client", ResourceWarning, stacklevel=2)
