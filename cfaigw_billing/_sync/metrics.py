"""The state of accounts for Prometheus, kept up to date during a `with` block.

@generated from `_async/metrics.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from .executor import BlockingExecutor
from .._show.exposition import registered
from .._async.refreshing import Refreshing

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector


class Metrics:
    """The state of accounts for Prometheus: `billing.metrics` returns it.

    A context manager that keeps checking the accounts until the block ends. A scrape returns the
    last values and sends nothing. It may come from any thread. After the block it is empty.
    """

    def __init__(self, executor: BlockingExecutor, refreshing: Refreshing) -> None:
        self._executor = executor
        self._refreshing = refreshing
        self._registry, self._collector = registered(refreshing.families)

    @property
    def collector(self) -> Collector:
        """The collector, to register with the metrics of an app."""
        return self._collector

    @property
    def registry(self) -> CollectorRegistry:
        """A registry with only this collector; each `metrics()` has a new one."""
        return self._registry

    def complete(self) -> None:
        """Wait until each account has been checked once, for example before writing a file.

        An account that fails counts as checked.

        Raises: The error that ended the checks, if any; `RuntimeError` outside the block.
        """
        self._executor.run(self._refreshing.complete)

    def __enter__(self) -> Self:
        self._executor.run(self._refreshing.enter)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.finish(self._refreshing.leave)
