"""Call coroutines from blocking code: the sync client runs on this.

Each sync client owns one `Portal`: a daemon thread with one event loop, on which the coroutines of
the async client run. It works while the caller's own loop is running (a notebook) and from many
threads at once. A call costs one thread hop.

Why not anyio's `start_blocking_portal`: it is a context manager. If it is left open, as in a
notebook, the interpreter hangs at exit, because the clean-up waits for a thread that is already
frozen. Here a daemon thread runs a task group inside `anyio.run`. So a forgotten client ends with
the process. A forked child inherits the portal without its thread, and starts another thread.

Why not `BlockingPortal`: after Ctrl-C, its `call` leaves the coroutine running to its end, and a
call that begins while the loop ends may wait forever. Here an interrupted call cancels its task,
and the loop wakes all callers that still wait when it ends.

Signals. Handlers run in the main thread, between any two of its steps. They may raise, use the
client or close it. The loop's thread is never interrupted. So:

- The loop's thread is started by another thread, which no signal reaches, and only once. After an
  interrupted call nothing is half started: the next call finds the loop, or starts it.
- Nothing waits for an `Event`, a `Future` or `Thread.start`. They contain a lock that the loop's
  thread needs too. An interrupt at the wrong step would leave it locked forever; and a handler
  that uses the client would wait for the loop, while the loop waits for the interrupted thread. A
  call waits for one bare lock, which is released when its task has ended.
- An interrupted call cancels its task and waits for its result, because a charge must report its
  state. A second interrupt replaces the first and gets the same note and cause. It can only be
  caught inside a `try`, so no function is called between `except` and the next `try`: Python
  handles signals only when a function is called or a loop repeats.

Forks. A module that another thread was importing stays half imported in the child. So everything
that the first call needs is imported with this module.
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

import anyio
from anyio.abc import TaskGroup
from attrs import field, frozen

from ..errors import CloudflareError
from .fork import forget_in_child
from .sessions import LateThreads, place_of_caller, warn_unclosed

T = TypeVar("T")

_HAS_UVLOOP = find_spec("uvloop") is not None
"""Whether to use uvloop (the extra `speedups`): a thread hop costs less there."""

for _module in ("anyio._backends._asyncio", "concurrent.futures.thread", "encodings.idna"):
    import_module(_module)  # needed by the first call, see above
if _HAS_UVLOOP:
    import_module("uvloop")

_CLEAN_UP_SECONDS = 5.0
"""How long an interrupt waits for the end of the cancelled call, in seconds. Most calls end at
once, but a charge may first record its state in a journal."""
_FIRST_WAIT = 0.1
"""Seconds. A signal that comes just before a thread waits for a lock is only handled after the
wait. So the first wait is short: or else Ctrl-C would do nothing until the call ends."""


async def _nothing() -> None:
    """Do nothing: the default for `on_close`."""


class _Task(Generic[T]):
    """One call on the loop."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function: Callable[[], Awaitable[T]] | None = function
        self._context = copy_context()  # the task continues the caller's spans
        self._over = False
        self._until_over = threading.Lock()  # released at the end
        self._until_over.acquire()
        self._abandoned = False
        self._cancelled = False
        self._running: asyncio.Task[Any] | None = None
        self.error: BaseException | None = None
        self._result: T | None = None

    def begin(self, tasks: TaskGroup) -> None:
        """Run it in a task group, on the loop."""
        self._context.run(self._begin, tasks)

    def _begin(self, tasks: TaskGroup) -> None:
        if sniffio := sys.modules.get("sniffio"):  # where anyio asks it; the caller may use trio
            sniffio.current_async_library_cvar.set("asyncio")
        tasks.start_soon(self._run)

    async def _run(self) -> None:
        """Run the function. Keep its error from the loop: that would keep the client alive."""
        self._running = asyncio.current_task()
        try:
            if self._abandoned or self._function is None:
                raise asyncio.CancelledError  # noqa: TRY301
            self._result = await self._function()
        except BaseException as error:
            self.error = error
        self._end()

    def refuse(self, error: BaseException) -> None:
        """End the task before it has begun, because its loop does not run."""
        if not self._over:
            self.error = error
            self._end()

    def result(self) -> T:
        """Wait for the end. Return the result, or raise the error."""
        if not self._wait(_FIRST_WAIT):
            self._wait()
        if isinstance(self.error, asyncio.CancelledError):  # another thread has closed the client
            self.error = _closed(self.error)
        if self.error is not None:
            raise self.error
        return cast("T", self._result)

    def cancel_for(self, interrupt: BaseException) -> BaseException:
        """Cancel the task, copy its notes and cause to the interrupt, and return the interrupt.

        If another interrupt cuts this short, call it again with that one.
        """
        self._abandoned = True  # set before reading `_running`: `_run` sets that first
        if self._running is None:  # it has not begun, and never will
            return interrupt
        with suppress(RuntimeError):  # the loop has ended, and the task with it
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
        """Cancel the task, only once: a second cancel would interrupt the clean-up."""
        if self._running is not None and not self._cancelled:
            self._cancelled = True
            self._running.cancel()

    def _end(self) -> None:
        # It holds the client. The caller goes on at once, and may let go of the client before this
        # thread does: then the client would be collected here, a moment later.
        self._function = None
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


@frozen(eq=False)
class _Running:
    """A running event loop."""

    loop: asyncio.AbstractEventLoop
    tasks: TaskGroup
    stopped: asyncio.Event
    thread_id: int = field(factory=threading.get_ident)

    def do(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function on the loop, from any thread. Do nothing if the loop has ended."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *args)


class _Loop:
    """The event loop of a portal in one process, from before it runs until it is closed.

    The thread keeps this object alive, so it has no reference to the portal: a client that is
    dropped without `close` can be collected, which stops the thread.

    Threads work together without a lock: each first writes its own flag and then reads the other's.
    A caller adds to `waiting`, a closer sets `closed`.
    """

    def __init__(
        self, on_close: Callable[[], Awaitable[None]], made_at: str, *, closed: bool
    ) -> None:
        self._on_close = on_close
        self._made_at = made_at
        self._serving = threading.Lock()  # held by the loop's thread; nothing waits for it
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None
        self._over = False
        self.closed = closed
        self.waiting: set[_Task[Any]] = set()
        """The tasks that have not begun."""

    def begin(self, task: _Task[Any]) -> None:
        """Begin a task on the loop. Start the loop first if it does not run."""
        if self.closed:
            raise RuntimeError(_CLOSED)
        if sys.is_finalizing():  # its thread no longer runs, and a call would wait forever
            raise RuntimeError(f"a sync client cannot be called {_SHUTTING_DOWN}")
        self.waiting.add(task)
        running = self._running
        if running is not None:
            if running.thread_id == threading.get_ident():
                raise RuntimeError("a sync client cannot be called from its own event loop thread")
            running.do(self._begin, task)
        elif _is_ending() and threading.current_thread() is threading.main_thread():
            # In an `atexit` handler. Before these, the interpreter waits for other threads.
            raise RuntimeError(f"a sync client cannot make its first call {_SHUTTING_DOWN}")
        elif not self._serving.locked():
            _thread.start_new_thread(self._start, ())
        if self._over:
            task.refuse(RuntimeError(_CLOSED))

    def close(self) -> None:
        """Cancel all tasks, await `on_close`, end the thread."""
        self.closed = True
        if self._running is not None:
            self._running.do(self._running.stopped.set)
        thread = self._thread  # a thread that is just starting sees `closed`
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def abandon(self) -> None:
        """Stop without waiting. Called when the client was collected, in any thread."""
        if self.closed:
            return
        self.closed = True  # a loop that is just starting ends at once
        if self._serving.locked():
            if self._running is not None:
                self._running.do(self._running.stopped.set)
            warn_unclosed(self._made_at)

    def _start(self) -> None:
        if not self._serving.acquire(blocking=False):
            return  # another caller has started it
        try:
            threading.Thread(target=self._serve, name=_THREAD, daemon=True).start()
        except BaseException as error:
            self._fail(error)

    def _serve(self) -> None:
        self._thread = threading.current_thread()
        try:
            _keep_standard_descriptors()
            anyio.run(self._run, backend_options={"use_uvloop": _uses_uvloop()})
        except BaseException as error:
            if self._running is not None:
                raise
            self._fail(error)
        finally:
            if self._running is not None:
                self._over = True
                self._refuse(RuntimeError(_CLOSED))

    async def _run(self) -> None:
        stopped = asyncio.Event()
        async with anyio.create_task_group() as tasks:
            self._running = _Running(asyncio.get_running_loop(), tasks, stopped)
            if _is_ending():
                self._running.loop.set_default_executor(LateThreads())
            self._begin_all()
            if not self.closed:
                await stopped.wait()
            stopped.set()
            tasks.cancel_scope.cancel()
        await self._on_close()

    def _begin_all(self) -> None:  # a separate frame, so that no variable keeps a task alive
        for task in list(self.waiting):
            self._begin(task)

    def _begin(self, task: _Task[Any]) -> None:
        running = self._running
        if running is not None and not running.stopped.is_set() and task in self.waiting:
            self.waiting.discard(task)
            task.begin(running.tasks)

    def _fail(self, error: BaseException) -> None:
        self._serving.release()  # the next call may succeed
        self._refuse(error)

    def _refuse(self, error: BaseException) -> None:
        for task in list(self.waiting):
            self.waiting.discard(task)
            task.refuse(error)


_CLOSED = "this client has been closed; make a new one"
_THREAD = "cfaigw_billing portal"
_SHUTTING_DOWN = "while the interpreter shuts down"


def _is_ending() -> bool:
    """Return whether the main thread has ended."""
    return bool(getattr(threading, "_SHUTTING_DOWN", False))


def _uses_uvloop() -> bool:
    """Return whether to use uvloop: not with gevent, where it would block all greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return _HAS_UVLOOP and not (monkey is not None and monkey.is_module_patched("threading"))


def _keep_standard_descriptors() -> None:
    """Open descriptors 0 to 2 if they are closed (cron, daemons).

    Else the loop would get them: output to stderr would go into a connection, and libuv aborts the
    process when it closes one of them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number


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
        """Run `function` on the loop and return its result.

        An interrupt (Ctrl-C) cancels it and gets its notes and cause: an interrupted charge leaves
        a note.
        """
        task = _Task(function)
        interrupt: BaseException | None = None
        raised: BaseException | None = None
        try:
            self._loop.begin(task)
            return task.result()
        except BaseException as error:
            if error is task.error:
                raise
            interrupt = error
            while raised is None:
                try:
                    self._loop.waiting.discard(task)
                    raised = task.cancel_for(interrupt)
                except BaseException as again:
                    interrupt = again
            raise raised  # noqa: B904  # it is `error`, or came after it
        finally:
            # Their tracebacks hold this frame, which keeps the client alive.
            task.error = interrupt = raised = None

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._loop.closed

    def close(self) -> None:
        """Cancel all tasks, await `on_close`, end the thread. A second close does nothing."""
        self._loop.close()

    def forget(self) -> None:
        """Drop the loop in a forked child: its thread is gone."""
        self._abandoned.detach()
        self._begin(closed=self._loop.closed)

    def _begin(self, *, closed: bool) -> None:
        self._loop = _Loop(self._on_close, self._made_at, closed=closed)
        self._abandoned = weakref.finalize(self, self._loop.abandon)
        self._abandoned.atexit = False
