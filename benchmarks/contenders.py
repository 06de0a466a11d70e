"""What is measured: this package, and what people would use instead, each as its users write it.

Every contender runs in a process of its own, so each imports only what it needs, in its function.
All keep their defaults: time-outs, repeats, 100 connections for aiohttp and 1,000 for the official
SDK.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

TOKEN = "benchmark-token-of-forty-characters-long"


PACE = 1_000_000
"""Requests a second: so many that no call waits, and that the pace is kept all the same."""


class Calls(NamedTuple):
    """The two calls that are measured, of an account."""

    balance: Callable[[str], Awaitable[object]]
    usage: Callable[[str], Awaitable[object]]


@asynccontextmanager
async def ours(base_url: str) -> AsyncIterator[Calls]:
    """This package."""
    from cfaigw_billing import AsyncCloudflare

    async with AsyncCloudflare(
        api_token=TOKEN, base_url=base_url, max_requests_per_second=PACE
    ) as client:
        yield _calls(client)


@asynccontextmanager
async def naive(base_url: str) -> AsyncIterator[Calls]:
    """aiohttp by hand, for as little as people write: no types, no checks, no repeats."""
    import aiohttp

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:

        async def get(account: str, call: str) -> object:
            url = f"{base_url}/accounts/{account}/ai-gateway/billing/{call}"
            async with session.get(url) as response:
                return json.loads(await response.read())["result"]

        yield Calls(
            lambda account: get(account, "credit-balance"),
            lambda account: get(account, "usage-history?value_grouping_window=hour"),
        )


@asynccontextmanager
async def official(base_url: str, **options: Any) -> AsyncIterator[Calls]:
    """The official SDK as it comes, over httpx."""
    from cloudflare import AsyncCloudflare

    async with AsyncCloudflare(api_token=TOKEN, base_url=base_url, **options) as client:
        yield _calls(client)


@asynccontextmanager
async def official_aiohttp(base_url: str) -> AsyncIterator[Calls]:
    """The official SDK over aiohttp, with its `[aiohttp]` extra."""
    from cloudflare import DefaultAioHttpClient

    async with official(base_url, http_client=DefaultAioHttpClient()) as calls:
        yield calls


def _calls(client: Any) -> Calls:
    billing = client.ai_gateway.billing
    return Calls(
        lambda account: billing.credit_balance(account_id=account),
        lambda account: billing.usage_history(account_id=account, value_grouping_window="hour"),
    )


# Calls that block.


@contextmanager
def ours_sync(base_url: str) -> Iterator[Callable[[str], object]]:
    """This package."""
    from cfaigw_billing import Cloudflare

    with Cloudflare(api_token=TOKEN, base_url=base_url, max_requests_per_second=PACE) as client:
        yield _calls(client).balance


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
        yield _calls(client).balance


# Whole programs.

OURS = """
from cfaigw_billing import Cloudflare
with Cloudflare(api_token={token!r}, base_url={base_url!r}) as client:
    print(client.ai_gateway.billing.credit_balance(account_id="a").balance)
"""

NAIVE = """
import aiohttp, asyncio, json
async def main():
    async with aiohttp.ClientSession(headers={{"Authorization": "Bearer " + {token!r}}}) as session:
        url = {base_url!r} + "/accounts/a/ai-gateway/billing/credit-balance"
        async with session.get(url) as response:
            print(json.loads(await response.read())["result"]["balance"])
asyncio.run(main())
"""

OFFICIAL = """
from cloudflare import Cloudflare
with Cloudflare(api_token={token!r}, base_url={base_url!r}) as client:
    print(client.ai_gateway.billing.credit_balance(account_id="a").balance)
"""

COMMAND = """
import os, runpy, sys
os.environ |= dict(CLOUDFLARE_API_TOKEN={token!r}, CLOUDFLARE_BASE_URL={base_url!r})
sys.argv = ["cfaigw-billing", "balance", "a", "--json"]
runpy.run_module("cfaigw_billing", run_name="__main__", alter_sys=True)
"""
"""The command `cfaigw-billing balance a --json`."""

OFFICIAL_JSON = """
from cloudflare import Cloudflare
with Cloudflare(api_token={token!r}, base_url={base_url!r}) as client:
    print(client.ai_gateway.billing.credit_balance(account_id="a").to_json())
"""
