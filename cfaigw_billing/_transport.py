"""The only module that knows aiohttp: one request out, one whole answer in."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from ._config import Timeout
from ._http import HTTPRequest, HTTPResponse


class TransportError(Exception):
    """No answer came; the cause is what aiohttp raised."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Transport:
    """Sends requests with aiohttp, over one session for each event loop it is used from.

    Args:
        base_url: Where the requests will go: decides which proxy of the environment applies.
        http_client: A session of the caller's to use instead; it is never closed here.
    """

    def __init__(self, base_url: str, http_client: aiohttp.ClientSession | None = None) -> None:
        self._base_url = base_url
        self._http_client = http_client
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._closed = False

    async def send(self, request: HTTPRequest, timeout: Timeout) -> HTTPResponse:
        """Send a request once and read the answer to its end, or raise `TransportError`."""
        session = self._http_client or await self._session()
        try:
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body,
                timeout=_client_timeout(timeout),
                allow_redirects=False,
            ) as response:
                return HTTPResponse(
                    status_code=response.status,
                    headers=response.headers,
                    body=await response.read(),
                )
        except TimeoutError as error:
            raise TransportError("no answer in time", timed_out=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Close the sessions; the caller's own is left open. A second close does nothing."""
        self._closed = True
        while self._sessions:
            await _close_session(*self._sessions.popitem())

    async def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is not None:
            return session
        if self._closed:
            raise RuntimeError("this client has been closed; make a new one")
        self._sessions[loop] = session = _open_session(self._base_url)
        for other in [other for other in self._sessions if other.is_closed()]:
            await _close_session(other, self._sessions.pop(other))
        return session


def _open_session(base_url: str) -> aiohttp.ClientSession:
    # Not `trust_env`: it looks the proxy up in a thread for every request, and lets a .netrc
    # entry stand in for the credentials.
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), proxy=_environment_proxy(base_url)
    )


async def _close_session(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    if loop.is_running() and loop is not asyncio.get_running_loop():
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(session.close(), loop))
    else:
        await session.close()


def _environment_proxy(base_url: str) -> str | None:
    address = urlsplit(base_url)
    if address.hostname and proxy_bypass(address.hostname):
        return None
    return getproxies().get(address.scheme)


@lru_cache(maxsize=64)
def _client_timeout(timeout: Timeout) -> aiohttp.ClientTimeout:
    if isinstance(timeout, aiohttp.ClientTimeout):
        return timeout
    return aiohttp.ClientTimeout(total=timeout)
