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

import os
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal
from attrs import frozen

T = TypeVar("T")


async def _nothing() -> None:
    """The clean-up of a portal that has none."""


@frozen(eq=False)
class _Loop:
    """A running event loop, its thread, and what stops both."""

    portal: BlockingPortal
    thread: threading.Thread
    stop: Callable[[], object]


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
        _portals.add(self)

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run `function` on the loop and return what it returns; an interrupt cancels it."""
        future = self._started().portal.start_task_soon(function)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, source: AsyncGenerator[T]) -> Generator[T]:
        """Yield from an async generator that runs on the loop; leaving early closes it there."""
        try:
            while True:
                try:
                    item = self.call(source.__anext__)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.call(source.aclose)

    def close(self) -> None:
        """Cancel what is running, await `on_close`, end the thread. A second close does nothing."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()
            loop.thread.join()

    def forget(self) -> None:
        """Drop a loop whose thread is gone: what a forked child has to do."""
        self._loop = None
        self._lock = threading.Lock()

    def _started(self) -> _Loop:
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
        ready: Future[BlockingPortal] = Future()
        # The thread holds no reference to this object: a client that is dropped without a close
        # is collected, and its collection stops the thread.
        thread = threading.Thread(
            target=_serve, args=(ready, self._on_close), name="cfaigw_billing portal", daemon=True
        )
        thread.start()
        portal = ready.result()
        stop = weakref.finalize(self, _stop, portal, os.getpid())
        stop.atexit = False
        return _Loop(portal, thread, stop)


def _serve(ready: Future[BlockingPortal], on_close: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()
        await on_close()

    try:
        anyio.run(main)
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


def _stop(portal: BlockingPortal, pid: int) -> None:
    if pid == os.getpid():  # in a forked child the portal's thread does not exist
        portal.start_task_soon(portal.stop, True)


_portals: weakref.WeakSet[Portal] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for portal in _portals:
        portal.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
