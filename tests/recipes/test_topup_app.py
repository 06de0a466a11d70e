"""The web app with a journal, served for real, in front of the emulator."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import topup_app
import uvicorn

from cfaigw_billing.testing import Emulator, Fault

ORDER = "/accounts/acc/topups/order-1"


@pytest.fixture
def service(
    billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Emulator:
    billing_emulator.add_account("acc", topup_seconds=0)
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", billing_emulator.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", billing_emulator.api_token)
    monkeypatch.setenv("TOPUPS", str(tmp_path / "topups.sqlite3"))
    return billing_emulator


@asynccontextmanager
async def served() -> AsyncGenerator[Any]:
    """A browser of the app: what puts an amount at a path, and returns status and body."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(topup_app.app, log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not (server.started or serving.done()):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    async with aiohttp.ClientSession("http://{}:{}".format(*listener.getsockname())) as session:

        async def put(path: str, amount: object = 5000) -> tuple[int, dict[str, Any]]:
            async with session.put(path, json={"amount": amount}) as answer:
                return answer.status, await answer.json()

        yield put
    server.should_exit = True
    await serving


async def test_an_order_is_charged_once(service: Emulator) -> None:
    async with served() as put:
        answers = await asyncio.gather(*(put(ORDER) for _ in range(5)))
    async with served() as put:  # a new process
        answers.append(await put(ORDER))
    charged = {"payment_intent_id": "in_emulated000001", "client_secret": None}
    assert answers == [(200, charged)] * 6
    assert len(service.charges) == 1


async def test_a_lost_answer_is_no_failure_to_repeat_and_is_settled_at_the_next_start(
    service: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    service.inject(Fault.lost_answer(), path="/topup")
    async with served() as put:
        assert await put(ORDER) == (202, {"order": "order-1"})
    service.advance(3)
    async with served() as put:
        assert "order-1 is charged" in caplog.text
        assert (await put(ORDER))[0] == 200
    assert len(service.charges) == 1


async def test_what_cannot_be_done_is_said_in_the_words_of_the_package(service: Emulator) -> None:
    async with served() as put:
        assert await put(ORDER, 5) == (
            422,
            {"detail": "`amount` must be at least 1000 cents, got 5"},
        )
        assert "max_charge" in (await put(ORDER, 10_001))[1]["detail"]
        assert (await put(ORDER, "5000"))[0] == 422
        assert (await put("/accounts/acc/topups/" + "k" * 256))[0] == 422
        assert service.charges == []
        await put(ORDER)
        status, answer = await put(ORDER, 6000)
    assert (status, len(service.charges)) == (422, 1)
    assert "its `amount` was 5000 cents ($50.00), and not 6000 cents ($60.00)" in answer["detail"]


async def test_a_declined_card_is_a_402_and_the_next_card_is_charged(service: Emulator) -> None:
    service.accounts["acc"].declines = True
    async with served() as put:
        assert await put(ORDER) == (402, {"order": "order-1"})
        service.accounts["acc"].declines = False
        assert (await put(ORDER))[0] == 200
    assert len(service.charges) == 1
