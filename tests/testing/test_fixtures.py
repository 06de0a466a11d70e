"""The fixtures work in whatever runs a project's async tests, and leave nothing open behind."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from cfaigw_billing import AsyncCloudflare, AuthenticationError, Cloudflare
from cfaigw_billing.testing import Emulator

TESTS_OF_A_USER = """
import gc
import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_sync(billing_emulator, billing_client):
    billing_emulator.add_account("a", balance=640.19)
    assert billing_client.ai_gateway.billing.credit_balance(account_id="a").balance == 640.19


{mark}
@pytest.mark.parametrize("balance", [1, 2])
async def test_async(async_billing_client, billing_emulator, balance):
    billing_emulator.add_account("a", balance=balance)
    billing = async_billing_client.ai_gateway.billing
    assert (await billing.credit_balance(account_id="a")).balance == balance


{mark}
async def test_both(async_billing_client, billing_client, billing_emulator):
    assert [account.id async for account in async_billing_client.accounts.list()] == []
    assert [account.id for account in billing_client.accounts.list()] == []


def test_what_is_left_is_collected():
    gc.collect()
"""
ALONE = (  # without the plugins that are installed beside these two, which take their time
    *("--disable-plugin-autoload", "-p", "cfaigw_billing._pytest_plugin"),
    *("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"),
)
PLUGINS: dict[str, tuple[str, tuple[str, ...]]] = {
    # what marks an async test, and the options of pytest
    "pytest-asyncio, strict": ("@pytest.mark.asyncio", (*ALONE, "-o", "asyncio_mode=strict")),
    "pytest-asyncio, auto": ("", (*ALONE, "-o", "asyncio_mode=auto")),
    "anyio": ("@pytest.mark.anyio", ("-p", "no:asyncio")),
}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_clients_serve_sync_and_async_tests(plugin: str, tmp_path: Path) -> None:
    mark, options = PLUGINS[plugin]
    (tmp_path / "test_it.py").write_text(TESTS_OF_A_USER.format(mark=mark), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    ran = subprocess.run(  # noqa: S603
        [*command, *options, "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "5 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "nclosed" not in ran.stdout + ran.stderr
    assert ran.returncode == 0


def test_a_client_has_the_address_and_a_token_and_other_options(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("a", balance=1)
    with billing_emulator.client(account_id="a", max_charge=0) as client:
        assert isinstance(client, Cloudflare)
        assert client.ai_gateway.billing.credit_balance().balance == 1
        with pytest.raises(ValueError, match="max_charge"):
            client.ai_gateway.billing.topup.create(amount=1000)
    [request] = billing_emulator.requests
    assert request.headers["Authorization"] == f"Bearer {billing_emulator.api_token}"


OTHER_CREDENTIALS: list[tuple[dict[str, Any], bool]] = [
    ({"api_token": "wrong"}, False),
    ({"api_email": "emulator@example.com", "api_key": "emulator-key"}, True),
    ({"api_email": "emulator@example.com", "api_key": "wrong"}, False),
]


@pytest.mark.parametrize(("credentials", "accepted"), OTHER_CREDENTIALS)
async def test_a_client_may_have_other_credentials(
    billing_emulator: Emulator, credentials: dict[str, Any], accepted: bool
) -> None:
    async with billing_emulator.async_client(**credentials) as client:
        assert isinstance(client, AsyncCloudflare)
        if accepted:
            await client.accounts.list()
        else:
            with pytest.raises(AuthenticationError):
                await client.accounts.list()


def test_a_client_needs_an_emulator_that_runs() -> None:
    for make in (Emulator().client, Emulator().async_client):
        with pytest.raises(RuntimeError, match="not running"):
            make()


def test_the_connections_of_a_loop_that_has_ended_are_closed(billing_emulator: Emulator) -> None:
    async def ask() -> None:
        await client.accounts.list()

    client = billing_emulator.async_client()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        asyncio.run(ask())
        asyncio.run(ask())  # drops those of the first loop
        asyncio.run(client.close())  # and those of the second
        gc.collect()  # a warning from here fails the test as an unraisable exception
