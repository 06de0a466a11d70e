"""One table: each call of the service, what goes over the wire for it, and what comes back.

The tests of the calls, of decoding, of arguments and of errors go by its rows. Nothing in a row is
computed by the package, but for the values, which are made of its public types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from operator import attrgetter
from typing import Any, cast

import attrs
from attrs import frozen

from cfaigw_billing import types as t
from cfaigw_billing._wire.secrets import Secret
from cfaigw_billing.testing import EmulatedAccount, Emulator
from cfaigw_billing.testing._state import InvoiceType

JSON = dict[str, Any]
Seed = Callable[[Emulator], object]

ACC: JSON = {"account_id": "acc"}
A = "/accounts/acc/ai-gateway/billing"
BILLING = "ai_gateway.billing"
VISA: JSON = {"brand": "visa", "last4": "4242"}

BRAND_NEW: JSON = {"brand_new": {"since": [2031]}}
"""A field that no version of this package knows."""


@frozen(kw_only=True)
class Case:
    """One call with its arguments, request, answer and value."""

    id: str
    """The call and what is special; `full` where no field of the answer is absent or null."""
    call: str
    """The path of the method on the client."""
    arguments: Mapping[str, Any] = ACC
    """The arguments of the method."""
    params: type[t.Params[Any]]
    """The class of the same parameters for `send`."""
    defaults: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """The parameters that the method sets itself."""
    method: str
    """Of the request."""
    path: str
    """As sent, percent-encoded, below the base URL."""
    query: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Of the request, decoded."""
    body: JSON | None = None
    """Of the request, decoded; `None` for no body."""
    status: int = 200
    """Of the answer."""
    answer: JSON
    """The body of the answer, decoded."""
    expected: object
    """The value that the call gives."""
    seed: Seed | None
    """Makes an emulator answer this; `None` where it never does."""

    def on(self, client: Any) -> Any:
        """Call the method of a client, sync or async."""
        return attrgetter(self.call)(client)(**self.arguments)

    def value(self) -> t.Params[Any]:
        """The parameters as a value."""
        return self.params(**{**self.defaults, **self.arguments})

    def send(self, client: Any) -> Any:
        """Call `send` of a client, sync or async."""
        return client.send(self.value())


def envelope(result: object, **more: object) -> JSON:
    return {"success": True, "errors": [], "messages": [], "result": result, **more}


def account(change: Callable[[EmulatedAccount], object] | None = None, **given: Any) -> Seed:
    """An emulator with the account `acc`; `change` is done to it."""

    def seed(emulator: Emulator) -> None:
        added = emulator.add_account("acc", **given)
        if change is not None:
            change(added)

    return seed


def setting(**attributes: Any) -> Seed:
    """An emulator with the account `acc` and these attributes of it."""

    def change(added: EmulatedAccount) -> None:
        for name, value in attributes.items():
            setattr(added, name, value)

    return account(change)


def named(*accounts: str) -> Seed:
    """An emulator with these accounts, made at a fixed time."""

    def seed(emulator: Emulator) -> None:
        for account_id in accounts:
            added = emulator.add_account(account_id, name=f"The {account_id}")
            added.created_on = "2014-03-01T12:21:02.5Z"

    return seed


# accounts.list

MADE = datetime(2014, 3, 1, 12, 21, 2, 500_000, tzinfo=UTC)


def listed(account_id: str) -> JSON:
    return {
        "id": account_id,
        "name": f"The {account_id}",
        "type": "standard",
        "created_on": "2014-03-01T12:21:02.5Z",
    }


def account_value(account_id: str) -> t.Account:
    return t.Account(id=account_id, name=f"The {account_id}", type="standard", created_on=MADE)


def accounts_case(id: str, **row: Any) -> Case:
    return Case(
        id=f"accounts.list: {id}",
        call="accounts.list",
        params=t.AccountListParams,
        method="GET",
        path="/accounts",
        **row,
    )


ACCOUNTS = [
    accounts_case(
        "no arguments",
        arguments={},
        defaults={"per_page": 50},
        query={"per_page": "50"},
        answer=envelope(
            [listed("acc"), listed("other")],
            result_info={
                "page": 1,
                "per_page": 50,
                "count": 2,
                "total_count": 2,
                "total_pages": 1,
            },
        ),
        expected=t.AccountListResponse(
            result=(account_value("acc"), account_value("other")),
            result_info=t.ResultInfo(page=1, per_page=50, count=2, total_count=2, total_pages=1),
        ),
        seed=named("acc", "other"),
    ),
    accounts_case(
        "every argument",
        arguments={"name": "Ä & Söhne", "page": 2, "per_page": 1},
        query={"name": "Ä & Söhne", "page": "2", "per_page": "1"},
        answer=envelope(
            [listed("second")],
            result_info={
                "page": 2,
                "per_page": 1,
                "count": 1,
                "total_count": 3,
                "total_pages": 3,
            },
        ),
        expected=t.AccountListResponse(
            result=(account_value("second"),),
            result_info=t.ResultInfo(page=2, per_page=1, count=1, total_count=3, total_pages=3),
        ),
        seed=named("first", "second", "third"),
    ),
    accounts_case(
        "no accounts",
        arguments={"per_page": 5},
        query={"per_page": "5"},
        answer=envelope(
            [],
            result_info={
                "page": 1,
                "per_page": 5,
                "count": 0,
                "total_count": 0,
                "total_pages": 0,
            },
        ),
        expected=t.AccountListResponse(
            result=(),
            result_info=t.ResultInfo(page=1, per_page=5, count=0, total_count=0, total_pages=0),
        ),
        seed=named(),
    ),
    accounts_case(
        "only what is required",
        arguments={"per_page": 50},
        query={"per_page": "50"},
        answer={"success": True, "result": [{"id": "acc", "name": ""}]},
        expected=t.AccountListResponse(result=(t.Account(id="acc", name=""),)),
        seed=None,
    ),
    accounts_case(
        "full",
        arguments={"per_page": 50},
        query={"per_page": "50"},
        answer=envelope(
            [
                listed("acc"),
                {
                    "id": "other",
                    "name": "Other",
                    "type": "reseller",
                    "created_on": "2014-03-01T13:21:02+01:00",
                    "settings": {
                        "abuse_contact_email": "abuse@example.com",
                        "enforce_twofactor": True,
                        **BRAND_NEW,
                    },
                    **BRAND_NEW,
                },
            ],
            result_info={
                "page": 1,
                "per_page": 50,
                "count": 2,
                "total_count": 2,
                "total_pages": 1,
                "has_more": False,
                "cursor": "c2Vjb25k",
            },
        ),
        expected=t.AccountListResponse(
            result=(
                account_value("acc"),
                t.Account(
                    id="other",
                    name="Other",
                    type="reseller",
                    created_on=datetime(2014, 3, 1, 12, 21, 2, tzinfo=UTC),
                    settings=t.AccountSettings(
                        abuse_contact_email="abuse@example.com",
                        enforce_twofactor=True,
                        extra=BRAND_NEW,
                    ),
                    extra=BRAND_NEW,
                ),
            ),
            result_info=t.ResultInfo(
                page=1,
                per_page=50,
                count=2,
                total_count=2,
                total_pages=1,
                has_more=False,
                cursor="c2Vjb25k",
            ),
        ),
        seed=None,
    ),
]

# billing.credit_balance


def balance_case(id: str, **row: Any) -> Case:
    return Case(
        id=f"credit_balance: {id}",
        call=f"{BILLING}.credit_balance",
        params=t.BillingCreditBalanceParams,
        method="GET",
        path=f"{A}/credit-balance",
        **row,
    )


FAILED_TOPUP: JSON = {
    "amount": 2500,
    "threshold": 500.5,
    "disabledReason": "payment_failed",
    "error": "Your card was declined.",
    "lastFailedAt": 1_767_225_600_000,
}
FAILED: JSON = {
    "amount": 2500.0,
    "threshold": 500.5,
    "disabled_reason": "payment_failed",
    "error": "Your card was declined.",
    "last_failed_at": 1_767_225_600_000.0,
}
UNSET_TOPUP: JSON = {
    "amount": 0,
    "threshold": 0,
    "disabledReason": None,
    "error": None,
    "lastFailedAt": None,
}
NULL_TOPUP: JSON = dict.fromkeys(UNSET_TOPUP)

BALANCE = [
    balance_case(
        "full",
        answer=envelope(
            {
                "balance": 640.19,
                "has_default_payment_method": True,
                "payment_method": VISA,
                "topup_config": FAILED_TOPUP,
                "first_topup_success": True,
            }
        ),
        expected=t.BillingCreditBalanceResponse(
            balance=640.19,
            has_default_payment_method=True,
            payment_method=t.PaymentMethod(brand="visa", last4="4242"),
            topup_config=t.TopupConfig(**FAILED),
            first_topup_success=True,
        ),
        seed=account(
            lambda acc: setattr(acc, "topup_config", FAILED_TOPUP),
            balance=640.19,
            first_topup_success=True,
        ),
    ),
    balance_case(
        "a new account",
        answer=envelope(
            {
                "balance": 0,
                "has_default_payment_method": False,
                "payment_method": None,
                "topup_config": UNSET_TOPUP,
                "first_topup_success": False,
            }
        ),
        expected=t.BillingCreditBalanceResponse(
            balance=0.0,
            has_default_payment_method=False,
            topup_config=t.TopupConfig(amount=0.0, threshold=0.0),
            first_topup_success=False,
        ),
        seed=account(payment_method=None),
    ),
    balance_case(
        "overdrawn, nulls, new fields",
        answer=envelope(
            {
                "balance": -0.01,
                "has_default_payment_method": True,
                "payment_method": {**VISA, **BRAND_NEW},
                "topup_config": {**NULL_TOPUP, **BRAND_NEW},
                "first_topup_success": False,
            }
        ),
        expected=t.BillingCreditBalanceResponse(
            balance=-0.01,
            has_default_payment_method=True,
            payment_method=t.PaymentMethod(brand="visa", last4="4242", extra=BRAND_NEW),
            topup_config=t.TopupConfig(extra=BRAND_NEW),
            first_topup_success=False,
        ),
        seed=account(
            lambda acc: setattr(acc, "topup_config", {**NULL_TOPUP, **BRAND_NEW}),
            balance=-0.01,
            payment_method={**VISA, **BRAND_NEW},
        ),
    ),
    balance_case(
        "only what is required",
        answer={"success": True, "result": {"balance": 7, "has_default_payment_method": False}},
        expected=t.BillingCreditBalanceResponse(balance=7.0, has_default_payment_method=False),
        seed=None,
    ),
]

# billing.usage_history

HOUR = 3_600_000
DAY = 24 * HOUR
MIDNIGHT = 20_454 * DAY  # 2026-01-01, in milliseconds
CET = timezone(timedelta(hours=1))


def usage_case(id: str, **row: Any) -> Case:
    return Case(
        id=f"usage_history: {id}",
        call=f"{BILLING}.usage_history",
        params=t.BillingUsageHistoryParams,
        method="GET",
        path=f"{A}/usage-history",
        **row,
    )


def usage_row(window: str, start: int, width: int, cents: float) -> JSON:
    return {
        "id": f"mtrusg_{window}_{start}",
        "aggregated_value": cents,
        "start_time": start,
        "end_time": start + width,
    }


def usage_value(window: str, start: int, width: int, cents: float) -> t.History:
    return t.History(
        id=f"mtrusg_{window}_{start}",
        aggregated_value=float(cents),
        start_time=float(start),
        end_time=float(start + width),
    )


USAGE_BY_HOUR: dict[int, float] = {
    MIDNIGHT + hour * HOUR: cents for hour, cents in enumerate((12.5, 0, 640, 0.019))
}
NO_USAGE: JSON = {
    "answer": envelope({"history": []}),
    "expected": t.BillingUsageHistoryResponse(history=()),
    "seed": account(),
}

USAGE = [
    usage_case(
        "hours, full",
        arguments={**ACC, "value_grouping_window": "hour"},
        query={"value_grouping_window": "hour"},
        answer=envelope(
            {"history": [usage_row("hour", ms, HOUR, c) for ms, c in USAGE_BY_HOUR.items()]}
        ),
        expected=t.BillingUsageHistoryResponse(
            history=tuple(usage_value("hour", ms, HOUR, c) for ms, c in USAGE_BY_HOUR.items())
        ),
        seed=setting(usage=USAGE_BY_HOUR),
    ),
    usage_case(
        "days, between two moments",
        arguments={
            **ACC,
            "value_grouping_window": "day",
            "start_time": datetime(2026, 1, 1, 1, tzinfo=CET),
            "end_time": datetime(2026, 1, 2, 0, 0, 0, 1999, tzinfo=UTC),
        },
        query={
            "value_grouping_window": "day",
            "start_time": "1767225600000",
            "end_time": "1767312000001",
        },
        answer=envelope({"history": [usage_row("day", MIDNIGHT, DAY, 652.519)]}),
        expected=t.BillingUsageHistoryResponse(
            history=(usage_value("day", MIDNIGHT, DAY, 652.519),)
        ),
        seed=setting(usage={MIDNIGHT - 1: 1.0, **USAGE_BY_HOUR}),
    ),
    usage_case(
        "from a number of milliseconds with a fraction",
        arguments={
            **ACC,
            "value_grouping_window": "day",
            "start_time": 1_767_312_000_000.5,
        },
        query={"value_grouping_window": "day", "start_time": "1767312000000.5"},
        **NO_USAGE,
    ),
    usage_case(
        "a whole float, and zero, are sent as integers",
        arguments={
            **ACC,
            "value_grouping_window": "hour",
            "start_time": 0,
            "end_time": 1_767_225_600_000.0,
        },
        query={"value_grouping_window": "hour", "start_time": "0", "end_time": "1767225600000"},
        **NO_USAGE,
    ),
    usage_case(
        "before 1970",
        arguments={
            **ACC,
            "value_grouping_window": "hour",
            "end_time": datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        },
        query={"value_grouping_window": "hour", "end_time": "-1"},
        **NO_USAGE,
    ),
]

# billing.invoice_history


def history_case(id: str, **row: Any) -> Case:
    return Case(
        id=f"invoice_history: {id}",
        call=f"{BILLING}.invoice_history",
        params=t.BillingInvoiceHistoryParams,
        method="GET",
        path=f"{A}/invoice-history",
        **row,
    )


INVOICE: JSON = {
    "amount_due": 5000,
    "amount_paid": 4999.5,
    "amount_remaining": 0.5,
    "currency": "usd",
    "id": "in_1",
    "attempt_count": 2,
    "attempted": True,
    "auto_advance": False,
    "created": 1_767_225_600,
    "created_by": "somebody",
    "description": "AI Gateway credits",
    "invoice_origin": "topup",
    "invoice_pdf": "https://example.com/in_1.pdf",
    "status": "paid",
}
INVOICE_VALUE = t.Invoice(
    amount_due=5000.0,
    amount_paid=4999.5,
    amount_remaining=0.5,
    currency="usd",
    id="in_1",
    attempt_count=2,
    attempted=True,
    auto_advance=False,
    created=1_767_225_600.0,
    created_by="somebody",
    description="AI Gateway credits",
    invoice_origin="topup",
    invoice_pdf="https://example.com/in_1.pdf",
    status="paid",
)
SPARSE_INVOICE: JSON = {
    "amount_due": 0,
    "amount_paid": 0,
    "amount_remaining": -1,
    "currency": "EUR",
    "id": None,
    "attempt_count": None,
    "created": None,
    "status": "written_off",
    **BRAND_NEW,
}


def invoices(*wanted: tuple[InvoiceType, JSON]) -> Seed:
    """An emulator with invoices of these types and fields, newest first."""

    def change(acc: EmulatedAccount) -> None:
        for type_, fields in reversed(wanted):
            acc.add_invoice(0, type=type_).fields = fields

    return account(change)


HISTORY = [
    history_case(
        "full",
        answer=envelope(
            {
                "invoices": [INVOICE],
                "pagination": {"has_more": False, "page": 1, "per_page": 20, "total_count": 1},
            }
        ),
        expected=t.BillingInvoiceHistoryResponse(
            invoices=(INVOICE_VALUE,),
            pagination=t.Pagination(has_more=False, page=1, per_page=20, total_count=1),
        ),
        seed=invoices(("manual", INVOICE)),
    ),
    history_case(
        "every argument",
        arguments={**ACC, "type": "manual", "page": 2, "per_page": 1},
        query={"type": "manual", "page": "2", "per_page": "1"},
        answer=envelope(
            {
                "invoices": [SPARSE_INVOICE],
                "pagination": {"has_more": True, "page": 2, "per_page": 1, "total_count": 3},
            }
        ),
        expected=t.BillingInvoiceHistoryResponse(
            invoices=(
                t.Invoice(
                    amount_due=0.0,
                    amount_paid=0.0,
                    amount_remaining=-1.0,
                    currency="EUR",
                    status="written_off",
                    extra=BRAND_NEW,
                ),
            ),
            pagination=t.Pagination(has_more=True, page=2, per_page=1, total_count=3),
        ),
        seed=invoices(
            ("manual", INVOICE), ("auto", INVOICE), ("manual", SPARSE_INVOICE), ("manual", INVOICE)
        ),
    ),
    history_case(
        "none",
        arguments={**ACC, "type": "auto"},
        query={"type": "auto"},
        answer=envelope(
            {
                "invoices": [],
                "pagination": {"has_more": False, "page": 1, "per_page": 20, "total_count": 0},
            }
        ),
        expected=t.BillingInvoiceHistoryResponse(
            invoices=(),
            pagination=t.Pagination(has_more=False, page=1, per_page=20, total_count=0),
        ),
        seed=invoices(("manual", INVOICE)),
    ),
]

# billing.invoice_preview


def preview_case(id: str, **row: Any) -> Case:
    return Case(
        id=f"invoice_preview: {id}",
        call=f"{BILLING}.invoice_preview",
        params=t.BillingInvoicePreviewParams,
        method="GET",
        path=f"{A}/invoice-preview",
        **row,
    )


PREVIEW: JSON = {
    "id": "upcoming_in_1",
    "amount_due": 1234.5,
    "amount_paid": 0,
    "amount_remaining": 1234.5,
    "currency": "usd",
    "period_start": 1_767_225_600,
    "period_end": 1_769_904_000,
    "status": "draft",
    "invoice_lines": [
        {
            "amount": 1234.5,
            "currency": "usd",
            "description": "AI Gateway usage",
            "period": {"start": 1_767_225_600, "end": 1_769_904_000},
            "pricing": {"unit_amount_decimal": "0.000001"},
            "quantity": 3,
            "pretax_credit_amounts": [
                {
                    "amount": 100.25,
                    "type": "credit_balance_transaction",
                    "credit_balance_transaction": "cbtxn_1",
                    "discount": "di_1",
                }
            ],
        }
    ],
}
BARE_PREVIEW: JSON = {
    **PREVIEW,
    "status": "on_hold",
    "invoice_lines": [
        {
            "amount": 0,
            "currency": "usd",
            "description": None,
            "period": {"start": 1, "end": 2, **BRAND_NEW},
            "pricing": {"unit_amount_decimal": None},
            "quantity": 0.5,
        },
        {
            "amount": 1,
            "currency": "usd",
            "period": {"start": 1, "end": 2},
            "pricing": {},
            "quantity": 1,
            "pretax_credit_amounts": [{"amount": 1, "type": "discount"}],
        },
    ],
}


def preview_value(status: str, *lines: t.InvoiceLine) -> t.BillingInvoicePreviewResponse:
    return t.BillingInvoicePreviewResponse(
        id="upcoming_in_1",
        amount_due=1234.5,
        amount_paid=0.0,
        amount_remaining=1234.5,
        currency="usd",
        period_start=1_767_225_600.0,
        period_end=1_769_904_000.0,
        status=status,
        invoice_lines=lines,
    )


PREVIEWS = [
    preview_case(
        "full",
        answer=envelope(PREVIEW),
        expected=preview_value(
            "draft",
            t.InvoiceLine(
                amount=1234.5,
                currency="usd",
                description="AI Gateway usage",
                period=t.InvoiceLinePeriod(start=1_767_225_600.0, end=1_769_904_000.0),
                pricing=t.InvoiceLinePricing(unit_amount_decimal="0.000001"),
                quantity=3.0,
                pretax_credit_amounts=(
                    t.InvoiceLinePretaxCreditAmount(
                        amount=100.25,
                        type="credit_balance_transaction",
                        credit_balance_transaction="cbtxn_1",
                        discount="di_1",
                    ),
                ),
            ),
        ),
        seed=setting(invoice_preview=PREVIEW),
    ),
    preview_case(
        "null and absent fields",
        answer=envelope(BARE_PREVIEW),
        expected=preview_value(
            "on_hold",
            t.InvoiceLine(
                amount=0.0,
                currency="usd",
                period=t.InvoiceLinePeriod(start=1.0, end=2.0, extra=BRAND_NEW),
                pricing=t.InvoiceLinePricing(),
                quantity=0.5,
            ),
            t.InvoiceLine(
                amount=1.0,
                currency="usd",
                period=t.InvoiceLinePeriod(start=1.0, end=2.0),
                pricing=t.InvoiceLinePricing(),
                quantity=1.0,
                pretax_credit_amounts=(
                    t.InvoiceLinePretaxCreditAmount(amount=1.0, type="discount"),
                ),
            ),
        ),
        seed=setting(invoice_preview=BARE_PREVIEW),
    ),
    preview_case(
        "no lines",
        answer=envelope({**PREVIEW, "invoice_lines": []}),
        expected=preview_value("draft"),
        seed=setting(invoice_preview={**PREVIEW, "invoice_lines": []}),
    ),
]

# billing.topup

TOPUP_ID = "in_emulated000001"  # the first id that an emulator gives


def topup_case(id: str, **row: Any) -> Case:
    return Case(
        id=f"topup.create: {id}",
        call=f"{BILLING}.topup.create",
        params=t.TopupCreateParams,
        method="POST",
        path=f"{A}/topup",
        **row,
    )


def status_case(id: str, status: str, seed: Seed | None) -> Case:
    return Case(
        id=f"topup.status: {id}",
        call=f"{BILLING}.topup.status",
        arguments={**ACC, "payment_intent_id": TOPUP_ID},
        params=t.TopupStatusParams,
        method="POST",
        path=f"{A}/topup/status",
        body={"payment_intent_id": TOPUP_ID},
        answer=envelope({"payment_intent_id": TOPUP_ID, "status": status}),
        expected=t.TopupStatusResponse(payment_intent_id=TOPUP_ID, status=status),
        seed=seed,
    )


TOPUPS = [
    topup_case(
        "the least, with the default card",
        arguments={**ACC, "amount": 1000},
        body={"amount": 1000},
        answer=envelope(
            {
                "client_secret": None,
                "onboarding": False,
                "payment_intent_id": TOPUP_ID,
                "brand": "visa",
                "last4": "4242",
            }
        ),
        expected=t.TopupCreateResponse(
            onboarding=False, payment_intent_id=TOPUP_ID, brand="visa", last4="4242"
        ),
        seed=account(),
    ),
    topup_case(
        "another card that wants confirmation, full",
        arguments={**ACC, "amount": 100_000, "payment_method_id": "pm_1"},
        body={"amount": 100_000, "payment_method_id": "pm_1"},
        answer=envelope(
            {
                "client_secret": f"{TOPUP_ID}_secret",
                "onboarding": True,
                "payment_intent_id": TOPUP_ID,
                "brand": "visa",
                "last4": "4242",
            }
        ),
        expected=t.TopupCreateResponse(
            client_secret=cast("Secret", f"{TOPUP_ID}_secret"),  # equal, and it pickles as it is
            onboarding=True,
            payment_intent_id=TOPUP_ID,
            brand="visa",
            last4="4242",
        ),
        seed=account(needs_confirmation=True, first_topup_success=True),
    ),
    topup_case(
        "a card that is not described",
        arguments={**ACC, "amount": 5000, "payment_method_id": None},
        body={"amount": 5000},
        answer=envelope(
            {"client_secret": None, "onboarding": False, "payment_intent_id": TOPUP_ID, **BRAND_NEW}
        ),
        expected=t.TopupCreateResponse(
            onboarding=False, payment_intent_id=TOPUP_ID, extra=BRAND_NEW
        ),
        seed=account(payment_method=BRAND_NEW),
    ),
    status_case("full", "pending", account(lambda acc: acc.start_topup(1000), topup_seconds=3600)),
    status_case(
        "confirmed",
        "completed",
        account(lambda acc: acc.confirm(acc.start_topup(1000).payment_intent_id)),
    ),
    status_case("an unheard-of word", "in_review", None),
]


def limits_case(id: str, result: JSON, expected: t.TopupLimitsResponse) -> Case:
    return Case(
        id=f"topup.limits: {id}",
        call=f"{BILLING}.topup.limits",
        params=t.TopupLimitsParams,
        method="GET",
        path=f"{A}/topup/limits",
        answer=envelope(result),
        expected=expected,
        seed=setting(topup_limits=result),
    )


LIMITS = [
    limits_case(
        "full",
        {"min_cents": 1000, "max_cents": 100_000, "currency": "usd"},
        t.TopupLimitsResponse(min_cents=1000.0, max_cents=100_000.0, currency="usd"),
    ),
    limits_case(
        "another currency, new fields",
        {"min_cents": 900.5, "max_cents": 1e9, "currency": "EUR", **BRAND_NEW},
        t.TopupLimitsResponse(min_cents=900.5, max_cents=1e9, currency="EUR", extra=BRAND_NEW),
    ),
]


def eligibility_case(id: str, **row: Any) -> Case:
    return Case(
        id=f"topup.eligibility: {id}",
        call=f"{BILLING}.topup.eligibility",
        params=t.TopupEligibilityParams,
        method="POST",
        path=f"{A}/topup/eligibility",
        **row,
    )


NOT_ELIGIBLE: JSON = {
    "answer": envelope(
        {
            "eligible": False,
            "reason": "ACCOUNT_PAYMENT_METHOD_NOT_DEFAULT",
            "recoverable": True,
            "recommended_action": "SET_CARD_AS_DEFAULT",
            "account_payment_method_state": "SUPPORTED_PRESENT",
            "aig_customer_state": "RESOLVED",
            "aig_default_payment_method_state": "MISSING",
            "display_payment_method": None,
        }
    ),
    "expected": t.TopupEligibilityResponse(
        eligible=False,
        reason="ACCOUNT_PAYMENT_METHOD_NOT_DEFAULT",
        recoverable=True,
        recommended_action="SET_CARD_AS_DEFAULT",
        account_payment_method_state="SUPPORTED_PRESENT",
        aig_customer_state="RESOLVED",
        aig_default_payment_method_state="MISSING",
    ),
    "seed": account(payment_method=None),
}
UNHEARD_OF: JSON = {
    "eligible": False,
    "reason": "MOON_PHASE",
    "recoverable": False,
    "recommended_action": "HOWL",
    "account_payment_method_state": "FULL",
    "aig_customer_state": "WANING",
    "aig_default_payment_method_state": "NEW",
    "display_payment_method": {"brand": None, "last4": "0000", **BRAND_NEW},
    **BRAND_NEW,
}

ELIGIBILITY = [
    eligibility_case(
        "no arguments, full",
        body={},
        answer=envelope(
            {
                "eligible": True,
                "reason": "ELIGIBLE",
                "recoverable": False,
                "recommended_action": "NONE",
                "account_payment_method_state": "SUPPORTED_PRESENT",
                "aig_customer_state": "RESOLVED",
                "aig_default_payment_method_state": "PRESENT",
                "display_payment_method": VISA,
            }
        ),
        expected=t.TopupEligibilityResponse(
            eligible=True,
            reason="ELIGIBLE",
            recoverable=False,
            recommended_action="NONE",
            account_payment_method_state="SUPPORTED_PRESENT",
            aig_customer_state="RESOLVED",
            aig_default_payment_method_state="PRESENT",
            display_payment_method=t.DisplayPaymentMethod(brand="visa", last4="4242"),
        ),
        seed=account(),
    ),
    eligibility_case(
        "payment methods as values",
        arguments={
            **ACC,
            "payment_methods": [
                t.EligibilityPaymentMethod(default=False, last_four="4242", type="CREDIT_CARD"),
                t.EligibilityPaymentMethod(type="PAYPAL"),
                t.EligibilityPaymentMethod(),
            ],
        },
        body={
            "payment_methods": [
                {"default": False, "last_four": "4242", "type": "CREDIT_CARD"},
                {"type": "PAYPAL"},
                {},
            ]
        },
        **NOT_ELIGIBLE,
    ),
    eligibility_case(
        "payment methods as mappings",
        arguments={**ACC, "payment_methods": ({"last_four": "4242", "type": "CREDIT_CARD"},)},
        body={"payment_methods": [{"last_four": "4242", "type": "CREDIT_CARD"}]},
        **NOT_ELIGIBLE,
    ),
    eligibility_case(
        "an empty list, which is not the same as none; unheard-of words",
        arguments={**ACC, "payment_methods": []},
        body={"payment_methods": []},
        answer=envelope(UNHEARD_OF),
        expected=t.TopupEligibilityResponse(
            eligible=False,
            reason="MOON_PHASE",
            recoverable=False,
            recommended_action="HOWL",
            account_payment_method_state="FULL",
            aig_customer_state="WANING",
            aig_default_payment_method_state="NEW",
            display_payment_method=t.DisplayPaymentMethod(last4="0000", extra=BRAND_NEW),
            extra=BRAND_NEW,
        ),
        seed=setting(eligibility=UNHEARD_OF),
    ),
]

# billing.topup.config


def config_case(id: str, config: JSON, expected: t.ConfigGetResponse) -> Case:
    return Case(
        id=f"topup.config.get: {id}",
        call=f"{BILLING}.topup.config.get",
        params=t.ConfigGetParams,
        method="GET",
        path=f"{A}/topup/config",
        answer=envelope(config),
        expected=expected,
        seed=setting(topup_config=config),
    )


CONFIG = [
    config_case("full", FAILED_TOPUP, t.ConfigGetResponse(**FAILED)),
    config_case("never set", UNSET_TOPUP, t.ConfigGetResponse(amount=0.0, threshold=0.0)),
    config_case("nulls", NULL_TOPUP, t.ConfigGetResponse()),
    config_case("nothing but new fields", BRAND_NEW, t.ConfigGetResponse(extra=BRAND_NEW)),
    Case(
        id="topup.config.create: full",
        call=f"{BILLING}.topup.config.create",
        arguments={**ACC, "amount": 5000, "threshold": 500},
        params=t.ConfigCreateParams,
        method="POST",
        path=f"{A}/topup/config",
        body={"amount": 5000, "threshold": 500},
        answer=envelope({"amount": 5000, "threshold": 500}),
        expected=t.ConfigCreateResponse(amount=5000.0, threshold=500.0),
        seed=account(),
    ),
    Case(
        id="topup.config.delete",
        call=f"{BILLING}.topup.config.delete",
        params=t.ConfigDeleteParams,
        method="DELETE",
        path=f"{A}/topup/config",
        answer=envelope({}),
        expected={},
        seed=setting(topup_config=FAILED_TOPUP),
    ),
]

# billing.spending_limit

LIMIT: JSON = {"amount": 10_000, "duration": "weekly", "strategy": "sliding"}


def limit_case(id: str, result: JSON, expected: object, seed: Seed) -> Case:
    return Case(
        id=f"spending_limit.get: {id}",
        call=f"{BILLING}.spending_limit.get",
        params=t.SpendingLimitGetParams,
        method="GET",
        path=f"{A}/spending-limit",
        answer=envelope(result),
        expected=expected,
        seed=seed,
    )


SPENDING_LIMIT = [
    limit_case(
        "full",
        {"enabled": True, "config": LIMIT},
        t.SpendingLimitGetResponse(
            enabled=True, config=t.Config(amount=10_000.0, duration="weekly", strategy="sliding")
        ),
        setting(spending_limit=LIMIT),
    ),
    limit_case(
        "never set",
        {"enabled": False, "config": dict.fromkeys(LIMIT)},
        t.SpendingLimitGetResponse(enabled=False, config=t.Config()),
        account(),
    ),
    limit_case(
        "unheard-of words",
        {"enabled": True, "config": {"duration": "yearly", "strategy": "elastic", **BRAND_NEW}},
        t.SpendingLimitGetResponse(
            enabled=True,
            config=t.Config(duration="yearly", strategy="elastic", extra=BRAND_NEW),
        ),
        setting(spending_limit={"duration": "yearly", "strategy": "elastic", **BRAND_NEW}),
    ),
    Case(
        id="spending_limit.create",
        call=f"{BILLING}.spending_limit.create",
        arguments={**ACC, "amount": 100, "duration": "daily", "strategy": "fixed"},
        params=t.SpendingLimitCreateParams,
        method="POST",
        path=f"{A}/spending-limit",
        body={"amount": 100, "duration": "daily", "strategy": "fixed"},
        status=201,
        answer=envelope({}),
        expected={},
        seed=account(first_topup_success=True),
    ),
    Case(
        id="spending_limit.delete: one that is not there",
        call=f"{BILLING}.spending_limit.delete",
        params=t.SpendingLimitDeleteParams,
        method="DELETE",
        path=f"{A}/spending-limit",
        answer=envelope({}),
        expected={},
        seed=account(),
    ),
]

CASES = [
    *ACCOUNTS,
    *BALANCE,
    *USAGE,
    *HISTORY,
    *PREVIEWS,
    *TOPUPS,
    *LIMITS,
    *ELIGIBILITY,
    *CONFIG,
    *SPENDING_LIMIT,
]

FIRST: dict[str, Case] = {case.call: case for case in reversed(CASES)}
"""The first case of each call, which the emulator can be seeded for."""

FULL = [case for case in CASES if case.id.endswith("full")]
"""For each call that answers an object, the case in which no field is absent or null."""


def case_named(id: str) -> Case:
    """The case of this id."""
    [case] = [case for case in CASES if case.id == id]
    return case
