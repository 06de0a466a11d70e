"""Send an answer: whole, changed by a fault, or not at all."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn

from aiohttp import web

from ._faults import Fault

Pause = Callable[[float | None], Awaitable[None]]
"""Waits so many seconds (None: forever); raises `ConnectionEndedError` if the emulator stops."""

_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_RESET_DELAY = 0.02
"""Seconds to wait before a reset: it discards the bytes that the client has not read yet."""


class ConnectionEndedError(Exception):
    """The connection has ended."""


async def deliver(
    request: web.Request, response: web.Response, fault: Fault, pause: Pause
) -> web.StreamResponse:
    """Send the answer, slowed down or cut off as the fault says."""
    if fault.truncate is None and not fault.drip:
        return response  # which aiohttp sends
    body = response.body if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    try:
        await stream.prepare(request)
        for piece in _pieces(body[: fault.truncate], fault.drip):
            await stream.write(piece)
            if fault.drip:
                await pause(fault.drip)
    except ConnectionError:  # the client has gone
        raise ConnectionEndedError from None
    if fault.truncate is not None:
        await end_connection(request, fault, pause)
    return stream


async def end_connection(request: web.Request, fault: Fault, pause: Pause) -> NoReturn:
    """Send the raw bytes of the fault, if any, and end the connection as it says."""
    transport = request.transport
    if transport is None:
        raise ConnectionEndedError
    if fault.raw:
        transport.write(fault.raw)
    if fault.silence == "hang":
        await pause(None)
    if fault.silence == "reset":
        await asyncio.sleep(_RESET_DELAY)
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        transport.abort()
    transport.close()
    raise ConnectionEndedError


def _pieces(body: bytes, drip: float) -> Iterator[bytes]:
    size = 1 if drip else max(len(body), 1)
    return (body[start : start + size] for start in range(0, len(body), size))
