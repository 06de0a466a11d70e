"""The state of an emulated account, and its changes.

Pure Python, no HTTP. Amounts are in cents. Times are in Unix seconds on the emulator's clock, but
the times of usage are in Unix milliseconds, as on the wire. Nothing runs in the background: each
access to an account first completes the top-ups that are due and spends by the profile.
"""

from __future__ import annotations

import math
import threading
from typing import Any, Literal

import attrs
from attrs.validators import ge, optional

from ._limit import RequestLimit, Tokens
from ._processor import CardProcessor, Charge
from ._spending import Profile, Spending

JSON = dict[str, Any]
InvoiceType = Literal["auto", "manual"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

UNSET_TOPUP_CONFIG: JSON = {
    "amount": 0,
    "threshold": 0,
    "disabledReason": None,
    "error": None,
    "lastFailedAt": None,
}


@attrs.define(kw_only=True)
class EmulatedInvoice:
    """An invoice as the service returns it, and its type, which the service does not return."""

    type: InvoiceType
    fields: JSON


@attrs.define(kw_only=True)
class Topup:
    """A top-up of `amount` cents, which completes when the clock reaches `due`.

    `due` is infinite until the payer confirms the payment. The customer credit pays `deducted`
    cents of the `price`, and the card pays the rest.
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
        processor: The clock and the record of charges, shared by all accounts.
        tokens: The tokens of all accounts.
        id: The account id, as in the path of a request.
        name: The name in the list of accounts.
        created_on: The creation time in the list of accounts, ISO 8601.
        api_token: A token for this account only; setting another token, or None, revokes it.
        limit: The rate limit of that token.
        balance: In cents; may be negative.
        payment_method: The default card, `{"brand": …, "last4": …}`, or None.
        declines: Whether the card is declined (402).
        needs_confirmation: Whether the payer must `confirm` each top-up (3-D Secure).
        customer_credit: Cents that are deducted from the price of the next top-ups, for example
            after a refund. It is not part of the balance.
        topup_seconds: How long new top-ups stay pending; None: the emulator's `topup_seconds`.
        first_topup_success: Whether a manual top-up has completed.
        invoices: The past invoices, newest first; you may change the list in place.
        topup_config: The response of `topup/config`.
        topup_limits: The response of `topup/limits`, in cents.
        eligibility: The response of `topup/eligibility`; None derives it from the account's state.
        spending_limit: `{"amount": …, "duration": …, "strategy": …}`, or None for no limit.
        usage: Cents by hour; a key is the start of the hour in Unix milliseconds. You may change
            the dict in place.
        invoice_preview: The response of `invoice-preview`; None derives it from this month's usage.
    """

    processor: CardProcessor = attrs.field(repr=False)
    tokens: Tokens = attrs.field(repr=False)
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
    invoice_preview: JSON | None = None
    _balance: float = attrs.field(default=0.0, alias="balance")
    _first_topup_success: bool = attrs.field(default=False, alias="first_topup_success")
    _usage: dict[int, float] = attrs.field(factory=dict[int, float], alias="usage")
    _spending: Spending | None = attrs.field(default=None, init=False, repr=False)
    _invoices: list[EmulatedInvoice] = attrs.field(factory=list[EmulatedInvoice], init=False)
    _topups: dict[str, Topup] = attrs.field(factory=dict[str, Topup], init=False, repr=False)
    # A test and the server use an account from two threads; only one may settle a top-up.
    _lock: Any = attrs.field(factory=threading.RLock, init=False, repr=False)

    @property
    def api_token(self) -> str | None:
        """The account's own token, which opens no other account; None: it has none."""
        return self.tokens.of_accounts.get(self.id)

    @api_token.setter
    def api_token(self, token: str | None) -> None:
        self.tokens.set_token(self.id, token)

    @property
    def limit(self) -> RequestLimit | None:
        """The rate limit of the account's token; accounts with the same token share it.

        The default has the settings of the emulator's `limit`. A new token starts a new limit.
        None: no limit.
        """
        return None if self.api_token is None else self.tokens.limit(self.api_token)

    @limit.setter
    def limit(self, limit: RequestLimit | None) -> None:
        self.tokens.set_limit(self.id, limit)

    @property
    def balance(self) -> float:
        """The credit left, in cents, with all top-ups that have completed by now."""
        self.settle()
        return self._balance

    @balance.setter
    def balance(self, cents: float) -> None:
        self.settle()
        self._balance = cents

    @property
    def first_topup_success(self) -> bool:
        """Whether a manual top-up has completed."""
        self.settle()
        return self._first_topup_success

    @first_topup_success.setter
    def first_topup_success(self, value: bool) -> None:
        self.settle()
        self._first_topup_success = value

    @property
    def invoices(self) -> list[EmulatedInvoice]:
        """The past invoices, the newest first."""
        self.settle()
        return self._invoices

    @property
    def usage(self) -> dict[int, float]:
        """Cents by hour; a key is the start of the hour in Unix milliseconds."""
        self.settle()
        return self._usage

    @usage.setter
    def usage(self, cents: dict[int, float]) -> None:
        self._usage = cents

    @property
    def awaits_confirmation(self) -> bool:
        """Whether a top-up waits for its payer."""
        return any(topup.due == math.inf for topup in list(self._topups.values()))

    def topup(self, payment_intent_id: str) -> Topup | None:
        """Return the current state of the top-up with this id."""
        self.settle()
        return self._topups.get(payment_intent_id)

    def confirm(self, payment_intent_id: str) -> None:
        """Confirm a payment, as its payer would in a browser; the top-up completes at once."""
        topup = self._topups[payment_intent_id]
        topup.due = min(topup.due, self.processor.now())

    def spend(self, cents: float) -> None:
        """Use up credit, as a request through the gateway does.

        The usage of this hour grows by it. If the balance falls below the threshold of the top-up
        configuration, an automatic top-up starts.
        """
        with self._lock:
            self.settle()
            self._spend(cents, self.processor.now())

    def spend_hourly(self, profile: Profile | None, *, days: float = 0) -> None:
        """Spend automatically from now on as the clock moves, with top-ups as in `spend`.

        Args:
            profile: The cents per hour: a function of the start of the hour (an aware UTC
                `datetime`), or 24 amounts by the hour of the day (UTC). None: stop spending.
            days: Also fill the usage of so many past days. This does not change the balance.
        """
        with self._lock:
            self.settle()
            now = self.processor.now()
            self._spending = None
            if profile is not None:
                self._spending = Spending(profile, now - days * DAY_MS / 1000)
                for at, cents in self._spending.until(now):
                    self._use(cents, at)

    def fill_usage(
        self, days: int, *, cents_per_day: float = 240.0, until: int | None = None
    ) -> None:
        """Fill the hours of the last whole days (UTC) with plausible usage: low at night.

        Args:
            days: The number of days to fill.
            cents_per_day: The total of each day.
            until: Fill the days before this time, in Unix milliseconds; the default is today.
        """
        end = _floor(self.processor.now() * 1000 if until is None else until, DAY_MS)
        for hour in range(end - days * DAY_MS, end, HOUR_MS):
            since_nine = hour % DAY_MS / DAY_MS - 9 / 24  # so that the peak is at 15:00
            self.usage[hour] = cents_per_day / 24 * (1 + math.sin(math.tau * since_nine))

    def add_invoice(
        self, amount: float, *, type: InvoiceType = "manual", **fields: Any
    ) -> EmulatedInvoice:
        """Add a paid invoice as the newest one.

        Args:
            amount: The amount paid, in cents: credit, fee and tax.
            type: The kind of top-up.
            **fields: Fields of the invoice that replace the default ones.
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
        self,
        amount: int,
        *,
        type: InvoiceType = "manual",
        payment_method_id: str | None = None,
        at: float | None = None,
    ) -> Topup:
        """Charge the card for credit, which arrives when the top-up completes.

        Args:
            amount: The credit, in cents.
            type: The kind of top-up.
            payment_method_id: The card; None: the default card.
            at: The time of the charge, in Unix seconds; None: now.
        """
        now = self.processor.now() if at is None else at
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

    def settle(self) -> None:
        """Bring the account up to the current time: spend by the profile, complete due top-ups."""
        with self._lock:
            now = self.processor.now()
            for at, cents in self._spending.until(now) if self._spending else ():
                self._complete_due(at)
                self._spend(cents, at)
            self._complete_due(now)

    def _complete_due(self, moment: float) -> None:
        for topup in self._topups.values():
            if topup.due <= moment and not topup.completed:
                self._complete(topup)

    def _spend(self, cents: float, at: float) -> None:
        self._use(cents, at)
        self._balance = _add(self._balance, -cents)
        if self._auto_topup_is_due():
            self._auto_topup(at)

    def _use(self, cents: float, at: float) -> None:
        hour = _floor(at * 1000, HOUR_MS)
        self._usage[hour] = _add(self._usage.get(hour, 0.0), cents)

    def _complete(self, topup: Topup) -> None:
        topup.completed = True
        self._balance = _add(self._balance, topup.amount)
        self._first_topup_success |= topup.type == "manual"
        # Stripe reports an applied customer credit in these fields.
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
            and self._balance < config["threshold"]
            and not any(t.type == "auto" and not t.completed for t in self._topups.values())
        )

    def _auto_topup(self, at: float) -> None:
        if self.payment_method is not None and not self.declines:
            self.start_topup(self.topup_config["amount"], type="auto", at=at)
            return
        self.topup_config |= {
            "disabledReason": "payment_failed",
            "error": "Your card was declined." if self.declines else "No payment method on file.",
            "lastFailedAt": int(at * 1000),
        }


def _floor(moment: float, width: int) -> int:
    """Round `moment` down to a multiple of `width`; both in milliseconds."""
    return int(moment // width * width)


def _add(cents: float, more: float) -> float:
    """Add without floating-point noise, so that tests can compare the sum with `==`."""
    return round(cents + more, 6)
