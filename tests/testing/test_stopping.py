"""Stopping the emulator ends every connection, those too that were only just accepted."""

from __future__ import annotations

import asyncio
import socket

import pytest

from cfaigw_billing.testing import Emulator, Fault

WITHIN = 30.0  # seconds after which it is taken to hang


@pytest.mark.parametrize("iterations", range(6))
async def test_a_connection_that_was_just_accepted_is_ended(iterations: int) -> None:
    """After so many iterations of the loop that both ends live on."""
    loop = asyncio.get_running_loop()
    async with Emulator() as emulator:
        host, port = emulator.base_url.removeprefix("http://").split("/")[0].split(":")
        # The kernel completes these, the loop has yet to notice.
        peers = [socket.create_connection((host, int(port))) for _ in range(20)]
        for _ in range(iterations):
            await asyncio.sleep(0)
    for peer in peers:
        with peer:
            peer.setblocking(False)
            try:
                left = await asyncio.wait_for(loop.sock_recv(peer, 1), WITHIN)
            except ConnectionResetError:
                continue
            assert left == b""


@pytest.mark.parametrize(
    "fault",
    [
        Fault.slow(60),
        Fault(truncate=5, silence="hang"),
        Fault(raw="HTTP/1.1 200 OK\r\n\r\n", silence="hang"),
    ],
)
async def test_an_answer_that_has_begun_is_ended(fault: Fault) -> None:
    async with Emulator() as emulator:
        emulator.inject(fault)
        host, port = emulator.base_url.removeprefix("http://").split("/")[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /client/v4/accounts HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
    try:
        await asyncio.wait_for(reader.read(), WITHIN)
    except ConnectionResetError:
        pass
    finally:
        writer.close()
