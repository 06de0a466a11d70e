"""The state of an emulated account, and its changes.

Pure Python, no HTTP. Amounts are in cents, moments in Unix seconds on the emulator's clock, except
that the times of usage are in Unix milliseconds, as on the wire. Top-ups complete, and a profile
spends, by the clock alone: the first look at an account settles what has fallen due; nothing runs
meanwhile.
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
        tokens: What it also shares: the tokens of all accounts.
        id: As it stands in the path of a request.
        name: In the list of accounts.
        created_on: In the list of accounts, ISO 8601.
        api_token: A token that opens this account alone; setting another, or None, revokes it.
        limit: The rate limit of that token.
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
        usage: Cents by hour; a key is the start of the hour in Unix milliseconds; a dict to change
            in place.
        invoice_preview: The answer of `invoice-preview`; None drafts this month's usage.
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
    # A test and the server look at an account from two threads; only one may settle a top-up.
    _lock: Any = attrs.field(factory=threading.RLock, init=False, repr=False)

    @property
    def api_token(self) -> str | None:
        """The token that belongs to it and opens no other account; None: it has none."""
        return self.tokens.of_accounts.get(self.id)

    @api_token.setter
    def api_token(self, token: str | None) -> None:
        self.tokens.give(self.id, token)

    @property
    def limit(self) -> RequestLimit | None:
        """The rate limit of its token, and of all accounts with that token; None: no limit.

        It has the settings of the emulator's `limit` until it is set. A new token has a new one.
        """
        return None if self.api_token is None else self.tokens.limit(self.api_token)

    @limit.setter
    def limit(self, limit: RequestLimit | None) -> None:
        self.tokens.set_limit(self.id, limit)

    @property
    def balance(self) -> float:
        """The credit that is left, in cents; what has completed by now is in it."""
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
        """The top-up of this id, as it stands now."""
        self.settle()
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
            self.settle()
            self._spend(cents, self.processor.now())

    def spend_hourly(self, profile: Profile | None, *, days: float = 0) -> None:
        """Spend by a profile from now on, as the clock moves; top-ups happen as with `spend`.

        Args:
            profile: The cents of an hour: a function of its start (an aware UTC `datetime`), or 24
                amounts by the hour of the day (UTC). None: spend nothing more by itself.
            days: The usage of so many days before now follows the profile too. The balance is that
                of now, so it does not change.
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
        self,
        amount: int,
        *,
        type: InvoiceType = "manual",
        payment_method_id: str | None = None,
        at: float | None = None,
    ) -> Topup:
        """Charge the card for `amount` cents of credit, which comes when the top-up completes.

        It is charged now, or was at the moment `at` in Unix seconds.
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
        """Catch up with the clock: spend by the profile, and complete the top-ups that are due."""
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
    """The start of the window of `width` that `moment` lies in; both in milliseconds."""
    return int(moment // width * width)


def _add(cents: float, more: float) -> float:
    """The sum without the noise of binary fractions, so that a test can compare it with `==`."""
    return round(cents + more, 6)
