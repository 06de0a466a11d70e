"""The connections of a client and its copies: one session for each event loop."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from math import inf
from typing import Any

import aiohttp
from attrs import evolve

from .._core.options import Timeout
from .._wire.messages import HTTPRequest, HTTPResponse
from .deadlines import SHORTEST, Deadlines
from .exchange import TransportError, exchange, no_answer_in_time
from .fork import forget_in_child
from .proxies import environment_proxy
from .sessions import (
    Connector,
    drop_session,
    fresh_session,
    open_session,
    place_of_caller,
    set_limit,
    warn_unclosed,
)

CONNECTIONS = 100
"""The most connections of single calls. Further calls wait, so that a program with a thousand tasks
does not run out of file descriptors. Sweeps get more: see `Transport.widened`."""

Sessions = dict[asyncio.AbstractEventLoop, aiohttp.ClientSession]

_NO_LIMIT = aiohttp.ClientTimeout()


class Transport:
    """Sends requests with aiohttp, over one session for each event loop it is used from.

    Args:
        base_url: The base URL of the service; it determines which proxy of the environment applies.
        http_client: The caller's session to use instead. It is never closed here.
        trace_configs: Hooks of aiohttp for requests. The caller's session has its own.
    """

    def __init__(
        self,
        base_url: str,
        http_client: aiohttp.ClientSession | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self._made_at = place_of_caller()
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
        self._proxy: Mapping[str, Any] = {} if http_client else environment_proxy(base_url)
        self._http_client = http_client
        self._trace_configs = tuple(trace_configs)
        self._closed = False
        self._connections = CONNECTIONS
        self._lent: weakref.WeakSet[Transport] = weakref.WeakSet()

    def lend(self, base_url: str, others: Mapping[str, Any]) -> Transport | BorrowedTransport:
        """Return the connections for a copy of the client: these, unless it needs others."""
        if self._closed:
            raise RuntimeError(CLOSED)
        http_client = others.get("http_client", self._http_client)
        # The caller's session has its own trace configs.
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
            request: The request; its `attempts` and `may_have_arrived` are updated.
            timeout: The timeout of the attempt, from connecting to the end of the answer.
            remaining: The seconds left until the caller's deadline.
            fresh: For a charge: use a new connection, because an idle one may be dead. The caller's
                session may reuse one, but runs no middlewares.
            stream: Let the caller read the body of a good answer.
        """
        self.check_open()
        if remaining <= 0:
            raise TransportError("no time left to send it", timed_out=True)
        if fresh and self._http_client is None:
            limits = _client_timeout(timeout, remaining)
            async with fresh_session(self._trace_configs, request.announce) as session:
                return await exchange(session, request, limits, fresh=True, **self._proxy)
        if request.before_sending is not None:
            await request.announce()
        request.may_have_arrived = True
        if self._http_client is not None:
            # The caller's session may repeat idempotent requests: the tracker counts them.
            more: Any = {"middlewares": ()} if fresh else {}  # middlewares may repeat requests
            tracker, limits = aiohttp.UploadTracker(), _client_timeout(timeout, remaining)
            return await exchange(
                self._http_client, request, limits, tracker=tracker, stream=stream, **more
            )
        session = self._session()
        total = None if stream else _total(timeout, remaining)
        if total is None:
            limits = _client_timeout(timeout, remaining)
            return await exchange(session, request, limits, stream=stream, **self._proxy)
        try:
            with self._deadlines.within(total):
                return await exchange(session, request, _NO_LIMIT, **self._proxy)
        except TimeoutError as error:
            raise no_answer_in_time() from error

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    @contextmanager
    def widened(self, by: int) -> Generator[None]:
        """Allow so many more connections during the block.

        Otherwise the calls of a large sweep would wait for connections until they time out. The
        caller's own session is not changed.
        """
        self._widen(by)
        try:
            yield
        finally:
            self._widen(-by)

    def _widen(self, by: int) -> None:
        self._connections += by
        for session in tuple(self._sessions.values()):
            set_limit(session, self._connections)

    async def close(self) -> None:
        """Close the sessions, also of copies, but not the caller's. A second close does nothing."""
        self._closed = True
        for lent in list(self._lent):
            await lent.close()
        while self._sessions:
            loop, session = self._sessions.popitem()
            if loop is asyncio.get_running_loop():
                await session.close()
            else:
                drop_session(loop, session)

    def forget(self) -> None:
        """Drop the sessions of the parent process without closing its connections."""
        _inherited.append(self._sessions)
        self._begin()

    def _begin(self) -> None:
        self._sessions: Sessions = {}
        self._deadlines = Deadlines()
        # Not `__del__`: in a reference cycle, aiohttp's `__del__` might run before it.
        weakref.finalize(self, _drop_all, self._sessions, os.getpid(), self._made_at)

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is not None:
            return session
        connector = Connector(limit=self._connections)
        self._sessions[loop] = session = open_session(self._trace_configs, connector)
        for other in [other for other in list(self._sessions) if other.is_closed()]:
            if dead := self._sessions.pop(other, None):
                drop_session(other, dead)
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
        self._lent: weakref.WeakSet[Transport | BorrowedTransport] = weakref.WeakSet()

    async def send(
        self,
        request: HTTPRequest,
        timeout: Timeout,
        *,
        remaining: float = inf,
        fresh: bool = False,
        stream: bool = False,
    ) -> HTTPResponse:
        """See `Transport.send`."""
        self.check_open()
        return await self._lender.send(
            request, timeout, remaining=remaining, fresh=fresh, stream=stream
        )

    def lend(self, base_url: str, others: Mapping[str, Any]) -> Transport | BorrowedTransport:
        """See `Transport.lend`."""
        if self._closed:
            raise RuntimeError(CLOSED)
        lent = self._lender.lend(base_url, others)
        self._lent.add(lent)
        return lent

    @property
    def closed(self) -> bool:
        """Whether it or its lender has been closed."""
        return self._closed or self._lender.closed

    def widened(self, by: int) -> AbstractContextManager[None]:
        """See `Transport.widened`."""
        return self._lender.widened(by)

    async def close(self) -> None:
        """Refuse further calls, also those of its own copies."""
        self._closed = True
        for lent in list(self._lent):
            await lent.close()

    def check_open(self) -> None:
        """Raise if the client, or the client that it was copied from, has been closed."""
        if self._closed:
            raise RuntimeError(CLOSED)
        self._lender.check_open()


CLOSED = "this client has been closed; make a new one"

_inherited: list[object] = []
"""The sessions that a forked child inherits. Without this reference, they would be closed."""


def _drop_all(sessions: Sessions, pid: int, made_at: str) -> None:
    """Close the sessions of a client that was garbage-collected without `close`."""
    if sessions and pid == os.getpid():
        warn_unclosed(made_at)
        exits = not threading.main_thread().is_alive()
        for loop, session in sessions.items():
            if exits and loop.is_running():
                continue  # a call on a daemon thread ends silently with the process
            drop_session(loop, session)


def _total(timeout: Timeout, remaining: float) -> float | None:
    """Return the seconds of an attempt if they are its only limit and may be rounded."""
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
    # aiohttp treats a total of 0 as unlimited.
    return evolve(limits, total=min(limits.total or inf, remaining))
