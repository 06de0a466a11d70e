"""One HTTP exchange as values: what was sent and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from multidict import CIMultiDict

from ._secret import REDACTED, Secret


@define(kw_only=True, eq=False)
class HTTPRequest:
    """A request as it goes over the wire."""

    method: str
    """The HTTP method, in capitals."""
    url: str
    """The absolute address, percent-encoded."""
    headers: Mapping[str, str]
    """The headers that the SDK sets; a secret one is a `Secret`."""
    body: bytes | None = field(default=None, repr=False)
    """The JSON body, or none."""

    @property
    def path(self) -> str:
        """The address without scheme, host and query."""
        return "/" + self.url.partition("://")[2].partition("/")[2].partition("?")[0]

    def redacted(self) -> HTTPRequest:
        """A copy that holds no secret and no body: what an error may keep."""
        headers = {k: REDACTED if isinstance(v, Secret) else v for k, v in self.headers.items()}
        return HTTPRequest(method=self.method, url=self.url, headers=CIMultiDict(headers))


@define(kw_only=True, eq=False)
class HTTPResponse:
    """A response that has been read to its end."""

    status_code: int
    """The HTTP status."""
    headers: Mapping[str, str]
    """The headers; names are compared without regard to case."""
    body: bytes = field(repr=False)
    """The body, decompressed."""

    @property
    def cf_ray(self) -> str | None:
        """The id of this answer, which Cloudflare support asks for."""
        return self.headers.get("CF-Ray")

    @property
    def content_type(self) -> str:
        """The media type without parameters; empty where the server named none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    def __getstate__(self) -> dict[str, Any]:
        # The proxy in which aiohttp hands headers out does not pickle.
        return {
            "status_code": self.status_code,
            "headers": CIMultiDict(self.headers),
            "body": self.body,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
