"""Plots with matplotlib (the extra `notebook`), which is imported when the first is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from .extras import needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 30
"""How many bars a plot of many accounts shows."""
LABEL = 40
"""How many characters of a name a plot shows."""


def plot_steps(
    ax: Axes | None,
    edges: Sequence[datetime],
    values: Sequence[float],
    *,
    title: str,
    ylabel: str,
) -> Axes:
    """Draw values as steps. Each holds from one edge to the next; there is one more edge."""
    with needed("`plot()`", "notebook"):
        from matplotlib import dates, pyplot

    axes: Any = ax or pyplot.subplots(figsize=(8, 3), layout="constrained")[1]
    if values:
        axes.stairs(values, edges, fill=True)
    locator = dates.AutoDateLocator(tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
    axes.set(title=title, xlabel="Time (UTC)", ylabel=ylabel)
    axes.margins(x=0)
    return cast("Axes", axes)


@frozen(kw_only=True)
class Outlook:
    """A forecast, to be drawn to the right of the known values."""

    level: float
    """The expected value from `start` to `end`."""
    start: datetime
    end: datetime
    span: tuple[datetime, datetime]
    """The earliest and the latest time of the expected event."""
    marks: Mapping[str, datetime]
    """The times to mark, by label."""


def add_outlook(axes: Any, outlook: Outlook) -> None:
    """Draw a forecast: the level as a dashed line, the span as a shade, the marks as lines."""
    level, red = outlook.level, "tab:red"
    axes.hlines(level, outlook.start, outlook.end, linestyle="dashed", label="Expected spending")
    axes.axvspan(*outlook.span, color=red, alpha=0.15, linewidth=0, label="In 8 of 10 cases")
    for (label, moment), color in zip(outlook.marks.items(), (red, "tab:green"), strict=False):
        axes.axvline(moment, color=color, label=label)
    axes.legend(loc="upper right", fontsize="small")


@frozen
class Bar:
    """One bar of a plot."""

    label: str
    value: float
    alerts: bool = False
    """Whether to draw it in red."""


def plot_bars(
    ax: Axes | None,
    bars: Sequence[Bar],
    *,
    threshold: float | None = None,
    title: str,
    xlabel: str,
    ylabel: str,
) -> Axes:
    """Draw horizontal bars, the first at the top, and a dashed line at the threshold."""
    with needed("`plot()`", "notebook"):
        from matplotlib import pyplot

    size = 8, 1.5 + 0.22 * len(bars)
    axes: Any = ax or pyplot.subplots(figsize=size, layout="constrained")[1]
    places = range(len(bars))
    colors = ["tab:red" if bar.alerts else "tab:blue" for bar in bars]
    axes.barh(places, [bar.value for bar in bars], color=colors)
    if threshold is not None:
        axes.axvline(threshold, color="tab:red", linestyle="dashed", linewidth=1)
    labels = [_short(bar.label) for bar in bars]
    axes.set_yticks(places, labels, parse_math=False)  # a name may have dollar signs
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return cast("Axes", axes)


def _short(name: str) -> str:
    """Cut a name to one short line of printable characters."""
    line = "".join(character if character.isprintable() else " " for character in name)
    return line if len(line) <= LABEL else f"{line[: LABEL - 1]}…"
