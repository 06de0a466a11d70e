"""A stream of many accounts costs no more memory than one of few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, sys, tracemalloc
from transports import faked
from cfaigw_billing.types import BillingCreditBalanceParams

async def sweep(number):
    client, _ = faked()
    requests = (BillingCreditBalanceParams(account_id=str(index)) for index in range(number))
    done = 0
    async with client.send_many(requests) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()
            done += 1
    assert done == number

tracemalloc.start()
for number in map(int, sys.argv[1:]):
    tracemalloc.reset_peak()
    asyncio.run(sweep(number))
    print(tracemalloc.get_traced_memory()[1])
"""


def test_6_000_accounts_take_no_more_memory_than_1_000() -> None:
    """At the peak, hardly a kilobyte more; to keep the answers would take 2 MB."""
    ran = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", SCRIPT, "100", "1000", "6000"],
        env=os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    _, few, many = map(int, ran.stdout.split())
    assert many - few < 300_000
