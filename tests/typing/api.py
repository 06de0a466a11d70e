"""What type checkers make of the public surface. Checked, never run; see `wrong.py` too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Literal, Unpack, assert_type

import aiohttp
from attrs import frozen
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from cfaigw_billing import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    AsyncClientOptions,
    AsyncCloudflare,
    AsyncConstructorOptions,
    AsyncMetrics,
    ClientOptions,
    Cloudflare,
    CloudflareError,
    ConstructorOptions,
    CreditBalances,
    ErrorData,
    Event,
    HTTPRequest,
    HTTPResponse,
    Metrics,
    Money,
    Outcome,
    RateLimit,
    RateLimitError,
    ReadOptions,
    RequestOptions,
    Runways,
    Timeout,
    TopupConfirmationError,
    TopupFailedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
    TopupReconciliation,
    TopupRecovery,
    UsageHistories,
    forecast_runway,
)
from cfaigw_billing.journal import Entry, Journal, PostgresJournal, SQLiteJournal, State
from cfaigw_billing.resources import (
    AccountPaginator,
    AccountsResource,
    AIGatewayResource,
    AsyncAccountsResource,
    AsyncAIGatewayResource,
    AsyncBillingResource,
    AsyncBillingResourceWithRawResponse,
    AsyncConfigResource,
    AsyncSpendingLimitResource,
    AsyncTopupResource,
    BillingResource,
    ConfigResource,
    InvoicePaginator,
    SpendingLimitResource,
    TopupResource,
    TopupResourceWithStreamingResponse,
)
from cfaigw_billing.testing import (
    Charge,
    EmulatedAccount,
    Emulator,
    Fault,
    RecordedRequest,
    RequestLimit,
    check_journal,
)
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
    Config,
    ConfigCreateParams,
    ConfigCreateResponse,
    ConfigDeleteParams,
    ConfigGetParams,
    ConfigGetResponse,
    DisplayPaymentMethod,
    EligibilityPaymentMethod,
    History,
    Invoice,
    InvoiceLine,
    InvoiceLinePretaxCreditAmount,
    Pagination,
    Params,
    PaymentMethod,
    ResultInfo,
    Runway,
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
    assert_type(await topup.create_and_wait(amount=Money.dollars(10)), TopupStatusResponse)
    assert_type(await topup.create(amount=Money.dollars(10)), TopupCreateResponse)
    await config.create(amount=Money.dollars(10), threshold=Money.dollars(5))
    await topup.reconcile(amount=Money.dollars(10), sent_at=NOW)

    assert_type(await topup.reconcile(BaseException()), TopupReconciliation)
    assert_type(await topup.create(amount=1000, idempotency_key="order-1"), TopupCreateResponse)
    assert_type(await topup.recover(older_than=timedelta(hours=1)), list[TopupRecovery])

    async with billing.metrics(["a"], refresh=timedelta(minutes=1), runway=False) as metrics:
        assert_type(metrics, AsyncMetrics)
        assert_type(metrics.collector, Collector)
        CollectorRegistry().register(metrics.collector)
        assert_type(await metrics.complete(), None)

    balances = await billing.credit_balances(["a"], progress=lambda done, total: None)
    assert_type(balances, CreditBalances)
    assert_type(await billing.credit_balances(), CreditBalances)
    assert_type(balances | await billing.credit_balances(), CreditBalances)
    balances |= await billing.credit_balances(balances.missing)
    assert_type(reduce(lambda one, other: one | other, [balances]), CreditBalances)
    assert_type(balances["a"], BillingCreditBalanceResponse)
    assert_type(balances.failed["a"], Exception)
    assert_type(balances.missing, tuple[str, ...])
    assert_type(balances.listed, bool)
    assert_type(balances.total, Money)
    assert_type(balances.to_records(), list[dict[str, object]])
    assert_type(balances.get("a"), BillingCreditBalanceResponse | None)
    assert_type(balances.get("a", 5), BillingCreditBalanceResponse | int)

    used = await billing.usage_histories(
        ["a"], value_grouping_window="day", start_time=NOW, end_time=1.5, progress=True
    )
    assert_type(used, UsageHistories)
    assert_type(used["a"], BillingUsageHistoryResponse)
    assert_type([*used.values()], list[BillingUsageHistoryResponse])
    assert_type(used.failed["a"], Exception)
    assert_type(used.total, Money)
    assert_type(used.totals, dict[str, Money])
    assert_type(used.to_records(), list[dict[str, object]])
    assert_type(await billing.runway(account_id="a", history=timedelta(days=7)), Runway)
    lasting = await billing.runways(["a"], history=timedelta(days=7), reserve=0.5)
    assert_type(lasting, Runways)
    assert_type(lasting["a"], Runway)
    assert_type(lasting["a"].time_left, timedelta | None)
    assert_type(lasting["a"].empties_within(timedelta(days=3)), bool)
    assert_type(lasting.within(timedelta(days=3)), dict[str, Runway])
    assert_type(client.rate_limit, RateLimit)
    assert_type(client.rate_limits, dict[str | None, RateLimit])


async def vault(account_id: str) -> str | None:
    return account_id or None


def tokens_by_account() -> None:
    AsyncCloudflare(api_tokens={"a": "token"}, api_token="token")
    Cloudflare(api_tokens=vault)
    Cloudflare(api_tokens={"a": "token"}.get).with_options(api_tokens={})


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

    assert_type(topup.reconcile(BaseException()), TopupReconciliation)
    assert_type(topup.create(amount=1000, idempotency_key="order-1"), TopupCreateResponse)
    for recovery in topup.recover():
        assert_type(recovery.entry.state, State)

    with billing.metrics(reserve=0.1) as metrics:
        assert_type(metrics, Metrics)
        assert_type(metrics.registry, CollectorRegistry)
        assert_type(metrics.complete(), None)

    balances = billing.credit_balances(progress=True, concurrency=5, reserve=0.5)
    assert_type(balances, CreditBalances)
    assert_type(balances["a"], BillingCreditBalanceResponse)
    assert_type(balances.failed["a"], Exception)
    assert_type(balances.below(Money(cents=5)), dict[str, BillingCreditBalanceResponse])
    used = billing.usage_histories(value_grouping_window="hour", concurrency=5, reserve=0.5)
    assert_type(used, UsageHistories)
    assert_type(dict(used.items()), dict[str, BillingUsageHistoryResponse])
    assert_type(billing.runway(), Runway)
    lasting = billing.runways(concurrency=5, progress=True)
    assert_type(lasting, Runways)
    assert_type(lasting.soon, timedelta)
    assert_type(client.rate_limit, RateLimit)
    assert_type(client.rate_limits, dict[str | None, RateLimit])


BALANCE = BillingCreditBalanceParams(account_id="a")
USAGE = BillingUsageHistoryParams(value_grouping_window="hour", start_time=NOW)
INVOICES = BillingInvoiceHistoryParams(type="auto")
PREVIEW = BillingInvoicePreviewParams()
TOPUP = TopupCreateParams(amount=1000)
assert_type(TopupCreateParams(amount=Money.dollars(10)).amount, int)
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


@frozen
class Gateway:
    """What somebody makes of an endpoint that has no method."""

    id: str


async def asynchronous_paths(client: AsyncCloudflare) -> None:
    assert_type(await client.get("/a", cast_to=dict[str, object]), dict[str, object])
    assert_type(await client.get("/a", cast_to=Gateway, timeout=5), Gateway)
    assert_type(await client.get("/a", cast_to=str), str)
    assert_type(await client.get("/a", cast_to=bytes), bytes)
    assert_type(await client.get("/a", cast_to=object), object)
    assert_type(await client.post("/a", cast_to=Gateway, body={"id": "a"}), Gateway)
    assert_type(await client.post("/a", cast_to=bytes), bytes)
    assert_type(await client.put("/a", cast_to=dict[str, object], body=[1]), dict[str, object])
    assert_type(await client.put("/a", cast_to=str), str)
    assert_type(await client.patch("/a", cast_to=Gateway, body=None), Gateway)
    assert_type(await client.patch("/a", cast_to=object), object)
    assert_type(await client.delete("/a", cast_to=object), object)
    assert_type(await client.delete("/a", cast_to=str, extra_query={"a": 1}), str)


def blocking_paths(client: Cloudflare) -> None:
    assert_type(client.get("/a", cast_to=dict[str, object]), dict[str, object])
    assert_type(client.get("/a", cast_to=Gateway, timeout=5), Gateway)
    assert_type(client.get("/a", cast_to=str), str)
    assert_type(client.get("/a", cast_to=bytes), bytes)
    assert_type(client.get("/a", cast_to=object), object)
    assert_type(client.post("/a", cast_to=Gateway, body={"id": "a"}), Gateway)
    assert_type(client.post("/a", cast_to=bytes), bytes)
    assert_type(client.put("/a", cast_to=dict[str, object], body=[1]), dict[str, object])
    assert_type(client.put("/a", cast_to=str), str)
    assert_type(client.patch("/a", cast_to=Gateway, body=None), Gateway)
    assert_type(client.patch("/a", cast_to=object), object)
    assert_type(client.delete("/a", cast_to=object), object)
    assert_type(client.delete("/a", cast_to=str, extra_query={"a": 1}), str)


async def asynchronous_many(
    client: AsyncCloudflare, some: AsyncIterator[TopupLimitsParams]
) -> None:
    async with client.send_many([BALANCE, BALANCE], concurrency=5, reserve=0) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, Outcome[BillingCreditBalanceResponse])
            assert_type(outcome.request, Params[BillingCreditBalanceResponse])
            assert_type(outcome.account_id, str | None)
            assert_type(outcome.response, BillingCreditBalanceResponse | None)
            assert_type(outcome.error, Exception | None)
            assert_type(outcome.unwrap(), BillingCreditBalanceResponse)
    async with client.send_many(some) as limits:
        assert_type((await anext(limits)).unwrap(), TopupLimitsResponse)
    assert_type(limits.unread, tuple[Outcome[TopupLimitsResponse], ...])
    async with client.send_many([BALANCE, STATUS]) as mixed:
        assert_type((await anext(mixed)).unwrap().account_id, str | None)


def blocking_many(client: Cloudflare) -> None:
    with client.send_many((STATUS for _ in range(3)), allow_charges=True) as outcomes:
        for outcome in outcomes:
            assert_type(outcome, Outcome[TopupStatusResponse])
            assert_type(outcome.unwrap(), TopupStatusResponse)
    assert_type(outcomes.unread, tuple[Outcome[TopupStatusResponse], ...])
    assert_type(outcomes.unsent, tuple[Params[TopupStatusResponse], ...])


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
        assert_type(client.copy(account_id="a"), AsyncCloudflare)
        assert_type(
            client.with_options(
                timeout=None,
                max_retries=0,
                max_requests_per_second=None,
                default_headers={"X-Team": None},
                set_default_query={"v": 2},
                http_client=session,
            ),
            AsyncCloudflare,
        )
        assert_type(await client.close(), None)
    with Cloudflare(timeout=None, max_charge=0, max_requests_per_second=37.5) as blocking:
        blocking.with_options(max_charge=Money.dollars(10))
        assert_type(blocking, Cloudflare)
        options: RequestOptions = {"timeout": 1.5, "extra_query": {"v": 1}}
        assert_type(
            blocking.ai_gateway.billing.credit_balance(**options), BillingCreditBalanceResponse
        )
        recent: ReadOptions = {"max_age": 30, **options}
        assert_type(
            blocking.ai_gateway.billing.credit_balance(**recent), BillingCreditBalanceResponse
        )
        assert_type(blocking.send(BALANCE, max_age=0.5), BillingCreditBalanceResponse)
        assert_type(blocking.get("/x", cast_to=str, max_age=None), str)
        blocking.accounts.list(max_age=60)
        blocking.ai_gateway.billing.with_raw_response.invoice_preview(max_age=60)
        blocking.ai_gateway.billing.topup.status(payment_intent_id="in_1", max_age=1)
        assert_type(blocking.copy(account_id="a"), Cloudflare)
        assert_type(blocking.with_options(base_url=None, set_default_headers={}), Cloudflare)
        assert_type(blocking.close(), None)


async def journals(journal: Journal) -> None:
    given: list[Journal] = [SQLiteJournal("topups.sqlite3"), PostgresJournal("dbname=topups")]
    async with AsyncCloudflare(journal=given[0]) as client:
        assert_type(client.with_options(journal=None), AsyncCloudflare)
        assert_type(await client.ai_gateway.billing.topup.recover(), list[TopupRecovery])
    Cloudflare(journal=journal).close()
    entry = await journal.find("order-1")
    assert_type(entry, Entry | None)
    assert_type([entry.key for entry in await journal.entries(state="unknown")], list[str])
    if entry is not None:
        assert_type(entry.as_charged("in_1"), Entry)
        assert_type(entry.as_not_charged(), Entry)
    await check_journal(lambda: journal)


class OurClient(Cloudflare):
    """A class of somebody's own."""


def subclasses(client: OurClient) -> None:
    assert_type(client.with_options(timeout=5), OurClient)
    with client as same:
        assert_type(same, OurClient)


def balances(balance: BillingCreditBalanceResponse, config: TopupConfig) -> None:
    assert_type(balance.balance, float)
    assert_type(balance.balance_money, Money)
    assert_type(balance.account_id, str | None)
    assert_type(balance.to_dict(), dict[str, object])
    assert_type(balance.to_json(), str)
    assert_type(balance.to_records(), list[dict[str, object]])
    assert_type(balance.has_default_payment_method, bool)
    assert_type(balance.payment_method, PaymentMethod | None)
    assert_type(balance.topup_config, TopupConfig | None)
    assert_type(balance.extra, Mapping[str, object])
    assert_type(config.amount, float | None)
    assert_type(config.amount_money, Money | None)
    assert_type(config.threshold_money, Money | None)
    assert_type(config.last_failed_at, float | None)
    assert_type(config.last_failed_at_datetime, datetime | None)


def usage_and_invoices(
    row: History, invoice: Invoice, preview: BillingInvoicePreviewResponse, line: InvoiceLine
) -> None:
    assert_type(row.aggregated_value_money, Money)
    assert_type(row.start_time, float)
    assert_type(row.start_time_datetime, datetime)
    assert_type(row.end_time_datetime, datetime)
    assert_type(invoice.amount_due, float)
    assert_type(invoice.amount_due_money, Money)
    assert_type(invoice.amount_paid_money, Money)
    assert_type(invoice.amount_remaining_money, Money)
    assert_type(invoice.created, float | None)
    assert_type(invoice.created_datetime, datetime | None)
    assert_type(
        invoice.status, Literal["draft", "open", "paid", "uncollectible", "void"] | str | None
    )
    assert_type(preview.amount_due_money, Money)
    assert_type(preview.amount_paid_money, Money)
    assert_type(preview.amount_remaining_money, Money)
    assert_type(preview.period_start_datetime, datetime)
    assert_type(preview.period_end_datetime, datetime)
    assert_type(preview.invoice_lines, tuple[InvoiceLine, ...])
    assert_type(line.amount_money, Money)
    assert_type(line.period.start_datetime, datetime)
    assert_type(line.period.end_datetime, datetime)
    assert_type(line.pricing.unit_amount, Decimal | None)
    assert_type(line.pretax_credit_amounts, tuple[InvoiceLinePretaxCreditAmount, ...] | None)
    for credit in line.pretax_credit_amounts or ():
        assert_type(credit.amount_money, Money)


def topups(
    created: TopupCreateResponse,
    status: TopupStatusResponse,
    limits: TopupLimitsResponse,
    eligibility: TopupEligibilityResponse,
    config: ConfigCreateResponse,
    found: TopupReconciliation,
) -> None:
    assert_type(created.payment_intent_id, str)
    assert_type(status.status, Literal["completed", "pending"] | str)
    assert_type(limits.min_cents, float)
    assert_type(limits.min_money, Money)
    assert_type(limits.max_money, Money)
    assert_type(eligibility.eligible, bool)
    assert_type(eligibility.display_payment_method, DisplayPaymentMethod | None)
    assert_type(config.amount_money, Money)
    assert_type(config.threshold_money, Money)
    assert_type(found.outcome, Literal["charged", "not_found_yet", "ambiguous"])
    assert_type(found.invoices, tuple[Invoice, ...])
    assert_type(found.balance, BillingCreditBalanceResponse | None)
    assert_type(found.balance_error, APIError | None)
    assert_type(found.payment_intent_id, str | None)


def other_values(
    limit: SpendingLimitGetResponse,
    page: BillingInvoiceHistoryResponse,
    usage: BillingUsageHistoryResponse,
    account: Account,
    rate: RateLimit,
) -> None:
    assert_type(limit.enabled, bool)
    assert_type(limit.config, Config)
    assert_type(limit.config.amount_money, Money | None)
    assert_type(page.invoices, tuple[Invoice, ...])
    assert_type(page.pagination, Pagination)
    assert_type(usage.history, tuple[History, ...])
    assert_type(account.created_on, datetime | None)
    assert_type(rate.remaining, int | None)
    assert_type(rate.resets_in, float)
    assert_type(rate.blocked, bool)


async def watches(client: AsyncCloudflare, blocking: Cloudflare) -> None:
    billing = client.ai_gateway.billing
    async with billing.watch(["a"], low=Money.dollars(5), interval=timedelta(hours=1)) as watch:
        async for event in watch:
            assert_type(event, Event)
            assert_type(event.account_id, str | None)
            assert_type(event.closes, str | None)
            assert_type(event.balance_money, Money | None)
            assert_type(event.runway, Runway | None)
        state = watch.state
    with blocking.ai_gateway.billing.watch(
        (name for name in "ab"), low=None, runway=None, state=state, reserve=0.1, once=True
    ) as watched:
        for event in watched:
            assert_type(event.error, str | None)


def forecasts(
    balance: BillingCreditBalanceResponse, usage: BillingUsageHistoryResponse, now: datetime
) -> None:
    runway = forecast_runway(balance, usage, now=now)
    assert_type(runway, Runway)
    assert_type(runway.outcome, Literal["forecast", "empty", "idle", "too_new"])
    assert_type(runway.topup, Literal["off", "on", "failed"])
    assert_type(runway.empties_at, datetime | None)
    assert_type(runway.topup_at, datetime | None)
    assert_type(runway.balance_money, Money)
    assert_type(runway.spending_per_day_money, Money)
    assert_type(runway.history.first, datetime | None)
    assert_type(runway.history.reach, timedelta)
    usage.plot(runway=runway)


def parameters() -> None:
    assert_type(USAGE.start_time, float | None)
    assert_type(ELIGIBILITY.payment_methods, tuple[EligibilityPaymentMethod, ...] | None)
    assert_type(BALANCE.account_id, str | None)
    assert_type(TOPUP.amount, int)


def amounts(one: Money, other: Money) -> None:
    assert_type(one + other, Money)
    assert_type(one - other, Money)
    assert_type(-one, Money)
    assert_type(abs(one), Money)
    assert_type(one * 2, Money)
    assert_type(1.5 * one, Money)
    assert_type(one / Decimal(2), Money)
    assert_type(one / other, Decimal)
    assert_type(round(one), Money)
    assert_type(round(one, 2), Money)
    assert_type(one.told_apart(other), tuple[str, str])
    assert_type(one.to_dict(), dict[str, object])
    assert_type(one.to_json(indent=2), str)
    assert_type(one < other, bool)
    assert_type(one >= other, bool)
    assert_type(sum([one, other]), Money | Literal[0])
    assert_type(sum([one, other], Money(cents=0)), Money)
    assert_type(one.cents, Decimal)
    assert_type(one.major, Decimal)
    assert_type(one.currency, str)
    assert_type(Money.from_major("6.40", "eur"), Money)


def resources(client: AsyncCloudflare, blocking: Cloudflare) -> None:
    assert_type(client.accounts, AsyncAccountsResource)
    assert_type(client.ai_gateway, AsyncAIGatewayResource)
    billing: AsyncBillingResource = client.ai_gateway.billing
    assert_type(billing.topup, AsyncTopupResource)
    assert_type(billing.topup.config, AsyncConfigResource)
    assert_type(billing.spending_limit, AsyncSpendingLimitResource)
    assert_type(billing.with_raw_response, AsyncBillingResourceWithRawResponse)
    assert_type(blocking.accounts, AccountsResource)
    assert_type(blocking.accounts.list(), AccountPaginator)
    assert_type(blocking.ai_gateway, AIGatewayResource)
    sync_billing: BillingResource = blocking.ai_gateway.billing
    assert_type(sync_billing.iter_invoices(), InvoicePaginator)
    topup: TopupResource = sync_billing.topup
    assert_type(topup.config, ConfigResource)
    assert_type(topup.with_streaming_response, TopupResourceWithStreamingResponse)
    assert_type(sync_billing.spending_limit, SpendingLimitResource)


def made(**options: Unpack[ConstructorOptions]) -> Cloudflare:
    return Cloudflare(**options)


def made_async(**options: Unpack[AsyncConstructorOptions]) -> AsyncCloudflare:
    return AsyncCloudflare(**options)


def copied(
    client: AsyncCloudflare, patience: Timeout, **options: Unpack[AsyncClientOptions]
) -> AsyncCloudflare:
    return client.with_options(**options).copy(timeout=patience)


def copied_sync(client: Cloudflare, **options: Unpack[ClientOptions]) -> Cloudflare:
    return client.copy(**options)


def exchanged(error: APIResponseError) -> tuple[HTTPRequest, HTTPResponse]:
    return error.request, error.response


def failures(error: CloudflareError) -> None:
    if isinstance(error, TopupPendingError):
        assert_type(error.payment_intent_id, str)
        assert_type(error.amount, int | None)
    if isinstance(error, TopupFailedError):
        assert_type((error.status, error.account_id), tuple[str, str])
    if isinstance(error, TopupConfirmationError):
        assert_type(error.amount, int)
        assert_type(error.payment_intent_id, str)
        assert_type(str(error.client_secret), str)
    if isinstance(error, APIError):
        assert_type(error.message, str)
        assert_type(error.request.method, str)
        assert_type(error.request.attempts, int)
        assert_type(error.retries_taken, int)
        assert_type(error.errors, tuple[ErrorData, ...])
        assert_type(error.cf_ray, str | None)
    if isinstance(error, TopupOutcomeUnknownError):
        assert_type(error.account_id, str)
        assert_type(error.amount, int)
        assert_type(error.sent_at, datetime)
        connection: APIConnectionError = error
        assert_type(connection.errors[0].error_chain, tuple[ErrorData, ...])
    if isinstance(error, APIResponseError):
        assert_type(error.status_code, int)
        assert_type(error.response.headers, Mapping[str, str])
        assert_type(error.response.body, bytes)
        assert_type(error.body, object)
        assert_type(error.cf_ray, str | None)
    if isinstance(error, RateLimitError):
        assert_type(error.retry_after, float | None)
        response: APIStatusError = error
        assert_type(response.errors[0].code, int | None)


def emulation() -> Generator[Emulator]:
    with Emulator(topup_seconds=1) as emulator:
        assert_type(emulator, Emulator)
        assert_type(emulator.base_url, str)
        assert_type(emulator.add_account("a", balance=1.5), EmulatedAccount)
        limited = emulator.add_account("b", api_token="t", limit=RequestLimit(quota=10, window=2))
        assert_type(limited.limit, RequestLimit | None)
        limited.api_token = None
        assert_type(emulator.api_tokens, dict[str, str])
        assert_type(emulator.requests[0].api_token, str | None)
        emulator.accounts["a"].spend_hourly(lambda hour: 2.0 * hour.hour, days=56)
        emulator.accounts["a"].spend_hourly([1.0] * 24)
        assert_type(emulator.charges, list[Charge])
        assert_type(emulator.charges[0].amount_money, Money)
        assert_type(emulator.charged("a"), Money)
        assert_type(emulator.now, datetime)
        assert_type(emulator.client(account_id="a", max_retries=0), Cloudflare)
        assert_type(emulator.async_client(timeout=5), AsyncCloudflare)
        assert_type(emulator.requests, list[RecordedRequest])
        assert_type(Fault.rate_limited(retry_after=0.5), Fault)
        assert_type(Fault(body="<html>").body, bytes | None)
        assert_type(emulator.inject(Fault(status=500), times=None, path="/topup"), None)
        yield emulator
