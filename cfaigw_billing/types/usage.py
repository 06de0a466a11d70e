"""Usage over time."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from attrs import field, frozen

from ._base import AccountParams, Response
from ._derived import Derived, utc_milliseconds
from ._validators import milliseconds, one_of
from .money import Money, money


def _start_time(value: datetime | float | None) -> float | None:
    return milliseconds("start_time", value)


def _end_time(value: datetime | float | None) -> float | None:
    return milliseconds("end_time", value)


@frozen(kw_only=True)
class BillingUsageHistoryParams(AccountParams["BillingUsageHistoryResponse"]):
    """The parameters of `billing.usage_history`."""

    value_grouping_window: Literal["day", "hour"] = field(validator=one_of("day", "hour"))
    """The length of one row."""
    start_time: float | None = field(default=None, converter=_start_time)
    """The first moment: an aware `datetime` or Unix milliseconds. `None`: from the beginning."""
    end_time: float | None = field(default=None, converter=_end_time)
    """The moment after the last: an aware `datetime` or Unix milliseconds. `None`: until now."""

    def __attrs_post_init__(self) -> None:
        start, end = self.start_time, self.end_time
        if start is not None and end is not None and end < start:
            raise ValueError(
                f"`end_time` must not be before `start_time`: {end} is before {start} "
                f"(milliseconds)"
            )


@frozen(kw_only=True)
class History(Response):
    """The usage within one day or hour."""

    id: str
    """The row's identifier."""
    aggregated_value: float
    """What was used, in cents."""
    aggregated_value_money: ClassVar[Derived[Money]] = money("aggregated_value")
    """`aggregated_value` as exact US dollars."""
    start_time: float
    """The first moment of the row, Unix milliseconds."""
    start_time_datetime: ClassVar[Derived[datetime]] = utc_milliseconds("start_time")
    """`start_time` as an aware UTC `datetime`."""
    end_time: float
    """The moment after the row, Unix milliseconds."""
    end_time_datetime: ClassVar[Derived[datetime]] = utc_milliseconds("end_time")
    """`end_time` as an aware UTC `datetime`."""


@frozen(kw_only=True)
class BillingUsageHistoryResponse(Response):
    """The usage of an account, a row a day or hour."""

    history: tuple[History, ...]
    """The rows; empty where nothing was billable."""
