"""Samples for a monitoring system, as a collector of prometheus_client (the extra `metrics`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from .extras import needed

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector

UNITS = "usd", "seconds"
"""The units that a name may end with."""


@frozen
class Family:
    """The samples with one name.

    The name does not end with `_total` or `_info`: the kinds `counter` and `info` add that.
    """

    name: str
    help: str
    samples: Iterable[tuple[dict[str, str], float]]
    """Pairs of labels and value."""
    kind: Literal["gauge", "counter", "info"] = "gauge"


def registered(read: Callable[[], Iterable[Family]]) -> tuple[CollectorRegistry, Collector]:
    """Return a new registry, and its only collector, which collects what `read` returns.

    Args:
        read: Called for each scrape, in the thread of the scrape. It returns all families, also
            those without samples: their names are needed when the collector is registered.
    """
    with needed("`metrics()`", "metrics"):
        from prometheus_client import CollectorRegistry
        from prometheus_client.registry import Collector

    class Families(Collector):
        """A collector of families."""

        def collect(self) -> Iterator[Metric]:
            """Return the current samples."""
            return map(_metric, read())

        describe = collect

    collector, registry = Families(), CollectorRegistry()
    registry.register(collector)
    return registry, collector


def _metric(family: Family) -> Metric:
    from prometheus_client.core import Metric

    ending = family.name.rpartition("_")[2]
    unit = ending if ending in UNITS else ""
    metric = Metric(family.name, family.help, family.kind, unit)
    suffix = {"gauge": "", "counter": "_total", "info": "_info"}[family.kind]
    name = f"{family.name}{suffix}"
    for labels, value in family.samples:
        metric.add_sample(name, _valid(labels), value)
    return metric


def _valid(labels: dict[str, str]) -> dict[str, str]:
    """Return labels that can be encoded: JSON may hold half a character (a lone surrogate)."""
    if all(map(str.isascii, labels.values())):
        return labels
    return {name: text.encode(errors="replace").decode() for name, text in labels.items()}
