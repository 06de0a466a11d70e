"""The aiohttp sessions, and all use of private parts of aiohttp and asyncio.

Each private part was tried with aiohttp 3.14.5 on CPython 3.11 and 3.13. If it is missing:

- `ClientSession._retry_connection`: a middleware keeps aiohttp from repeating requests instead.
- `BaseConnector._create_connection`, `transport.max_size` and that of `transport._ssl_protocol`:
  asyncio reads into buffers of the size that it likes.
- `BaseConnector._factory`, `ResponseHandler._reading_paused`: aiohttp lets its parser run again, on
  nothing, for each answer.
- `BaseConnector._limit`: a sweep has no more than the client's 100 connections.
- `BaseConnector._close`: the session of another loop is left to the garbage collector.
- `BaseConnector._conns` and `_acquired`, `transport._call_connection_lost`: the connections of a
  loop that has ended stay open until they are collected.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL


class UnrepeatedError(aiohttp.ClientError):
    """A broken connection, in a class that aiohttp does not repeat requests for."""


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET or a DELETE again on its own account.

    It does so once when the connection breaks, which may be one that was idle and had died.
    Repeats are the executor's to decide and to count. It costs every request two coroutines, so the
    switch for the same is used where there is one.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise UnrepeatedError from error


class _Response(aiohttp.ClientResponse):
    """The response of aiohttp with a repr that shows no headers."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class _NoCookies(aiohttp.DummyCookieJar):
    """The empty cookie jar of aiohttp, without a new empty cookie for each request."""

    _NONE = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:  # noqa: ARG002
        return self._NONE


READ_SIZE = 64 * 1024
"""Bytes. asyncio makes a new buffer of 256 KiB for every read. Memory of 128 KiB or more is mapped
and unmapped by the operating system each time, which costs more than the read."""


class _Protocol(ResponseHandler):
    """A connection of aiohttp which goes on reading only where it had stopped.

    aiohttp lets the parser run again, on nothing, whenever a part of a body is taken.
    """

    def resume_reading(self, *args: Any, **kwargs: Any) -> None:
        """Go on, if it has been paused."""
        if getattr(self, "_reading_paused", True):
            super().resume_reading(*args, **kwargs)


class Connector(aiohttp.TCPConnector):
    """The connections of aiohttp, read from in smaller pieces."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        protocol: type[ResponseHandler] = _Protocol
        self._factory = partial(protocol, asyncio.get_running_loop())

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(*args, **kwargs)
        transport: Any = protocol.transport
        readers: tuple[Any, ...] = (transport, getattr(transport, "_ssl_protocol", None))
        for reader in readers:
            if getattr(reader, "max_size", 0) > READ_SIZE:
                reader.max_size = READ_SIZE
        return protocol


_HAS_SWITCH = "_retry_connection" in aiohttp.ClientSession.ATTRS
"""Whether aiohttp can be told not to repeat requests, as its test client does (not in public)."""


def open_session(
    trace_configs: Sequence[aiohttp.TraceConfig], connector: aiohttp.TCPConnector
) -> aiohttp.ClientSession:
    # Not `trust_env`: it looks the proxy up in a thread for every request, and lets a .netrc
    # entry stand in for the credentials.
    session = aiohttp.ClientSession(
        cookie_jar=_NoCookies(),
        response_class=_Response,
        middlewares=() if _HAS_SWITCH else (_once,),
        trace_configs=list(trace_configs),
        connector=connector,
    )
    if _HAS_SWITCH:
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
    return session


class _Announcing(Connector):
    """New connections, of which each is announced before anything goes over it."""

    def __init__(self, announce: Callable[[], Awaitable[None]]) -> None:
        super().__init__(force_close=True)
        self._announce = announce

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        try:
            await self._announce()
        except BaseException:
            connection.close()
            raise
        return connection


@asynccontextmanager
async def fresh_session(
    trace_configs: Sequence[aiohttp.TraceConfig], announce: Callable[[], Awaitable[None]]
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session for one request, which is announced when there is a connection for it."""
    async with open_session(trace_configs, _Announcing(announce)) as session:
        yield session


def drop_session(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    """Close a session of another loop, without waiting for that loop: it may wait for this one.

    Left alone, aiohttp would log an error about it, to people who never saw a session.
    """
    connector = session.connector
    session.detach()
    if connector is None:
        return
    close = getattr(connector, "_close", None)  # `close` has to be awaited
    if close is None:
        return
    if loop.is_running():
        loop.call_soon_threadsafe(close)
        return
    if loop.is_closed():
        _end_connections(connector)
    close()


def _end_connections(connector: aiohttp.BaseConnector) -> None:
    """Close the sockets of a loop that has ended: neither aiohttp nor the loop does any more."""
    pools: Any = getattr(connector, "_conns", {})
    idle = [protocol for pool in pools.values() for protocol, _ in pool]
    for protocol in (*idle, *getattr(connector, "_acquired", ())):
        # What the loop would call next; the transports of uvloop end with their loop.
        end = getattr(protocol.transport, "_call_connection_lost", None)
        if end is not None:
            end(None)


class LateThreads(ThreadPoolExecutor):
    """Looks names up after the main thread has ended, when the standard pool takes no more jobs."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a job in a thread of its own."""
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future


def place_of_caller() -> str:
    """Return the file and the line from which this package was called, without a traceback."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_PACKAGE = f"{__name__.partition('.')[0]}."


def warn_unclosed(made_at: str) -> None:
    """Say that a client was collected without having been closed."""
    message = f"unclosed Cloudflare client, made at {made_at}"
    warnings.warn(message, ResourceWarning, stacklevel=3)


def set_limit(session: aiohttp.ClientSession, connections: int) -> None:
    """Change the number of connections that a session may have open at a time."""
    if session.connector is not None:
        session.connector._limit = connections  # pyright: ignore[reportPrivateUsage]
