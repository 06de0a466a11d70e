"""The two web apps, served for real, in front of the emulator."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp_app
import attrs
import fastapi_app
import pytest
import uvicorn
from aiohttp import web
from holding import held

from cfaigw_billing.journal import SQLiteJournal
from cfaigw_billing.testing import Emulator, Fault

SECONDS = 30.0  # after which what a test waits for is taken never to happen
ORDER = "/accounts/acc/topups/order-1"
BALANCE = "/accounts/acc/balance"
LEAK = "<html>upstream's own words</html>"
RAY = {"CF-Ray": "8f0-TEST"}


# The apps behind one face.


@asynccontextmanager
async def serve_fastapi() -> AsyncGenerator[str]:
    """Run it like `uvicorn fastapi_app:app --timeout-graceful-shutdown 0`, which never waits."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(fastapi_app.app, log_config=None, timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started or serving.done())
    try:
        yield "http://{}:{}".format(*listener.getsockname())
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def serve_aiohttp() -> AsyncGenerator[str]:
    """Run it like `python aiohttp_app.py`, but without its wait at the end."""
    runner = web.AppRunner(aiohttp_app.new_app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


Serve = Callable[[], AbstractAsyncContextManager[str]]


@pytest.fixture(params=[serve_fastapi, serve_aiohttp], ids=["fastapi", "aiohttp"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Yield the address of one of the apps, served by one of the servers."""
    found: Serve = request.param
    return found


@pytest.fixture(autouse=True)
def service(
    billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Emulator:
    """The emulator as the service of the environment, and a journal of the test's own."""
    billing_emulator.add_account("acc", balance=640.19, topup_seconds=0)
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", billing_emulator.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", billing_emulator.api_token)
    monkeypatch.chdir(tmp_path)
    return billing_emulator


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110  # other threads know no event of ours
            await asyncio.sleep(0.005)


@attrs.frozen
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


async def ask(url: str, method: str, path: str, **body: Any) -> Answer:
    """A browser's request."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url + path, **body) as response,
    ):
        return Answer(response.status, await response.text())


async def get_balance(url: str) -> Answer:
    return await ask(url, "GET", BALANCE)


async def put(url: str, amount: object = 5000, path: str = ORDER) -> Answer:
    return await ask(url, "PUT", path, json={"amount": amount})


# When all is well.


async def test_pages_share_one_answer(serve: Serve, service: Emulator) -> None:
    async with serve() as url:
        answers = [await get_balance(url) for _ in range(5)]
    for answer in answers:
        assert (answer.json["balance"], answer.json["balance_usd"]) == (640.19, "6.4019")
    assert len(service.requests) == 1


def test_the_balance_stands_in_the_openapi_page_with_its_unit() -> None:
    page = fastapi_app.app.openapi()
    schema = page["components"]["schemas"]["BillingCreditBalanceResponse"]
    assert "cents" in schema["properties"]["balance"]["description"]
    operation = page["paths"]["/accounts/{account_id}/balance"]["get"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/BillingCreditBalanceResponse"}


async def test_an_order_is_charged_once(serve: Serve, service: Emulator) -> None:
    async with serve() as url:
        answers = list(await asyncio.gather(*(put(url) for _ in range(5))))
    async with serve() as url:  # a new process
        answers.append(await put(url))
        assert (await get_balance(url)).json["balance"] == 5640.19
    charged = {"payment_intent_id": "in_emulated000001", "client_secret": None}
    assert [(answer.status, answer.json) for answer in answers] == [(200, charged)] * 6
    assert [charge.amount for charge in service.charges] == [5000]


async def test_the_payer_gets_the_secret_once_and_no_log_does(
    serve: Serve, service: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = service.accounts["acc"]
    account.needs_confirmation = True
    async with serve() as url:
        waiting, again = await put(url), await put(url)
        assert (waiting.status, again.status) == (200, 202)
        secret = waiting.json["client_secret"]
        assert secret.endswith("_secret")
        assert secret not in again.text + caplog.text
        account.confirm(waiting.json["payment_intent_id"])
        assert (await put(url)).status == 200
    assert len(service.charges) == 1


# Errors and their statuses.


def refused(status: int) -> Fault:
    return Fault(status=status, message=LEAK, headers=RAY)


UPSTREAM = {
    "bad request": (refused(400), 422),
    "wrong credentials": (refused(401), 502),
    "no permission": (refused(403), 502),
    "no such account": (refused(404), 404),
    "conflict": (refused(409), 409),
    "not accepted": (refused(422), 422),
    "any other refusal": (refused(418), 502),
    "no JSON": (Fault(body=LEAK.encode(), content_type="text/html", headers=RAY), 502),
    "wrong type": (Fault(body=b'{"success": true, "result": "<html>"}', headers=RAY), 502),
}


async def test_what_the_service_answers_becomes_a_status_of_ours(
    serve: Serve, service: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    answers: dict[str, Answer] = {}
    async with serve() as url:
        for name, (fault, _) in UPSTREAM.items():
            service.inject(fault)
            answers[name] = await get_balance(url)
        assert (await get_balance(url)).status == 200
    expected = {name: status for name, (_, status) in UPSTREAM.items()}
    assert {name: answer.status for name, answer in answers.items()} == expected
    logged = [r.message for r in caplog.records if r.name in ("fastapi_app", "aiohttp_app")]
    assert len(logged) == len(UPSTREAM)  # there is what the browser does not see
    assert all("8f0-TEST" in line for line in logged)
    for answer in answers.values():
        assert answer.json == {"order": None}
        assert service.api_token not in str((answer, logged))


async def test_wrong_arguments_are_named_and_not_sent(serve: Serve, service: Emulator) -> None:
    async with serve() as url:
        small, large = await put(url, 999), await put(url, 10_001)
        account = await ask(url, "GET", "/accounts/a%5Cb/balance")
        key = await put(url, path="/accounts/acc/topups/" + "k" * 256)
        others = [await put(url, amount) for amount in ("5000", 5000.0, True, None)]
        others += [await ask(url, "PUT", ORDER, data=text) for text in ("{", "[]")]
    assert small.json == {
        "detail": "`amount` must be at least 1000 cents ($10.00), got 999 cents ($9.99)"
    }
    assert "more than this client's `max_charge`" in large.json["detail"]
    assert account.json["detail"].startswith("`account_id` must be at most 64 letters")
    assert key.json["detail"].startswith("`idempotency_key` must have 1 to 255")
    assert [answer.status for answer in (small, large, account, key, *others)] == [422] * 10
    assert service.requests == []


async def test_an_order_cannot_change_its_amount(serve: Serve, service: Emulator) -> None:
    async with serve() as url:
        await put(url)
        answer = await put(url, 6000)
    assert answer.status == 422
    assert "its `amount` was 5000 cents ($50.00), not 6000" in answer.json["detail"]
    assert len(service.charges) == 1


async def test_a_declined_card_is_a_402_and_the_next_card_is_charged(
    serve: Serve, service: Emulator
) -> None:
    service.accounts["acc"].declines = True
    async with serve() as url:
        declined = await put(url)
        assert (declined.status, declined.json) == (402, {"order": "order-1"})
        service.accounts["acc"].declines = False
        assert (await put(url)).status == 200
    assert len(service.charges) == 1


# Charges of unknown outcome.


async def test_a_lost_answer_is_no_failure_to_repeat_and_is_settled_at_the_next_start(
    serve: Serve, service: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    service.inject(Fault.lost_answer(), path="/topup")
    async with serve() as url:
        lost = await put(url)
        assert (lost.status, lost.json) == (202, {"order": "order-1"})
    service.advance(3)
    async with serve() as url:
        assert "order-1 is charged" in caplog.text
        assert (await put(url)).status == 200
    assert len(service.charges) == 1


async def go_away(url: str, emulator: Emulator) -> None:
    """Ask for a top-up, and hang up once the app has asked the service."""
    host, _, port = url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = b'{"amount": 5000}'
    head = f"PUT {ORDER} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await until(lambda: emulator.requests)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_charge_goes_on_when_its_browser_has_gone(serve: Serve, service: Emulator) -> None:
    service.inject(Fault(delay=0.1), path="/topup")
    async with serve() as url:
        await go_away(url, service)
        answer = await put(url)
    assert (answer.status, answer.json["payment_intent_id"]) == (200, "in_emulated000001")
    assert len(service.charges) == 1


async def test_a_charge_that_a_shutdown_breaks_off_is_settled_at_the_next_start(
    serve: Serve,
    service: Emulator,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service.inject(Fault(delay=1), path="/topup")
    ended = threading.Event()
    held(service, monkeypatch, {1: ended.is_set})
    async with serve() as url:
        stays = asyncio.create_task(put(url))
        await until(lambda: service.requests)
    ended.set()
    with suppress(aiohttp.ClientError):  # the shutdown did not wait for this
        await stays
    await until(lambda: service.charges)
    journal = SQLiteJournal("topups.sqlite3")
    async with asyncio.timeout(SECONDS):
        while await journal.entries(state="sent"):  # noqa: ASYNC110  # nor for the record
            await asyncio.sleep(0.005)
    await journal.close()
    service.advance(3)
    caplog.clear()
    async with serve() as url:
        assert "order-1 is charged" in caplog.text
        assert (await put(url)).status == 200
    assert len(service.charges) == 1
