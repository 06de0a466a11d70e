"""The operations of the emulated service.

Pure Python, no HTTP. An operation validates its parameters as strictly as the service does.
`perform` reads or changes one account and returns the result. Both raise `RefusedError` if the
service would refuse the call.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import attrs
from attrs.validators import and_, ge, in_, instance_of, le, matches_re, max_len, optional

from ._state import DAY_MS, HOUR_MS, JSON, UNSET_TOPUP_CONFIG, EmulatedAccount
from ._validation import (
    INVALID,
    NO_MANUAL_TOPUP,
    NOT_FOUND,
    PAYMENT_FAILED,
    RefusedError,
    number,
    parse,
    whole_number,
)

T = TypeVar("T")

WINDOWS = {"hour": HOUR_MS, "day": DAY_MS}
PAYMENT_METHOD_TYPES = (
    "PAYPAL",
    "CREDIT_CARD",
    "APPLE_PAY",
    "GOOGLE_PAY",
    "ACH_DIRECT_DEBIT",
    "SEPA_DEBIT",
    "CASHAPP",
    "LINK",
    "CRYPTO",
)


@attrs.frozen(kw_only=True)
class Paging:
    """The parameters of a call that answers page by page, from page 1."""

    page: int = attrs.field(default=1, validator=and_(whole_number, ge(1)))
    per_page: int = attrs.field(default=20, validator=and_(whole_number, ge(1), le(50)))

    def part(self, items: Sequence[T]) -> Sequence[T]:
        return items[(self.page - 1) * self.per_page : self.page * self.per_page]


@attrs.frozen(kw_only=True)
class AccountList(Paging):
    """The only call that is not about one account."""

    def perform(self, accounts: Sequence[EmulatedAccount]) -> tuple[list[JSON], JSON]:
        """Return the accounts of this page, and their `result_info`."""
        result: list[JSON] = [
            {"id": a.id, "name": a.name, "type": "standard", "created_on": a.created_on}
            for a in self.part(accounts)
        ]
        return result, {
            "page": self.page,
            "per_page": self.per_page,
            "count": len(result),
            "total_count": len(accounts),
            "total_pages": math.ceil(len(accounts) / self.per_page),
        }


@attrs.frozen(kw_only=True)
class Operation(ABC):
    """One call about one account: its parameters, and what it does."""

    @abstractmethod
    def perform(self, account: EmulatedAccount) -> JSON:
        """Carry the call out and return its result."""


class CreditBalance(Operation):
    def perform(self, account: EmulatedAccount) -> JSON:
        return {
            "balance": account.balance,
            "has_default_payment_method": account.payment_method is not None,
            "payment_method": account.payment_method,
            "topup_config": account.topup_config,
            "first_topup_success": account.first_topup_success,
        }


@attrs.frozen(kw_only=True)
class UsageHistory(Operation):
    """Usage by hour or day (UTC): the windows that start in `[start_time, end_time)`."""

    value_grouping_window: str = attrs.field(validator=in_(tuple(WINDOWS)))
    start_time: float = attrs.field(default=-math.inf, validator=number)
    end_time: float = attrs.field(default=math.inf, validator=number)

    def perform(self, account: EmulatedAccount) -> JSON:
        width = WINDOWS[self.value_grouping_window]
        cents_by_start: defaultdict[int, float] = defaultdict(float)
        for moment, cents in sorted(account.usage.items()):
            cents_by_start[moment // width * width] += cents
        return {
            "history": [
                {
                    "id": f"mtrusg_{self.value_grouping_window}_{start}",
                    "aggregated_value": cents,
                    "start_time": start,
                    "end_time": start + width,
                }
                for start, cents in cents_by_start.items()
                if self.start_time <= start < self.end_time
            ]
        }


@attrs.frozen(kw_only=True)
class InvoiceHistory(Paging, Operation):
    type: str = attrs.field(default="all", validator=in_(("auto", "manual", "all")))

    def perform(self, account: EmulatedAccount) -> JSON:
        invoices = [i.fields for i in account.invoices if self.type in ("all", i.type)]
        return {
            "invoices": self.part(invoices),
            "pagination": {
                "has_more": self.page * self.per_page < len(invoices),
                "page": self.page,
                "per_page": self.per_page,
                "total_count": len(invoices),
            },
        }


class InvoicePreview(Operation):
    def perform(self, account: EmulatedAccount) -> JSON:
        return account.invoice_preview or self._draft(account)

    def _draft(self, account: EmulatedAccount) -> JSON:
        """Return the invoice of this month's usage so far (UTC); its times are in Unix seconds."""
        now = datetime.fromtimestamp(account.processor.now(), UTC)
        first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        start = int(first.timestamp())
        end = int((first + timedelta(days=32)).replace(day=1).timestamp())
        amount = math.fsum(c for ms, c in list(account.usage.items()) if start <= ms / 1000 < end)
        line = {
            "amount": amount,
            "currency": "usd",
            "description": "AI Gateway usage",
            "period": {"start": start, "end": end},
            "pricing": {"unit_amount_decimal": str(amount)},
            "quantity": 1,
        }
        return {
            "id": f"upcoming_in_{account.id}",
            "amount_due": amount,
            "amount_paid": 0,
            "amount_remaining": amount,
            "currency": "usd",
            "period_start": start,
            "period_end": end,
            "status": "draft",
            "invoice_lines": [line] if amount else [],
        }


@attrs.frozen(kw_only=True)
class TopupCreate(Operation):
    """Charges the card each time."""

    amount: int = attrs.field(validator=and_(whole_number, ge(1000)))
    payment_method_id: str | None = attrs.field(
        default=None, validator=optional(and_(instance_of(str), matches_re(r"pm_\w+")))
    )

    def perform(self, account: EmulatedAccount) -> JSON:
        if account.payment_method is None:
            raise RefusedError(400, PAYMENT_FAILED, "The account has no default payment method.")
        limits = account.topup_limits
        if not limits["min_cents"] <= self.amount <= limits["max_cents"]:
            raise RefusedError(
                400, INVALID, f"'amount' is outside the limits of the account: {limits}"
            )
        if account.declines:
            raise RefusedError(402, PAYMENT_FAILED, "Your card was declined.")
        onboarded = account.first_topup_success
        topup = account.start_topup(self.amount, payment_method_id=self.payment_method_id)
        unconfirmed = topup.due == math.inf
        return {
            "client_secret": f"{topup.payment_intent_id}_secret" if unconfirmed else None,
            "onboarding": onboarded,
            "payment_intent_id": topup.payment_intent_id,
            **account.payment_method,
        }


@attrs.frozen(kw_only=True)
class TopupStatus(Operation):
    payment_intent_id: str = attrs.field(validator=instance_of(str))

    def perform(self, account: EmulatedAccount) -> JSON:
        topup = account.topup(self.payment_intent_id)
        if topup is None:
            raise RefusedError(404, NOT_FOUND, f"Top-up {self.payment_intent_id!r} does not exist.")
        return {
            "payment_intent_id": self.payment_intent_id,
            "status": "completed" if topup.completed else "pending",
        }


class TopupLimits(Operation):
    def perform(self, account: EmulatedAccount) -> JSON:
        return account.topup_limits


@attrs.frozen(kw_only=True)
class ListedPaymentMethod:
    """A payment method in the request of `topup/eligibility`."""

    default: bool = attrs.field(default=False, validator=instance_of(bool))
    last_four: str = attrs.field(default="", validator=instance_of(str))
    type: str = attrs.field(default="CREDIT_CARD", validator=in_(PAYMENT_METHOD_TYPES))


def _listed(methods: Any) -> list[ListedPaymentMethod]:
    if not isinstance(methods, list):
        raise TypeError("'payment_methods' must be a list")
    return [parse(ListedPaymentMethod, method) for method in cast("list[object]", methods)]


# By reason: whether recoverable, the recommended action, the state of the payment methods.
_ELIGIBILITY = {
    "ELIGIBLE": (False, "NONE", "SUPPORTED_PRESENT"),
    "PENDING_3DS_AUTHENTICATION": (True, "RESUME_AUTHENTICATION", "SUPPORTED_PRESENT"),
    "NO_ACCOUNT_PAYMENT_METHOD": (True, "ADD_SUPPORTED_PAYMENT_METHOD", "NONE"),
    "UNSUPPORTED_ACCOUNT_PAYMENT_METHOD": (
        True,
        "ADD_SUPPORTED_PAYMENT_METHOD",
        "UNSUPPORTED_ONLY",
    ),
    "ACCOUNT_PAYMENT_METHOD_NOT_DEFAULT": (True, "SET_CARD_AS_DEFAULT", "SUPPORTED_PRESENT"),
    "ACCOUNT_PAYMENT_METHOD_NOT_LINKED_TO_AIG": (True, "USE_EXISTING_CARD", "SUPPORTED_PRESENT"),
}


@attrs.frozen(kw_only=True)
class TopupEligibility(Operation):
    payment_methods: list[ListedPaymentMethod] = attrs.field(
        factory=list[ListedPaymentMethod], converter=_listed, validator=max_len(100)
    )

    def perform(self, account: EmulatedAccount) -> JSON:
        if account.eligibility is not None:
            return account.eligibility
        reason = self._reason(account)
        recoverable, action, methods = _ELIGIBILITY[reason]
        return {
            "eligible": reason == "ELIGIBLE",
            "reason": reason,
            "recoverable": recoverable,
            "recommended_action": action,
            "account_payment_method_state": methods,
            "aig_customer_state": "RESOLVED",
            "aig_default_payment_method_state": "PRESENT" if account.payment_method else "MISSING",
            "display_payment_method": account.payment_method,
        }

    def _reason(self, account: EmulatedAccount) -> str:
        if account.payment_method is not None:
            return "PENDING_3DS_AUTHENTICATION" if account.awaits_confirmation else "ELIGIBLE"
        cards = [method for method in self.payment_methods if method.type == "CREDIT_CARD"]
        if not self.payment_methods:
            return "NO_ACCOUNT_PAYMENT_METHOD"
        if not cards:
            return "UNSUPPORTED_ACCOUNT_PAYMENT_METHOD"
        if not any(card.default for card in cards):
            return "ACCOUNT_PAYMENT_METHOD_NOT_DEFAULT"
        return "ACCOUNT_PAYMENT_METHOD_NOT_LINKED_TO_AIG"


class TopupConfigGet(Operation):
    def perform(self, account: EmulatedAccount) -> JSON:
        return account.topup_config


@attrs.frozen(kw_only=True)
class TopupConfigCreate(Operation):
    amount: int = attrs.field(validator=and_(whole_number, ge(1000)))
    threshold: int = attrs.field(validator=and_(whole_number, ge(500)))

    def perform(self, account: EmulatedAccount) -> JSON:
        given = attrs.asdict(self)
        account.topup_config = UNSET_TOPUP_CONFIG | given
        return given


class TopupConfigDelete(Operation):
    def perform(self, account: EmulatedAccount) -> JSON:
        account.topup_config = UNSET_TOPUP_CONFIG.copy()
        return {}


class SpendingLimitGet(Operation):
    def perform(self, account: EmulatedAccount) -> JSON:
        unset = dict.fromkeys(attrs.fields_dict(SpendingLimitCreate))
        return {
            "enabled": account.spending_limit is not None,
            "config": account.spending_limit or unset,
        }


@attrs.frozen(kw_only=True)
class SpendingLimitCreate(Operation):
    amount: int = attrs.field(validator=and_(whole_number, ge(100)))
    duration: str = attrs.field(validator=in_(("daily", "weekly", "monthly")))
    strategy: str = attrs.field(validator=in_(("fixed", "sliding")))

    def perform(self, account: EmulatedAccount) -> JSON:
        if not account.first_topup_success:
            raise RefusedError(400, NO_MANUAL_TOPUP, "NO_MANUAL_TOPUP")
        account.spending_limit = attrs.asdict(self)
        return {}


class SpendingLimitDelete(Operation):
    def perform(self, account: EmulatedAccount) -> JSON:
        account.spending_limit = None
        return {}
