"""The state of accounts for Prometheus, kept up to date as long as a block lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from .._io.executor import Executor
from .._show.exposition import registered
from .refreshing import Refreshing

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector


class AsyncMetrics:
    """The state of accounts for Prometheus: made by `billing.metrics`.

    A context manager, which goes on looking at the accounts until it is left. A scrape shows the
    last values that were read, and sends nothing. It may come in any thread, and after the block it
    is empty.
    """

    def __init__(self, executor: Executor, refreshing: Refreshing) -> None:
        self._executor = executor
        self._refreshing = refreshing
        self._registry, self._collector = registered(refreshing.families)

    @property
    def collector(self) -> Collector:
        """The collector, to be registered where an app has its own metrics."""
        return self._collector

    @property
    def registry(self) -> CollectorRegistry:
        """A registry that has this collector alone; each `metrics()` has a new one."""
        return self._registry

    async def complete(self) -> None:
        """Wait until each account has been looked at: before a file is written, for example.

        An account that fails counts as looked at. Raises: the error that ended the looks, if any;
            `RuntimeError` outside the block.
        """
        await self._executor.run(self._refreshing.complete)

    async def __aenter__(self) -> Self:
        await self._executor.run(self._refreshing.enter)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._executor.finish(self._refreshing.leave)
