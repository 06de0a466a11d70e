"""What the generated sync facade stands on: the parts of it that are written by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from .._io.portal import Portal

if TYPE_CHECKING:
    from .._async.client import AsyncCloudflare
    from .._async.responses import AsyncAPIResponse
    from .client import Cloudflare

T = TypeVar("T")
R = TypeVar("R")


class SyncAPIResponse(Generic[T]):
    """An async response and the loop that it lives on."""

    def __init__(self, async_response: AsyncAPIResponse[T], portal: Portal) -> None:
        self.async_response = async_response
        """The response behind this one."""
        self.portal = portal
        """The way to its loop."""

    def __repr__(self) -> str:
        return repr(self.async_response).replace("<Async", "<")

    def _call(self, function: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """On the loop as long as there is something to wait for; the client may be closed after."""
        if not self.async_response.is_closed:
            return self.portal.call(function)
        try:
            function().send(None)
        except StopIteration as done:
            return cast("R", done.value)
        raise AssertionError("a closed response waits for nothing")

    def _each(self, parts: AsyncGenerator[bytes]) -> Generator[bytes]:
        try:
            while True:
                try:
                    part = self._call(parts.__anext__)
                except StopAsyncIteration:
                    return
                yield part
        finally:
            self._call(parts.aclose)


class SyncResource:
    """A group of methods."""

    def __init__(self, client: Cloudflare) -> None:
        self._client = client


class SyncClient:
    """An async client and the event loop, on a thread of its own, that its calls run on."""

    def __init__(self, async_client: AsyncCloudflare) -> None:
        self.async_client = async_client
        """The client behind this one; it lives on the loop of `portal`."""
        self.portal: Portal = Portal(on_close=async_client.close)
        """The way to that loop."""
        self._owns_portal = True

    def _copied(self, async_client: AsyncCloudflare) -> Self:
        """A client around a copy of the async one, on the same loop."""
        copy = object.__new__(type(self))
        copy.async_client, copy.portal = async_client, self.portal
        copy._owns_portal = False
        return copy

    def close(self) -> None:
        """Close the connections. A second close does nothing; a call after it is an error."""
        if self._owns_portal:
            self.portal.close()
        elif not self.portal.closed:
            self.portal.call(self.async_client.close)

    def __reduce__(self) -> str:
        raise TypeError("a client does not pickle: it holds connections and secrets; make another")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
