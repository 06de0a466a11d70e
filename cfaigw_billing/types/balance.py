"""The credit balance."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from attrs import field, frozen

from ._base import AccountParams, AccountResponse, Response
from ._derived import Derived, optional_utc
from .money import Money, money, optional_money


@frozen(kw_only=True)
class PaymentMethod(Response):
    """A card on file."""

    brand: str | None = None
    """The card's brand, such as `visa`."""
    last4: str | None = None
    """The last four digits of the card's number."""


@frozen(kw_only=True)
class TopupConfig(Response):
    """The automatic top-up: buy `amount` of credit when the balance falls below `threshold`.

    Both are zero or `None` if it was never set up.

    Attributes:
        amount: The credit that is bought, in cents; the card is charged fee and tax on top.
        threshold: The balance below which it charges, in cents.
        last_failed_at: When a charge last failed: Unix milliseconds or seconds (the service does
            not say which).
    """

    amount: float | None = None
    """The credit that is bought, in cents; the card is charged fee and tax on top."""
    amount_money: ClassVar[Derived[Money | None]] = optional_money("amount")
    """`amount` as exact money."""
    threshold: float | None = None
    """The balance below which it charges, in cents."""
    threshold_money: ClassVar[Derived[Money | None]] = optional_money("threshold")
    """`threshold` as exact money."""
    disabled_reason: str | None = field(default=None, metadata={"wire": "disabledReason"})
    """Why the service disabled it, if it did."""
    error: str | None = None
    """The message of the last failed charge."""
    last_failed_at: float | None = field(default=None, metadata={"wire": "lastFailedAt"})
    """When a charge last failed: Unix milliseconds or seconds (the service does not say which)."""
    last_failed_at_datetime: ClassVar[Derived[datetime | None]] = optional_utc("last_failed_at")
    """`last_failed_at` as an aware UTC `datetime`; above 10^11 it is read as milliseconds."""

    def _details(self) -> list[tuple[str, str]]:
        return topup_details(self)


@frozen(kw_only=True)
class BillingCreditBalanceParams(AccountParams["BillingCreditBalanceResponse"]):
    """The parameters of `billing.credit_balance`."""


@frozen(kw_only=True)
class BillingCreditBalanceResponse(AccountResponse):
    """The credit balance of an account, its card and its automatic top-up.

    Attributes:
        balance: The prepaid credit left, in cents with a fraction: 640.19 is $6.40. It may be
            negative.
    """

    balance: float
    """The prepaid credit left, in cents with a fraction: 640.19 is $6.40. It may be negative."""
    balance_money: ClassVar[Derived[Money]] = money("balance")
    """`balance` as exact US dollars."""
    has_default_payment_method: bool
    """Whether a top-up without `payment_method_id` has a card to charge."""
    payment_method: PaymentMethod | None = None
    """The default card."""
    topup_config: TopupConfig | None = None
    """The automatic top-up; `None` if the service omitted it."""
    first_topup_success: bool | None = None
    """Whether a manual top-up has ever completed."""

    def _details(self) -> list[tuple[str, str]]:
        from .._show.table import LOW_DOLLARS

        return [
            ("Balance", balance_text(self, Money.dollars(LOW_DOLLARS))),
            ("Card", card_text(self)),
            *topup_details(self.topup_config or TopupConfig()),
        ]


def balance_text(answer: BillingCreditBalanceResponse, low: Money) -> str:
    """Return the balance, highlighted if below `low`, with enough digits to differ from it."""
    from .._show.table import Alert

    shown, _ = answer.balance_money.told_apart(low)
    return Alert(shown) if answer.balance_money < low else shown


def card_text(answer: BillingCreditBalanceResponse) -> str:
    """Return the card on file, such as "visa 4242"."""
    card = answer.payment_method
    known = (card.brand, card.last4) if card else ()
    return " ".join(filter(None, known)) or (
        "on file" if card or answer.has_default_payment_method else "none"
    )


def topup_text(config: TopupConfig | None) -> str:
    """Return the automatic top-up as text, such as "$50.00 at $10.00"."""
    from .._show.table import Alert

    if config is None or not (config.amount and config.threshold):
        return "off"
    if config.disabled_reason:
        return Alert("disabled")
    return f"{config.amount_money} at {config.threshold_money}"


def topup_details(config: TopupConfig) -> list[tuple[str, str]]:
    """Return the automatic top-up and its problem, if any, as text."""
    from .._show.table import label, text
    from ._records import entries

    troubles = ("disabled_reason", "error", "last_failed_at")
    told = {name: text(entries(TopupConfig)[name].read(config)) for name in troubles}
    return [("Automatic top-up", topup_text(config))] + [
        (label(name), entry) for name, entry in told.items() if entry
    ]
