"""Processes that die in the middle of a charge, and processes that compete: one charge a key."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from cfaigw_billing.journal import Entry, Journal, SQLiteJournal
from cfaigw_billing.testing import Emulator

from .worker import STEPS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")

WORKER = Path(__file__).with_name("worker.py")
DAY = timedelta(days=1)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(topup_seconds=0) as emulator:
        yield emulator


def work(emulator: Emulator, address: str, shares: Sequence[dict[str, list[str]]]) -> list[str]:
    """Have processes at work for their shares of the keys at once. Return what they said."""
    command = [sys.executable, str(WORKER), emulator.base_url, emulator.api_token, address]
    worked = subprocess.run(  # noqa: S603  # our own script
        [*command, json.dumps(shares)], stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    return worked.stdout.splitlines()


def settled(emulator: Emulator, journal: Journal, keys: Sequence[str]) -> list[Entry]:
    """Recover twice, a day apart; then charge every key again. Return the entries."""

    async def settle() -> list[Entry]:
        async with emulator.async_client(journal=journal) as client:
            topup = client.ai_gateway.billing.topup
            await asyncio.sleep(0.25)  # the leases of the dead
            await topup.recover(older_than=DAY)
            charges = len(emulator.charges)
            emulator.advance(DAY.total_seconds() + 60)
            found = await topup.recover(older_than=DAY)
            assert [r for r in found if r.error or r.entry.state != "not_charged"] == []
            assert await topup.recover(older_than=DAY) == []
            assert len(emulator.charges) == charges
            answers = {
                key: await topup.create(account_id=key, amount=5000, idempotency_key=key)
                for key in keys
            }
            entries = list(await journal.entries())
            recorded = {entry.key: entry.payment_intent_id for entry in entries}
            assert recorded == {key: answers[key].payment_intent_id for key in keys}
            return entries

    return asyncio.run(settle())


def at_most_one_charge_a_key(emulator: Emulator) -> Counter[str]:
    counted = Counter(charge.account_id for charge in emulator.charges)
    assert [key for key, number in counted.items() if number > 1] == []
    return counted


def dying(emulator: Emulator, steps: Sequence[str], processes: int) -> list[dict[str, list[str]]]:
    """The shares of processes that die for so many keys, each at its step."""
    shares: list[dict[str, list[str]]] = [{} for _ in range(processes)]
    for number, step in enumerate(steps):
        key = f"order-{number}"
        emulator.add_account(key)
        shares[number % processes].setdefault(step, []).append(key)
    return shares


def charge_once_whatever_dies(
    emulator: Emulator, address: str, journal: Journal, steps: Sequence[str], processes: int
) -> None:
    shares = dying(emulator, steps, processes)
    said = work(emulator, address, shares)
    at_most_one_charge_a_key(emulator)
    keys = [f"order-{number}" for number in range(len(steps))]
    assert sorted(line.split()[1] for line in said) == sorted(keys)
    charged = {line.split()[1]: line.split()[2] for line in said if line.startswith("charged")}
    assert charged == {
        charge.account_id: charge.payment_intent_id
        for charge in emulator.charges
        if charge.account_id in charged
    }
    by_step = {key: step for step, key in zip(steps, keys, strict=True)}
    unknown = {by_step[line.split()[1]] for line in said if line.startswith("failed")}
    # Before the mark nothing was sent, and after the answer there is an invoice.
    assert unknown <= {"marked", "sending", "random"}
    settled(emulator, journal, keys)
    assert at_most_one_charge_a_key(emulator) == Counter(keys)


def test_every_key_is_charged_once_whatever_process_dies_when(
    emulator: Emulator, tmp_path: Path
) -> None:
    steps = [*(STEPS * 5), *(["random"] * 60)]
    path = tmp_path / "topups.sqlite3"
    charge_once_whatever_dies(emulator, str(path), SQLiteJournal(path), steps, 4)


def test_the_same_with_postgresql(emulator: Emulator, database: str) -> None:
    from cfaigw_billing.journal import PostgresJournal

    steps = [*(STEPS * 2), *(["random"] * 10)]
    charge_once_whatever_dies(emulator, database, PostgresJournal(database), steps, 2)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_eight_processes_with_one_key_charge_once(
    store: str, emulator: Emulator, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = str(tmp_path / "topups")
    if store == "postgres":
        address = request.getfixturevalue("database")
    keys = [f"order-{number}" for number in range(10)]
    for key in keys:
        emulator.add_account(key)
    said = work(emulator, address, [{"never": keys}] * 8)
    assert Counter(line.split()[0] for line in said) == {"charged": 80}
    assert len({line.split()[2] for line in said}) == 10
    assert at_most_one_charge_a_key(emulator) == Counter(keys)


def test_processes_that_compete_and_die_charge_once(emulator: Emulator, tmp_path: Path) -> None:
    """The leases of the living expire too, so that keys are taken over in the middle."""
    path = tmp_path / "topups"
    keys = [f"order-{number}" for number in range(8)]
    for key in keys:
        emulator.add_account(key)
    shares: list[dict[str, list[str]]] = [
        {step: keys[index :: len(STEPS)] for index, step in enumerate(order)}
        for order in (STEPS, STEPS[::-1], ("random",) * len(STEPS))
    ]
    work(emulator, str(path), shares)
    at_most_one_charge_a_key(emulator)
    settled(emulator, SQLiteJournal(path), keys)
    assert at_most_one_charge_a_key(emulator) == Counter(keys)
