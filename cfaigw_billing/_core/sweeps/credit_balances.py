"""The balances of many accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..._show.plots import Bar
from ..._show.table import LOW_DOLLARS, Alert, Column
from ...types import BillingCreditBalanceParams, BillingCreditBalanceResponse, Money
from ...types.balance import balance_text, card_text, topup_text
from .answers import AccountAnswers
from .sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CreditBalances(AccountAnswers[BillingCreditBalanceResponse]):
    """The balances of many accounts, by account, in the order of the requests.

    `balances[account_id]` raises the error of an account that failed; `failed` has it too. `in`,
    `get` and loops only see the accounts that answered. `a | b` has the accounts of both.
    """

    _low = Money.dollars(LOW_DOLLARS)

    @property
    def low(self) -> Money:
        """Balances below this are marked as low in tables and plots; default: $10.00."""
        return self._low

    @low.setter
    def low(self, threshold: Money) -> None:
        if not isinstance(threshold, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`low` must be Money, not {type(threshold).__name__}")
        self._low = threshold

    @property
    def total(self) -> Money:
        """The sum of all balances."""
        return sum((answer.balance_money for answer in self.values()), Money(cents=0))

    def below(self, threshold: Money) -> dict[str, BillingCreditBalanceResponse]:
        """Return the accounts with a balance below `threshold`, such as `Money.dollars(10)`."""
        if not isinstance(threshold, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`threshold` must be Money, not {type(threshold).__name__}")
        return {key: value for key, value in self.items() if value.balance_money < threshold}

    def to_records(self) -> list[dict[str, object]]:
        """Return a flat mapping for each account; failed accounts come last, with their `error`.

        They are JSON. `balance` is in cents, `balance_usd` in exact dollars, as text; the other
        amounts are too.
        """
        return self._record_each()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the lowest balances, in US dollars; needs the extra `notebook`.

        Args:
            ax: The matplotlib axes to draw in; `None`: a new figure.
        """
        bars = [
            Bar(self._name(name), float(self[name].balance_money.major), self._is_low(name))
            for name in self._ranked()
        ]
        return self._draw(
            ax,
            bars,
            order="lowest",
            what="credit balances",
            xlabel=f"Credit balance in US dollars (dashed: low, below {self.low.major:,.2f})",
            threshold=float(self.low.major),
        )

    _row_type = BillingCreditBalanceResponse
    _own = ("account_id", "account_name", "error")
    _index = "account_id"
    _columns = (
        Column("Balance", right=True),
        Column(),
        Column("Card", least=0),
        Column("Automatic top-up"),
    )
    _rest = "none of them lower"
    _settings = ("_low",)

    def _ranked(self) -> list[str]:
        return sorted(self, key=lambda account_id: self[account_id].balance_money)

    def _cells(self, account_id: str) -> Sequence[str]:
        answer = self[account_id]
        mark = Alert("LOW") if self._is_low(account_id) else ""
        balance, topup = balance_text(answer, self.low), topup_text(answer.topup_config)
        return balance, mark, card_text(answer), topup

    def _figure(self) -> str:
        return str(self.total)

    def _facts(self) -> str:
        return f"{self.total} in all, {len(self.below(self.low)):,} low (below {self.low})"

    def _is_low(self, account_id: str) -> bool:
        return self[account_id].balance_money < self.low


def credit_balances(account_ids: Iterable[str] | None) -> Sweep[CreditBalances]:
    """Return the sweep that reads the balances of accounts."""

    def requests_of(account_id: str) -> Sequence[BillingCreditBalanceParams]:
        return (BillingCreditBalanceParams(account_id=account_id),)

    return Sweep(CreditBalances, account_ids, requests_of)
