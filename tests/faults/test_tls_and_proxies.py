"""TLS is verified, private authorities and proxies work, and plain http goes through no proxy."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import aiohttp
import pytest
from aiohttp import web

from cfaigw_billing import APIConnectionError, AsyncCloudflare, TopupOutcomeUnknownError
from cfaigw_billing._io.sessions import READ_SIZE, Connector
from cfaigw_billing.testing import Emulator

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = CERTIFICATES / "ca.pem"

ONE_BALANCE = """
import asyncio, sys
from cfaigw_billing import AsyncCloudflare
async def main():
    async with AsyncCloudflare(api_token="t", account_id="a", max_retries=0) as client:
        await client.ai_gateway.billing.credit_balance()
        print((await client.ai_gateway.billing.credit_balance()).balance_money)
asyncio.run(main())
"""


@asynccontextmanager
async def https_server() -> AsyncGenerator[tuple[str, list[str]]]:
    """The base URL of a TLS server that knows one balance, and the paths it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        result = {"balance": 640.19, "has_default_payment_method": True}
        return web.json_response({"success": True, "errors": [], "result": result})

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://localhost:{runner.addresses[0][1]}/client/v4", asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connect_proxy() -> AsyncGenerator[tuple[str, list[str]]]:
    """The address of a proxy that tunnels, and the heads of the requests it got."""
    heads: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        host, port = head.split()[1].rsplit(":", 1)
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, target in ((reader, upstream_writer), (upstream_reader, writer)):
            task = asyncio.create_task(pump(source, target))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()


async def balance_from_a_new_process(base_url: str, **environment: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ONE_BALANCE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "CLOUDFLARE_BASE_URL": base_url,
            "PYTHONPATH": ":".join(sys.path),
            **environment,
        },
    )
    out, err = await process.communicate()
    return out.decode().strip(), err.decode()


async def test_an_unknown_authority_is_refused_before_anything_is_sent() -> None:
    async with (
        https_server() as (base_url, asked),
        AsyncCloudflare(api_token="t", base_url=base_url, account_id="a", max_retries=0) as client,
    ):
        with pytest.raises(APIConnectionError, match="certificate"):
            await client.ai_gateway.billing.credit_balance()
        with pytest.raises(APIConnectionError, match="certificate") as caught:
            await client.ai_gateway.billing.topup.create(amount=1000)
    assert not isinstance(caught.value, TopupOutcomeUnknownError)
    assert asked == []


async def test_a_private_authority_from_the_environment_is_trusted() -> None:
    async with https_server() as (base_url, _):
        out, err = await balance_from_a_new_process(base_url, SSL_CERT_FILE=str(AUTHORITY))
    assert (out, err) == ("$6.40", "")


async def test_an_ssl_context_of_the_callers_is_used_and_the_session_left_open() -> None:
    context = ssl.create_default_context(cafile=AUTHORITY)
    async with (
        https_server() as (base_url, _),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        async with AsyncCloudflare(
            api_token="t", base_url=base_url, account_id="a", http_client=session
        ) as client:
            balance = await client.ai_gateway.billing.credit_balance()
        assert balance.balance == 640.19
        assert not session.closed


@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize("password", ["word", "w%C3%B6rd", "p%40s%3As%25"])
async def test_a_proxy_of_the_environment_is_used_and_gets_its_own_credentials_only(
    password: str, scheme: str
) -> None:
    """Over one connection, however many calls there are."""
    async with https_server() as (base_url, asked), connect_proxy() as (proxy, heads):
        out, err = await balance_from_a_new_process(
            base_url,
            SSL_CERT_FILE=str(AUTHORITY),
            HTTPS_PROXY=f"{scheme}user:{password}@{proxy}",
        )
    assert (out, err) == ("$6.40", "")
    assert len(asked) == 2
    [head] = heads
    assert head.startswith("CONNECT localhost:")
    assert b64encode(b"user:" + unquote_to_bytes(password)).decode() in head
    assert "Bearer" not in head


async def test_no_proxy_is_obeyed() -> None:
    async with https_server() as (base_url, _), connect_proxy() as (proxy, heads):
        out, err = await balance_from_a_new_process(
            base_url,
            SSL_CERT_FILE=str(AUTHORITY),
            HTTPS_PROXY=f"http://{proxy}",
            NO_PROXY="localhost",
        )
    assert (out, err) == ("$6.40", "")
    assert heads == []


async def test_plain_http_to_this_machine_goes_through_no_proxy(
    billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    billing_emulator.add_account("a", balance=1)
    async with AsyncCloudflare(
        api_token=billing_emulator.api_token, base_url=billing_emulator.base_url, max_retries=0
    ) as client:
        assert (await client.ai_gateway.billing.credit_balance(account_id="a")).balance == 1


async def test_a_proxy_that_refuses_the_tunnel_leaves_nothing_open_about_a_charge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with AsyncCloudflare(
        api_token="t", base_url="https://localhost:1/v4", account_id="a", max_retries=0
    ) as client:
        with pytest.raises(APIConnectionError) as caught:
            await client.ai_gateway.billing.topup.create(amount=1000)
    assert not isinstance(caught.value, TopupOutcomeUnknownError)


async def test_no_read_takes_a_buffer_that_has_to_be_mapped() -> None:
    with Emulator() as emulator:
        emulator.add_account("a")
        options: Any = {"base_url": emulator.base_url, "api_token": emulator.api_token}
        async with AsyncCloudflare(account_id="a", **options) as client:
            await client.ai_gateway.billing.credit_balance()
            transport: Any = client._executor._transport
            (session,) = transport._sessions.values()
            assert idle_transport(session).max_size == READ_SIZE


async def test_no_read_over_tls_takes_one_either() -> None:
    connector = Connector(ssl=ssl.create_default_context(cafile=AUTHORITY))
    async with https_server() as (base_url, _), aiohttp.ClientSession(connector=connector) as got:
        async with got.get(base_url) as response:
            await response.read()
        assert idle_transport(got)._ssl_protocol.max_size == READ_SIZE


def idle_transport(session: Any) -> Any:
    """The transport of the one connection that the session has."""
    (((protocol, _),),) = session.connector._conns.values()
    return protocol.transport
