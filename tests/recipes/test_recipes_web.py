"""The two web apps, served for real, in front of the emulator."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import aiohttp
import aiohttp_app
import attrs
import error_status
import fastapi_app
import pytest
import uvicorn
from aiohttp import web

from cfaigw_billing import (
    AsyncCloudflare,
    CloudflareError,
    Money,
    TopupConfirmationError,
    TopupFailedError,
    TopupPendingError,
)
from cfaigw_billing._wire.secrets import Secret
from cfaigw_billing.testing import Emulator, Fault

SECONDS = 5.0  # within which whatever a test waits for has to happen
TOPUPS = "/accounts/acc/topups"
BALANCE = "/accounts/acc/balance"
LEAK = "<html>upstream's own words</html>"


# The apps behind one face.


@asynccontextmanager
async def serve_fastapi() -> AsyncGenerator[str]:
    """As `uvicorn fastapi_app:app --timeout-graceful-shutdown 0`, the most impatient there is."""
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
    """As `python aiohttp_app.py`, but for the patience at the end."""
    runner = web.AppRunner(aiohttp_app.new_app(), handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


@attrs.define
class App:
    """An app that can be served, and what becomes of its calls."""

    recipe: ModuleType
    serve: Callable[[], AbstractAsyncContextManager[str]]
    clients: list[AsyncCloudflare] = attrs.field(factory=list[AsyncCloudflare])
    given: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    ended: list[str] = attrs.field(factory=list[str])
    """How each request to the service ended: "answered", or the error."""
    connections: int = 0
    """How many were opened to the service."""

    def new_client(self, **options: Any) -> AsyncCloudflare:
        """In the place of `AsyncCloudflare`: counted, watched, and without repeats."""
        self.given.append(options)
        watched = aiohttp.TraceConfig()
        watched.on_request_end.append(self._answered)
        watched.on_request_exception.append(self._broken)
        watched.on_connection_create_end.append(self._connected)
        client = AsyncCloudflare(max_retries=0, trace_configs=[watched], **options)
        self.clients.append(client)
        return client

    async def _answered(self, *_: object) -> None:
        self.ended.append("answered")

    async def _broken(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        self.ended.append(type(params.exception).__name__)

    async def _connected(self, *_: object) -> None:
        self.connections += 1


APPS = {"fastapi": (fastapi_app, serve_fastapi), "aiohttp": (aiohttp_app, serve_aiohttp)}


@pytest.fixture(params=APPS)
def app(
    request: pytest.FixtureRequest, billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> App:
    """Each of the apps, with the emulator as the service of the environment."""
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", billing_emulator.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", billing_emulator.api_token)
    billing_emulator.add_account("acc", balance=640.19)
    app = App(*APPS[request.param])
    monkeypatch.setattr(app.recipe, "AsyncCloudflare", app.new_client)
    return app


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110  # other threads know no event of ours
            await asyncio.sleep(0.005)


@attrs.frozen
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


async def ask(url: str, method: str, path: str, body: object = None) -> Answer:
    """A browser's request."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url + path, json=body) as response,
    ):
        return Answer(response.status, response.headers, await response.text())


async def get_balance(url: str) -> Answer:
    return await ask(url, "GET", BALANCE)


async def make_topup(url: str, amount: object = 5000) -> Answer:
    return await ask(url, "POST", TOPUPS, {"amount": amount})


# When all is well.


async def test_one_client_serves_all_requests_and_is_closed_at_the_end(
    app: App, billing_emulator: Emulator
) -> None:
    async with app.serve() as url:
        answers = [await get_balance(url) for _ in range(5)]
        [client] = app.clients
        await client.accounts.list()
    for answer in answers:
        assert (answer.json["balance"], answer.json["balance_usd"]) == (640.19, "6.4019")
    asked = [request.path.rpartition("/")[2] for request in billing_emulator.requests]
    assert asked == ["credit-balance", "accounts"]  # the pages after the first have its answer
    assert app.connections == 1
    assert app.given == [{"max_charge": Money.dollars(100), "total_timeout": 30.0}]
    with pytest.raises(RuntimeError, match="closed"):
        await client.accounts.list()


def test_the_balance_stands_in_the_openapi_page_with_its_unit() -> None:
    page = fastapi_app.app.openapi()
    schema = page["components"]["schemas"]["BillingCreditBalanceResponse"]
    assert "cents" in schema["properties"]["balance"]["description"]
    operation = page["paths"]["/accounts/{account_id}/balance"]["get"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/BillingCreditBalanceResponse"}


async def test_a_top_up_is_charged_or_waits_for_its_payer_or_is_declined(
    app: App, billing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = billing_emulator.accounts["acc"]
    async with app.serve() as url:
        charged = await make_topup(url)
        account.needs_confirmation = True
        waiting = await make_topup(url)
        account.declines = True
        declined = await make_topup(url)
    assert [answer.status for answer in (charged, waiting, declined)] == [201, 201, 402]
    first, second = billing_emulator.charges
    ids = [answer.json["payment_intent_id"] for answer in (charged, waiting)]
    assert ids == [first.payment_intent_id, second.payment_intent_id]
    assert (first.account_id, first.amount) == ("acc", 5000)
    assert charged.json["client_secret"] is None
    assert waiting.json["client_secret"].endswith("_secret")
    assert declined.json["detail"] == "The card was declined. Nothing was charged."
    assert ids[1] in caplog.text
    assert waiting.json["client_secret"] not in caplog.text


# Errors and their statuses.

RAY = {"CF-Ray": "8f0-TEST"}


def refused(status: int, **headers: str) -> Fault:
    return Fault(status=status, message=LEAK, headers=RAY | headers)


UPSTREAM = {
    "bad request": (refused(400), 422),
    "wrong credentials": (refused(401), 502),
    "no permission": (refused(403), 502),
    "no such account": (refused(404), 404),
    "conflict": (refused(409), 409),
    "not accepted": (refused(422), 422),
    "any other refusal": (refused(418), 502),
    "failure": (refused(500), 502),
    "failure of the edge": (Fault(status=502, body=LEAK.encode(), headers=RAY), 502),
    "no JSON": (Fault(body=LEAK.encode(), content_type="text/html", headers=RAY), 502),
    "wrong type": (Fault(body=b'{"success": true, "result": "<html>"}', headers=RAY), 502),
}


async def test_what_the_service_answers_becomes_a_status_of_ours(
    app: App, billing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    answers: dict[str, Answer] = {}
    async with app.serve() as url:
        for name, (fault, _) in UPSTREAM.items():
            billing_emulator.inject(fault)
            answers[name] = await get_balance(url)
        assert (await get_balance(url)).status == 200
    expected = {name: status for name, (_, status) in UPSTREAM.items()}
    assert {name: answer.status for name, answer in answers.items()} == expected
    assert {name: answer.json for name, answer in answers.items()} == {
        name: {"detail": error_status.DETAIL[status], "cf_ray": "8f0-TEST"}
        for name, status in expected.items()
    }
    logged = [record.message for record in caplog.records if record.name == app.recipe.__name__]
    assert len(logged) == len(UPSTREAM)  # there is what the browser does not see
    assert all("8f0-TEST" in line for line in logged)
    for answer in answers.values():
        assert "html" not in answer.text
        assert "Retry-After" not in answer.headers
        assert billing_emulator.api_token not in str((answer, logged))


async def test_the_rate_limit_says_how_long_to_wait_in_whole_seconds_rounded_up(
    app: App, billing_emulator: Emulator
) -> None:
    billing_emulator.inject(refused(429))
    billing_emulator.inject(refused(429, **{"Retry-After": "99"}))
    async with app.serve() as url:
        answers = [await get_balance(url) for _ in range(3)]
    assert len(billing_emulator.requests) == 2  # the third was not sent: 98.9… seconds are left
    assert [answer.status for answer in answers] == [503, 503, 503]
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "99", "99"]
    assert [answer.json["cf_ray"] for answer in answers] == ["8f0-TEST", "8f0-TEST", None]


async def test_no_answer_or_none_in_time(
    app: App, billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[tuple[Fault, float, int]] = [
        (Fault(silence="close"), 30.0, 502),
        (Fault(silence="hang"), 0.1, 504),
    ]
    for fault, patience, status in faults:
        monkeypatch.setattr(app.recipe, "LONGEST_CALL", patience)
        billing_emulator.inject(fault)
        async with app.serve() as url:
            answer = await get_balance(url)
        assert answer.status == status
        assert answer.json == {"detail": error_status.DETAIL[status], "cf_ray": None}


async def test_wrong_arguments_are_named_and_not_sent(app: App, billing_emulator: Emulator) -> None:
    async with app.serve() as url:
        answers = [
            await make_topup(url, 999),
            await make_topup(url, 10_001),
            await ask(url, "GET", "/accounts/a%5Cb/balance"),
        ]
        for amount in ("5000", 5000.0, True, None):
            answer = await make_topup(url, amount)
            assert (answer.status, "amount" in answer.text) == (422, True)
    assert [answer.status for answer in answers] == [422] * 3
    small, large, account = (answer.json["detail"] for answer in answers)
    assert small == "`amount` must be at least 1000 cents, got 999"
    assert large.startswith("`amount` is 10001 cents, more than this client's `max_charge`")
    assert account.startswith("`account_id` must be at most 64 letters")
    assert billing_emulator.requests == []


async def test_what_is_no_json_is_refused(app: App, billing_emulator: Emulator) -> None:
    async with app.serve() as url, aiohttp.ClientSession() as session:
        json_type = {"Content-Type": "application/json"}
        for data, headers in [("{", json_type), ("[]", json_type), ('{"amount": 5000}', {})]:
            async with session.post(url + TOPUPS, data=data, headers=headers) as response:
                assert response.status in (415, 422), data
    assert billing_emulator.requests == []


def test_a_fault_of_the_app_itself_is_not_for_the_browser_to_read() -> None:
    with pytest.raises(StopIteration):
        error_status.answer_to(ValueError("a fault of the app"))


TOPUP: Any = {"account_id": "acc", "amount": 5000}


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (TopupPendingError("in_1", **TOPUP), {"payment_intent_id": "in_1", **TOPUP}),
        (
            TopupPendingError("in_1", account_id="acc", amount=None),
            {"payment_intent_id": "in_1", "account_id": "acc"},
        ),
        (TopupFailedError("void", "in_1", **TOPUP), {"payment_intent_id": "in_1", **TOPUP}),
        (
            TopupConfirmationError("in_1", Secret("pi_secret_1"), **TOPUP),
            {"payment_intent_id": "in_1", "client_secret": "pi_secret_1", **TOPUP},
        ),
    ],
)
def test_what_has_been_charged_is_not_to_be_sent_again(
    error: CloudflareError, facts: dict[str, Any]
) -> None:
    answer = error_status.answer_to(error)
    assert answer.status == 202
    body = json.loads(json.dumps(answer.body))
    assert body == facts | {"retry": False, "detail": error_status.DETAIL[202], "cf_ray": None}


# Charges of unknown outcome.


async def test_who_lost_the_answer_to_a_charge_is_told_not_to_send_it_again(
    app: App, billing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    lost = Fault(silence="close", after=True)
    failed = Fault(status=500, after=True, message=LEAK, headers=RAY)
    async with app.serve() as url:
        for fault, cf_ray in [(lost, None), (failed, "8f0-TEST")]:
            billing_emulator.reset()
            caplog.clear()
            billing_emulator.inject(fault, path="/topup")
            answer = await make_topup(url)
            facts = answer.json
            assert answer.status == 202
            assert datetime.fromisoformat(facts.pop("sent_at")).utcoffset() == timedelta(0)
            assert facts == {
                "detail": error_status.DETAIL[202],
                "cf_ray": cf_ray,
                "retry": False,
                "account_id": "acc",
                "amount": 5000,
            }
            assert [charge.amount for charge in billing_emulator.charges] == [5000]
            [record] = [record for record in caplog.records if record.name == "charges"]
            assert record.levelname == "ERROR"
            assert "a top-up of 5000 cents ($50.00) was sent at" in record.message


# Browsers that go away.


async def go_away(url: str, emulator: Emulator, method: str, path: str, body: bytes = b"") -> None:
    """Ask, and hang up once the app has asked the service."""
    host, _, port = url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await until(lambda: emulator.requests)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def charged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the app knows to have been charged, or not to know."""
    return [
        record.message
        for record in caplog.records
        if record.name == "charges"
        or (record.name == "cfaigw_billing" and record.levelno >= logging.WARNING)
    ]


async def test_a_read_ends_when_its_browser_has_gone(app: App, billing_emulator: Emulator) -> None:
    # aiohttp cancels it; uvicorn does not, and it runs to its end.
    cancels = app.recipe is aiohttp_app
    billing_emulator.inject(Fault(silence="hang") if cancels else Fault(delay=0.1))
    async with app.serve() as url:
        await go_away(url, billing_emulator, "GET", BALANCE)
        await until(lambda: app.ended)
        assert app.ended == ["CancelledError" if cancels else "answered"]
        assert (await get_balance(url)).json["balance"] == 640.19


async def test_a_charge_goes_on_when_its_browser_has_gone(
    app: App, billing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    billing_emulator.inject(Fault(delay=0.1), path="/topup")
    billing_emulator.inject(Fault(delay=0.1, silence="close"), path="/topup")
    async with app.serve() as url:
        await go_away(url, billing_emulator, "POST", TOPUPS, b'{"amount": 5000}')
        await until(lambda: len(charged(caplog)) == 1)
        assert len(billing_emulator.charges) == 1
        billing_emulator.requests.clear()
        await go_away(url, billing_emulator, "POST", TOPUPS, b'{"amount": 2000}')
        await until(lambda: len(charged(caplog)) == 2)
        assert (await get_balance(url)).json["balance"] == 640.19
    made, lost = charged(caplog)
    assert made.startswith("charged: TopupCreateResponse(")
    assert "a top-up of 2000 cents ($20.00) was sent at" in lost
    assert "interrupted" not in lost  # as it is where nothing shields it


async def test_a_shutdown_waits_for_the_charges(
    app: App, billing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    billing_emulator.inject(Fault(delay=0.4), times=2, path="/topup")
    async with app.serve() as url:
        await go_away(url, billing_emulator, "POST", TOPUPS, b'{"amount": 1000}')
        stays = asyncio.create_task(make_topup(url, 2000))
        await until(lambda: len(billing_emulator.requests) == 2)
    assert sorted(charge.amount for charge in billing_emulator.charges) == [1000, 2000]
    lines = charged(caplog)
    assert len(lines) == 2
    assert all(line.startswith("charged: TopupCreateResponse(") for line in lines)
    with suppress(aiohttp.ClientError):  # the shutdown did not wait for this
        await stays
