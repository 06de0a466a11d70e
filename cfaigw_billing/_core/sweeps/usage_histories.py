"""The usage of many accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import evolve

from ..._show.plots import Bar
from ..._show.table import Column
from ...types import BillingUsageHistoryParams, BillingUsageHistoryResponse, History, Money
from ...types._records import moment, record
from .answers import AccountAnswers
from .sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class UsageHistories(AccountAnswers[BillingUsageHistoryResponse]):
    """The usage of many accounts, by account, in the order of the requests.

    `usage[account_id]` raises the error of an account that failed; `failed` has it too. `in`, `get`
    and loops only see the accounts that answered. `a | b` has the accounts of both.
    """

    @property
    def total(self) -> Money:
        """The usage of all accounts that answered, as exact US dollars."""
        return sum(self._totals.values(), Money(cents=0))

    @property
    def totals(self) -> dict[str, Money]:
        """The usage of each account that answered, as exact US dollars; the largest first."""
        return {account_id: self._totals[account_id] for account_id in self._ranked()}

    def to_records(self) -> list[dict[str, object]]:
        """Return a flat mapping for each row of each account, with `account_id` and `account_name`.

        They are JSON. `aggregated_value` is in cents, `aggregated_value_usd` in exact dollars, as
        text. Accounts without usage have no rows, and failed accounts neither: check `failed`
        before you add up.
        """
        return [
            {
                "account_id": account_id,
                "account_name": self.names.get(account_id),
                **record(row),
            }
            for account_id, answer in self.items()
            for row in answer.history
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the accounts with the largest usage, in US dollars; needs the extra `notebook`.

        Args:
            ax: The matplotlib axes to draw in; `None`: a new figure.
        """
        bars = [Bar(self._name(name), float(used.major)) for name, used in self.totals.items()]
        return self._draw(
            ax, bars, order="largest", what="accounts by usage", xlabel="Usage in US dollars"
        )

    _row_type = History
    _index = "start_time"
    _columns = (
        Column("Used", right=True),
        Column(),
        Column("Rows", right=True),
        Column("Newest row (UTC)"),
    )
    _rest = "none of them larger"

    def _ranked(self) -> list[str]:
        return sorted(self, key=self._totals.__getitem__, reverse=True)

    def _cells(self, account_id: str) -> Sequence[str]:
        rows, used = self[account_id].history, self._totals[account_id]
        # With two digits, very little usage would show as zero.
        shown = f"{used:.4f}" if 0 < abs(used.cents) < 1 else str(used)
        newest = max(rows, key=lambda row: row.start_time, default=None)
        when = "" if newest is None else moment(newest, "start_time")
        return shown, "", f"{len(rows):,}", when

    def _figure(self) -> str:
        return str(self.total)

    def _facts(self) -> str:
        return f"{self.total} used in all"

    @cached_property
    def _totals(self) -> dict[str, Money]:
        """The sums by account, cached: each adds up all rows."""
        return {account_id: answer.total for account_id, answer in self.items()}


def usage_histories(
    account_ids: Iterable[str] | None, params: BillingUsageHistoryParams
) -> Sweep[UsageHistories]:
    """Return the sweep that reads the usage of accounts, with these parameters."""

    def requests_of(account_id: str) -> Sequence[BillingUsageHistoryParams]:
        return (evolve(params, account_id=account_id),)

    return Sweep(UsageHistories, account_ids, requests_of)
