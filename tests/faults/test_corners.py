"""Corners in which money or a client could get lost: other people's sessions, loops and signals."""

from __future__ import annotations

import asyncio
import enum
import gc
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, cast

import aiohttp
import pytest

from cfaigw_billing import (
    APIConnectionError,
    AsyncCloudflare,
    Cloudflare,
    TopupOutcomeUnknownError,
)
from cfaigw_billing.testing import Emulator, Fault


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    billing_emulator.add_account("acc", balance=100)
    return billing_emulator


def options(emulator: Emulator, **more: Any) -> dict[str, Any]:
    given = {"base_url": emulator.base_url, "api_token": emulator.api_token, "account_id": "acc"}
    return {**given, **more}


# A session of the caller's.


async def test_a_middleware_of_the_callers_cannot_repeat_a_charge(emulator: Emulator) -> None:
    async def again(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        await handler(request)
        return await handler(request)

    async with (
        aiohttp.ClientSession(middlewares=(again,)) as session,
        AsyncCloudflare(**options(emulator, http_client=session)) as client,
    ):
        await client.ai_gateway.billing.topup.create(amount=1000)
        assert len(emulator.charges) == len(emulator.requests) == 1
        await client.ai_gateway.billing.credit_balance()  # reads go as the caller has it
        assert len(emulator.requests) == 3


# Limits of charges.


@pytest.mark.parametrize("max_charge", [0, 4999])
async def test_max_charge_bounds_what_the_service_may_charge_by_itself(
    max_charge: int, emulator: Emulator
) -> None:
    async with AsyncCloudflare(**options(emulator, max_charge=max_charge)) as client:
        with pytest.raises(ValueError, match="`max_charge`"):
            await client.ai_gateway.billing.topup.config.create(amount=5000, threshold=500)
    assert emulator.requests == []


PAID_LATER: list[tuple[dict[str, Any], float, str]] = [
    # what the invoice says, how long after the charge it was made, what follows
    ({}, 1, "charged"),
    ({}, 60, "charged"),
    ({}, 3 * 86_400, "ambiguous"),
    ({}, -300, "ambiguous"),
    ({}, -3600, "not_found_yet"),
    ({"currency": "eur"}, 1, "ambiguous"),
    ({"status": "void"}, 1, "ambiguous"),
    ({"status": "open", "amount_paid": 0}, 1, "ambiguous"),
    ({"created": None}, 1, "ambiguous"),
]


@pytest.mark.parametrize(("fields", "later", "outcome"), PAID_LATER)
async def test_only_a_paid_invoice_of_the_minutes_after_it_is_that_of_the_charge(
    fields: dict[str, Any], later: float, outcome: str, emulator: Emulator
) -> None:
    emulator.inject(Fault(silence="close"), path="/topup")
    async with AsyncCloudflare(**options(emulator)) as client:
        topup = client.ai_gateway.billing.topup
        with pytest.raises(TopupOutcomeUnknownError) as caught:
            await topup.create(amount=1000)
        invoice: dict[str, Any] = {"created": int(time.time() + later), **fields}
        emulator.accounts["acc"].add_invoice(1000, **invoice)
        assert (await topup.reconcile(caught.value)).outcome == outcome


async def test_reconcile_takes_the_interrupt_itself_and_nothing_else(emulator: Emulator) -> None:
    emulator.inject(Fault(silence="hang"), path="/topup")
    async with AsyncCloudflare(**options(emulator)) as client:
        topup = client.ai_gateway.billing.topup
        charge = asyncio.create_task(topup.create(amount=1000))
        while not emulator.requests:  # noqa: ASYNC110  # it is another thread that appends
            await asyncio.sleep(0.01)
        charge.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await charge
        assert (await topup.reconcile(caught.value)).outcome == "not_found_yet"
        with pytest.raises(TypeError, match="`error`"):
            await topup.reconcile(ValueError("else"))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no such timer on Windows")
def test_an_exception_of_a_signal_handler_cancels_the_charge_and_carries_the_note(
    emulator: Emulator,
) -> None:
    """Whatever its class: an alarm commonly raises a `TimeoutError`."""

    def ring(*_: object) -> None:
        raise TimeoutError("alarm")

    def strike() -> None:
        while len(emulator.requests) < 2:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGALRM)

    emulator.inject(Fault(delay=60), path="/topup")
    before = signal.signal(signal.SIGALRM, ring)
    striker = threading.Thread(target=strike, daemon=True)
    try:
        with Cloudflare(**options(emulator)) as client:
            client.ai_gateway.billing.credit_balance()
            striker.start()
            with pytest.raises(TimeoutError, match="alarm") as caught:
                client.ai_gateway.billing.topup.create(amount=1000)
        striker.join()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert isinstance(caught.value.__cause__, TopupOutcomeUnknownError)
    assert emulator.charges == []


# Loops and threads.


def test_one_client_serves_many_loops_at_once_and_closes_without_waiting_for_them(
    emulator: Emulator,
) -> None:
    client = AsyncCloudflare(**options(emulator))
    failures: list[BaseException] = []
    done = threading.Barrier(9)

    async def calls() -> None:
        for _ in range(5):
            await client.ai_gateway.billing.credit_balance()
        await asyncio.to_thread(done.wait, 60)  # the loops live while the client is closed
        await asyncio.to_thread(done.wait, 60)
        await asyncio.sleep(0.05)

    def run() -> None:
        try:
            asyncio.run(calls())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    done.wait(60)
    asyncio.run(asyncio.wait_for(client.close(), 30))
    done.wait(60)
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_client_that_is_dropped_inside_its_loop_says_so_in_a_resource_warning_alone(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        client = AsyncCloudflare(**options(emulator))
        await client.ai_gateway.billing.credit_balance()
        del client
        gc.collect()
        await asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
    assert [w.category for w in caught if "Cloudflare" in str(w.message)] == [ResourceWarning]
    assert "nclosed" not in capfd.readouterr().err


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_a_client_does_not_pickle_and_says_why(cls: Any) -> None:
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(cls(api_token="t"))


# Arguments.


class Window(str, enum.Enum):  # noqa: UP042  # of a StrEnum, `str` is the value anyway
    DAY = "day"


async def test_a_member_of_an_enumeration_goes_out_as_its_value(emulator: Emulator) -> None:
    async with AsyncCloudflare(**options(emulator)) as client:
        await client.ai_gateway.billing.usage_history(
            value_grouping_window=cast("Any", Window.DAY),  # it is a str at run time
            extra_query={"tag": ["a", "b"], "on": True},
        )
    [request] = emulator.requests
    assert sorted(request.query.items()) == [
        ("on", "true"),
        ("tag", "a"),
        ("tag", "b"),
        ("value_grouping_window", "day"),
    ]


WRONG: list[tuple[str, Callable[[Any], Any]]] = [
    ("timeout", lambda b: b.credit_balance(timeout=float("inf"))),
    ("timeout", lambda b: b.credit_balance(timeout=10**400)),
    ("timeout", lambda b: b.credit_balance(timeout=aiohttp.ClientTimeout(total=-1))),
    ("extra_body", lambda b: b.topup.create(amount=1000, extra_body={"a": {1}})),
    ("extra_body", lambda b: b.topup.create(amount=1000, extra_body={"a": float("nan")})),
    ("extra_query", lambda b: b.credit_balance(extra_query={"a": "\ud800"})),
    ("extra_headers", lambda b: b.credit_balance(extra_headers={"Content-Length": "1"})),
]


@pytest.mark.parametrize(("name", "call"), WRONG)
async def test_a_wrong_option_is_named_before_anything_is_sent(
    name: str, call: Callable[[Any], Any], emulator: Emulator
) -> None:
    async with AsyncCloudflare(**options(emulator)) as client:
        with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
            await call(client.ai_gateway.billing)
    assert emulator.requests == []


async def test_options_that_are_none_are_not_given(emulator: Emulator) -> None:
    """So that what the official SDK defaults to can be passed on."""
    async with AsyncCloudflare(**options(emulator)) as client:
        none: Any = {"extra_headers": None, "extra_query": None, "extra_body": None}
        balance = await client.ai_gateway.billing.credit_balance(**none)
    assert balance.balance == 100
    assert emulator.requests[0].body == b""


async def test_a_proxy_that_wants_a_password_is_not_quoted_with_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"user:hunter2@127.0.0.1:{port}")
    async with AsyncCloudflare(
        base_url="https://localhost:1", api_token="t", account_id="a", max_retries=0
    ) as client:
        with pytest.raises(APIConnectionError, match="the proxy answered 407") as caught:
            await client.ai_gateway.billing.topup.create(amount=1000)
    server.close()
    assert not isinstance(caught.value, TopupOutcomeUnknownError)
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="the process ends otherwise there")
async def test_a_call_while_the_interpreter_shuts_down_does_not_hang(emulator: Emulator) -> None:
    script = """
import sys
from cfaigw_billing import Cloudflare
client = Cloudflare(account_id="acc")
class Last:
    def __del__(self):
        try:
            client.ai_gateway.billing.credit_balance()
        except RuntimeError as error:
            print(error)
last = Last()
client.ai_gateway.billing.credit_balance()
sys.last = last
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        env={
            **os.environ,
            "CLOUDFLARE_BASE_URL": emulator.base_url,
            "CLOUDFLARE_API_TOKEN": emulator.api_token,
            "PYTHONPATH": ":".join(sys.path),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert out.decode() in ("", "a sync client cannot be called while the interpreter shuts down\n")
