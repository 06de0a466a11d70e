"""The parts that all emulated accounts share: the clock, the prices, and the record of charges.

Amounts are in cents, times in Unix seconds on the emulator's clock.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar

import attrs

from ..types._derived import Derived
from ..types.money import Money, money

_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


@attrs.frozen(kw_only=True)
class Charge:
    """A top-up for which a card was charged; `at` is in Unix seconds."""

    account_id: str
    amount: int
    """The credit that was bought, in cents."""
    amount_money: ClassVar[Derived[Money]] = money("amount")
    """`amount` as exact money."""
    payment_intent_id: str
    payment_method_id: str | None
    at: float
    paid: int
    """The amount the card paid, in cents: credit, fee and tax, minus the customer credit."""
    paid_money: ClassVar[Derived[Money]] = money("paid")
    """`paid` as exact money."""


@attrs.define
class CardProcessor:
    """The clock, the prices, the invoice ids and the charges of all accounts.

    It uses the machine's clock, or a fixed time that only `advance` changes.
    """

    topup_seconds: float
    fee: float = 0.0
    tax: float = 0.0
    fixed_time: float | None = None
    charges: list[Charge] = attrs.field(factory=list[Charge], init=False)
    _skipped: float = attrs.field(default=0.0, init=False)
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False)

    def now(self) -> float:
        """Return the emulator's time in Unix seconds."""
        start = time.time() if self.fixed_time is None else self.fixed_time
        return start + self._skipped

    def advance(self, seconds: float) -> None:
        """Move the clock ahead."""
        if not 0 <= seconds <= _LAST_MOMENT - self.now():
            raise ValueError(
                f"the clock only moves ahead, at most to the year 9999; got {seconds} seconds"
            )
        self._skipped += seconds

    def price(self, credit: int) -> int:
        """Return the price of credit, in whole cents: with the fee on it, and the tax on both."""
        with_fee = credit + _whole(credit * self.fee)
        return with_fee + _whole(with_fee * self.tax)

    def new_invoice_id(self) -> str:
        """Return the next invoice id; the service also uses it as payment intent id."""
        return f"in_emulated{next(self._numbers):06d}"


def _whole(cents: float) -> int:
    """Round to the nearest cent, halves up, without floating-point noise."""
    return math.floor(round(cents, 6) + 0.5)
