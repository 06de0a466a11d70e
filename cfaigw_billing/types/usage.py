"""Usage over time."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import field, frozen

from .._show.plots import add_outlook, plot_steps
from .._show.table import Column, Table, counted, first
from ._base import AccountParams, AccountResponse, Response
from ._derived import Derived, utc_milliseconds
from ._records import moment
from ._validators import milliseconds, one_of
from .money import Money, money
from .runway import Runway, outlook

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _start_time(value: datetime | float | None) -> float | None:
    return milliseconds("start_time", value)


def _end_time(value: datetime | float | None) -> float | None:
    return milliseconds("end_time", value)


@frozen(kw_only=True)
class BillingUsageHistoryParams(AccountParams["BillingUsageHistoryResponse"]):
    """The parameters of `billing.usage_history`.

    Attributes:
        start_time: The start: an aware `datetime` or Unix milliseconds. `None`: from the beginning.
        end_time: The end (excluded): an aware `datetime` or Unix milliseconds. `None`: until now.
    """

    value_grouping_window: Literal["day", "hour"] = field(validator=one_of("day", "hour"))
    """The length of one row."""
    start_time: float | None = field(default=None, converter=_start_time)
    """The start: an aware `datetime` or Unix milliseconds. `None`: from the beginning."""
    end_time: float | None = field(default=None, converter=_end_time)
    """The end (excluded): an aware `datetime` or Unix milliseconds. `None`: until now."""

    def __attrs_post_init__(self) -> None:
        start, end = self.start_time, self.end_time
        if start is not None and end is not None and end < start:
            raise ValueError(
                f"`end_time` must not be before `start_time`: {end} is before {start} "
                f"(milliseconds)"
            )


@frozen(kw_only=True)
class History(Response):
    """The usage within one day or hour.

    Attributes:
        aggregated_value: The usage of the row, in cents.
        start_time: The start of the row, Unix milliseconds.
        end_time: The end of the row (excluded), Unix milliseconds.
    """

    id: str
    """The row's identifier."""
    aggregated_value: float
    """The usage of the row, in cents."""
    aggregated_value_money: ClassVar[Derived[Money]] = money("aggregated_value")
    """`aggregated_value` as exact US dollars."""
    start_time: float
    """The start of the row, Unix milliseconds."""
    start_time_datetime: ClassVar[Derived[datetime]] = utc_milliseconds("start_time")
    """`start_time` as an aware UTC `datetime`."""
    end_time: float
    """The end of the row (excluded), Unix milliseconds."""
    end_time_datetime: ClassVar[Derived[datetime]] = utc_milliseconds("end_time")
    """`end_time` as an aware UTC `datetime`."""


@frozen(kw_only=True)
class BillingUsageHistoryResponse(AccountResponse):
    """The usage of an account, with a row per day or hour."""

    history: tuple[History, ...]
    """The rows; empty if nothing was billable."""

    _list: ClassVar[str | None] = "history"
    _index: ClassVar[str | None] = "start_time"

    @property
    def total(self) -> Money:
        """The sum of all rows, as exact US dollars."""
        return sum((row.aggregated_value_money for row in self.history), Money(cents=0))

    def plot(self, ax: Axes | None = None, *, runway: Runway | None = None) -> Axes:
        """Draw the usage over time, in US dollars per day or hour; needs the extra `notebook`.

        Args:
            ax: The matplotlib axes to draw in; `None`: a new figure.
            runway: A forecast to draw as well: the expected spending, and when the credit runs out.
        """
        edges, values = self._steps()
        window = self._window()
        axes = plot_steps(ax, edges, values, title="Usage", ylabel=f"US dollars per {window}")
        if runway is not None and (seen := outlook(runway, 1 if window == "day" else 24)):
            add_outlook(axes, seen)
        return axes

    def _steps(self) -> tuple[list[datetime], list[float]]:
        """Return the edges of the steps and their values; overlapping rows are added."""
        changes: defaultdict[datetime, Money] = defaultdict(lambda: Money(cents=0))
        for row in self.history:
            with suppress(OverflowError):  # not a valid time
                start, end = row.start_time_datetime, row.end_time_datetime
                changes[start] += row.aggregated_value_money
                changes[end] -= row.aggregated_value_money
        edges = sorted(changes)
        # Money is exact, so the sum is exactly zero in a gap and after the last row.
        values = accumulate(changes[edge] for edge in edges)
        return edges, [float(value.major) for value in values][:-1]

    def _window(self) -> Literal["day", "hour"]:
        hourly = self.history and all(r.end_time - r.start_time <= _HOUR for r in self.history)
        return "hour" if hourly else "day"

    def _table(self, limit: int | None) -> Table:
        window = self._window()
        time = "%Y-%m-%d" if window == "day" else "%Y-%m-%d %H:%M"
        newest_first = sorted(self.history, key=lambda row: row.start_time, reverse=True)
        rows, notes = first(newest_first, limit, "all earlier")
        # With two digits, the usage of a quiet hour would show as zero.
        digits = 4 if any(0 < abs(row.aggregated_value) < 1 for row in self.history) else 2
        columns = (
            Column(f"{window.capitalize()} (UTC)", lambda row: moment(row, "start_time", time)),
            Column("Used", lambda row: f"{row.aggregated_value_money:.{digits}f}", right=True),
        )
        used = f"Usage: {self.total} in {counted(len(self.history), window)}"
        return Table.of(rows, columns, title=used if rows else "No usage", notes=notes)


_HOUR = 3_600_000
"""Milliseconds."""
