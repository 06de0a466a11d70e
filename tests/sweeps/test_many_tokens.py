"""Sweeps, watches and metrics over accounts that have tokens of their own."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import aiohttp
import pytest

from cfaigw_billing import (
    AsyncCloudflare,
    AuthenticationError,
    Cloudflare,
    CloudflareError,
    Money,
    PermissionDeniedError,
    RateLimitError,
)
from cfaigw_billing.testing import AddressLimit, Emulator, Fault, RequestLimit
from cfaigw_billing.types import BillingCreditBalanceParams

ALL = "emulator-token"
BALANCE = "/accounts/{}/ai-gateway/billing/credit-balance"


def owned(emulator: Emulator, count: int, token: str = "token-of-{}") -> list[str]:  # noqa: S107
    """Add accounts, each with its own token, and return their ids."""
    names = [f"account-{number}" for number in range(count)]
    for number, name in enumerate(names):
        emulator.add_account(name, balance=100 + number, api_token=token.format(name))
    return names


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    return billing_emulator


def asks(account_ids: Iterable[str]) -> Iterator[BillingCreditBalanceParams]:
    return (BillingCreditBalanceParams(account_id=account_id) for account_id in account_ids)


# Which accounts.


async def test_all_accounts_are_those_with_tokens_and_those_that_can_be_listed(
    emulator: Emulator,
) -> None:
    names = owned(emulator, 3)
    emulator.add_account("listed", balance=7)
    async with emulator.async_client(api_tokens=emulator.api_tokens, api_token=ALL) as client:
        balances = await client.ai_gateway.billing.credit_balances()
    assert list(balances) == [*names, "listed"]
    assert balances.names[names[0]] == emulator.accounts[names[0]].name


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_without_a_fallback_nothing_is_listed(emulator: Emulator, cls: type) -> None:
    names = owned(emulator, 3)
    emulator.add_account("unseen")
    if cls is Cloudflare:
        with emulator.client(api_tokens=emulator.api_tokens) as client:
            balances = client.ai_gateway.billing.credit_balances()
    else:

        async def main() -> Any:
            async with emulator.async_client(api_tokens=emulator.api_tokens) as client:
                return await client.ai_gateway.billing.credit_balances()

        balances = asyncio.run(main())
    assert (list(balances), balances.missing, balances.listed) == (names, (), True)
    assert len(emulator.requests) == 3


async def test_a_fallback_of_one_account_lists_nothing(emulator: Emulator) -> None:
    names = owned(emulator, 2)
    tokens = dict(emulator.api_tokens)
    async with emulator.async_client(api_tokens=tokens, api_token=tokens[names[0]]) as client:
        balances = await client.ai_gateway.billing.credit_balances()
        assert list(balances) == names
        with pytest.raises(CloudflareError, match="cannot list accounts"):
            await client.accounts.list()


async def test_a_fallback_that_is_refused_is_no_empty_list(emulator: Emulator) -> None:
    names = owned(emulator, 2)
    async with emulator.async_client(api_tokens=emulator.api_tokens, api_token="wrong") as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.ai_gateway.billing.credit_balances()
    assert set(caught.value.partial) <= set(names)


# Each token for itself.


async def test_three_hundred_accounts_with_small_quotas_are_answered_without_a_429(
    emulator: Emulator,
) -> None:
    emulator.limit = RequestLimit(quota=10, window=2)
    emulator.address_limit = AddressLimit(per_second=200)
    names = owned(emulator, 300)
    client = AsyncCloudflare(base_url=emulator.base_url, api_tokens=emulator.api_tokens)
    async with client:
        # More than 24 could come together with the 175 of the next second, after a pause of the
        # emulator.
        balances = await client.ai_gateway.billing.credit_balances(concurrency=20)
        assert [balances[name].balance for name in names] == list(range(100, 400))
        assert emulator.address_limit.refused == 0
        assert not any(
            account.limit.refused for account in emulator.accounts.values() if account.limit
        )
        assert len(client.rate_limits) == 300
        emulator.address_limit = None  # the rest is not about the pace
        emulator.accounts[names[7]].api_token = None
        fast = client.with_options(max_requests_per_second=None)
        balances = await fast.ai_gateway.billing.credit_balances()
        assert len(balances) == 299
        assert list(balances.failed) == [names[7]]
        with pytest.raises(AuthenticationError):
            balances[names[7]]


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_an_exhausted_token_holds_up_its_own_accounts_only(emulator: Emulator, cls: type) -> None:
    """Its calls are more than may be in flight at a time."""
    emulator.limit = RequestLimit(quota=1000, window=300)
    emulator.advance(-emulator.now.timestamp() % 300)  # no window ends meanwhile
    owned(emulator, 20)
    for number in range(10):
        emulator.add_account(f"slow-{number}", api_token="exhausted")
    emulator.accounts["slow-0"].limit = RequestLimit(quota=2, window=300)
    names = [f"slow-{number}" for number in range(10)]
    requests = [*asks(names), *asks(f"account-{number}" for number in range(20))]
    answered: set[str] = set()
    quick = {f"account-{number}" for number in range(20)}
    if cls is Cloudflare:
        with (
            emulator.client(api_tokens=emulator.api_tokens) as client,
            client.send_many(requests, concurrency=3) as outcomes,
        ):
            while not answered >= quick:
                answered.add(str(next(outcomes).account_id))
    else:

        async def main() -> None:
            async with (
                emulator.async_client(api_tokens=emulator.api_tokens) as client,
                client.send_many(requests, concurrency=3) as outcomes,
            ):
                while not answered >= quick:
                    answered.add(str((await anext(outcomes)).account_id))

        asyncio.run(main())
    assert len(answered - quick) <= 2


async def test_no_more_than_the_concurrency_is_in_flight_after_a_wait(emulator: Emulator) -> None:
    emulator.limit = RequestLimit(quota=3, window=0.5)
    for number in range(12):
        emulator.add_account(f"one-{number}", balance=1, api_token="token-of-many")
    owned(emulator, 30)
    accounts = list(emulator.accounts)
    in_flight: list[int] = [0]

    async def began(*_: object) -> None:
        in_flight.append(in_flight[-1] + 1)

    async def ended(*_: object) -> None:
        in_flight.append(in_flight[-1] - 1)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(began)
    trace.on_request_end.append(ended)
    async with (
        emulator.async_client(api_tokens=emulator.api_tokens, trace_configs=[trace]) as client,
        client.send_many(asks(accounts), concurrency=4, reserve=0) as outcomes,
    ):
        found = [outcome.unwrap() async for outcome in outcomes]
    assert {answer.account_id for answer in found} == set(accounts)
    assert max(in_flight) == 4


async def test_a_block_that_is_not_lifted_is_the_error_of_its_accounts(emulator: Emulator) -> None:
    names = owned(emulator, 3)
    for name in ("x", "y"):
        emulator.add_account(name, api_token="blocked")
        emulator.inject(Fault.rate_limited(0.2), path=BALANCE.format(name), times=None)
    async with emulator.async_client(api_tokens=emulator.api_tokens) as client:
        balances = await client.ai_gateway.billing.credit_balances()
    assert sorted(balances) == names
    assert {name: type(error) for name, error in balances.failed.items()} == {
        "x": RateLimitError,
        "y": RateLimitError,
    }


# Refused tokens.


async def test_one_refused_token_fails_its_own_accounts(emulator: Emulator) -> None:
    names = owned(emulator, 4)
    tokens = emulator.api_tokens | {names[0]: "wrong", names[1]: emulator.api_tokens[names[2]]}
    async with emulator.async_client(api_tokens=tokens, api_token=ALL) as client:
        balances = await client.ai_gateway.billing.credit_balances()
    assert {name: type(error) for name, error in balances.failed.items()} == {
        names[0]: AuthenticationError,
        names[1]: PermissionDeniedError,
    }
    assert list(balances) == names[2:]


async def test_an_account_without_any_token_fails_by_itself(emulator: Emulator) -> None:
    names = owned(emulator, 2)
    async with emulator.async_client(api_tokens=emulator.api_tokens) as client:
        balances = await client.ai_gateway.billing.credit_balances([*names, "nobody"])
    assert list(balances) == names
    assert str(balances.failed["nobody"]).startswith("no token for the account 'nobody'")


async def test_a_function_that_fails_for_one_account_fails_that_account(
    emulator: Emulator,
) -> None:
    names = owned(emulator, 3)

    def vault(account_id: str) -> str:
        return emulator.api_tokens[account_id]

    async with emulator.async_client(api_tokens=vault) as client:
        balances = await client.ai_gateway.billing.credit_balances([*names, "nobody"])
    assert list(balances) == names
    assert isinstance(balances.failed["nobody"].__cause__, KeyError)


@pytest.mark.parametrize("kind", ["a mapping", "a function", "beside a fallback"])
async def test_if_all_are_refused_that_is_raised(emulator: Emulator, kind: str) -> None:
    names = owned(emulator, 5)
    tokens = {name: f"wrong-{number % 2}" for number, name in enumerate(names)}
    clients: dict[str, AsyncCloudflare] = {
        "a mapping": emulator.async_client(api_tokens=tokens),
        "a function": emulator.async_client(api_tokens=tokens.get),
        "beside a fallback": emulator.async_client(api_tokens=tokens, api_token=ALL),
    }
    async with clients[kind] as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.ai_gateway.billing.credit_balances(names, concurrency=1)
        assert list(caught.value.partial) == []
    if kind == "a mapping":  # once both tokens were refused
        assert len(emulator.requests) <= 3


# Watch and metrics.


async def test_a_watch_is_over_all_accounts_with_tokens(emulator: Emulator) -> None:
    names = owned(emulator, 3)
    emulator.accounts[names[1]].api_token = "revoked"
    async with (
        emulator.async_client(api_tokens={name: f"token-of-{name}" for name in names}) as client,
        client.ai_gateway.billing.watch(low=Money(cents=150), once=True) as watch,
    ):
        events = {event.account_id: event.kind async for event in watch}
    assert {request.path for request in emulator.requests} >= set(map(BALANCE.format, names))
    assert events == {names[0]: "low", names[2]: "low"}  # one failure is no event


async def test_metrics_show_the_limit_of_each_token(emulator: Emulator) -> None:
    emulator.limit = RequestLimit(quota=50, window=300)
    names = owned(emulator, 2)
    async with (
        emulator.async_client(api_tokens=emulator.api_tokens, api_token=ALL) as client,
        client.ai_gateway.billing.metrics(runway=False) as metrics,
    ):
        await metrics.complete()
        read = metrics.registry.get_sample_value
        name = "cfaigw_api_requests_remaining"
        assert [read(name, {"account_id": account}) for account in names] == [49, 49]
        assert read(name) == 49


async def test_an_exhausted_token_holds_up_no_look_at_other_accounts(emulator: Emulator) -> None:
    for number in range(60):
        emulator.add_account(f"slow-{number}", api_token="exhausted")
    emulator.accounts["slow-0"].limit = RequestLimit(quota=1, window=300)
    names = owned(emulator, 5)
    async with (
        emulator.async_client(api_tokens=emulator.api_tokens) as client,
        client.ai_gateway.billing.watch(low=Money(cents=1000), once=True) as watch,
    ):
        seen: set[str | None] = set()
        while not seen >= set(names):
            seen.add((await anext(watch)).account_id)


async def test_a_function_that_fails_within_a_look_ends_no_other(emulator: Emulator) -> None:
    names = owned(emulator, 3)
    tokens = dict(emulator.api_tokens)
    usage = BALANCE.format(names[0]).replace("credit-balance", "usage-history")
    emulator.inject(Fault(status=401), path=usage)
    asked: list[str] = []

    async def vault(account_id: str) -> str:
        asked.append(account_id)
        if asked.count(account_id) > 1:
            raise OSError
        return tokens[account_id]

    async with (
        emulator.async_client(api_tokens=vault) as client,
        client.ai_gateway.billing.metrics(names, runway=True) as metrics,
    ):
        await metrics.complete()
        read = metrics.registry.get_sample_value
        up = [read("cfaigw_account_up", {"account_id": account}) for account in names]
    assert asked.count(names[0]) > 1
    assert up == [1, 1, 1]


# Secrets.

SECRET = "SENTINEL"


def shown(error: BaseException | None) -> Iterator[str]:
    """Return the text of errors, their causes and the local variables of their frames."""
    while error is not None:
        seen = traceback.TracebackException.from_exception(error, capture_locals=True)
        yield "".join(seen.format())
        yield repr(getattr(error, "__dict__", None))
        error = error.__cause__ or error.__context__


async def test_no_token_is_shown_anywhere(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    emulator.limit = RequestLimit(quota=1000, window=300)
    names = owned(emulator, 300, token=f"token-{SECRET}-{{}}")
    tokens = emulator.api_tokens
    for name in names[:5]:
        emulator.accounts[name].api_token = None
    async with emulator.async_client(api_tokens=tokens, max_requests_per_second=None) as client:
        del tokens  # it is the test's own, and would be found in its frame
        balances = await client.ai_gateway.billing.credit_balances(reserve=0)
        runways = await client.ai_gateway.billing.runways(names[:20])
        async with client.ai_gateway.billing.watch(
            names[:20], low=Money(cents=150), once=True
        ) as watch:
            events = [event async for event in watch]
        async with client.ai_gateway.billing.metrics(names[:20], runway=False) as metrics:
            await metrics.complete()
            text = repr([list(metric.samples) for metric in metrics.registry.collect()])
        errors = [*balances.failed.values(), *runways.failed.values()]
        try:
            await client.ai_gateway.billing.topup.create(account_id=names[0], amount=1000)
        except AuthenticationError as error:
            errors.append(error)
        states = [
            repr(vars(thing)) for thing in (client, client._executor, client._executor.logins)
        ]
        pickles = [pickle.dumps(each) for each in (balances, runways, errors, events)]
    assert len(errors) == 11
    found = [
        *(text for error in errors for text in shown(error)),
        *map(repr, (client, client.rate_limits, client._executor.config, balances, events, errors)),
        *map(str, (client, balances, runways, *events, *errors)),
        *states,
        *(data.decode("latin-1") for data in pickles),
        json.dumps([balances.to_records(), watch.state], default=str),
        text,
        caplog.text,
    ]
    assert [text for text in found if SECRET in text] == []


@pytest.mark.parametrize("way", ["make", "with_options", "copy"])
def test_a_wrong_mapping_shows_no_token(way: str) -> None:
    tokens: Any = {"account": f"token {SECRET}", "another": 5}
    make = Cloudflare if way == "make" else getattr(Cloudflare(api_token="t"), way)
    with pytest.raises(ValueError, match="remove the blanks") as caught:
        make(api_tokens=tokens)
    here = caught.value.__traceback__
    assert here is not None
    inner = caught.value.with_traceback(here.tb_next)  # this frame has what the test gave
    assert [text for text in shown(inner) if SECRET in text] == []
