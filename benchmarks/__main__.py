"""Measure the package beside a hand-written aiohttp loop, in one run and taking turns.

    python -m benchmarks                 every row
    python -m benchmarks balance import  these rows

Machines are noisy, so a figure counts only as a ratio to what stands beside it in the same row.
Each figure is the median of the rounds.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median

import aiohttp

from benchmarks import server
from cfaigw_billing import AsyncCloudflare

ROUNDS = 7
CALLS = 1_500
CONCURRENCY = 50
TOKEN = "benchmark-token"


async def _concurrently(call: Callable[[], Awaitable[object]]) -> float:
    """CPU seconds of this process for each of `CALLS` calls, `CONCURRENCY` at a time."""
    remaining = iter(range(CALLS))

    async def worker() -> None:
        for _ in remaining:
            await call()

    start = time.process_time()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return (time.process_time() - start) / CALLS


def _balance(base_url: str) -> dict[str, list[float]]:
    """CPU microseconds for one balance call."""

    async def ours() -> float:
        async with AsyncCloudflare(api_token=TOKEN, base_url=base_url) as client:
            billing = client.ai_gateway.billing
            return await _concurrently(lambda: billing.credit_balance(account_id="a" * 32))

    async def by_hand() -> float:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{base_url}/accounts/{'a' * 32}/ai-gateway/billing/credit-balance"
        async with aiohttp.ClientSession(headers=headers) as session:

            async def call() -> float:
                async with session.get(url) as response:
                    response.raise_for_status()
                    balance: float = (await response.json())["result"]["balance"]
                    return balance

            return await _concurrently(call)

    return _in_turns(
        {
            "cfaigw_billing": lambda: asyncio.run(ours()),
            "aiohttp loop": lambda: asyncio.run(by_hand()),
        },
        1e6,
    )


def _usage(base_url: str) -> dict[str, list[float]]:
    """CPU milliseconds for a year of hourly usage, 8,760 rows."""

    async def ours() -> float:
        async with AsyncCloudflare(api_token=TOKEN, base_url=base_url) as client:
            billing = client.ai_gateway.billing
            await billing.credit_balance(account_id="a")
            start = time.process_time()
            for _ in range(10):
                await billing.usage_history(account_id="a", value_grouping_window="hour")
            return (time.process_time() - start) / 10

    async def by_hand() -> float:
        url = f"{base_url}/accounts/a/ai-gateway/billing/usage-history"
        async with aiohttp.ClientSession() as session:
            start = time.process_time()
            for _ in range(10):
                async with session.get(url) as response:
                    await response.json()
            return (time.process_time() - start) / 10

    return _in_turns(
        {
            "cfaigw_billing": lambda: asyncio.run(ours()),
            "aiohttp loop": lambda: asyncio.run(by_hand()),
        },
        1e3,
    )


def _import(_: str) -> dict[str, list[float]]:
    """Milliseconds for an import, beyond starting Python."""

    def importing(statement: str) -> Callable[[], float]:
        code = f"import time; s=time.perf_counter(); {statement}; print(time.perf_counter()-s)"
        return lambda: float(subprocess.check_output([sys.executable, "-c", code]))

    return _in_turns(
        {
            "cfaigw_billing": importing("import cfaigw_billing"),
            "with the client": importing("from cfaigw_billing import AsyncCloudflare"),
            "aiohttp": importing("import aiohttp"),
        },
        1e3,
    )


def _in_turns(contenders: dict[str, Callable[[], float]], unit: float) -> dict[str, list[float]]:
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, measure in contenders.items():
            measured[name].append(measure() * unit)
    return measured


ROWS = {"balance": _balance, "usage": _usage, "import": _import}


def main() -> None:
    """Measure the rows named on the command line, or all."""
    with server.running() as base_url:
        for name in sys.argv[1:] or ROWS:
            measured = ROWS[name](base_url)
            reference = median(list(measured.values())[-1])
            print(f"{name}: {ROWS[name].__doc__}")
            for contender, figures in measured.items():
                middle = median(figures)
                print(f"  {contender:16} {middle:10.1f}   {middle / reference:5.2f}")


if __name__ == "__main__":
    main()
