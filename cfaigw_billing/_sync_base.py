"""What the generated sync facade stands on: the parts of it that are written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ._portal import Portal

if TYPE_CHECKING:
    from ._client import AsyncCloudflare
    from ._sync import Cloudflare


class SyncResource:
    """A group of methods."""

    def __init__(self, client: Cloudflare) -> None:
        self._client = client


class SyncClient:
    """An async client and the event loop, on a thread of its own, that its calls run on."""

    def __init__(self, async_client: AsyncCloudflare) -> None:
        self.async_client = async_client
        """The client behind this one; it lives on the loop of `portal`."""
        self.portal = Portal(on_close=async_client.close)
        """The way to that loop."""

    def close(self) -> None:
        """Close the connections. A second close does nothing; a call after it is an error."""
        self.portal.close()

    def __reduce__(self) -> str:
        raise TypeError("a client does not pickle: it holds connections and secrets; make another")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
