"""The recipe for many machines, on a local cluster of processes in front of the emulator."""

# mypy: disable-error-code="no-untyped-call"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask_balances
import pytest
from distributed import Client, LocalCluster

from cfaigw_billing import AuthenticationError, Money
from cfaigw_billing.testing import AddressLimit, Emulator

ACCOUNTS = 20_000
UNPACED = 1e6


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator with all accounts and their own tokens, in the environment."""
    with Emulator(api_token="of-nobody") as emulator:
        for number in range(ACCOUNTS):
            name, cents = f"{number:032x}", number * 7.01 - 500
            emulator.add_account(name, balance=cents, api_token=f"the-token-of-{number}")
        tokens = tmp_path / "tokens"
        lines = [f"{name} {token}  # a shop" for name, token in emulator.api_tokens.items()]
        tokens.write_text("\n".join(["# made up", "", *lines]))
        monkeypatch.setenv("CLOUDFLARE_API_TOKENS_FILE", str(tokens))
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", emulator.base_url)
        yield emulator


@pytest.fixture
def dask(service: Emulator) -> Iterator[Client]:
    """Two worker processes, which are started again when they die."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def pids(dask: Any) -> list[int]:
    return list(dask.run(os.getpid).values())


def test_a_cluster_answers_for_all_accounts_though_a_worker_is_killed(
    service: Emulator, dask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = every = list(service.accounts)

    # A part whose tokens are all refused fails alone.
    service.accounts[first].api_token = "another"
    refused = dask_balances.sweep(dask, [first], UNPACED)
    assert isinstance(refused.failed[first], AuthenticationError)
    service.accounts[first].api_token = "the-token-of-0"

    # The workers share the pace of their address. At a hundred a second, and 40 at a time each,
    # there is no refusal even where the emulator, in a pause, is sent all of these and reads them
    # together with those of the next second.
    service.address_limit = AddressLimit(per_second=200)
    with monkeypatch.context() as patch:
        patch.setattr(dask_balances, "PART", 40)
        paced = dask_balances.sweep(dask, others[:200], dask_balances.PER_ADDRESS / 3)
    assert sorted(paced) == others[:200]
    assert service.address_limit.refused == 0
    service.address_limit = None

    # All of them.
    before = pids(dask)
    service.requests.clear()
    with ThreadPoolExecutor(1) as thread:
        swept = thread.submit(dask_balances.sweep, dask, every, UNPACED)
        while len(service.requests) < ACCOUNTS / 2:
            assert not swept.done(), swept.result()
            time.sleep(0.01)
        os.kill(before[0], signal.SIGKILL)
        balances = refused | swept.result()
    assert before[0] not in pids(dask)
    assert balances.failed == {}
    assert {name: answer.balance for name, answer in balances.items()} == {
        name: account.balance for name, account in service.accounts.items()
    }
    cents = (Money(cents=account.balance) for account in service.accounts.values())
    assert balances.total == sum(cents, Money(cents=0))
    assert b"the-token-of" not in pickle.dumps(balances)

    # As a script.
    command = [sys.executable, dask_balances.__file__, dask.scheduler.address, "2"]
    ran = subprocess.run(  # noqa: S603
        command, input=f"{first}\n{every[300]}\n", capture_output=True, text=True, check=True
    )
    shown = ["<CreditBalances: 2 accounts, 0 failed, $11.03>", f"{first} -$5.00"]
    assert (ran.stdout.splitlines(), ran.stderr) == (shown, "")
