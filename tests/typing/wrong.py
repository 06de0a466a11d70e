"""What type checkers must refuse. Checked, never run.

Each `ignore` says which mistake is noticed there. One that is no longer noticed is an error as
well: mypy (`strict`) and basedpyright both refuse an `ignore` that nothing needs.
"""

# What follows from a mistake, as the unknown type of what is not there does, is not one of its own.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnusedExpression=false

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal

import aiohttp

from cfaigw_billing import (
    AsyncCloudflare,
    Cloudflare,
    Money,
    RateLimit,
    RateLimitError,
    TopupReconciliation,
    forecast_runway,
)
from cfaigw_billing import Clodflare as Clodflare  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
from cfaigw_billing.journal import Entry
from cfaigw_billing.journal import SQLJournal as SQLJournal  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import Balance as Balance  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
from cfaigw_billing.types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingUsageHistoryParams,
    BillingUsageHistoryResponse,
    EligibilityPaymentMethod,
    Invoice,
    Runway,
    SpendingLimitCreateParams,
    TopupCreateParams,
    TopupStatusParams,
)


async def asynchronous_arguments(client: AsyncCloudflare) -> None:
    billing = client.ai_gateway.billing
    topup = billing.topup
    await topup.create()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.create("pm_1", amount=1000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.create(amount=10.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.create(amount="1000")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.create(amount=Decimal(1000))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.create(amount=1000, currency="usd")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.create(amount=1000, payment_method=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.create(amount=1000, idempotency_key=4711)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.status()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.status(payment_intent_id=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.wait(payment_intent_id="in_1", timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.wait(payment_intent_id="in_1", timeout=timedelta(seconds=5))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.create_and_wait(timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.recover(older_than=3600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.reconcile(amount="50")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.reconcile("in_1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.eligibility(payment_methods=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await topup.config.create(amount=1000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.config.create(amount=1000, threshold=5.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.credit_balance("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await billing.credit_balance(account_id=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.credit_balance(acount_id="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await billing.credit_balance(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.credit_balance(extra_headers={"X": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await billing.credit_balance(extra_query="a=1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.credit_balance(max_age="30")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.credit_balance(max_age=timedelta(seconds=30))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await topup.create(amount=1000, max_age=30)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.config.create(amount=1000, threshold=500, max_age=30)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await topup.config.delete(max_age=30)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.delete("/x", cast_to=str, max_age=30)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await billing.credit_balance(max_retries=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await billing.usage_history()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await billing.usage_history(value_grouping_window="week")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.usage_history(value_grouping_window="day", start_time="2026-01-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.usage_history(value_grouping_window="day", end_time=timedelta(days=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.invoice_history(type="automatic")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.invoice_history(page="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.iter_invoices(page=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.iter_invoices(per_page=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.credit_balances([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await billing.credit_balances(["a"], progress=lambda done: None)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]
    await billing.credit_balances(["a"], timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.metrics(refresh=300)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.usage_histories()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await billing.usage_histories([1], value_grouping_window="day")  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await billing.usage_histories(value_grouping_window="week")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.usage_histories(value_grouping_window="day", start_time="2026-01-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await billing.runway("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await billing.runway(history=56)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    (await billing.runways()).within(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.accounts.list("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.accounts.list(per_page="50")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def blocking_arguments(client: Cloudflare) -> None:
    billing = client.ai_gateway.billing
    billing.topup.create()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.topup.create("pm_1", amount=1000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.topup.create(amount=10.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.topup.status(payment_intent_id=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.topup.wait(payment_intent_id="in_1", timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.topup.config.create(amount=1000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.credit_balance("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.credit_balance(acount_id="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.usage_history(value_grouping_window="week")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.usage_history(value_grouping_window="day", start_time="2026-01-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.iter_invoices(type="automatic")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.credit_balances([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    billing.metrics([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    billing.usage_histories(["a"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    billing.runways(["a"]) | billing.credit_balances(["a"])  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    billing.credit_balances(["a"]) | {}  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    billing.runways([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    client.accounts.list(page="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def flavours(client: AsyncCloudflare, blocking: Cloudflare) -> None:
    await blocking.ai_gateway.billing.credit_balance()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await blocking.accounts.list()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await blocking.send(BillingCreditBalanceParams())  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    async for _ in blocking.accounts.list():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with blocking:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with blocking.send_many([BillingCreditBalanceParams()]):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    client.ai_gateway.billing.credit_balance().balance  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    for _ in client.ai_gateway.billing.iter_invoices():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with client:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with client.send_many([BillingCreditBalanceParams()]):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    client.accounts.list().result  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def settling(entry: Entry, found: TopupReconciliation) -> None:
    entry.as_charged(found.payment_intent_id)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def clients(session: aiohttp.ClientSession) -> None:
    AsyncCloudflare("token")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncCloudflare(token="t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncCloudflare(timeout="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCloudflare(max_retries=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCloudflare(max_requests_per_second="150")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCloudflare(journal="topups.sqlite3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCloudflare(max_charge=10.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCloudflare(api_tokens=["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Cloudflare(api_tokens={"a": 5})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    AsyncCloudflare(default_headers={"X": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    AsyncCloudflare(http_client=aiohttp)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Cloudflare("token")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Cloudflare(http_client=session)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Cloudflare(api_token=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client, blocking = AsyncCloudflare(), Cloudflare()
    client.with_options(retries=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.with_options(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.copy(max_charge="0")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    blocking.with_options(retries=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.with_options(http_client=session)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.copy(set_default_headers={"X": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    client.ai_gateway.billings  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    blocking.ai_gateway.billing.topup.created  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def sending(
    client: AsyncCloudflare, blocking: Cloudflare, some: AsyncIterator[BillingCreditBalanceParams]
) -> None:
    await client.send(BillingCreditBalanceParams)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.send({"account_id": "a"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.send(BillingCreditBalanceParams(), max_retries=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.send(BillingCreditBalanceResponse)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    blocking.send_many(some)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    blocking.send_many(["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.send_many(["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.send_many(BillingCreditBalanceParams())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.send_many([BillingCreditBalanceParams()], allow_charge=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    (await client.send(BillingCreditBalanceParams())).limits  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    client.zones  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    blocking.ai_gateway.logs  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await client.get("/a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.get("/a", dict)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.get("/a", cast_to="dict")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.get("/a", cast_to=dict, body={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.post("/a", cast_to=str, json={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.put("/a", cast_to=str).decode()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def parameters() -> None:
    BillingCreditBalanceParams("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    BillingUsageHistoryParams()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    BillingUsageHistoryParams(value_grouping_window="day", start_time="2026-01-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TopupCreateParams()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TopupCreateParams(amount="1000")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TopupStatusParams(payment_intent_id=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpendingLimitCreateParams(amount=100, duration="yearly", strategy="fixed")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EligibilityPaymentMethod(type="CASH")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TopupCreateParams(amount=1000).amount = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def values(
    money: Money,
    balance: BillingCreditBalanceResponse,
    invoice: Invoice,
    error: RateLimitError,
    rate: RateLimit,
) -> None:
    _ = money + 5  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = money - 1.5  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = 5 + money + 5  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = money * money  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = money * "2"  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = 2 / money  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = money / money + money  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = money == 10  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
    _ = money != 10  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
    _ = balance.balance_money == 10  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
    _ = money < 5  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = money >= 5.0  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = balance.balance_money < balance.balance  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    money.cents = Decimal(5)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    rate.remaining = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Money(cents="5", currency=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Money(10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Money.dollars(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    balance.balance = 5.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    balance.balance_money = money  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    balance.balances  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    balance.topup_config.amount_money  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    balance.extra["a"] = 1  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    invoice.created_datetime.year  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    error.retry_after + 1  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand]
    error.statuscode  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def watches(client: AsyncCloudflare, blocking: Cloudflare) -> None:
    billing = client.ai_gateway.billing
    billing.watch(low=10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.watch(runway=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    billing.watch(["a"], Money.dollars(10))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with billing.watch() as watch:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        ...
    async with billing.watch() as watch:
        watch.state = {}  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        async for event in watch:
            if event.kind == "lower":  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
                ...
    async for _ in blocking.ai_gateway.billing.watch():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        ...


def forecasts(
    balance: BillingCreditBalanceResponse,
    usage: BillingUsageHistoryResponse,
    runway: Runway,
    now: datetime,
) -> None:
    forecast_runway(balance, usage)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    forecast_runway(balance, usage, now)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    forecast_runway(balance, usage, now=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    runway.empties_at - now  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand]
    runway.extra  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    runway.balance = 5.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def emulation() -> None:
    with Emulator() as emulator:
        emulator.add_account()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        emulator.add_account("a", balance="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        emulator.add_account("a", limit=10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        emulator.inject(500)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        emulator.inject(Fault(silence="sleep"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        emulator.client(max_retry=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        emulator.client(http_client=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        emulator.advance()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
