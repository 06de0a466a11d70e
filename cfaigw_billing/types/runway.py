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
    """The usage that a forecast is based on."""

    first: datetime | None = None
    """The start of the first hour with spending, an aware UTC `datetime`; `None`: there is none."""
    hours: int = 0
    """The hours from then until now, the unfinished one among them."""
    rows: int = 0
    """How many of these hours have spending."""

    @property
    def reach(self) -> timedelta:
        """How far ahead a date can be told: three times as far as the history goes back."""
        return 3 * timedelta(hours=self.hours)


@frozen(kw_only=True)
class Runway(Shown):
    """When the credit of an account runs out, if it goes on spending as it did.

    With an automatic top-up that is on, the dates `empties_…` hold only if its next charge fails.

    Attributes:
        balance: The prepaid credit left at `as_of`, in cents with a fraction.
        spending_per_day: The present spending on an average day, in cents; 0 if idle.
    """

    account_id: str | None = of_account()
    """The account; `None` if the balance does not come from a call."""
    outcome: RunwayOutcome
    """The kind of forecast. Only `forecast` has dates, and those only as far ahead as can be told.

    `empty`: the balance is 0 or less. `idle`: nothing was spent in the last 28 days. `too_new`: the
    first spending was less than 72 hours ago.
    """
    as_of: datetime
    """The moment of the forecast, an aware UTC `datetime`."""
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

    `None`, here and in the two dates beside it: more than 3 times as far ahead as the history is
    long, so that it cannot be told; or `outcome` is not `forecast`.
    """
    empties_after: datetime | None = None
    """The credit lasts at least until then in 9 of 10 cases; an aware UTC `datetime`."""
    empties_before: datetime | None = None
    """The credit is gone by then in 9 of 10 cases; an aware UTC `datetime`."""
    topup: RunwayTopup
    """The automatic top-up. `failed`: the service disabled it, or tells of a charge that failed."""
    topup_at: datetime | None = None
    """When the automatic top-up is expected to charge next; an aware UTC `datetime`.

    `None` unless it is on, and where `empties_at` could not be told either.
    """
    history: RunwayHistory
    """What the forecast is based on."""

    def _details(self) -> list[tuple[str, str]]:
        forecast = self.outcome == "forecast"
        rows = [("Balance", str(self.balance_money))]
        rows.append(("Spending per day", str(self.spending_per_day_money)))
        rows.append(("Automatic top-up", Alert("failed") if self.topup == "failed" else self.topup))
        if forecast and self.topup == "on":
            rows.append(("Next charge", self._about(self.topup_at)))
        rows.append(
            (_empty(self), self._about(self.empties_at) if forecast else _TOLD[self.outcome])
        )
        if self.empties_after:
            until = f"to {_shown(self.empties_before)}" if self.empties_before else "or later"
            rows.append(("In 8 of 10 cases", f"{_shown(self.empties_after)} {until}"))
        return rows

    def _about(self, moment: datetime | None) -> str:
        if moment is not None:
            return f"about {_shown(moment)}"
        return f"more than {counted(self.history.reach.days, 'day')} from now"


def outlook(runway: Runway, parts: int) -> Outlook | None:
    """What a plot shows of a forecast, with the spending of a part of a day; `None`: nothing."""
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


def _empty(runway: Runway) -> str:
    """How the dates are called: with a top-up to come they mean something else."""
    after_topup = runway.outcome == "forecast" and runway.topup == "on"
    return "Empty if that charge fails" if after_topup else "Empty"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


_TOLD = {
    "empty": Alert("now"),
    "idle": "nothing was spent in the last 28 days",
    "too_new": "cannot be told: the first spending is less than 72 hours ago",
}
