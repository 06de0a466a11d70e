"""Keep a snapshot of accounts up to date during a `with` block."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from .._core.watch.schedule import Aims, check_interval
from .._core.watch.snapshot import Snapshot
from .._io.deadlines import end_task
from .._io.executor import Executor
from .._show.exposition import Family
from .looks import Looks


class Refreshing:
    """A snapshot, and the task that refreshes it. Any thread may call `families`."""

    def __init__(
        self,
        account_ids: Iterable[str] | None,
        *,
        refresh: timedelta,
        runway: bool,
        reserve: float,
    ) -> None:
        """Check and keep the options.

        Raises:
            ValueError: `refresh`, `reserve` or an account id is wrong, or `account_ids` is empty.
            TypeError: An argument has the wrong type.
        """
        check_interval("refresh", refresh)
        self._looks = Looks(
            account_ids,
            aims=Aims(interval=refresh.total_seconds()),
            reserve=reserve,
            usage=runway,
            days=runway,
        )
        self._executor: Executor | None = None
        self._snapshot = Snapshot()
        self._task: asyncio.Task[None] | None = None
        self._fault: Exception | None = None

    async def enter(self, executor: Executor) -> None:
        """Start, and wait for the first look: it raises if the credentials are wrong."""
        self._news = asyncio.Event()
        await self._looks.enter(executor)
        try:
            going = await self._take()
            if going and not self._snapshot.is_complete:
                await self._take()
        except BaseException:
            await self._looks.leave()
            raise
        self._executor = executor
        self._task = asyncio.create_task(self._run())

    async def leave(self, _: Executor) -> None:
        """End the task, and drop all samples."""
        if self._task is None or self._looks.inherited:
            return
        interrupt = await end_task(self._task)
        self._task = self._fault = None
        self._end()  # again, in case the task never began
        await self._looks.leave()
        if interrupt is not None:
            raise interrupt

    async def complete(self, _: Executor) -> None:
        """Wait until each account has been looked at once."""
        if self._task is None or self._looks.inherited:
            raise RuntimeError("wait inside the block, in the process that entered it")
        while not self._snapshot.is_complete:
            self._news.clear()
            await self._news.wait()
        self._check()

    def families(self) -> list[Family]:
        """Return the current samples, without a request."""
        self._check()
        executor = self._executor
        if executor is None or self._looks.inherited:  # a forked child does not refresh
            return Snapshot().families({})
        return self._snapshot.families(executor.rate_limits())

    def _check(self) -> None:
        """Raise the error that ended the looks, if any: the samples are out of date then."""
        if self._fault is not None:
            raise self._fault

    async def _run(self) -> None:
        try:
            while await self._take():
                pass
        except Exception as fault:
            self._fault = fault
        finally:
            self._end()

    def _end(self) -> None:
        self._executor, self._snapshot = None, Snapshot()
        self._news.set()

    async def _take(self) -> bool:
        """Add the next look to the snapshot; return false at the end."""
        if (look := await self._looks.next()) is None:
            return False
        self._snapshot = self._snapshot.after(look)
        self._news.set()
        return True
