"""When the credit runs out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Literal

from attrs import frozen

from .._show.plots import Outlook
from .._show.table import Alert, counted
from ._base import Shown, of_account
from ._derived import Derived
from .money import Money, money

RunwayOutcome = Literal["forecast", "empty", "idle", "too_new"]
"""The kinds of forecasts."""
RunwayTopup = Literal["off", "on", "failed"]
"""The state of the automatic top-up."""


@frozen(kw_only=True)
class RunwayHistory(Shown):
    """The usage behind a forecast."""

    first: datetime | None = None
    """The start of the first hour with spending, an aware UTC `datetime`; `None`: no spending."""
    hours: int = 0
    """The hours since then, including the current hour."""
    rows: int = 0
    """How many of these hours have spending."""

    @property
    def reach(self) -> timedelta:
        """How far ahead a forecast can be: three times as far as the history goes back."""
        return 3 * timedelta(hours=self.hours)


@frozen(kw_only=True)
class Runway(Shown):
    """When the credit of an account runs out, if its spending goes on as before.

    If an automatic top-up is on, the dates `empties_…` hold only if its next charge fails.

    Attributes:
        balance: The prepaid credit left at `as_of`, in cents with a fraction.
        spending_per_day: The present spending on an average day, in cents; 0 if idle.
        empties_at: The median: the credit is gone before it in 5 of 10 cases.
        empties_after: The credit lasts at least until then in 9 of 10 cases.
        empties_before: The credit is gone by then in 9 of 10 cases.
        topup_at: When the automatic top-up is expected to charge next.
    """

    account_id: str | None = of_account()
    """The account; `None` if the balance does not come from a call."""
    outcome: RunwayOutcome
    """The kind of forecast. Only `forecast` has dates, if they are not too far ahead.

    `empty`: the balance is 0 or less. `idle`: nothing was spent in the last 28 days. `too_new`: the
    first spending was less than 72 hours ago.
    """
    as_of: datetime
    """The time of the forecast, an aware UTC `datetime`."""
    balance: float
    """The prepaid credit left at `as_of`, in cents with a fraction."""
    balance_money: ClassVar[Derived[Money]] = money("balance")
    """`balance` as exact US dollars."""
    spending_per_day: float
    """The present spending on an average day, in cents; 0 if idle.

    If `too_new`, it is the mean since the first spending.
    """
    spending_per_day_money: ClassVar[Derived[Money]] = money("spending_per_day")
    """`spending_per_day` as US dollars."""
    empties_at: datetime | None = None
    """The median: the credit is gone before it in 5 of 10 cases; an aware UTC `datetime`.

    `None`, also for the other two dates, if it is further ahead than 3 times the length of the
    history, or if `outcome` is not `forecast`.
    """
    empties_after: datetime | None = None
    """The credit lasts at least until then in 9 of 10 cases; an aware UTC `datetime`."""
    empties_before: datetime | None = None
    """The credit is gone by then in 9 of 10 cases; an aware UTC `datetime`."""
    topup: RunwayTopup
    """The automatic top-up. `failed`: the service disabled it, or reports a failed charge."""
    topup_at: datetime | None = None
    """When the automatic top-up is expected to charge next; an aware UTC `datetime`.

    `None` if it is not on, or too far ahead (see `empties_at`).
    """
    history: RunwayHistory
    """The usage behind the forecast."""

    @property
    def time_left(self) -> timedelta | None:
        """How long the credit lasts in 9 of 10 cases: from `as_of` to `empties_after`.

        0 if the credit is gone already; `None` without such a date. If an automatic top-up is on,
        it holds only if its next charge fails.
        """
        if self.outcome == "empty":
            return timedelta(0)
        return None if self.empties_after is None else self.empties_after - self.as_of

    def empties_within(self, limit: timedelta) -> bool:
        """Return whether the credit is gone, or may run out within `limit` from `as_of`.

        It may run out if `empties_after` is nearer than `limit`. It is false for an account without
        that date: `idle`, `too_new`, or too far ahead. If an automatic top-up is on, it is about
        the case that its next charge fails.
        """
        if not isinstance(limit, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`limit` must be a timedelta, not {type(limit).__name__}")
        left = self.time_left
        return self.outcome == "empty" or (left is not None and left < limit)

    def _details(self) -> list[tuple[str, str]]:
        rows = [("Balance", str(self.balance_money))]
        rows.append(("Spending per day", str(self.spending_per_day_money)))
        rows.append(("Automatic top-up", Alert("failed") if self.topup == "failed" else self.topup))
        if _if_that_fails(self):
            rows.append(("Next charge", self._about(self.topup_at)))
        rows.append((_empty(self), _TOLD.get(self.outcome) or self._about(self.empties_at)))
        if self.empties_after:
            until = f"to {_shown(self.empties_before)}" if self.empties_before else "or later"
            rows.append(("In 8 of 10 cases", f"{_shown(self.empties_after)} {until}"))
        return rows

    def _about(self, moment: datetime | None) -> str:
        text = _moment_text(self, moment)
        return text if moment is None else f"about {text}"


def outlook(runway: Runway, parts: int) -> Outlook | None:
    """Return the forecast for a plot with `parts` values a day; `None` if there is none."""
    if runway.empties_after is None:
        return None
    last = runway.empties_before or runway.as_of + runway.history.reach
    marks = {_empty(runway): runway.empties_at, "Next charge": runway.topup_at}
    return Outlook(
        level=float(runway.spending_per_day_money.major) / parts,
        start=runway.as_of,
        end=runway.empties_at or last,
        span=(runway.empties_after, last),
        marks={name: moment for name, moment in marks.items() if moment is not None},
    )


def lasts_text(runway: Runway) -> str:
    """Return `empties_after` as text for a table of many accounts."""
    if runway.outcome != "forecast":
        return Alert("empty") if runway.outcome == "empty" else runway.outcome.replace("_", " ")
    return _moment_text(runway, runway.empties_after)


def empty_text(runway: Runway) -> str:
    """Return when the credit is expected to run out, as text for a table of many accounts."""
    return _moment_text(runway, runway.empties_at) if runway.empties_after else ""


def topup_text(runway: Runway) -> str:
    """Return the automatic top-up as text for a table of many accounts."""
    if runway.topup == "failed":
        return Alert("failed")
    return "on: empty only if it fails" if _if_that_fails(runway) else runway.topup


def _if_that_fails(runway: Runway) -> bool:
    """Return whether the dates hold only if the next automatic top-up fails."""
    return runway.topup == "on" and runway.outcome == "forecast"


def _empty(runway: Runway) -> str:
    """Return the heading of the dates."""
    return "Empty if that charge fails" if _if_that_fails(runway) else "Empty"


def _moment_text(runway: Runway, moment: datetime | None) -> str:
    """Return a time as text; `None` is shown as "more than … from now"."""
    if moment is not None:
        return _shown(moment)
    return f"more than {counted(runway.history.reach.days, 'day')} from now"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


_TOLD = {
    "empty": Alert("now"),
    "idle": "nothing was spent in the last 28 days",
    "too_new": "not known yet: the first spending is less than 72 hours ago",
}
