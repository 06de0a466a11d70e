"""What is measured: this package, and what people would use instead, each as its users write it.

Every contender runs in a process of its own, so each imports only what it needs, in its function.
All of them keep their defaults: time-outs, repeats, 100 connections for aiohttp and 1,000 for the
official SDK.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from benchmarks.server import limited

TOKEN = "benchmark-token"


PACE = 1_000_000
"""Requests a second: so many that no call waits, and that the pace is kept all the same."""


class Calls(NamedTuple):
    """The two calls that are measured, of an account."""

    balance: Callable[[str], Awaitable[object]]
    usage: Callable[[str], Awaitable[object]]


# Async: one client, calls that are awaited.


@asynccontextmanager
async def ours(base_url: str) -> AsyncIterator[Calls]:
    """This package."""
    from cfaigw_billing import AsyncCloudflare

    async with AsyncCloudflare(
        api_token=TOKEN, base_url=base_url, max_requests_per_second=PACE
    ) as client:
        billing = client.ai_gateway.billing
        yield Calls(
            lambda account: billing.credit_balance(account_id=account),
            lambda account: billing.usage_history(account_id=account, value_grouping_window="hour"),
        )


@asynccontextmanager
async def ours_limited(base_url: str) -> AsyncIterator[Calls]:
    """This package, reading the rate limit off every answer."""
    async with ours(limited(base_url)) as calls:
        yield calls


@asynccontextmanager
async def naive(base_url: str) -> AsyncIterator[Calls]:
    """aiohttp by hand: no types, no checks, no repeats."""
    import aiohttp

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:

        async def get(account: str, call: str) -> object:
            url = f"{base_url}/accounts/{account}/ai-gateway/billing/{call}"
            async with session.get(url) as response:
                response.raise_for_status()
                return (await response.json())["result"]

        yield Calls(
            lambda account: get(account, "credit-balance"),
            lambda account: get(account, "usage-history?value_grouping_window=hour"),
        )


@asynccontextmanager
async def official(base_url: str, **options: Any) -> AsyncIterator[Calls]:
    """The official SDK as it comes, over httpx."""
    from cloudflare import AsyncCloudflare

    async with AsyncCloudflare(api_token=TOKEN, base_url=base_url, **options) as client:
        billing = client.ai_gateway.billing
        yield Calls(
            lambda account: billing.credit_balance(account_id=account),
            lambda account: billing.usage_history(account_id=account, value_grouping_window="hour"),
        )


@asynccontextmanager
async def official_aiohttp(base_url: str) -> AsyncIterator[Calls]:
    """The official SDK over aiohttp, with its `[aiohttp]` extra."""
    from cloudflare import DefaultAioHttpClient

    async with official(base_url, http_client=DefaultAioHttpClient()) as calls:
        yield calls


# Sync: one client, calls that block.


@contextmanager
def ours_sync(base_url: str) -> Iterator[Callable[[str], object]]:
    """This package."""
    from cfaigw_billing import Cloudflare

    with Cloudflare(api_token=TOKEN, base_url=base_url, max_requests_per_second=PACE) as client:
        billing = client.ai_gateway.billing
        yield lambda account: billing.credit_balance(account_id=account)


@contextmanager
def naive_portal(base_url: str) -> Iterator[Callable[[str], object]]:
    """The naive coroutine, run by anyio's portal: the least that a blocking call over aiohttp is.

    Of a call over two threads most is the hop between them.
    """
    from anyio.from_thread import start_blocking_portal

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(naive(base_url)) as calls,
    ):
        yield lambda account: portal.call(calls.balance, account)


@contextmanager
def official_sync(base_url: str) -> Iterator[Callable[[str], object]]:
    """The official SDK: httpx without an event loop."""
    from cloudflare import Cloudflare

    with Cloudflare(api_token=TOKEN, base_url=base_url) as client:
        billing = client.ai_gateway.billing
        yield lambda account: billing.credit_balance(account_id=account)


# Sweeps: the balances of many accounts, 50 calls at a time.


async def ours_sweep(base_url: str, accounts: Iterable[str]) -> None:
    """This package: a stream, which holds nothing but what is in flight."""
    from cfaigw_billing import AsyncCloudflare
    from cfaigw_billing.types import BillingCreditBalanceParams

    requests = (BillingCreditBalanceParams(account_id=account) for account in accounts)
    async with (
        AsyncCloudflare(api_token=TOKEN, base_url=base_url, max_requests_per_second=PACE) as client,
        client.send_many(requests, concurrency=50) as outcomes,
    ):
        async for outcome in outcomes:
            assert outcome.response is not None


async def naive_sweep(base_url: str, accounts: Iterable[str]) -> None:
    """aiohttp by hand: a gather."""
    await _gather(naive(base_url), accounts)


async def official_sweep(base_url: str, accounts: Iterable[str]) -> None:
    """The official SDK: a gather."""
    await _gather(official(base_url), accounts)


async def _gather(client: AbstractAsyncContextManager[Calls], accounts: Iterable[str]) -> None:
    at_once = asyncio.Semaphore(50)

    async with client as calls:

        async def ask(account: str) -> object:
            async with at_once:
                return await calls.balance(account)

        await asyncio.gather(*map(ask, accounts))


# Clients that are made and closed.


async def ours_made(base_url: str) -> None:
    """The async client of this package."""
    from cfaigw_billing import AsyncCloudflare

    await AsyncCloudflare(api_token=TOKEN, base_url=base_url).close()


async def ours_sync_made(base_url: str) -> None:
    """The sync client of this package."""
    from cfaigw_billing import Cloudflare

    Cloudflare(api_token=TOKEN, base_url=base_url).close()


async def ours_used(base_url: str) -> None:
    """The async client of this package, and one call."""
    async with ours(base_url) as calls:
        await calls.balance("a")


async def naive_used(base_url: str) -> None:
    """A session of aiohttp, and one call."""
    async with naive(base_url) as calls:
        await calls.balance("a")


async def official_made(base_url: str) -> None:
    """The async client of the official SDK."""
    from cloudflare import AsyncCloudflare

    await AsyncCloudflare(api_token=TOKEN, base_url=base_url).close()


# Whole programs.

OUR_PROGRAM = """
from cfaigw_billing import Cloudflare
with Cloudflare(api_token={token!r}, base_url={base_url!r}) as client:
    print(client.ai_gateway.billing.credit_balance(account_id="a").balance)
"""

NAIVE_PROGRAM = """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(headers={{"Authorization": "Bearer " + {token!r}}}) as session:
        url = {base_url!r} + "/accounts/a/ai-gateway/billing/credit-balance"
        async with session.get(url) as response:
            response.raise_for_status()
            print((await response.json())["result"]["balance"])
asyncio.run(main())
"""

OFFICIAL_PROGRAM = """
from cloudflare import Cloudflare
with Cloudflare(api_token={token!r}, base_url={base_url!r}) as client:
    print(client.ai_gateway.billing.credit_balance(account_id="a").balance)
"""
