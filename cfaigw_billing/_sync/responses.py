"""The HTTP response around an answer, and the calls that give it.

@generated from `_async/responses.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Callable, Mapping
from contextlib import closing
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from .._core.answer import Answer
from .._core.options import RequestOptions
from .._io.exchange import TransportError, connection_error
from .executor import BlockingExecutor
from .._io.recent import max_age_of
from .._wire import strict_json
from .._wire.messages import HTTPRequest
from .executor import BlockingUnread
from .._wire.secrets import conceal_options
from ..types import Params
from .first_page import with_answer

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

CLOSED = "this response has been closed, or read with `iter_bytes` before"


class APIResponse(Generic[T]):
    """An HTTP response and its value.

    The body of a response from `.with_raw_response` has been read. The body of one from
    `.with_streaming_response` has not: each method reads the rest of it, and the end of the block
    closes it.
    """

    def __init__(self, answer: Answer[T], unread: BlockingUnread | None, *, is_closed: bool) -> None:
        self._answer = answer
        self._closed = is_closed
        self._stream = unread
        self._is_read = unread is None
        self._is_begun = False

    def __repr__(self) -> str:
        request = self._answer.http_request
        return f"<{type(self).__name__} {self.status_code} {request.method} {request.path}>"

    def __reduce__(self) -> str:
        raise TypeError("a raw response does not pickle: it may hold secrets; pickle `parse()`")

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self._answer.http_response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response; names are case-insensitive."""
        return self._answer.http_response.headers

    @property
    def cf_ray(self) -> str | None:
        """The id of the response, which Cloudflare support asks for."""
        return self._answer.http_response.cf_ray

    @property
    def http_request(self) -> HTTPRequest:
        """The request that was sent: method, URL and headers, with the secrets masked."""
        return self._answer.http_request.redacted()

    @property
    def retries_taken(self) -> int:
        """The number of retries before this response."""
        return self._answer.retries_taken

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be read from the connection."""
        return self._closed

    def parse(self) -> T:
        """Return the value that the method itself would return.

        Raises: `APIStatusError` if the answer has `success: false`;
            `APIResponseValidationError` if it does not match the API description.
        """
        self.read()
        return self._answer.parse()

    def read(self) -> bytes:
        """Return the body, decompressed.

        Raises: `APIConnectionError` or `APIResponseValidationError` if it breaks off.
        """
        response = self._answer.http_response
        if not self._is_read:
            unread = self._unread()
            try:
                response.body, response.flaw = unread.read()
            except TransportError as error:
                failure = connection_error(self._answer.http_request, error)
                raise failure from failure.__cause__
            self._is_read = True
        if response.flaw is not None:
            self._answer.parse()  # raises
        return response.body

    def text(self) -> str:
        """Return the body as text."""
        return (self.read()).decode(errors="replace")

    def json(self) -> object:
        """Return the body as JSON, the envelope included.

        Raises: `ValueError` if it is not JSON.
        """
        return strict_json.loads(self.read())

    def iter_bytes(self, chunk_size: int | None = None) -> Generator[bytes]:
        """Yield the body in parts: as they arrive, or of up to `chunk_size` bytes.

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
            with closing(self._unread().chunks(chunk_size)) as chunks:
                for chunk in chunks:
                    yield chunk
                    del chunk  # the traceback of a later error must not show it
                    if self._closed:
                        raise RuntimeError(CLOSED)
        except TransportError as error:
            failure = connection_error(self._answer.http_request, error)
            raise failure from failure.__cause__

    def close(self) -> None:
        """Release the connection; the unread rest of the body is lost."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _unread(self) -> BlockingUnread:
        """Return the body, which can be read once."""
        if self._stream is None or self._is_begun or self._closed:
            raise RuntimeError(CLOSED)
        self._is_begun = True
        return self._stream


class ResponseContextManager(Generic[T]):
    """The result of a method of `.with_streaming_response`: entering it sends the request."""

    def __init__(self, send: Callable[[], APIResponse[T]]) -> None:
        self._send = send
        self._is_entered = False

    def __enter__(self) -> APIResponse[T]:
        if self._is_entered:  # a second entry would send the call again
            raise RuntimeError("a streaming response can be entered once; call the method again")
        self._is_entered = True
        self._response = self._send()
        return self._response

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._response.close()


class RawExecutor:
    """An executor that returns HTTP responses instead of values."""

    def __init__(self, executor: BlockingExecutor, *, stream: bool = False) -> None:
        self._executor = executor
        self._stream = stream

    def send(self, params: Params[T], options: RequestOptions) -> APIResponse[T]:
        """Run one call and return its response; raise if the service refuses.

        If the answer cannot be decoded, only `parse` raises.
        """
        if self._stream and max_age_of(options):
            raise ValueError("`max_age` is not for streaming responses: they are not cached")
        answer = self._executor.execute(params, options, stream=self._stream)
        unread = self._executor.unread(answer)
        if unread is None and (error := answer.refusal()):
            raise error
        return APIResponse(answer, unread, is_closed=not self._stream)


def raw(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[
    [Callable[[Any], None]], Callable[Concatenate[Any, P], APIResponse[T]]
]:
    """Replace the decorated method by one of a resource, for `.with_raw_response`."""
    send = _without_warning(method)

    def call(view: Any, /, *args: P.args, **kwargs: P.kwargs) -> APIResponse[T]:
        conceal_options(kwargs)
        response: APIResponse[T] = send(view, *args, **kwargs)
        return response

    return lambda place: _described(call, place, send, APIResponse)


def streamed(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[
    [Callable[[Any], None]], Callable[Concatenate[Any, P], ResponseContextManager[T]]
]:
    """Replace the decorated method by one of a resource, for `.with_streaming_response`."""
    send = _without_warning(method)

    def call(view: Any, /, *args: P.args, **kwargs: P.kwargs) -> ResponseContextManager[T]:
        conceal_options(kwargs)
        return ResponseContextManager(partial(send, view, *args, **kwargs))

    return lambda place: _described(call, place, send, ResponseContextManager)


def _without_warning(method: Any) -> Any:
    """Return the method without its deprecation warning: the view has its own."""
    return method.__wrapped__ if hasattr(method, "__deprecated__") else method


def _described(call: F, place: Any, method: Any, answer: type) -> F:
    """Give a call the name and docstring of the decorated method, and the signature of `method`."""
    method = inspect.unwrap(method)
    returns = f"{answer.__name__}[{method.__annotations__['return']}]"
    update_wrapper(call, place, ("__module__", "__name__", "__qualname__", "__doc__"))
    vars(call)["__wrapped__"] = with_answer(method, returns)
    return call


class RawView:
    """A group of methods that return HTTP responses."""

    def __init__(self, executor: BlockingExecutor) -> None:
        self._values = executor
        self._executor = RawExecutor(executor)


class StreamingView:
    """A group of methods that return HTTP responses that are not read yet."""

    def __init__(self, executor: BlockingExecutor) -> None:
        self._values = executor
        self._executor = RawExecutor(executor, stream=True)
