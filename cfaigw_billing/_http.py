"""One HTTP exchange: what was sent and what came back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import define, field
from multidict import CIMultiDict

from ._secret import REDACTED, Secret

TOO_LARGE = "the answer is larger than any of this API"
"""The flaw of a body that was not read to its end."""

_CLIENT_SECRET = re.compile(rb'("client_secret"\s*:\s*")[^"]*')


@define(kw_only=True, eq=False)
class HTTPRequest:
    """A request as it goes over the wire, and how far it has got."""

    method: str
    """The HTTP method, in capitals."""
    url: str
    """The absolute address, percent-encoded."""
    headers: Mapping[str, str]
    """The headers that the SDK sets; a secret one is a `Secret`."""
    body: bytes | None = field(default=None, repr=False)
    """The JSON body, or none."""
    attempts: int = 0
    """How often it was tried."""
    may_have_arrived: bool = False
    """Whether a connection has stood while it was tried: from then on the service may have it."""

    @property
    def path(self) -> str:
        """The address without scheme, host and query."""
        return "/" + self.url.partition("://")[2].partition("/")[2].partition("?")[0]

    def redacted(self) -> HTTPRequest:
        """A copy that holds no secret and no body: what an error may keep."""
        headers = {k: REDACTED if isinstance(v, Secret) else v for k, v in self.headers.items()}
        return HTTPRequest(
            method=self.method,
            url=self.url,
            headers=CIMultiDict(headers),
            attempts=self.attempts,
            may_have_arrived=self.may_have_arrived,
        )


@define(kw_only=True, eq=False)
class HTTPResponse:
    """An answer."""

    status_code: int
    """The HTTP status."""
    headers: Mapping[str, str]
    """The headers; names are compared without regard to case."""
    body: bytes = field(repr=False)
    """The body, decompressed: all of it, unless `flaw` is set."""
    flaw: str | None = None
    """Why `body` is not the whole one, if it is not."""

    @property
    def cf_ray(self) -> str | None:
        """The id of this answer, which Cloudflare support asks for."""
        return self.headers.get("CF-Ray")

    @property
    def content_type(self) -> str:
        """The media type without parameters; empty where the server named none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    def redacted(self) -> HTTPResponse:
        """A copy that holds no secret: what an error may keep."""
        return HTTPResponse(
            status_code=self.status_code,
            headers=CIMultiDict(self.headers),  # the proxy of aiohttp does not pickle
            body=_CLIENT_SECRET.sub(rb"\1" + REDACTED.encode(), self.body),
            flaw=self.flaw,
        )
