"""When the credit of many accounts runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..._show.plots import Bar
from ..._show.table import Alert, Column
from ...types import (
    BillingCreditBalanceResponse,
    BillingUsageHistoryResponse,
    Params,
    Runway,
)
from ...types.runway import empty_text, lasts_text, topup_text
from ..runway import check_history, forecast_runway, runway_requests
from .answers import AccountAnswers
from .sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DAY = timedelta(days=1)


class Runways(AccountAnswers[Runway]):
    """When the credit of many accounts runs out, by account, in the order of the requests.

    `runways[account_id]` raises the error of an account that failed; `failed` has it too. `in`,
    `get` and loops only see the accounts that answered. `a | b` has the accounts of both.
    """

    _soon = 7 * DAY

    @property
    def soon(self) -> timedelta:
        """Accounts that may run out within this are marked in tables and plots; default: 7 days."""
        return self._soon

    @soon.setter
    def soon(self, limit: timedelta) -> None:
        if not isinstance(limit, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`soon` must be a timedelta, not {type(limit).__name__}")
        self._soon = limit

    def within(self, limit: timedelta) -> dict[str, Runway]:
        """Return the accounts with no credit left, or that may run out within `limit`.

        The soonest come first. See `Runway.empties_within`.
        """
        return {name: self[name] for name in self._ranked() if self[name].empties_within(limit)}

    def to_records(self) -> list[dict[str, object]]:
        """Return a flat mapping for each account; failed accounts come last, with their `error`.

        They are JSON. `balance` and `spending_per_day` are in cents, and also in exact dollars, as
        text (`balance_usd`); times are ISO 8601 text.
        """
        return self._record_each()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how long the credit lasts in 9 of 10 cases, the shortest first, in days.

        Accounts without such a date are omitted. Needs the extra `notebook`.

        Args:
            ax: The matplotlib axes to draw in; `None`: a new figure.
        """
        bars = [
            Bar(self._name(name), answer.time_left / DAY, answer.empties_within(self.soon))
            for name in self._ranked()
            if (answer := self[name]).time_left is not None
        ]
        return self._draw(
            ax,
            bars,
            order="shortest",
            what="runways",
            xlabel=f"Days that the credit lasts in 9 of 10 cases (dashed: {self.soon / DAY:g})",
            threshold=self.soon / DAY,
        )

    _row_type = Runway
    _own = ("account_id", "account_name", "error")
    _index = "account_id"
    _columns = (
        Column("Balance", right=True),
        Column("Per day", right=True, least=0),
        Column("Lasts until (9 of 10)"),
        Column(),
        Column("Empty about", least=0),
        Column("Automatic top-up", least=8),
    )
    _rest = "none of them sooner"
    _settings = ("_soon",)

    def _ranked(self) -> list[str]:
        return sorted(self, key=lambda name: _or_never(self[name].time_left))

    def _cells(self, account_id: str) -> Sequence[str]:
        answer = self[account_id]
        return (
            str(answer.balance_money),
            str(answer.spending_per_day_money),
            lasts_text(answer),
            Alert("SOON") if answer.empties_within(self.soon) else "",
            empty_text(answer),
            topup_text(answer),
        )

    def _figure(self) -> str:
        return f"{len(self.within(self.soon)):,} within {days_text(self.soon)}"

    def _facts(self) -> str:
        return f"{len(self.within(self.soon)):,} may be empty within {days_text(self.soon)}"


def runways(
    account_ids: Iterable[str] | None, history: timedelta, now: Callable[[], datetime]
) -> Sweep[Runways]:
    """Return the sweep that forecasts for accounts; `now` returns the time of a forecast."""
    check_history(history)

    def requests_of(account_id: str) -> Sequence[Params[Any]]:
        return runway_requests(account_id, history, now())

    def forecast(
        balance: BillingCreditBalanceResponse, usage: BillingUsageHistoryResponse
    ) -> Runway:
        return forecast_runway(balance, usage, now=now())

    return Sweep(Runways, account_ids, requests_of, forecast)


def _or_never(time_left: timedelta | None) -> timedelta:
    return timedelta.max if time_left is None else time_left


def days_text(limit: timedelta) -> str:
    """Return a length of time as text, in hours or days."""
    hours = limit / timedelta(hours=1)
    return f"{hours:g} hours" if hours < 48 else f"{limit / DAY:g} days"
