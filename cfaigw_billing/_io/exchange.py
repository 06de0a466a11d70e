"""Send one request with aiohttp and read its answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, cast

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from .._wire.messages import TOO_LARGE, HTTPRequest, HTTPResponse
from .._wire.secrets import Mask
from ..errors import APIConnectionError, APITimeoutError
from .fork import forget_in_child
from .sessions import UnrepeatedError

MAX_BODY = 32 * 1024 * 1024
"""The most bytes of a body after decompression: a small gzip body can unpack to any size. A year of
hourly usage has about 1 MiB."""


class TransportError(Exception):
    """No complete answer came. The cause is the error of aiohttp."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


async def exchange(
    session: aiohttp.ClientSession,
    request: HTTPRequest,
    timeout: aiohttp.ClientTimeout,
    *,
    tracker: aiohttp.UploadTracker | None = None,
    fresh: bool = False,
    stream: bool = False,
    **more: Any,
) -> HTTPResponse:
    """Send a request once and read the answer, or raise `TransportError`.

    Args:
        fresh: The session itself sets `may_have_arrived` when it has a connection.
    """
    try:
        response = await session.request(
            request.method,
            _address(request.url),
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
            if response.connection is not None:  # reading to the end has released it already
                response.release()
    except _NOT_SENT as error:
        # A hook of the caller may raise these errors too, so check whether bytes were sent.
        if tracker is not None:
            request.may_have_arrived = tracker.bytes_written > 0
        elif not fresh:
            request.may_have_arrived = False
        timed_out = isinstance(error, TimeoutError)
        cause = _shown(error, request, more)
        raise TransportError(_no_connection(error), timed_out=timed_out) from cause
    except TimeoutError as error:
        raise no_answer_in_time() from error
    except (aiohttp.ClientError, OSError) as error:
        raise TransportError(_no_answer(error)) from _shown(error, request, more)
    else:
        return answer
    finally:
        request.attempts += max(tracker.attempts, 1) if tracker is not None else 1


@lru_cache(maxsize=1024)
def _address(url: str) -> URL:
    """Return the URL for aiohttp, cached: yarl caches only 128 URLs.

    Joining a known origin and a path takes half as long as parsing the URL.
    """
    path = url.find("/", len("https://"))
    if path < 0 or "?" in url:
        return URL(url, encoded=True)
    return _origin(url[:path]).with_path(url[path:], encoded=True)


@lru_cache(maxsize=8)
def _origin(url: str) -> URL:
    return URL(url, encoded=True)


_NOT_SENT = (
    aiohttp.ClientConnectorError,  # no such host, refused, no TLS
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)
"""The errors that aiohttp raises if it could not connect."""


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, str | None]:
    """Return the body, and why it is incomplete, if it is."""
    content = response.content
    body = BytesIO()  # a traceback with local variables does not show its bytes
    try:
        if content.is_eof() and content.total_bytes <= MAX_BODY:  # it came with the headers
            return content.read_nowait(), None
        while not content.at_eof():
            chunk = content.read_nowait() if content.is_eof() else await content.readany()
            if body.tell() + len(chunk) > MAX_BODY:
                response.close()  # closing costs less than reading the rest
                return body.getvalue(), TOO_LARGE
            body.write(chunk)
            del chunk
    except aiohttp.ClientPayloadError as error:
        return body.getvalue(), _broken_off(error, response)
    return body.getvalue(), None


class _UnreadBody:
    """The body of an answer, for the caller to read."""

    def __init__(self, response: aiohttp.ClientResponse, request: HTTPRequest) -> None:
        self._response = response
        self._request = request
        self._is_inherited = False
        forget_in_child(self)

    def forget(self) -> None:
        """Leave the connection to the process that opened it."""
        self._is_inherited = True
        _inherited.append(self._response)

    def _check_process(self) -> None:
        if self._is_inherited:
            raise RuntimeError("read a response in the process that made the call")

    async def chunks(self, size: int | None) -> AsyncGenerator[bytes]:
        self._check_process()
        content = self._response.content
        try:
            async for chunk in content.iter_any() if size is None else content.iter_chunked(size):
                yield chunk
        except TimeoutError as error:
            raise no_answer_in_time() from error
        except (aiohttp.ClientError, OSError) as error:
            reason = _broken_off(error, self._response)
            raise TransportError(reason) from _shown(error, self._request, {})

    async def read(self) -> tuple[bytes, str | None]:
        self._check_process()
        try:
            return await _read(self._response)
        except TimeoutError as error:
            raise no_answer_in_time() from error
        except (aiohttp.ClientError, OSError) as error:
            reason = _broken_off(error, self._response)
            raise TransportError(reason) from _shown(error, self._request, {})

    def close(self) -> None:
        if self._response.connection is not None and not self._is_inherited:
            self._response.release()


_inherited: list[object] = []
"""The responses that a forked child inherits. Without this reference, they would be closed."""


def no_answer_in_time() -> TransportError:
    """Return the error of an attempt that took too long."""
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
        # The message of aiohttp names the encoding and the package that decodes it.
        undecoded = error.message.startswith("Can not decode content-encoding")
        return error.message if undecoded else "the answer is not HTTP"
    return "the connection broke before an answer came"


def _broken_off(error: Exception, response: aiohttp.ClientResponse) -> str:
    if isinstance(error.__cause__, ContentEncodingError):
        return f"the answer broke off: bad {response.headers.get('Content-Encoding')}"
    return "the answer broke off"


def _shown(error: Exception, request: HTTPRequest, more: Mapping[str, Any]) -> Exception:
    """Return an error of aiohttp without the headers and the received bytes.

    Errors of the operating system are not changed.
    """
    if isinstance(error, UnrepeatedError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, OSError):
        return error
    words = getattr(error, "message", None) or str(error)
    mask = Mask({**request.headers, **more.get("proxy_headers", {})})
    text = mask(words) if isinstance(words, str) else ""
    return aiohttp.ClientError(f"{type(error).__name__}: {text}".removesuffix(": "))


def connection_error(request: HTTPRequest, error: TransportError) -> APIConnectionError:
    """Return the error for the caller."""
    cls = APITimeoutError if error.timed_out else APIConnectionError
    result = cls(
        f"{request.method} {request.path}: {error}",
        request=request,
        retries_taken=max(request.attempts - 1, 0),
    )
    result.__cause__ = without_frames(error.__cause__)
    return result


def without_frames(error: BaseException | None) -> BaseException | None:
    """Remove the tracebacks of an error and its causes.

    Their frames belong to aiohttp and have local variables with the token, which an error report
    with local variables must not show.
    """
    seen = error
    while seen is not None:
        seen.__traceback__ = None
        if isinstance(seen, BaseExceptionGroup):
            for each in cast("BaseExceptionGroup[BaseException]", seen).exceptions:
                without_frames(each)
        seen = seen.__cause__ or seen.__context__
    return error
