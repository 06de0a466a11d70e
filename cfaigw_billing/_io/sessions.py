"""The aiohttp sessions, and all use of private parts of aiohttp and asyncio.

Each private part was tested with aiohttp 3.14.5 on CPython 3.11 and 3.13. If it is missing:

- `ClientSession._retry_connection`: a middleware keeps aiohttp from repeating requests instead.
- `BaseConnector._create_connection`, `transport.max_size`, also of `transport._ssl_protocol`:
  asyncio chooses the size of its read buffers.
- `BaseConnector._factory`, `ResponseHandler._reading_paused`: aiohttp runs its parser one more time
  for each answer.
- `BaseConnector._limit`: a sweep has only the client's 100 connections.
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
    """A broken connection, as a class of error for which aiohttp does not repeat requests."""


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a GET or DELETE once if a connection breaks.

    The executor decides about retries and counts them. This middleware costs two coroutines per
    request, so it is only used if aiohttp has no switch for it.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise UnrepeatedError from error


class _Response(aiohttp.ClientResponse):
    """aiohttp's response, with a repr that shows no headers."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class _NoCookies(aiohttp.DummyCookieJar):
    """aiohttp's empty cookie jar, but it does not create an empty cookie for each request."""

    _NONE = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:  # noqa: ARG002
        return self._NONE


READ_SIZE = 64 * 1024
"""The size of read buffers, in bytes. asyncio's default of 256 KiB is slow: the operating system
maps and unmaps buffers of 128 KiB or more for each read, which costs more than the read."""


class _Protocol(ResponseHandler):
    """A connection of aiohttp that resumes reading only if it was paused.

    Otherwise aiohttp runs the parser without data whenever a part of a body is read.
    """

    def resume_reading(self, *args: Any, **kwargs: Any) -> None:
        """Resume reading if it was paused."""
        if getattr(self, "_reading_paused", True):
            super().resume_reading(*args, **kwargs)


class Connector(aiohttp.TCPConnector):
    """aiohttp's connections, with smaller read buffers."""

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
"""Whether aiohttp has its private switch against repeating requests."""


def open_session(
    trace_configs: Sequence[aiohttp.TraceConfig], connector: aiohttp.TCPConnector
) -> aiohttp.ClientSession:
    # Not `trust_env`: it looks up the proxy in a thread for every request, and a .netrc entry
    # could replace the credentials.
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
    """Calls `announce` for each new connection before anything is sent over it."""

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
    """Yield a session for one request; it awaits `announce` when it has a connection."""
    async with open_session(trace_configs, _Announcing(announce)) as session:
        yield session


def drop_session(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    """Close a session of another loop, without waiting for that loop: it may wait for this one.

    Otherwise aiohttp would log an error about an unclosed session, which users do not know about.
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
    """Close the sockets of a loop that has ended: aiohttp and the loop no longer do it."""
    pools: Any = getattr(connector, "_conns", {})
    idle = [protocol for pool in pools.values() for protocol, _ in pool]
    for protocol in (*idle, *getattr(connector, "_acquired", ())):
        # The loop would call this next. The transports of uvloop end with their loop.
        end = getattr(protocol.transport, "_call_connection_lost", None)
        if end is not None:
            end(None)


class LateThreads(ThreadPoolExecutor):
    """Looks up names after the main thread has ended, when the standard pool accepts no jobs."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a job in its own thread."""
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future


def place_of_caller() -> str:
    """Return the file and line that called this package."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_PACKAGE = f"{__name__.partition('.')[0]}."


def warn_unclosed(made_at: str) -> None:
    """Warn that a client was garbage-collected without `close`."""
    message = f"unclosed Cloudflare client, made at {made_at}"
    warnings.warn(message, ResourceWarning, stacklevel=3)


def set_limit(session: aiohttp.ClientSession, connections: int) -> None:
    """Set how many connections a session may have open at a time."""
    if session.connector is not None:
        session.connector._limit = connections  # pyright: ignore[reportPrivateUsage]
