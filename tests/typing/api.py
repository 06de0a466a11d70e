"""What type checkers make of the public surface. Checked, never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, assert_type

import aiohttp

from cfaigw_billing import (
    APIStatusError,
    AsyncCloudflare,
    Cloudflare,
    Money,
    RateLimit,
    RateLimitError,
)
from cfaigw_billing.errors import ErrorData
from cfaigw_billing.types import (
    Account,
    AccountListParams,
    AccountListResponse,
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingInvoiceHistoryParams,
    BillingInvoiceHistoryResponse,
    BillingInvoicePreviewParams,
    BillingInvoicePreviewResponse,
    BillingUsageHistoryParams,
    BillingUsageHistoryResponse,
    ConfigCreateParams,
    ConfigCreateResponse,
    ConfigDeleteParams,
    ConfigGetParams,
    ConfigGetResponse,
    EligibilityPaymentMethod,
    Invoice,
    PaymentMethod,
    ResultInfo,
    SpendingLimitCreateParams,
    SpendingLimitDeleteParams,
    SpendingLimitGetParams,
    SpendingLimitGetResponse,
    TopupConfig,
    TopupCreateParams,
    TopupCreateResponse,
    TopupEligibilityParams,
    TopupEligibilityResponse,
    TopupLimitsParams,
    TopupLimitsResponse,
    TopupStatusParams,
    TopupStatusResponse,
)

NOW = datetime.now(UTC)


async def asynchronous_methods(client: AsyncCloudflare) -> None:
    billing = client.ai_gateway.billing
    topup, config, limit = billing.topup, billing.topup.config, billing.spending_limit

    assert_type(await billing.credit_balance(account_id="a"), BillingCreditBalanceResponse)
    assert_type(
        await billing.usage_history(value_grouping_window="day", start_time=NOW, end_time=1.5),
        BillingUsageHistoryResponse,
    )
    assert_type(
        await billing.invoice_history(type="manual", page=1, per_page=50),
        BillingInvoiceHistoryResponse,
    )
    assert_type(await billing.invoice_preview(), BillingInvoicePreviewResponse)

    assert_type(
        await topup.create(amount=1000, payment_method_id="pm_1"),
        TopupCreateResponse,
    )
    assert_type(await topup.status(payment_intent_id="in_1"), TopupStatusResponse)
    assert_type(await topup.limits(), TopupLimitsResponse)
    assert_type(
        await topup.eligibility(
            payment_methods=[EligibilityPaymentMethod(default=True), {"last_four": "4242"}]
        ),
        TopupEligibilityResponse,
    )

    assert_type(await config.get(), ConfigGetResponse)
    assert_type(await config.create(amount=1000, threshold=500), ConfigCreateResponse)
    assert_type(await config.delete(), object)

    assert_type(await limit.get(), SpendingLimitGetResponse)
    assert_type(
        await limit.create(  # pyright: ignore[reportDeprecated]
            amount=100, duration="daily", strategy="fixed"
        ),
        object,
    )
    assert_type(await limit.delete(), object)

    accounts = client.accounts.list(name="a", page=1, per_page=50)
    assert_type(await accounts, AccountListResponse)
    async for account in accounts:
        assert_type(account, Account)
    async for page in accounts.pages():
        assert_type(page, AccountListResponse)

    invoices = billing.iter_invoices(type="auto", per_page=5)
    async for invoice in invoices:
        assert_type(invoice, Invoice)
    async for invoice_page in invoices.pages():
        assert_type(invoice_page, BillingInvoiceHistoryResponse)

    assert_type(await topup.wait(payment_intent_id="in_1", timeout=5), TopupStatusResponse)
    assert_type(await topup.create_and_wait(amount=1000, timeout=None), TopupStatusResponse)

    balances = await billing.credit_balances(["a"], progress=lambda done, total: None)
    assert_type(balances["a"], BillingCreditBalanceResponse)
    assert_type(balances.failed["a"], Exception)
    assert_type(balances.total, Money)
    assert_type(client.rate_limit, RateLimit)


def blocking_methods(client: Cloudflare) -> None:
    billing = client.ai_gateway.billing
    topup, config, limit = billing.topup, billing.topup.config, billing.spending_limit

    assert_type(billing.credit_balance(account_id="a"), BillingCreditBalanceResponse)
    assert_type(
        billing.usage_history(value_grouping_window="day", start_time=NOW, end_time=1.5),
        BillingUsageHistoryResponse,
    )
    assert_type(
        billing.invoice_history(type="manual", page=1, per_page=50),
        BillingInvoiceHistoryResponse,
    )
    assert_type(billing.invoice_preview(), BillingInvoicePreviewResponse)

    assert_type(topup.create(amount=1000, payment_method_id="pm_1"), TopupCreateResponse)
    assert_type(topup.status(payment_intent_id="in_1"), TopupStatusResponse)
    assert_type(topup.limits(), TopupLimitsResponse)
    assert_type(
        topup.eligibility(
            payment_methods=[EligibilityPaymentMethod(default=True), {"last_four": "4242"}]
        ),
        TopupEligibilityResponse,
    )

    assert_type(config.get(), ConfigGetResponse)
    assert_type(config.create(amount=1000, threshold=500), ConfigCreateResponse)
    assert_type(config.delete(), object)

    assert_type(limit.get(), SpendingLimitGetResponse)
    assert_type(
        limit.create(  # pyright: ignore[reportDeprecated]
            amount=100, duration="daily", strategy="fixed"
        ),
        object,
    )
    assert_type(limit.delete(), object)

    accounts = client.accounts.list(name="a", page=1, per_page=50)
    assert_type(accounts.result, tuple[Account, ...])
    assert_type(accounts.result_info, ResultInfo | None)
    for account in accounts:
        assert_type(account, Account)
    for page in accounts.pages():
        assert_type(page, AccountListResponse)

    invoices = billing.iter_invoices(type="auto", per_page=5)
    for invoice in invoices:
        assert_type(invoice, Invoice)
    for invoice_page in invoices.pages():
        assert_type(invoice_page, BillingInvoiceHistoryResponse)

    assert_type(topup.wait(payment_intent_id="in_1", timeout=5), TopupStatusResponse)
    assert_type(topup.create_and_wait(amount=1000, timeout=None), TopupStatusResponse)

    balances = billing.credit_balances(progress=True, concurrency=5, reserve=0.5)
    assert_type(balances["a"], BillingCreditBalanceResponse)
    assert_type(balances.failed["a"], Exception)
    assert_type(balances.below(Money(5)), dict[str, BillingCreditBalanceResponse])
    assert_type(client.rate_limit, RateLimit)


BALANCE = BillingCreditBalanceParams(account_id="a")
USAGE = BillingUsageHistoryParams(value_grouping_window="hour", start_time=NOW)
INVOICES = BillingInvoiceHistoryParams(type="auto")
PREVIEW = BillingInvoicePreviewParams()
TOPUP = TopupCreateParams(amount=1000)
STATUS = TopupStatusParams(payment_intent_id="in_1")
LIMITS = TopupLimitsParams()
ELIGIBILITY = TopupEligibilityParams(payment_methods=[{"type": "LINK"}])
CONFIG_GET = ConfigGetParams()
CONFIG_CREATE = ConfigCreateParams(amount=1000, threshold=500)
CONFIG_DELETE = ConfigDeleteParams()
LIMIT_GET = SpendingLimitGetParams()
LIMIT_CREATE = SpendingLimitCreateParams(amount=100, duration="weekly", strategy="sliding")
LIMIT_DELETE = SpendingLimitDeleteParams()
ACCOUNTS = AccountListParams(name="a")


async def asynchronous_send(client: AsyncCloudflare) -> None:
    assert_type(await client.send(BALANCE), BillingCreditBalanceResponse)
    assert_type(await client.send(USAGE), BillingUsageHistoryResponse)
    assert_type(await client.send(INVOICES), BillingInvoiceHistoryResponse)
    assert_type(await client.send(PREVIEW), BillingInvoicePreviewResponse)
    assert_type(await client.send(TOPUP), TopupCreateResponse)
    assert_type(await client.send(STATUS), TopupStatusResponse)
    assert_type(await client.send(LIMITS), TopupLimitsResponse)
    assert_type(await client.send(ELIGIBILITY), TopupEligibilityResponse)
    assert_type(await client.send(CONFIG_GET), ConfigGetResponse)
    assert_type(await client.send(CONFIG_CREATE), ConfigCreateResponse)
    assert_type(await client.send(CONFIG_DELETE), object)
    assert_type(await client.send(LIMIT_GET), SpendingLimitGetResponse)
    assert_type(await client.send(LIMIT_CREATE), object)
    assert_type(await client.send(LIMIT_DELETE), object)
    assert_type(await client.send(ACCOUNTS), AccountListResponse)


def blocking_send(client: Cloudflare) -> None:
    assert_type(client.send(BALANCE), BillingCreditBalanceResponse)
    assert_type(client.send(USAGE), BillingUsageHistoryResponse)
    assert_type(client.send(INVOICES), BillingInvoiceHistoryResponse)
    assert_type(client.send(PREVIEW), BillingInvoicePreviewResponse)
    assert_type(client.send(TOPUP), TopupCreateResponse)
    assert_type(client.send(STATUS), TopupStatusResponse)
    assert_type(client.send(LIMITS), TopupLimitsResponse)
    assert_type(client.send(ELIGIBILITY), TopupEligibilityResponse)
    assert_type(client.send(CONFIG_GET), ConfigGetResponse)
    assert_type(client.send(CONFIG_CREATE), ConfigCreateResponse)
    assert_type(client.send(CONFIG_DELETE), object)
    assert_type(client.send(LIMIT_GET), SpendingLimitGetResponse)
    assert_type(client.send(LIMIT_CREATE), object)
    assert_type(client.send(LIMIT_DELETE), object)
    assert_type(client.send(ACCOUNTS), AccountListResponse)


async def asynchronous_many(
    client: AsyncCloudflare, some: AsyncIterator[TopupLimitsParams]
) -> None:
    async with client.send_many([BALANCE, BALANCE], concurrency=5, reserve=0) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome.response, BillingCreditBalanceResponse | None)
            assert_type(outcome.error, Exception | None)
            assert_type(outcome.unwrap(), BillingCreditBalanceResponse)
    async with client.send_many(some) as limits:
        assert_type((await anext(limits)).unwrap(), TopupLimitsResponse)


def blocking_many(client: Cloudflare) -> None:
    with client.send_many((STATUS for _ in range(3)), allow_charges=True) as outcomes:
        for outcome in outcomes:
            assert_type(outcome.unwrap(), TopupStatusResponse)


async def clients(session: aiohttp.ClientSession) -> None:
    async with AsyncCloudflare(
        api_token="t",
        timeout=aiohttp.ClientTimeout(total=1),
        default_headers={"X-Team": "a", "User-Agent": None},
        default_query={"v": 1},
        http_client=session,
    ) as client:
        assert_type(client, AsyncCloudflare)
        await client.send(
            BALANCE,
            extra_headers={"X-Team": None},
            extra_query={"v": None},
            extra_body={"a": [1]},
            timeout=None,
        )
    with Cloudflare(timeout=None, max_charge=0) as blocking:
        assert_type(blocking, Cloudflare)
        blocking.ai_gateway.billing.credit_balance(timeout=1.5)


def values(balance: BillingCreditBalanceResponse, invoice: Invoice, error: APIStatusError) -> None:
    assert_type(balance.balance, float)
    assert_type(balance.balance_money, Money)
    assert_type(balance.payment_method, PaymentMethod | None)
    assert_type(balance.topup_config, TopupConfig | None)
    assert_type(balance.extra, Mapping[str, object])
    if balance.topup_config is not None:
        assert_type(balance.topup_config.amount_money, Money | None)
        assert_type(balance.topup_config.last_failed_at_datetime, datetime | None)
    assert_type(invoice.created_datetime, datetime | None)
    assert_type(
        invoice.status, Literal["draft", "open", "paid", "uncollectible", "void"] | str | None
    )
    assert_type(invoice.amount_due_money + invoice.amount_paid_money, Money)
    assert_type(sum([balance.balance_money]), Money | Literal[0])
    assert_type(balance.balance_money.cents, Decimal)
    assert_type(error.errors, tuple[ErrorData, ...])
    assert_type(error.status_code, int)
    if isinstance(error, RateLimitError):
        assert_type(error.retry_after, float | None)


# The mistakes below must be noticed: an `ignore` that is not needed is an error as well.


async def mistakes(client: AsyncCloudflare, money: Money) -> None:
    await client.ai_gateway.billing.topup.create()  # type: ignore[call-arg]
    await client.ai_gateway.billing.credit_balance("a")  # type: ignore[call-arg]
    Cloudflare(http_client=None)  # type: ignore[call-arg]
    _ = money + 5  # type: ignore[operator]
    _ = money < 5  # type: ignore[operator]
