"""The only module that knows aiohttp: one request out, one answer in."""

from __future__ import annotations

import asyncio
import os
import warnings
import weakref
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import lru_cache
from http.cookies import SimpleCookie
from io import BytesIO
from math import inf
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from attrs import evolve
from yarl import URL

from .._core.options import Timeout
from .._wire.messages import TOO_LARGE, HTTPRequest, HTTPResponse
from .._wire.secrets import Mask, Secret
from .deadlines import SHORTEST, Deadlines
from .fork import forget_in_child

MAX_BODY = 32 * 1024 * 1024
"""Bytes after decompression. A year of hourly usage is one; a small gzip can unpack to any size."""

CONNECTIONS = 100
"""How many connections single calls have, in all. The others wait for one, so that a program with
a thousand tasks keeps its file descriptors. Sweeps have more: see `Transport.widened`."""

Sessions = dict[asyncio.AbstractEventLoop, aiohttp.ClientSession]

_NO_LIMIT = aiohttp.ClientTimeout()


class TransportError(Exception):
    """No whole answer came; the cause is what aiohttp raised."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Transport:
    """Sends requests with aiohttp, over one session for each event loop it is used from.

    Args:
        base_url: Where the requests will go: decides which proxy of the environment applies.
        http_client: A session of the caller's to use instead; it is never closed here.
        trace_configs: What is told of the requests; a session of the caller's has its own.
    """

    def __init__(
        self,
        base_url: str,
        http_client: aiohttp.ClientSession | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self._begin()
        forget_in_child(self)
        if http_client is not None and not isinstance(http_client, aiohttp.ClientSession):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"`http_client` must be an aiohttp.ClientSession, not {type(http_client).__name__}"
            )
        for config in trace_configs:
            if not isinstance(config, aiohttp.TraceConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(
                    f"`trace_configs` must hold aiohttp.TraceConfig, not {type(config).__name__}"
                )
        if http_client is not None and trace_configs:
            raise ValueError("`trace_configs` go into the session that is given as `http_client`")
        self._base_url = base_url
        self._proxy: Mapping[str, Any] = {} if http_client else _environment_proxy(base_url)
        self._http_client = http_client
        self._trace_configs = tuple(trace_configs)
        self._closed = False
        self._connections = CONNECTIONS
        self._lent: weakref.WeakSet[Transport] = weakref.WeakSet()

    def lend(self, base_url: str, others: Mapping[str, Any]) -> Transport | BorrowedTransport:
        """The connections of a copy of the client: these, unless it needs others."""
        if self._closed:
            raise RuntimeError(CLOSED)
        http_client = others.get("http_client", self._http_client)
        # A session that the caller brings along has trace configs of its own.
        inherited = () if http_client else self._trace_configs
        trace_configs = tuple(others.get("trace_configs", inherited))
        wanted = base_url, http_client, trace_configs
        if wanted == (self._base_url, self._http_client, self._trace_configs):
            return BorrowedTransport(self)
        lent = Transport(*wanted)
        self._lent.add(lent)
        return lent

    async def send(
        self,
        request: HTTPRequest,
        timeout: Timeout,
        *,
        remaining: float = inf,
        fresh: bool = False,
        stream: bool = False,
    ) -> HTTPResponse:
        """Send a request once and read the answer, or raise `TransportError`.

        Args:
            request: Its `attempts` and `may_have_arrived` are kept up to date.
            timeout: For the attempt, from connecting to the end of the answer.
            remaining: The seconds left to the caller's deadline.
            fresh: For a charge: use a connection of its own, so that no idle one can die under it.
                A session of the caller's decides that for itself, and goes without middlewares.
            stream: Leave the body of a good answer to be read by the caller.
        """
        self.check_open()
        if remaining <= 0:
            raise TransportError("no time left to send it", timed_out=True)
        if fresh and self._http_client is None:
            limits = _client_timeout(timeout, remaining)
            async with _fresh_session(self._trace_configs) as session:
                return await _exchange(session, request, limits, **self._proxy)
        request.may_have_arrived = True
        if self._http_client is not None:
            # It may let aiohttp send what is idempotent twice: the tracker counts.
            more = {"middlewares": ()} if fresh else {}  # they may repeat requests
            tracker, limits = aiohttp.UploadTracker(), _client_timeout(timeout, remaining)
            return await _exchange(
                self._http_client, request, limits, tracker=tracker, stream=stream, **more
            )
        session = self._session()
        total = None if stream else _total(timeout, remaining)
        if total is None:
            limits = _client_timeout(timeout, remaining)
            return await _exchange(session, request, limits, stream=stream, **self._proxy)
        try:
            with self._deadlines.within(total):
                return await _exchange(session, request, _NO_LIMIT, **self._proxy)
        except TimeoutError as error:
            raise _no_answer_in_time() from error

    @contextmanager
    def widened(self, by: int) -> Generator[None]:
        """Have room for so many connections more.

        A call that waits for a connection spends its time on that, and a sweep with more calls in
        flight than there are connections would take the wait for a service that does not answer.
        A session of the caller's has the room that it has.
        """
        self._widen(by)
        try:
            yield
        finally:
            self._widen(-by)

    def _widen(self, by: int) -> None:
        self._connections += by
        for session in tuple(self._sessions.values()):
            if session.connector is not None:
                session.connector._limit = self._connections  # pyright: ignore[reportPrivateUsage]

    async def close(self) -> None:
        """Close the sessions, those of copies too; the caller's own is left open.

        A second close does nothing.
        """
        self._closed = True
        for lent in list(self._lent):
            await lent.close()
        while self._sessions:
            loop, session = self._sessions.popitem()
            if loop is asyncio.get_running_loop():
                await session.close()
            else:
                _drop_session(loop, session)

    def forget(self) -> None:
        """Drop the sessions of another process, and leave its connections alone."""
        _inherited.append(self._sessions)
        self._begin()

    def _begin(self) -> None:
        self._sessions: Sessions = {}
        self._deadlines = Deadlines()
        # Not `__del__`: a client may be part of a cycle, in which aiohttp's own might come first.
        weakref.finalize(self, _drop_all, self._sessions, os.getpid())

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is not None:
            return session
        connector = aiohttp.TCPConnector(limit=self._connections)
        self._sessions[loop] = session = _open_session(self._trace_configs, connector)
        for other in [other for other in list(self._sessions) if other.is_closed()]:
            if dead := self._sessions.pop(other, None):
                _drop_session(other, dead)
        return session

    def check_open(self) -> None:
        """Raise if the client has been closed."""
        if self._closed:
            raise RuntimeError(CLOSED)
        if self._http_client is not None and self._http_client.closed:
            raise RuntimeError("the `http_client` of this client has been closed")


class BorrowedTransport:
    """The connections of another client, which stay open when this one is closed."""

    def __init__(self, lender: Transport) -> None:
        self._lender = lender
        self._closed = False

    async def send(
        self,
        request: HTTPRequest,
        timeout: Timeout,
        *,
        remaining: float = inf,
        fresh: bool = False,
        stream: bool = False,
    ) -> HTTPResponse:
        """As `Transport.send`."""
        self.check_open()
        return await self._lender.send(
            request, timeout, remaining=remaining, fresh=fresh, stream=stream
        )

    def lend(self, base_url: str, others: Mapping[str, Any]) -> Transport | BorrowedTransport:
        """As `Transport.lend`."""
        if self._closed:
            raise RuntimeError(CLOSED)
        return self._lender.lend(base_url, others)

    def widened(self, by: int) -> AbstractContextManager[None]:
        """As `Transport.widened`."""
        return self._lender.widened(by)

    async def close(self) -> None:
        """Send nothing more."""
        self._closed = True

    def check_open(self) -> None:
        """Raise if the client, or the one that it was copied from, has been closed."""
        if self._closed:
            raise RuntimeError(CLOSED)
        self._lender.check_open()


CLOSED = "this client has been closed; make a new one"

_inherited: list[object] = []
"""The sessions that a forked child has from its parent: collected, they would be closed."""


async def _exchange(
    session: aiohttp.ClientSession,
    request: HTTPRequest,
    timeout: aiohttp.ClientTimeout,
    *,
    tracker: aiohttp.UploadTracker | None = None,
    stream: bool = False,
    **more: Any,
) -> HTTPResponse:
    try:
        response = await session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.headers,
            data=request.body,
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            upload_tracker=tracker,
            trace_request_ctx=request,
            **more,
        )
        answer = HTTPResponse(status_code=response.status, headers=response.headers, body=b"")
        if stream and response.status < 300:
            answer.unread = _UnreadBody(response, request)
            return answer
        try:
            answer.body, answer.flaw = await _read(response)
        finally:
            if response.connection is not None:  # a body that is read to its end lets go of it
                response.release()
    except _NOT_SENT as error:
        request.may_have_arrived = False
        timed_out = isinstance(error, TimeoutError)
        cause = _shown(error, request, more)
        raise TransportError(_no_connection(error), timed_out=timed_out) from cause
    except TimeoutError as error:
        raise _no_answer_in_time() from error
    except (aiohttp.ClientError, OSError) as error:
        raise TransportError(_no_answer(error)) from _shown(error, request, more)
    else:
        return answer
    finally:
        request.attempts += max(tracker.attempts, 1) if tracker is not None else 1


_NOT_SENT = (
    aiohttp.ClientConnectorError,  # no such host, refused, no TLS
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)
"""The errors that aiohttp raises if there was no connection to send anything over."""


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, str | None]:
    """The body, and why it is not the whole one, if it is not."""
    content = response.content
    body = BytesIO()  # what shows the frames of a cancellation must not see what has come
    try:
        while not content.at_eof():
            chunk = content.read_nowait() if content.is_eof() else await content.readany()
            if body.tell() + len(chunk) > MAX_BODY:
                response.close()  # the rest of it is not worth keeping the connection for
                return body.getvalue(), TOO_LARGE
            body.write(chunk)
            del chunk
    except aiohttp.ClientPayloadError as error:
        return body.getvalue(), _broken_off(error, response)
    return body.getvalue(), None


class _UnreadBody:
    """The body of an answer that the caller reads."""

    def __init__(self, response: aiohttp.ClientResponse, request: HTTPRequest) -> None:
        self._response = response
        self._request = request

    async def chunks(self, size: int | None) -> AsyncGenerator[bytes]:
        content = self._response.content
        try:
            async for chunk in content.iter_any() if size is None else content.iter_chunked(size):
                yield chunk
        except TimeoutError as error:
            raise _no_answer_in_time() from error
        except (aiohttp.ClientError, OSError) as error:
            reason = _broken_off(error, self._response)
            raise TransportError(reason) from _shown(error, self._request, {})

    async def read(self) -> tuple[bytes, str | None]:
        try:
            return await _read(self._response)
        except TimeoutError as error:
            raise _no_answer_in_time() from error
        except (aiohttp.ClientError, OSError) as error:
            reason = _broken_off(error, self._response)
            raise TransportError(reason) from _shown(error, self._request, {})

    def close(self) -> None:
        if self._response.connection is not None:
            self._response.release()


def _no_answer_in_time() -> TransportError:
    return TransportError("no answer in time", timed_out=True)


def _no_connection(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"Cannot connect to {error.host}: its certificate is not trusted ({error})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"Cannot connect to {error.host}:{error.port} ({error.os_error})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"Cannot connect: the proxy answered {error.status}"
    return "Cannot connect in time"


def _no_answer(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        # aiohttp names the encoding, and the package that it wants for it.
        undecoded = error.message.startswith("Can not decode content-encoding")
        return error.message if undecoded else "the answer is no HTTP"
    return "the connection broke before there was an answer"


def _broken_off(error: Exception, response: aiohttp.ClientResponse) -> str:
    if isinstance(error.__cause__, ContentEncodingError):
        return f"the answer broke off: bad {response.headers.get('Content-Encoding')}"
    return "the answer broke off"


def _shown(error: Exception, request: HTTPRequest, more: Mapping[str, Any]) -> Exception:
    """What aiohttp raised, without what it keeps in it: headers, and what the peer wrote.

    An error of the operating system stays as it is.
    """
    if isinstance(error, _UnrepeatedError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, OSError):
        return error
    words = getattr(error, "message", None) or str(error)
    mask = Mask({**request.headers, **more.get("proxy_headers", {})})
    text = mask(words) if isinstance(words, str) else ""
    return aiohttp.ClientError(f"{type(error).__name__}: {text}".removesuffix(": "))


class _UnrepeatedError(aiohttp.ClientError):
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
        raise _UnrepeatedError from error


class _Response(aiohttp.ClientResponse):
    """As that of aiohttp, with a repr that shows no headers."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class _NoCookies(aiohttp.DummyCookieJar):
    """As the one of aiohttp, without a new empty cookie for each request."""

    _NONE = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:  # noqa: ARG002
        return self._NONE


_HAS_SWITCH = "_retry_connection" in aiohttp.ClientSession.ATTRS
"""Whether aiohttp can be told not to repeat requests, as its test client does (not in public)."""


def _open_session(
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


@asynccontextmanager
async def _fresh_session(
    trace_configs: Sequence[aiohttp.TraceConfig],
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session for one request, which notes when there is a connection."""
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(_note_connection)
    connector = aiohttp.TCPConnector(force_close=True)
    async with _open_session([*trace_configs, tracing], connector) as session:
        yield session


async def _note_connection(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.may_have_arrived = True


def _drop_session(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    """Close a session of another loop, without waiting for that loop: it may wait for this one.

    Left alone, aiohttp would log an error about it, to people who never saw a session.
    """
    connector = session.connector
    session.detach()
    if connector is None:
        return
    close = connector._close  # pyright: ignore[reportPrivateUsage]  # `close` has to be awaited
    if loop.is_running():
        loop.call_soon_threadsafe(close)
        return
    if loop.is_closed():
        _end_connections(connector)
    close()


def _end_connections(connector: aiohttp.BaseConnector) -> None:
    """Close the sockets of a loop that has ended: neither aiohttp nor the loop does any more."""
    idle = [p for pool in connector._conns.values() for p, _ in pool]  # pyright: ignore[reportPrivateUsage]
    for protocol in (*idle, *connector._acquired):  # pyright: ignore[reportPrivateUsage]
        # What the loop would call next; the transports of uvloop end with their loop.
        end = getattr(protocol.transport, "_call_connection_lost", None)
        if end is not None:
            end(None)


def _drop_all(sessions: Sessions, pid: int) -> None:
    """Close the sessions of a client that is collected without having been closed."""
    if sessions and pid == os.getpid():
        warnings.warn("unclosed Cloudflare client", ResourceWarning, stacklevel=2)
        for loop, session in sessions.items():
            _drop_session(loop, session)


def _environment_proxy(base_url: str) -> Mapping[str, Any]:
    """What a request is given with to go through the proxy of the environment, if there is one."""
    address = URL(base_url)
    # Plain http goes to this machine alone, and a proxy must not see its credentials either.
    if address.scheme != "https" or proxy_bypass(address.host or ""):
        return {}
    value = Secret(getproxies().get("https") or "")
    if not value:
        return {}
    options = _proxy_options(value)
    if options is None:
        raise ValueError(
            "HTTPS_PROXY must be the address of a proxy, such as http://host:8080 or "
            "http://user:password@host:8080 (special characters in it percent-encoded)"
        )
    return options


def _proxy_options(value: Secret) -> Mapping[str, Any] | None:
    """The address of a proxy without the password, and that as a header; `None` if it is none.

    aiohttp would keep a password that stands in the address in its errors.
    """
    try:
        url = URL(value if "://" in value else f"http://{value}")
        port = url.port
    except ValueError:
        return None
    if (
        url.scheme not in ("http", "https")
        or not (url.host and port)
        or url.path_qs + url.raw_fragment != "/"
    ):
        return None
    if url.raw_user is None and url.raw_password is None:
        return {"proxy": url}
    credentials = unquote_to_bytes(f"{url.raw_user or ''}:{url.raw_password or ''}")
    header = Secret(f"Basic {b64encode(credentials).decode()}")
    return {"proxy": url.with_user(None), "proxy_headers": {"Proxy-Authorization": header}}


def _total(timeout: Timeout, remaining: float) -> float | None:
    """The seconds of an attempt that has no other limit, if they are enough to be rounded."""
    if isinstance(timeout, aiohttp.ClientTimeout):
        return None
    total = remaining if timeout is None else min(timeout, remaining)
    return total if SHORTEST <= total < inf else None


@lru_cache(maxsize=64)
def _without_deadline(timeout: Timeout) -> aiohttp.ClientTimeout:
    if isinstance(timeout, aiohttp.ClientTimeout):
        return timeout
    return aiohttp.ClientTimeout(total=timeout)


def _client_timeout(timeout: Timeout, remaining: float) -> aiohttp.ClientTimeout:
    limits = _without_deadline(timeout)
    if remaining == inf:
        return limits
    # For aiohttp a total of 0 is no limit.
    return evolve(limits, total=min(limits.total or inf, remaining))
