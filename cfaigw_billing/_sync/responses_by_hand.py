"""The parts of the sync `.with_raw_response` and `.with_streaming_response` written by hand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from .._async.responses import AsyncResponseContextManager
from .._core.config import RequestOptions
from .._io.portal import Portal
from .._wire.secrets import conceal_options
from ..types import Params
from .responses import APIResponse

if TYPE_CHECKING:
    from .client import Cloudflare

T = TypeVar("T")


class ResponseContextManager(Generic[T]):
    """What a method of `.with_streaming_response` answers: sends when it is entered."""

    def __init__(self, manager: AsyncResponseContextManager[T], portal: Portal) -> None:
        self._manager = manager
        self._portal = portal

    def __enter__(self) -> APIResponse[T]:
        return APIResponse(self._portal.call(self._manager.__aenter__), self._portal)

    def __exit__(self, *exc_info: Any) -> None:
        if not self._portal.closed:  # with the client, its connections were closed
            self._portal.call(partial(self._manager.__aexit__, *exc_info))


class RawClient:
    """What `.with_raw_response` of the client stands on."""

    def __init__(self, client: Cloudflare) -> None:
        self._async_client = client.async_client.with_raw_response
        self._portal = client.portal

    def send(self, params: Params[T], **options: Unpack[RequestOptions]) -> APIResponse[T]:
        """As `send` of the client, answering with the HTTP response."""
        options = conceal_options(options)
        answer = self._portal.call(lambda: self._async_client.send(params, **options))
        return APIResponse(answer, self._portal)


class StreamingClient:
    """What `.with_streaming_response` of the client stands on."""

    def __init__(self, client: Cloudflare) -> None:
        self._async_client = client.async_client.with_streaming_response
        self._portal = client.portal

    def send(
        self, params: Params[T], **options: Unpack[RequestOptions]
    ) -> ResponseContextManager[T]:
        """As `send` of the client, answering with an HTTP response that is not read yet."""
        options = conceal_options(options)
        return ResponseContextManager(self._async_client.send(params, **options), self._portal)
