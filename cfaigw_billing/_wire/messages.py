"""One HTTP exchange: what was sent and what came back."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, cast

from attrs import define, field
from multidict import CIMultiDict, CIMultiDictProxy

from . import strict_json as _json
from .secrets import REDACTED, Secret

TOO_LARGE = "the answer is larger than any of this API"
"""The flaw of a body that was not read to its end."""

_CLIENT_SECRET = re.compile(rb"client(_|\\u005f)secret", re.IGNORECASE)


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
    sent_at: datetime | None = None
    """When it was last tried, by this machine's clock; kept for charges only."""
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
            sent_at=self.sent_at,
            may_have_arrived=self.may_have_arrived,
        )


class Unread(Protocol):
    """A body that is still to come."""

    def chunks(self, size: int | None) -> AsyncGenerator[bytes]:
        """Its parts as they come, or of `size` bytes each."""
        ...

    async def read(self) -> tuple[bytes, str | None]:
        """What is left of it, and why that is not the whole of it, if it is not."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


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
    unread: Unread | None = field(default=None, repr=False)
    """Where the body is to come from that was not read with the answer."""

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
            body=_without_client_secret(self.body),
            flaw=self.flaw,
        )


def parse_date(text: str) -> datetime | None:
    """Return the date of an HTTP header, aware; `None` if it is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def listed(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header that is a list, which may come in several lines."""
    if isinstance(headers, (CIMultiDictProxy, CIMultiDict)):
        lines = headers.getall(name, ())
        return ", ".join(lines) if lines else None
    return headers.get(name)


def _without_client_secret(body: bytes) -> bytes:
    """The body of an answer without the secret of a payment, whether it is JSON or half of it."""
    found = _CLIENT_SECRET.search(body)
    if found is None:
        return body
    try:
        return _json.dumps(_masked(_json.loads(body)))
    except (ValueError, RecursionError):
        return body[: found.start()] + REDACTED.encode()


def _masked(value: object) -> object:
    if isinstance(value, list):
        return [_masked(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return {k: REDACTED if k.lower() == "client_secret" else _masked(v) for k, v in entries}
    return value
