"""The way from blocking code into an event loop: what the sync client runs on.

Each sync client owns one `Portal`: a daemon thread with one event loop, on which the coroutines of
the async client run. It works while the caller's own loop is running (a notebook), from many
threads at once, and costs one thread hop a call.

Why not anyio's `start_blocking_portal`: it is a context manager, and one that is left open (a
notebook never closes anything) hangs the interpreter at exit, because its clean-up waits for a
thread that is already frozen. Here a daemon thread runs the tasks, so a forgotten client ends with
the process, and a forked child, which inherits the portal but not its thread, simply starts
another. And a program of single calls does without anyio, whose import is a tenth of its start.

Why not `BlockingPortal`: interrupted by Ctrl-C, its `call` leaves the coroutine running to its end,
and a call that meets the end of the loop may wait for ever. Here the call cancels its task on the
way out, and the loop, when it ends, wakes the callers that still wait for it to begin one.

Signals. Their handlers run in the main thread, between any two steps of it, and may raise, use the
client or close it; what runs on the loop's thread is never interrupted. So:

- A thread of its own, which no signal reaches, starts the loop's, and only the first of several
  does. A call that is interrupted leaves nothing half started: the next one finds the loop, or has
  it started.
- Nothing waits through an `Event`, a `Future` or `Thread.start`. They have a lock inside, which the
  loop's thread needs too: an interrupt at the wrong step leaves it locked for ever, and a handler
  that uses the client waits for the loop, and the loop for the thread that the handler interrupts.
  A call waits for one bare lock, which is released when its task has ended.
- An interrupted call cancels its task and hears it out: a charge has something to say. A second
  interrupt takes the place of the first, and is told the same. To be caught, it must strike inside
  a `try`, so no function is called between `except` and the next `try`: Python looks for signals
  when a function is called and when a loop turns back, and nowhere else.

Forks. What another thread was importing stays half imported in the child. So whatever the first
call needs is imported with this module, and not on the way.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, TypeVar, cast

from ..errors import CloudflareError
from .fork import forget_in_child
from .sessions import LateThreads, place_of_caller, warn_unclosed

T = TypeVar("T")

_HAS_UVLOOP = find_spec("uvloop") is not None
"""Whether the loop is one of uvloop (the extra `speedups`), on which a thread hop costs less."""

for _module in ("concurrent.futures.thread", "encodings.idna"):
    import_module(_module)  # the first call would, see above
if _HAS_UVLOOP:
    import_module("uvloop")

_CLEAN_UP_SECONDS = 0.4
"""Seconds that an interrupt waits for the call that it cancels to release its connection."""
_FIRST_WAIT = 0.1
"""Seconds. A signal that comes just before a thread waits for a lock is handled after that wait: so
the first one is short, or else a Ctrl-C would be lost until the call ends."""


async def _nothing() -> None:
    """The clean-up of a portal that has none."""


class _Task(Generic[T]):
    """One call on the loop, and its end."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function = function
        self._context = copy_context()  # the spans of the caller go on in the task
        self._over = False
        self._until_over = threading.Lock()  # released at the end
        self._until_over.acquire()
        self._abandoned = False
        self._cancelled = False
        self._running: asyncio.Task[Any] | None = None
        self.error: BaseException | None = None
        self._result: T | None = None

    def begin(self, tasks: set[asyncio.Task[None]]) -> None:
        """Run it on the loop, as one of the tasks."""
        if sniffio := sys.modules.get("sniffio"):  # where anyio asks it; the caller may use trio
            self._context.run(sniffio.current_async_library_cvar.set, "asyncio")
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._run(), context=self._context)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _run(self) -> None:
        """Run it, and keep its error from the loop, which would hold it, and with it the client."""
        self._running = asyncio.current_task()
        try:
            if self._abandoned:
                raise asyncio.CancelledError  # noqa: TRY301
            self._result = await self._function()
        except BaseException as error:
            self.error = error
        self._end()

    def refuse(self, error: BaseException) -> None:
        """End it before it has begun: there is no loop for it."""
        if not self._over:
            self.error = error
            self._end()

    def result(self) -> T:
        """Wait for its end. Return its result, or raise its error."""
        if not self._wait(_FIRST_WAIT):
            self._wait()
        if isinstance(self.error, asyncio.CancelledError):  # another thread has closed the client
            self.error = _closed(self.error)
        if self.error is not None:
            raise self.error
        return cast("T", self._result)

    def told(self, interrupt: BaseException) -> BaseException:
        """Cancel it, and give the interrupt its note and its cause. Return the interrupt.

        It may be called again: for the next interrupt, by which it was cut short.
        """
        self._abandoned = True  # before the look: `_run` does the two in the other order
        if self._running is None:  # it has not begun, and never will
            return interrupt
        with suppress(RuntimeError):  # the loop has ended, and with it the task
            self._running.get_loop().call_soon_threadsafe(self._cancel)
        if not self._wait(_CLEAN_UP_SECONDS):
            interrupt.add_note("the call has not ended yet, and may have been carried out")
        elif self.error is None:
            interrupt.add_note(f"the call had been answered already: {self._result!r:.2000}")
        else:
            interrupt.__cause__ = self.error.__cause__ or interrupt.__cause__
            _copy_notes(self.error, interrupt)
        return interrupt

    def _cancel(self) -> None:
        """Once only: the second would cut off the clean-up that the first began."""
        if self._running is not None and not self._cancelled:
            self._cancelled = True
            self._running.cancel()

    def _end(self) -> None:
        self._over = True
        with suppress(RuntimeError):  # another thread has refused it at the same time
            self._until_over.release()

    def _wait(self, seconds: float = -1) -> bool:
        return self._over or self._until_over.acquire(timeout=seconds)


def _closed(cancelled: BaseException) -> BaseException:
    """Return the error to raise if the client was closed during a call."""
    if isinstance(cancelled.__cause__, CloudflareError):
        return cancelled.__cause__
    closed = RuntimeError("this client was closed during the call")
    _copy_notes(cancelled, closed)
    return closed


def _copy_notes(source: BaseException, target: BaseException) -> None:
    for note in getattr(source, "__notes__", ()):
        target.add_note(note)


class _Running:
    """An event loop that runs, and its tasks."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.thread_id = threading.get_ident()

    def do(self, function: Callable[..., None], *args: Any) -> None:
        """Have it call a function, from any thread; in vain where it has ended."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *args)


class _Loop:
    """The event loop of a portal in one process, from before it runs until it is closed.

    Its thread holds it, and so it holds no portal: a client that is dropped without a close is
    collected, and its collection stops the thread.

    Where two threads meet without a lock, each first says what it does and then looks what the
    other has said: a caller adds to `waiting`, a closer sets `closed`.
    """

    def __init__(
        self, on_close: Callable[[], Awaitable[None]], made_at: str, *, closed: bool
    ) -> None:
        self._on_close = on_close
        self._made_at = made_at
        self._serving = threading.Lock()  # held by the thread that serves it; nothing waits for it
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None
        self._over = False
        self.closed = closed
        self.waiting: set[_Task[Any]] = set()
        """The tasks that have not begun."""

    def begin(self, task: _Task[Any]) -> None:
        """Let the loop, which is started if it does not run yet, begin a task."""
        if self.closed:
            raise RuntimeError(_CLOSED)
        if sys.is_finalizing():  # its thread no longer runs, and a call would wait for ever
            raise RuntimeError(f"a sync client cannot be called {_SHUTTING_DOWN}")
        self.waiting.add(task)
        running = self._running
        if running is not None:
            if running.thread_id == threading.get_ident():
                raise RuntimeError("a sync client cannot be called from its own event loop thread")
            running.do(self._begin, task)
        elif _is_ending() and threading.current_thread() is threading.main_thread():
            # At `atexit`. Before it, the end waits for other threads, which may still call.
            raise RuntimeError(f"a sync client cannot make its first call {_SHUTTING_DOWN}")
        elif not self._serving.locked():
            _thread.start_new_thread(self._start, ())
        if self._over:
            task.refuse(RuntimeError(_CLOSED))

    def close(self) -> None:
        """Cancel what is running, await `on_close`, end the thread."""
        self.closed = True
        if self._running is not None:
            self._running.do(self._running.stopped.set)
        thread = self._thread  # one that is just being started sees that it is closed
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def abandon(self) -> None:
        """Stop it without waiting: the client has been collected, in any thread."""
        if self.closed:
            return
        self.closed = True  # a loop that is just being started ends at once
        if self._serving.locked():
            if self._running is not None:
                self._running.do(self._running.stopped.set)
            warn_unclosed(self._made_at)

    def _start(self) -> None:
        if not self._serving.acquire(blocking=False):
            return  # several callers have wanted it
        try:
            threading.Thread(target=self._serve, name=_THREAD, daemon=True).start()
        except BaseException as error:
            self._fail(error)

    def _serve(self) -> None:
        self._thread = threading.current_thread()
        try:
            _keep_standard_descriptors()
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._run())
        except BaseException as error:
            if self._running is not None:
                raise
            self._fail(error)
        finally:
            if self._running is not None:
                self._over = True
                self._refuse(RuntimeError(_CLOSED))

    async def _run(self) -> None:
        self._running = running = _Running()
        if _is_ending():
            running.loop.set_default_executor(LateThreads())
        self._begin_all()
        if not self.closed:
            await running.stopped.wait()
        running.stopped.set()
        await asyncio.sleep(0)  # a task that is cancelled before its first step never takes it
        for task in running.tasks:
            task.cancel()
        if running.tasks:
            await asyncio.wait(running.tasks)
        await self._on_close()

    def _begin_all(self) -> None:  # a frame of its own, which holds no task for longer
        for task in list(self.waiting):
            self._begin(task)

    def _begin(self, task: _Task[Any]) -> None:
        running = self._running
        if running is not None and not running.stopped.is_set() and task in self.waiting:
            self.waiting.discard(task)
            task.begin(running.tasks)

    def _fail(self, error: BaseException) -> None:
        self._serving.release()  # the next call may have more luck
        self._refuse(error)

    def _refuse(self, error: BaseException) -> None:
        for task in list(self.waiting):
            self.waiting.discard(task)
            task.refuse(error)


_CLOSED = "this client has been closed; make a new one"
_THREAD = "cfaigw_billing portal"
_SHUTTING_DOWN = "while the interpreter shuts down"


def _is_ending() -> bool:
    """Whether the main thread has ended."""
    return bool(getattr(threading, "_SHUTTING_DOWN", False))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a loop of uvloop; `None`: there is no uvloop, or it cannot be used."""
    monkey = sys.modules.get("gevent.monkey")
    if not _HAS_UVLOOP or (monkey is not None and monkey.is_module_patched("threading")):
        return None  # where gevent's greenlets are the threads, it blocks the one they all run in
    factory: Callable[[], asyncio.AbstractEventLoop] = sys.modules["uvloop"].new_event_loop
    return factory


def _keep_standard_descriptors() -> None:
    """Open what is closed of descriptors 0 to 2 (cron, daemons), as a daemon does for itself.

    The loop would get them. Whatever then writes to the standard error writes into a connection,
    and libuv aborts the process when it closes one of them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free


class Portal:
    """One event loop on a daemon thread, started by the first call.

    Args:
        on_close: Awaited on the loop after the last call, before the loop ends.
    """

    def __init__(self, on_close: Callable[[], Awaitable[None]] = _nothing) -> None:
        self._on_close = on_close
        self._made_at = place_of_caller()
        self._begin(closed=False)
        forget_in_child(self)

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run `function` on the loop and return what it returns.

        An interrupt (Ctrl-C) cancels it, and takes over what it has to say about that: an
        interrupted charge leaves a note.
        """
        task = _Task(function)
        interrupt: BaseException | None = None
        told: BaseException | None = None
        try:
            self._loop.begin(task)
            return task.result()
        except BaseException as error:
            if error is task.error:
                raise
            interrupt = error
            while told is None:
                try:
                    self._loop.waiting.discard(task)
                    told = task.told(interrupt)
                except BaseException as again:
                    interrupt = again
            raise told  # noqa: B904  # it is `error`, or came after it
        finally:
            # Their tracebacks hold this frame, and the frame the client.
            task.error = interrupt = told = None

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._loop.closed

    def close(self) -> None:
        """Cancel what is running, await `on_close`, end the thread. A second close does nothing."""
        self._loop.close()

    def forget(self) -> None:
        """Drop a loop whose thread is gone: what a forked child has to do."""
        self._abandoned.detach()
        self._begin(closed=self._loop.closed)

    def _begin(self, *, closed: bool) -> None:
        self._loop = _Loop(self._on_close, self._made_at, closed=closed)
        self._abandoned = weakref.finalize(self, self._loop.abandon)
        self._abandoned.atexit = False
