"""A server in a process of its own that answers every request with the same bytes."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

HOUR = 3_600_000
BALANCE = {
    "balance": 640.19,
    "has_default_payment_method": True,
    "payment_method": {"brand": "visa", "last4": "4242"},
    "topup_config": {"amount": 5000, "threshold": 500},
    "first_topup_success": True,
}
USAGE = {
    "history": [
        {
            "id": f"row_{hour}",
            "aggregated_value": hour * 0.37,
            "start_time": hour * HOUR,
            "end_time": (hour + 1) * HOUR,
        }
        for hour in range(365 * 24)
    ]
}


def envelope(result: object) -> bytes:
    """The body of a successful answer."""
    return json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()


class _Canned(asyncio.Protocol):
    """Answers each request head with the body that its path asks for; knows GET only."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
            path = head.split(b" ", 2)[1]
            self._transport.write(_USAGE if b"usage-history" in path else _BALANCE)


def _answer(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCF-Ray: 8f00000000000000-BEN\r\n"
        b'Ratelimit: "default";r=1199;t=300\r\nRatelimit-Policy: "default";q=1200;w=300\r\n'
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )


_BALANCE = _answer(envelope(BALANCE))
_USAGE = _answer(envelope(USAGE))


def _serve(pipe: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Canned, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def running() -> Iterator[str]:
    """The base URL of a running server."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs,), daemon=True
    )
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/client/v4"
    finally:
        process.terminate()
        process.join()
