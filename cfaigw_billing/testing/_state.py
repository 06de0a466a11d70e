"""The state of an emulated account, and its changes.

Pure Python, no HTTP. Amounts are in cents, moments in Unix seconds on the emulator's clock, except
that the times of usage are in Unix milliseconds, as on the wire. A top-up completes by the clock
alone: the first look at an account settles what has fallen due; nothing runs meanwhile.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import ge, optional

from ..types._derived import Derived
from ..types.money import Money, money

JSON = dict[str, Any]
InvoiceType = Literal["auto", "manual"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC).timestamp()

UNSET_TOPUP_CONFIG: JSON = {
    "amount": 0,
    "threshold": 0,
    "disabledReason": None,
    "error": None,
    "lastFailedAt": None,
}


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
    """The amount that the card paid, in cents: credit, fee and tax, less the customer credit."""
    paid_money: ClassVar[Derived[Money]] = money("paid")
    """`paid` as exact money."""


@attrs.define
class CardProcessor:
    """The parts that all accounts share: clock, prices, numbers of invoices, charges.

    The clock is that of the machine unless it stands still, in which case only `advance` moves it.
    """

    topup_seconds: float
    fee: float = 0.0
    tax: float = 0.0
    stands_still_at: float | None = None
    charges: list[Charge] = attrs.field(factory=list[Charge], init=False)
    _skipped: float = attrs.field(default=0.0, init=False)
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False)

    def now(self) -> float:
        """The emulator's time in Unix seconds."""
        start = time.time() if self.stands_still_at is None else self.stands_still_at
        return start + self._skipped

    def advance(self, seconds: float) -> None:
        """Move the clock ahead."""
        if not 0 <= seconds <= _LAST_MOMENT - self.now():
            raise ValueError(
                f"the clock only moves ahead, at most to the year 9999, not by {seconds} seconds"
            )
        self._skipped += seconds

    def price(self, credit: int) -> int:
        """Return the price of credit, in whole cents: with the fee on it, and the tax on both."""
        with_fee = credit + _whole(credit * self.fee)
        return with_fee + _whole(with_fee * self.tax)

    def new_invoice_id(self) -> str:
        """The next invoice id; the service calls it a payment intent id as well."""
        return f"in_emulated{next(self._numbers):06d}"


@attrs.define(kw_only=True)
class EmulatedInvoice:
    """An invoice as the service answers it, and its type, which is no field of the answer."""

    type: InvoiceType
    fields: JSON


@attrs.define(kw_only=True)
class Topup:
    """A top-up of `amount` cents, which completes when the clock reaches `due`.

    While the payer has yet to confirm the payment, `due` is infinite. Of its `price`, in cents,
    the customer credit pays a part (`deducted`), and the card the rest.
    """

    payment_intent_id: str
    type: InvoiceType
    amount: int
    price: int
    deducted: int
    at: float
    due: float
    completed: bool = False


@attrs.define(kw_only=True, eq=False)
class EmulatedAccount:
    """An account of the emulated service. Every attribute may be changed at any time.

    Attributes:
        processor: What it shares with the other accounts: the clock and the record of charges.
        id: As it stands in the path of a request.
        name: In the list of accounts.
        created_on: In the list of accounts, ISO 8601.
        balance: In cents; may be negative.
        payment_method: The default card, `{"brand": …, "last4": …}`, or None.
        declines: Whether the card is declined (402).
        needs_confirmation: Whether the payer must `confirm` each top-up (3-D Secure).
        customer_credit: In cents, what the next top-ups cost less: a refund that was credited to
            the customer, say. It is no balance of AI Gateway.
        topup_seconds: How long a top-up from now on stays pending; None: as the emulator says.
        first_topup_success: Whether a manual top-up has completed.
        invoices: As the service lists them, newest first; a list to change in place.
        topup_config: The answer of `topup/config`.
        topup_limits: The answer of `topup/limits`, in cents.
        eligibility: The answer of `topup/eligibility`; None derives it from the account's state.
        spending_limit: `{"amount": …, "duration": …, "strategy": …}`, or None for no limit.
        usage: Cents by hour; a key is the start of the hour in Unix milliseconds.
        invoice_preview: The answer of `invoice-preview`; None drafts this month's usage.
    """

    processor: CardProcessor = attrs.field(repr=False)
    id: str
    name: str
    created_on: str
    payment_method: dict[str, str] | None = None
    declines: bool = False
    needs_confirmation: bool = False
    customer_credit: int = attrs.field(default=0, validator=ge(0))
    topup_seconds: float | None = attrs.field(default=None, validator=optional(ge(0)))
    topup_config: JSON = attrs.field(factory=UNSET_TOPUP_CONFIG.copy)
    topup_limits: JSON = attrs.field(
        factory=lambda: {"min_cents": 1000, "max_cents": 100_000, "currency": "usd"}
    )
    eligibility: JSON | None = None
    spending_limit: JSON | None = None
    usage: dict[int, float] = attrs.field(factory=dict[int, float])
    invoice_preview: JSON | None = None
    _balance: float = attrs.field(default=0.0, alias="balance")
    _first_topup_success: bool = attrs.field(default=False, alias="first_topup_success")
    _invoices: list[EmulatedInvoice] = attrs.field(factory=list[EmulatedInvoice], init=False)
    _topups: dict[str, Topup] = attrs.field(factory=dict[str, Topup], init=False, repr=False)
    # A test and the server look at an account from two threads; only one may settle a top-up.
    _lock: Any = attrs.field(factory=threading.RLock, init=False, repr=False)

    @property
    def balance(self) -> float:
        """The credit that is left, in cents; what has completed by now is in it."""
        self._settle()
        return self._balance

    @balance.setter
    def balance(self, cents: float) -> None:
        self._settle()
        self._balance = cents

    @property
    def first_topup_success(self) -> bool:
        """Whether a manual top-up has completed."""
        self._settle()
        return self._first_topup_success

    @first_topup_success.setter
    def first_topup_success(self, value: bool) -> None:
        self._settle()
        self._first_topup_success = value

    @property
    def invoices(self) -> list[EmulatedInvoice]:
        """The past invoices, the newest first."""
        self._settle()
        return self._invoices

    @property
    def awaits_confirmation(self) -> bool:
        """Whether a top-up waits for its payer."""
        return any(topup.due == math.inf for topup in list(self._topups.values()))

    def topup(self, payment_intent_id: str) -> Topup | None:
        """The top-up of this id, as it stands now."""
        self._settle()
        return self._topups.get(payment_intent_id)

    def confirm(self, payment_intent_id: str) -> None:
        """Confirm a payment, as its payer would in a browser; the top-up completes at once."""
        topup = self._topups[payment_intent_id]
        topup.due = min(topup.due, self.processor.now())

    def spend(self, cents: float) -> None:
        """Use up credit, as a request through the gateway does.

        This hour's usage grows by it, and a balance below the threshold of the top-up
        configuration sets off an automatic top-up.
        """
        with self._lock:
            hour = _floor(self.processor.now() * 1000, HOUR_MS)
            self.usage[hour] = _add(self.usage.get(hour, 0.0), cents)
            self.balance = _add(self.balance, -cents)
            if self._auto_topup_is_due():
                self._auto_topup()

    def fill_usage(
        self, days: int, *, cents_per_day: float = 240.0, until: int | None = None
    ) -> None:
        """Give each hour of the last whole days (UTC) a plausible usage: little by night.

        Args:
            days: How many days to fill.
            cents_per_day: What the hours of a day add up to.
            until: Fill the days before this day, in Unix milliseconds; the default is today.
        """
        end = _floor(self.processor.now() * 1000 if until is None else until, DAY_MS)
        for hour in range(end - days * DAY_MS, end, HOUR_MS):
            since_nine = hour % DAY_MS / DAY_MS - 9 / 24  # so that the peak is at 15:00
            self.usage[hour] = cents_per_day / 24 * (1 + math.sin(math.tau * since_nine))

    def add_invoice(
        self, amount: float, *, type: InvoiceType = "manual", **fields: Any
    ) -> EmulatedInvoice:
        """Put a paid invoice before the others; `fields` replace its fields.

        Args:
            amount: What was paid, in cents: not the credit alone, but with fee and tax.
            type: Of what kind of top-up.
            **fields: Fields of the answer.
        """
        if "id" not in fields:
            fields["id"] = self.processor.new_invoice_id()
        invoice: JSON = {
            "amount_due": amount,
            "amount_paid": amount,
            "amount_remaining": 0,
            "currency": "usd",
            "attempt_count": 1,
            "attempted": True,
            "auto_advance": False,
            "created": int(self.processor.now()),
            "description": "AI Gateway credits",
            "invoice_origin": "topup",
            "status": "paid",
        }
        added = EmulatedInvoice(type=type, fields=invoice | fields)
        self._invoices.insert(0, added)
        return added

    def start_topup(
        self, amount: int, *, type: InvoiceType = "manual", payment_method_id: str | None = None
    ) -> Topup:
        """Charge the card for `amount` cents of credit, which comes when the top-up completes."""
        now = self.processor.now()
        pending = self.topup_seconds
        if pending is None:
            pending = self.processor.topup_seconds
        price = self.processor.price(amount)
        deducted = min(self.customer_credit, price)
        self.customer_credit -= deducted
        topup = Topup(
            payment_intent_id=self.processor.new_invoice_id(),
            type=type,
            amount=amount,
            price=price,
            deducted=deducted,
            at=now,
            due=math.inf if self.needs_confirmation else now + pending,
        )
        charge = Charge(
            account_id=self.id,
            amount=amount,
            paid=price - deducted,
            payment_intent_id=topup.payment_intent_id,
            payment_method_id=payment_method_id,
            at=now,
        )
        with self._lock:
            self._topups[topup.payment_intent_id] = topup
            self.processor.charges.append(charge)
        return topup

    def _settle(self) -> None:
        """Complete the top-ups that have fallen due."""
        with self._lock:
            now = self.processor.now()
            for topup in self._topups.values():
                if topup.due <= now and not topup.completed:
                    self._complete(topup)

    def _complete(self, topup: Topup) -> None:
        topup.completed = True
        self._balance = _add(self._balance, topup.amount)
        self._first_topup_success |= topup.type == "manual"
        # Stripe's words, where it says that a customer credit was applied.
        less = {"total": topup.price, "starting_balance": -topup.deducted} if topup.deducted else {}
        self.add_invoice(
            topup.price - topup.deducted,
            type=topup.type,
            id=topup.payment_intent_id,
            created=int(topup.at),
            **less,
        )

    def _auto_topup_is_due(self) -> bool:
        config = self.topup_config
        return (
            bool(config.get("amount"))
            and not config.get("disabledReason")
            and self.balance < config["threshold"]
            and not any(t.type == "auto" and not t.completed for t in self._topups.values())
        )

    def _auto_topup(self) -> None:
        if self.payment_method is not None and not self.declines:
            self.start_topup(self.topup_config["amount"], type="auto")
            return
        self.topup_config |= {
            "disabledReason": "payment_failed",
            "error": "Your card was declined." if self.declines else "No payment method on file.",
            "lastFailedAt": int(self.processor.now() * 1000),
        }


def _floor(moment: float, width: int) -> int:
    """The start of the window of `width` that `moment` lies in; both in milliseconds."""
    return int(moment // width * width)


def _whole(cents: float) -> int:
    """To the nearest cent, half a cent up; without the noise of binary fractions."""
    return math.floor(round(cents, 6) + 0.5)


def _add(cents: float, more: float) -> float:
    """The sum without the noise of binary fractions, so that a test can compare it with `==`."""
    return round(cents + more, 6)
