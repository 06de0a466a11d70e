"""The HTTP response around an answer, for who wants to see it, read or still to be read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, Unpack

from .._core.answer import Answer
from .._core.config import RequestOptions
from .._io.executor import connection_error
from .._io.transport import TransportError
from .._wire import strict_json as _json
from .._wire.messages import HTTPRequest, Unread
from .._wire.secrets import conceal_options
from ..types import Params

if TYPE_CHECKING:
    from .client import AsyncCloudflare

T = TypeVar("T")
C = TypeVar("C")


CLOSED = "this response has been closed, or read with `iter_bytes` before"


class AsyncAPIResponse(Generic[T]):
    """An HTTP response, and what it answers.

    From `.with_raw_response` its body has been read. From `.with_streaming_response` it has not:
    each way to read it reads what is left of it, and it is closed when the block is left.
    """

    def __init__(self, answer: Answer[T], *, is_closed: bool) -> None:
        self._answer = answer
        self._closed = is_closed
        self._stream = answer.http_response.unread
        self._is_read = self._stream is None
        self._is_begun = False

    def __repr__(self) -> str:
        request = self._answer.http_request
        return f"<{type(self).__name__} {self.status_code} {request.method} {request.path}>"

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self._answer.http_response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response; names are compared without regard to case."""
        return self._answer.http_response.headers

    @property
    def cf_ray(self) -> str | None:
        """The id of the answer, which Cloudflare support asks for."""
        return self._answer.http_response.cf_ray

    @property
    def http_request(self) -> HTTPRequest:
        """What was sent: method, URL and headers, with the secrets masked."""
        return self._answer.http_request.redacted()

    @property
    def retries_taken(self) -> int:
        """How many times the request had been repeated before."""
        return self._answer.retries_taken

    @property
    def is_closed(self) -> bool:
        """Whether there is nothing more to read from the connection."""
        return self._closed

    async def parse(self) -> T:
        """The value that the method itself would have answered.

        Raises: `APIStatusError` where the answer says `success: false`,
            `APIResponseValidationError` where it is not what the API describes.
        """
        await self.read()
        return self._answer.parse()

    async def read(self) -> bytes:
        """The body, decompressed.

        Raises: `APIConnectionError` or `APIResponseValidationError` if it breaks off.
        """
        response = self._answer.http_response
        if not self._is_read:
            unread = self._unread()
            try:
                response.body, response.flaw = await unread.read()
            except TransportError as error:
                failure = connection_error(self._answer.http_request, error)
                raise failure from failure.__cause__
            self._is_read = True
        if response.flaw is not None:
            self._answer.parse()  # raises
        return response.body

    async def text(self) -> str:
        """The body as text."""
        return (await self.read()).decode(errors="replace")

    async def json(self) -> object:
        """The body as JSON, the envelope included.

        Raises: `ValueError` where it is none.
        """
        return _json.loads(await self.read())

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        """The body in parts: as they come, or of up to `chunk_size` bytes.

        Raises: `APIConnectionError` if it breaks off.
        """
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"`chunk_size` must be at least 1, got {chunk_size}")
        if self._is_read:
            body = self._answer.http_response.body
            size = chunk_size or max(len(body), 1)
            for start in range(0, len(body), size):
                yield body[start : start + size]
            return
        try:
            async with aclosing(self._unread().chunks(chunk_size)) as chunks:
                async for chunk in chunks:
                    yield chunk
                    if self._closed:
                        raise RuntimeError(CLOSED)
        except TransportError as error:
            failure = connection_error(self._answer.http_request, error)
            raise failure from failure.__cause__

    async def close(self) -> None:
        """Let go of the connection; what was not read is lost."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _unread(self) -> Unread:
        """The body, which can be read once."""
        if self._stream is None or self._is_begun or self._closed:
            raise RuntimeError(CLOSED)
        self._is_begun = True
        return self._stream


class AsyncResponseContextManager(Generic[T]):
    """What a method of `.with_streaming_response` answers: sends when it is entered."""

    def __init__(self, client: AsyncCloudflare, params: Params[T], options: RequestOptions) -> None:
        self._client = client
        self._params = params
        self._options = options

    async def __aenter__(self) -> AsyncAPIResponse[T]:
        executor = self._client._executor  # pyright: ignore[reportPrivateUsage]
        answer = await executor.execute(self._params, self._options, stream=True)
        self._response = _unless_refused(answer, is_closed=False)
        return self._response

    async def __aexit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._response.close()


class AsyncRawClient:
    """What `.with_raw_response` of the client stands on."""

    def __init__(self, client: AsyncCloudflare) -> None:
        self._client = client

    async def send(
        self, params: Params[T], **options: Unpack[RequestOptions]
    ) -> AsyncAPIResponse[T]:
        """As `send` of the client, answering with the HTTP response."""
        options = conceal_options(options)
        executor = self._client._executor  # pyright: ignore[reportPrivateUsage]
        return _unless_refused(await executor.execute(params, options), is_closed=True)


class AsyncStreamingClient:
    """What `.with_streaming_response` of the client stands on."""

    def __init__(self, client: AsyncCloudflare) -> None:
        self._client = client

    def send(
        self, params: Params[T], **options: Unpack[RequestOptions]
    ) -> AsyncResponseContextManager[T]:
        """As `send` of the client, answering with an HTTP response that is not read yet."""
        options = conceal_options(options)
        return AsyncResponseContextManager(self._client, params, options)


class ResponseGroup(Generic[C]):
    """A group of methods that answer with HTTP responses."""

    def __init__(self, client: C) -> None:
        self._client = client


def _unless_refused(answer: Answer[T], *, is_closed: bool) -> AsyncAPIResponse[T]:
    """The response, unless the service refused: then its error is raised, as everywhere.

    An answer that only cannot be decoded is none of this function's business: `parse` says so.
    """
    if answer.http_response.unread is None and (error := answer.refusal()):
        raise error
    return AsyncAPIResponse(answer, is_closed=is_closed)
