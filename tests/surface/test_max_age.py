"""`max_age`: answers of the last seconds, and requests that equal calls share."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import re
import threading
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import aiohttp
import anyio
import pytest
from aioresponses import CallbackResult, aioresponses
from cases import FIRST, Case
from conftest import MockedService, Response, Run
from faults.misbehaving import VirtualClock
from holding import held
from leaping import AHEAD, leap
from yarl import URL

from cfaigw_billing import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncCloudflare,
    Cloudflare,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)
from cfaigw_billing._core.operations import ALL, Safety
from cfaigw_billing._core.untyped import account_of
from cfaigw_billing._io import recent
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import TopupCreateParams

BASE_URL = "https://api.test/client/v4"
PATH = "/accounts/a/ai-gateway/billing/credit-balance"

READS = [FIRST[o.name] for o in ALL if o.safety is Safety.READS]
CHANGES = [FIRST[o.name] for o in ALL if o.safety is not Safety.READS]


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.call for case in cases])


def inner(client: Any) -> Any:
    """The executor that sends."""
    return getattr(client._executor, "inner", client._executor)


def clocked(client: Any) -> VirtualClock:
    """Give a client a clock that stands still."""
    clock = inner(client).clock = VirtualClock()
    return clock


def kept(client: Any) -> int:
    """How many answers the client holds."""
    return len(inner(client).recent._answers._kept)


def sent(emulator: Emulator, path: str = "/credit-balance") -> int:
    """How many requests of a path have come."""
    return sum(request.path.endswith(path) for request in emulator.requests)


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    for account_id in ("a", "b", "acc"):
        billing_emulator.add_account(account_id, balance=100).first_topup_success = True
    return billing_emulator


class Service:
    """The service in aioresponses, for one event loop: it answers when `opened`."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.opened.set()
        self.balance = 1.0
        self.requests: list[str] = []
        self.ended = 0
        """How many have been answered or cut off."""
        self.status = 200
        self.cut: Exception | None = None

    async def answer(self, url: URL, **_: object) -> CallbackResult:
        self.requests.append(url.path)
        balance = self.balance  # the state at the time at which the request comes
        try:
            await self.opened.wait()
        finally:
            self.ended += 1
        if self.cut is not None:
            raise self.cut
        result = {"balance": balance, "has_default_payment_method": False}
        answer: dict[str, object] = {
            "success": self.status < 300,
            "errors": [],
            "messages": [],
            "result": result,
        }
        return CallbackResult(status=self.status, body=json.dumps(answer), response_class=Response)

    async def until(self, requests: int) -> None:
        """Wait for so many requests, and for what else can go on without the service."""
        with anyio.fail_after(30):
            while len(self.requests) < requests:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    with aioresponses() as mocked:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            mocked.add(re.compile(""), method, callback=service.answer, repeat=True)  # pyright: ignore[reportUnknownMemberType]
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncCloudflare]:
    del service
    async with AsyncCloudflare(
        api_token="t", base_url=BASE_URL, account_id="a", max_retries=0
    ) as client:
        yield client
        assert not inner(client).recent._flights.get(asyncio.get_running_loop())


def ask(client: AsyncCloudflare, **options: Any) -> asyncio.Task[Any]:
    """Ask for the balance of the account `a` in a new task."""
    options = {"max_age": 30, **options}
    return asyncio.ensure_future(client.ai_gateway.billing.credit_balance(**options))


async def test_kept_and_shared_answers_know_their_account(client: AsyncCloudflare) -> None:
    shared = await asyncio.gather(ask(client), ask(client))
    answers = [*shared, await ask(client)]
    assert [answer.account_id for answer in answers] == ["a", "a", "a"]


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


# The cache.


@pytest.mark.parametrize("make", [AsyncCloudflare, Cloudflare])
async def test_an_answer_serves_until_it_is_too_old(make: Any, emulator: Emulator) -> None:
    client = make(base_url=emulator.base_url, api_token=emulator.api_token)
    clock, account = clocked(client), emulator.accounts["a"]

    async def balance(max_age: float | None) -> float:
        call = partial(client.ai_gateway.billing.credit_balance, account_id="a", max_age=max_age)
        answer = await call() if make is AsyncCloudflare else await asyncio.to_thread(call)
        value: float = answer.balance
        return value

    assert await balance(30) == 100
    account.balance = 200
    clock.elapsed += 29.9
    assert await balance(30) == 100
    assert await balance(20) == 200
    account.balance = 300
    clock.elapsed += 29.9
    assert await balance(30) == 200  # it came with the last answer
    clock.elapsed += 0.1
    assert await balance(30) == 300
    account.balance = 400
    assert await balance(None) == await balance(0) == 400
    assert await balance(30) == 300  # what is asked for without the option is not kept
    assert sent(emulator) == 5
    closed = client.close()
    if closed is not None:
        await closed


def test_without_the_option_nothing_is_kept(emulator: Emulator) -> None:
    with emulator.client() as client:
        for _ in range(2):
            client.ai_gateway.billing.credit_balance(account_id="a")
        assert kept(client) == 0
    assert sent(emulator) == 2


@named(READS)
def test_every_call_that_reads_takes_it(
    case: Case, run: Run, mocked_service: MockedService
) -> None:
    mocked_service.answer(json.dumps(case.answer).encode(), status=case.status)

    def twice(client: Any) -> Any:
        def call() -> Any:
            return attrgetter(case.call)(client)(**case.arguments, max_age=60)

        if isinstance(client, Cloudflare):
            values = [call(), call(), client.send(case.value(), max_age=60)]
            return values, kept(client)

        async def main() -> Any:
            values = [await call(), await call(), await client.send(case.value(), max_age=60)]
            return values, kept(client)

        return main()

    values, answers = run(
        twice, base_url=mocked_service.base_url, api_token=mocked_service.api_token
    )
    assert answers == len(mocked_service.requests) == 1
    if case.call != "accounts.list":  # of which the sync client gives a list that asks by itself
        assert values == [case.expected] * 3


async def test_lists_take_it_page_by_page(emulator: Emulator) -> None:
    async with emulator.async_client(account_id="a") as client:
        for _ in range(2):
            names = [account.id async for account in client.accounts.list(per_page=2, max_age=60)]
            assert names == ["a", "b", "acc"]
            await client.ai_gateway.billing.iter_invoices(max_age=60).collect()
    assert len(emulator.requests) == 3


async def test_each_call_has_a_value_of_its_own(emulator: Emulator) -> None:
    async with emulator.async_client() as client:
        first = await client.get(PATH, cast_to=dict[str, Any], max_age=60)
        first["result"]["balance"] = "changed"
        again = await client.get(PATH, cast_to=dict[str, Any], max_age=60)
        assert again["result"]["balance"] == 100
        assert b"100" in await client.get(PATH, cast_to=bytes, max_age=60)
        balance = await client.ai_gateway.billing.credit_balance(account_id="a", max_age=60)
        assert balance.balance == 100
    assert sent(emulator) == 1


async def test_what_is_sent_decides(emulator: Emulator) -> None:
    async with emulator.async_client(account_id="a") as client:
        other_token = client.with_options(api_token="emulator-token-2")
        calls: list[Callable[[], Awaitable[object]]] = [
            partial(billing.credit_balance, max_age=60, **options)
            for billing, options in (
                (client.ai_gateway.billing, {}),
                (client.ai_gateway.billing, {"account_id": "b"}),
                (client.ai_gateway.billing, {"extra_headers": {"X-Team": "1"}}),
                (client.ai_gateway.billing, {"extra_query": {"v": 1}}),
                (client.ai_gateway.billing, {"extra_body": {"v": 1}}),
                (client.with_options(default_headers={"X-Team": "2"}).ai_gateway.billing, {}),
                (client.with_options(default_query={"v": 2}).ai_gateway.billing, {}),
            )
        ]
        for call in calls * 2:
            await call()
        assert sent(emulator) == len(calls) == kept(client)
        same = client.with_options(account_id="b", timeout=5, max_retries=0)
        await same.ai_gateway.billing.credit_balance(max_age=60)
        assert sent(emulator) == len(calls)
        with pytest.raises(APIStatusError):
            await other_token.ai_gateway.billing.credit_balance(max_age=60)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=404), NotFoundError),
        (Fault.edge_page(502), InternalServerError),
        (Fault.unsuccessful(), APIStatusError),
        (Fault.wrong_result({"balance": "much"}), APIResponseValidationError),
        (Fault.reset(), APIConnectionError),
        (Fault.cut_off(), APIResponseValidationError),
    ],
)
async def test_errors_are_not_kept(
    fault: Fault, error: type[Exception], emulator: Emulator
) -> None:
    emulator.inject(fault)
    async with emulator.async_client(account_id="a", max_retries=0) as client:
        with pytest.raises(error):
            await ask(client)
        assert kept(client) == 0
        assert (await ask(client)).balance == 100


async def test_the_least_recently_used_goes_first(
    client: AsyncCloudflare, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MOST", 3)
    for account_id in ("a", "b", "c", "a", "d"):
        await ask(client, account_id=account_id)
    assert kept(client) == 3
    assert len(service.requests) == 4
    await ask(client, account_id="a")
    assert len(service.requests) == 4
    await ask(client, account_id="b")
    assert len(service.requests) == 5


async def test_no_more_bytes_are_kept_than_so_many(
    client: AsyncCloudflare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MOST_BYTES", 250)  # an answer has about 110
    clock = clocked(client)
    for account_id in ("a", "b", "c", "c", "d"):
        clock.elapsed += 31
        await ask(client, account_id=account_id)
    assert kept(client) == 2
    monkeypatch.setattr(recent, "MOST_BYTES", 10)
    await ask(client, account_id="e")
    assert kept(client) == 0
    assert inner(client).recent._answers._size == 0


@pytest.mark.parametrize("make", [AsyncCloudflare, Cloudflare])
async def test_a_closed_client_keeps_nothing(make: Any, emulator: Emulator) -> None:
    client = make(base_url=emulator.base_url, api_token=emulator.api_token)

    async def do(call: Callable[[], Any]) -> None:
        await (call() if make is AsyncCloudflare else asyncio.to_thread(call))

    await do(partial(client.ai_gateway.billing.credit_balance, account_id="a", max_age=60))
    assert kept(client) == 1
    copy = client.copy()
    await do(copy.close)
    assert kept(client) == 1
    await do(client.close)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, recent._CachedAnswer)]
    with pytest.raises(RuntimeError, match="closed"):
        await do(partial(client.ai_gateway.billing.credit_balance, account_id="a", max_age=60))


# Arguments.


@pytest.mark.parametrize("value", [-1, 86_401, float("nan"), float("inf")])
def test_a_wrong_number_is_refused(value: float, ask: Run, billing_emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="`max_age` must be at least 0 and at most 86,400 seconds"):
        ask(lambda c: c.ai_gateway.billing.credit_balance(account_id="a", max_age=value))
    assert not billing_emulator.requests


@pytest.mark.parametrize("value", ["30", True, SimpleNamespace()])
def test_what_is_no_number_is_refused(value: Any, ask: Run, billing_emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="`max_age` must be a number of seconds"):
        ask(lambda c: c.ai_gateway.billing.credit_balance(account_id="a", max_age=value))
    assert not billing_emulator.requests


@named(CHANGES)
@pytest.mark.parametrize("max_age", [30, 0, None])
def test_a_change_does_not_take_it(
    case: Case, max_age: float | None, ask: Run, billing_emulator: Emulator
) -> None:
    with pytest.raises(TypeError, match=f"`{case.call}` may change something"):
        ask(lambda c: attrgetter(case.call)(c)(**case.arguments, max_age=max_age))
    with pytest.raises(TypeError, match=f"`{case.call}` may change something"):
        ask(lambda c: c.send(case.value(), max_age=max_age))
    assert not billing_emulator.requests


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_an_untyped_change_does_not_take_it(
    method: str, ask: Run, billing_emulator: Emulator
) -> None:
    with pytest.raises(TypeError, match=f"`{method.upper()} /x` may change something"):
        ask(lambda c: getattr(c, method)("/x", cast_to=dict, max_age=3))
    assert not billing_emulator.requests


async def test_a_raw_response_is_shared_and_a_streaming_one_refused(emulator: Emulator) -> None:
    async with emulator.async_client(account_id="a") as client:
        billing = client.ai_gateway.billing
        first = await billing.with_raw_response.credit_balance(max_age=60)
        second = await billing.with_raw_response.credit_balance(max_age=60)
        assert first.headers["CF-Ray"] == second.headers["CF-Ray"]
        assert await first.parse() == await second.parse() == await first.parse()
        assert await first.read() == await second.read()
        assert first.status_code == second.status_code == 200
        with pytest.raises(ValueError, match="`max_age` is not for streaming responses"):
            async with billing.with_streaming_response.credit_balance(max_age=60):
                pass
        async with billing.with_streaming_response.credit_balance(max_age=None):
            pass
    assert sent(emulator) == 2
    with (
        emulator.client(account_id="a") as blocking,
        pytest.raises(ValueError, match="`max_age` is not for streaming responses"),
        blocking.ai_gateway.billing.with_streaming_response.credit_balance(max_age=60),
    ):
        pass


# Changes.


@pytest.mark.parametrize(
    ("path", "account"),
    [
        ("/accounts/a/ai-gateway", "a"),
        ("/accounts/%41/x", "a"),
        ("//accounts//%2541?x=/accounts/b", "a"),
        ("/accounts", None),
        ("/accounts/", None),
        ("/zones/z", None),
        ("/x/accounts/a", "a"),
    ],
)
def test_the_account_of_a_path(path: str, account: str | None) -> None:
    assert account_of(path) == account


@asynccontextmanager
async def asked_before(emulator: Emulator) -> AsyncGenerator[AsyncCloudflare]:
    """A client that has the balances of two accounts; then both change."""
    async with emulator.async_client(account_id="acc", max_retries=0) as client:
        for account_id in ("acc", "b"):
            assert (await ask(client, account_id=account_id)).balance == 100
            emulator.accounts[account_id].balance = 200
        yield client


@named(CHANGES)
@pytest.mark.parametrize("fault", [None, Fault(status=500), Fault.reset(after=True)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_change_forgets_its_account(
    case: Case, fault: Fault | None, emulator: Emulator
) -> None:
    async with asked_before(emulator) as client:
        if fault is not None:
            emulator.inject(fault)
        with suppress(APIStatusError, APIConnectionError):
            await attrgetter(case.call)(client.copy())(**case.arguments)
        assert (await ask(client, account_id="acc")).balance == 200
        assert (await ask(client, account_id="b")).balance == 100


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize(
    ("path", "others"), [("/accounts/acc/x", 100), ("/x//accounts/%41CC", 100), ("/x", 200)]
)
async def test_an_untyped_change_forgets_its_account_or_all(
    method: str, path: str, others: float, emulator: Emulator
) -> None:
    async with asked_before(emulator) as client:
        with suppress(APIStatusError):
            await getattr(client, method)(path, cast_to=object)
        assert (await ask(client, account_id="acc")).balance == 200
        assert (await ask(client, account_id="b")).balance == others


async def test_a_change_in_a_sweep_forgets_its_account(emulator: Emulator) -> None:
    async with asked_before(emulator) as client:
        charges = [TopupCreateParams(account_id="acc", amount=1000)]
        async with client.send_many(charges, allow_charges=True) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()
        assert (await ask(client)).balance == 200


async def test_the_wait_for_a_top_up_forgets_its_account(emulator: Emulator) -> None:
    emulator.topup_seconds = 3600
    async with emulator.async_client(account_id="a") as client:
        topup = client.ai_gateway.billing.topup
        created = await topup.create(amount=1000)
        assert (await ask(client)).balance == 100
        emulator.advance(seconds=3600)
        await topup.wait(payment_intent_id=created.payment_intent_id)
        assert (await ask(client)).balance == 1100


async def test_what_changes_nothing_forgets_nothing(emulator: Emulator) -> None:
    async with asked_before(emulator) as client:
        with pytest.raises(ValueError, match="amount"):
            await client.ai_gateway.billing.topup.create(amount=1)
        with pytest.raises(NotFoundError):
            await client.ai_gateway.billing.topup.status(payment_intent_id="in_1", max_age=5)
        assert (await ask(client)).balance == 100


async def test_a_change_forgets_before_it_is_sent_too(
    client: AsyncCloudflare, service: Service
) -> None:
    await ask(client)
    service.opened.clear()
    change = asyncio.ensure_future(client.ai_gateway.billing.spending_limit.delete())
    await service.until(2)
    during = ask(client)
    await service.until(3)
    service.opened.set()
    await asyncio.gather(change, during)


async def test_a_request_from_before_a_change_is_neither_kept_nor_joined(
    client: AsyncCloudflare, service: Service
) -> None:
    service.opened.clear()
    before = ask(client)
    await service.until(1)
    change = asyncio.ensure_future(client.ai_gateway.billing.spending_limit.delete())
    await service.until(2)
    during, other = ask(client), ask(client, account_id="b")
    await service.until(4)
    service.balance = 2.0
    await cancel(change)  # it has ended, and may have been carried out
    after, same = ask(client), ask(client)
    joins = ask(client, account_id="b")
    await service.until(5)
    service.opened.set()
    assert [(await task).balance for task in (before, during, after, same)] == [1.0, 1.0, 2.0, 2.0]
    assert (await other).balance == (await joins).balance == 1.0
    assert len(service.requests) == 5
    assert (await ask(client)).balance == 2.0
    assert len(service.requests) == 5


# Requests that are shared.


async def test_equal_calls_share_a_request(client: AsyncCloudflare, service: Service) -> None:
    service.opened.clear()
    tasks = [ask(client) for _ in range(50)] + [ask(client.copy(), max_age=1)]
    apart = [ask(client, timeout=5), ask(client, account_id="b"), ask(client, max_age=None)]
    await service.until(4)
    assert len(service.requests) == 4
    service.opened.set()
    answers = await asyncio.gather(*tasks, *apart)
    assert {answer.balance for answer in answers} == {1.0}
    assert len({id(answer) for answer in answers}) == len(answers)


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1, 2], [3, 2, 1]])
async def test_a_cancelled_call_ends_no_other(
    cancelled: list[int], client: AsyncCloudflare, service: Service
) -> None:
    service.opened.clear()
    tasks = [ask(client) for _ in range(4)]
    await service.until(1)
    await cancel(*(tasks[number] for number in cancelled))
    service.opened.set()
    for number, task in enumerate(tasks):
        if number in cancelled:
            assert task.cancelled()
        else:
            assert (await task).balance == 1.0
    assert len(service.requests) == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_request_that_nobody_waits_for_is_cancelled(
    at_once: bool, client: AsyncCloudflare, service: Service
) -> None:
    service.opened.clear()
    tasks = [ask(client) for _ in range(3)]
    await service.until(1)
    if at_once:
        await cancel(*tasks)
    else:
        for task in tasks:
            await cancel(task)
    assert service.ended == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    service.opened.set()
    assert (await ask(client)).balance == 1.0
    assert len(service.requests) == 2


async def test_a_scope_that_is_cancelled_leaves_no_request(
    client: AsyncCloudflare, service: Service
) -> None:
    service.opened.clear()

    async def give_up() -> None:
        await service.until(1)
        scope.cancel()

    giving_up = asyncio.create_task(give_up())
    with anyio.CancelScope() as scope:
        await client.ai_gateway.billing.credit_balance(max_age=30)
    await giving_up
    assert service.ended == len(service.requests) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_comes_while_a_request_is_being_cancelled_sends_another(
    client: AsyncCloudflare, service: Service
) -> None:
    service.opened.clear()
    first = ask(client)
    await service.until(1)
    first.cancel()
    await asyncio.sleep(0)
    second = ask(client)
    await service.until(2)
    service.opened.set()
    assert (await second).balance == 1.0
    assert first.cancelled()


async def test_each_call_has_an_error_of_its_own(client: AsyncCloudflare, service: Service) -> None:
    service.opened.clear()
    service.cut = aiohttp.ServerDisconnectedError("gone")
    tasks = [ask(client) for _ in range(20)]
    await service.until(1)
    service.opened.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [error for error in ends if isinstance(error, APIConnectionError)]
    assert len(errors) == len({id(error) for error in errors}) == 20
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors}) == 1
    assert len({str(error) for error in errors}) == 1
    assert all(isinstance(error.__cause__, aiohttp.ClientError) for error in errors)
    errors[0].add_note("mine")
    assert not any(hasattr(error, "__notes__") for error in errors[1:])
    assert kept(client) == 0
    assert len(service.requests) == 1


async def test_refusals_are_shared_too(client: AsyncCloudflare, service: Service) -> None:
    service.opened.clear()
    service.status = 403
    tasks = [ask(client) for _ in range(5)]
    await service.until(1)
    service.opened.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end).__name__ for end in ends} == {"PermissionDeniedError"}
    assert len({id(end) for end in ends}) == 5
    assert len(service.requests) == 1
    service.status = 200
    await ask(client)


async def test_a_full_rate_limit_refuses_each(client: AsyncCloudflare, service: Service) -> None:
    inner(client).logins.fallback.limiter.budget.blocked(inner(client).clock.monotonic(), 250)
    ends = await asyncio.gather(*(ask(client) for _ in range(20)), return_exceptions=True)
    assert {type(end) for end in ends} == {RateLimitError}
    assert len({id(end) for end in ends}) == 20
    assert not service.requests


async def test_a_fault_of_a_hook_is_not_shared(emulator: Emulator) -> None:
    """It does not come from the service, so the other calls send their own request."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fail_once(*_: object) -> None:
        if not begun.is_set():
            begun.set()
            await go_on.wait()
            raise LookupError("a hook")

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(fail_once)
    async with emulator.async_client(account_id="a", trace_configs=[hooks]) as client:
        tasks = [ask(client) for _ in range(5)]
        await begun.wait()
        go_on.set()
        with pytest.raises(LookupError):
            await tasks[0]
        assert [(await task).balance for task in tasks[1:]] == [100] * 4
    assert sent(emulator) == 1


# Time limits.


async def test_a_call_that_joins_has_its_own_total_timeout(
    client: AsyncCloudflare, service: Service
) -> None:
    service.opened.clear()
    patient = ask(client)
    await service.until(1)
    with pytest.raises(APITimeoutError, match="no answer in time"):
        await ask(client.with_options(total_timeout=0.02))
    service.opened.set()
    assert (await patient).balance == 1.0
    assert len(service.requests) == service.ended == 1


async def test_the_time_of_the_first_call_is_not_that_of_the_others(emulator: Emulator) -> None:
    emulator.inject(Fault.hang())
    leaping = asyncio.create_task(leap(lambda: sent(emulator)))
    async with emulator.async_client(
        account_id="a", max_retries=0, timeout=2 * AHEAD, total_timeout=None
    ) as client:
        impatient, patient = ask(client.with_options(total_timeout=60)), ask(client)
        with pytest.raises(APITimeoutError):
            await impatient
        assert (await patient).balance == 100
    await leaping
    assert sent(emulator) == 2  # what the first had sent ended with its time


@pytest.mark.parametrize("first", [0.05, 60])
async def test_another_timeout_is_another_request(first: float, emulator: Emulator) -> None:
    emulator.inject(Fault(delay=0.3), times=2)
    async with emulator.async_client(account_id="a", max_retries=0) as client:
        one, other = ask(client, timeout=first), ask(client, timeout=60.05 - first)
        ends = await asyncio.gather(one, other, return_exceptions=True)
    assert {type(end).__name__ for end in ends} == {
        "APITimeoutError",
        "BillingCreditBalanceResponse",
    }


async def test_a_time_out_that_began_before_a_call_is_not_its_own(
    client: AsyncCloudflare, service: Service
) -> None:
    service.opened.clear()
    service.cut = TimeoutError()
    first = ask(client)
    await service.until(1)
    later = [ask(client) for _ in range(9)]
    await service.until(1)
    service.opened.set()
    with pytest.raises(APITimeoutError):
        await first
    assert [type(end) for end in await asyncio.gather(*later, return_exceptions=True)] == [
        APITimeoutError
    ] * 9
    assert len(service.requests) == 2  # the nine have shared the second


# Threads, loops and processes.


def test_threads_share(emulator: Emulator) -> None:
    emulator.inject(Fault(delay=0.2))
    with emulator.client(account_id="a") as client, ThreadPoolExecutor(20) as pool:
        together = threading.Barrier(20)

        def balance(_: int) -> float:
            together.wait()
            return client.ai_gateway.billing.credit_balance(max_age=60).balance

        assert set(pool.map(balance, range(20))) == {100}
    assert sent(emulator) == 1


def test_loops_share_answers_and_not_requests(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.inject(Fault(delay=1), times=2)
    held(emulator, monkeypatch, {1: lambda: sent(emulator) == 2})
    client = emulator.async_client(account_id="a")
    together = threading.Barrier(2)

    async def balance() -> float:
        answer = await client.ai_gateway.billing.credit_balance(max_age=60)
        return answer.balance

    def run(_: int) -> float:
        together.wait()
        return asyncio.run(balance())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(2))) == [100, 100]
    assert sent(emulator) == 2
    assert asyncio.run(balance()) == 100
    assert sent(emulator) == 2
    asyncio.run(client.close())


@pytest.mark.parametrize("ends", ["cancelled", "abandoned"])
def test_a_loop_that_ended_leaves_nothing(ends: str) -> None:
    client = AsyncCloudflare(api_token="t", base_url=BASE_URL, account_id="a")
    service, problems = Service(), list[Any]()

    async def begin() -> None:
        service.opened.clear()
        asyncio.get_running_loop().set_exception_handler(
            lambda _, problem: problems.append(problem)
        )
        tasks = ask(client), ask(client)
        await service.until(1)
        del tasks

    async def again() -> float:
        service.opened = asyncio.Event()
        service.opened.set()
        return float((await ask(client)).balance)

    with aioresponses() as mocked:
        mocked.add(re.compile(""), callback=service.answer, repeat=True)  # pyright: ignore[reportUnknownMemberType]
        if ends == "cancelled":
            asyncio.run(begin())
            assert service.ended == 1
        else:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(begin())
            loop.close()
        assert asyncio.run(again()) == 1.0
        assert asyncio.run(again()) == 1.0
        assert len(service.requests) == 2
        assert len(inner(client).recent._flights) == 1  # that of the loop that asked last
        asyncio.run(client.close())
    gc.collect()
    assert not problems


def wait_for(condition: Callable[[], object]) -> None:
    moment = threading.Event()
    while not condition():
        moment.wait(0.005)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_asks_for_itself(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.inject(Fault(delay=1))
    held(emulator, monkeypatch, {1: lambda: sent(emulator) == 2})
    with emulator.client(account_id="a") as client, ThreadPoolExecutor(1) as pool:
        call = partial(client.ai_gateway.billing.credit_balance, max_age=60)
        before = pool.submit(call)
        wait_for(lambda: emulator.requests)
        inner(client).recent._lock.acquire()  # a thread may hold it at that moment
        child = os.fork()
        if child == 0:
            os._exit(0 if call().balance == 100 else 1)
        inner(client).recent._lock.release()
        assert os.waitpid(child, 0)[1] == 0
        assert before.result().balance == 100
    assert sent(emulator) == 2


async def test_the_request_is_part_of_the_first_call(
    client: AsyncCloudflare, service: Service
) -> None:
    span = ContextVar("span", default="none")
    seen: list[str] = []
    service.opened.clear()

    async def traced(name: str) -> None:
        span.set(name)
        await client.ai_gateway.billing.credit_balance(max_age=30)
        seen.append(span.get())

    send = inner(client)._send

    async def spied(call: Any) -> Any:
        seen.append(f"sent in {span.get()}")
        return await send(call)

    inner(client)._send = spied
    tasks = [asyncio.ensure_future(traced(name)) for name in ("one", "two")]
    await service.until(1)
    service.opened.set()
    await asyncio.gather(*tasks)
    assert seen == ["sent in one", "one", "two"]


# All at once.


class Truth(Service):
    """A service whose every answer can be told: its balance is its number."""

    def __init__(self, clock: VirtualClock, chance: random.Random) -> None:
        super().__init__()
        self.clock = clock
        self.chance = chance
        self.version = 0
        self.answers: dict[float, tuple[int, float]] = {}
        """By number: the state in the answer, and its time."""

    async def answer(self, url: URL, **more: object) -> CallbackResult:
        if not url.path.endswith("/credit-balance"):
            await self.pause()
            self.version += 1
            await self.pause()
            return await super().answer(url, **more)
        await self.pause()
        version = self.version
        await self.pause()
        self.balance = len(self.answers) + 1.0
        self.answers[self.balance] = version, self.clock.elapsed
        return await super().answer(url, **more)

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(6)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(25))
async def test_no_answer_is_too_old_or_from_before_a_change(seed: int) -> None:
    chance, clock = random.Random(seed), VirtualClock()
    truth, ended = Truth(clock, chance), 0
    answered = 0
    with aioresponses() as mocked:
        for method in ("GET", "DELETE"):
            mocked.add(re.compile(""), method, callback=truth.answer, repeat=True)  # pyright: ignore[reportUnknownMemberType]
        async with AsyncCloudflare(api_token="t", base_url=BASE_URL, account_id="a") as client:
            inner(client).clock = clock

            async def read() -> None:
                nonlocal answered
                for _ in range(8):
                    await truth.pause()
                    max_age, begun, known = chance.choice([1, 3, 10]), clock.elapsed, ended
                    answer = await ask(client, max_age=max_age)
                    version, given = truth.answers[answer.balance]
                    assert version >= known
                    assert begun - given < max_age
                    answered += 1

            async def change() -> None:
                nonlocal ended
                for _ in range(4):
                    await truth.pause()
                    await truth.pause()
                    task = asyncio.ensure_future(client.ai_gateway.billing.spending_limit.delete())
                    if chance.random() < 0.3:
                        await truth.pause()
                        task.cancel()
                        version = truth.version  # what it has done so far
                        await asyncio.wait({task})
                        ended = max(ended, version)
                    else:
                        await task
                        ended = max(ended, truth.version)

            async def let_time_pass() -> None:
                for _ in range(60):
                    clock.elapsed += chance.choice([0, 0, 0.4, 1.5])
                    await asyncio.sleep(0)

            readers = [asyncio.ensure_future(read()) for _ in range(30)]
            others = [asyncio.ensure_future(work()) for work in (change, let_time_pass)]
            for task in chance.sample(readers, 12):
                await truth.pause()
                task.cancel()
            ends = await asyncio.gather(*readers, *others, return_exceptions=True)
            assert [
                end for end in ends if end and not isinstance(end, asyncio.CancelledError)
            ] == []
            assert answered >= 18 * 8
            assert len(truth.answers) < answered
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert not inner(client).recent._flights.get(asyncio.get_running_loop())


def test_threads_that_read_and_change_see_no_older_state(emulator: Emulator) -> None:
    account = emulator.accounts["a"]
    client = emulator.async_client(account_id="a", max_retries=0)
    state = 100.0

    def reader(_: int) -> None:
        async def main() -> None:
            for _ in range(30):
                known = state
                answer = await client.ai_gateway.billing.credit_balance(max_age=60)
                assert answer.balance >= known

        asyncio.run(main())

    def changer() -> None:
        async def main() -> None:
            nonlocal state
            for _ in range(15):
                account.balance += 1  # as a top-up would do it at once
                await client.ai_gateway.billing.spending_limit.delete()
                state = account.balance

        asyncio.run(main())

    with ThreadPoolExecutor(5) as pool:
        changes = pool.submit(changer)
        list(pool.map(reader, range(4)))
        changes.result()
    asyncio.run(client.close())
