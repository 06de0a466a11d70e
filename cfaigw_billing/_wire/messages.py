"""One HTTP exchange: what was sent and what came back."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, cast

from attrs import define, field
from multidict import CIMultiDict, CIMultiDictProxy

from . import strict_json as _json
from .secrets import REDACTED, Mask, is_client_secret, shown_header

TOO_LARGE = "the answer is larger than any of this API"
"""The flaw of a body that was not read to its end."""

KEPT = 8 * 1024
"""Bytes of a body that an error keeps: all that a person reads, and little enough for a log."""

_DEEPEST = 100
"""How deep JSON is shown: `repr` and `pickle` fail at what is nested as deeply as calls can be."""


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
    idempotency_key: str | None = None
    """The key of a charge in a journal; it is not sent."""
    before_sending: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    """What is to be done once there is a connection, and before anything goes over it."""

    async def announce(self) -> None:
        """Do what must be done before it is sent: the next step sends it."""
        if self.before_sending is not None:
            await self.before_sending()
        self.may_have_arrived = True

    @property
    def path(self) -> str:
        """The address without scheme, host and query."""
        return "/" + self.url.partition("://")[2].partition("/")[2].partition("?")[0]

    def redacted(self) -> HTTPRequest:
        """A copy that holds no secret and no body: what an error may keep."""
        shown = ((name, shown_header(name, value)) for name, value in self.headers.items())
        return HTTPRequest(
            method=self.method,
            url=self.url,
            headers=CIMultiDict(shown),
            attempts=self.attempts,
            sent_at=self.sent_at,
            may_have_arrived=self.may_have_arrived,
            idempotency_key=self.idempotency_key,
        )


class Unread(Protocol):
    """A body that is still to come."""

    def chunks(self, size: int | None) -> AsyncGenerator[bytes]:
        """Its parts as they come, or of `size` bytes each."""
        ...

    async def read(self) -> tuple[bytes, str | None]:
        """Return the rest of it, and why that is not all of it, if it is not."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@define(kw_only=True, eq=False)
class HTTPResponse:
    """An answer."""

    status_code: int
    """The HTTP status."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers; names are compared without regard to case."""
    body: bytes = field(repr=False)
    """The body, decompressed: all of it, unless `flaw` is set."""
    flaw: str | None = None
    """Why `body` is not the whole one, if it is not."""
    unread: Unread | None = field(default=None, repr=False)
    """The source of a body that was not read with the answer."""

    @property
    def cf_ray(self) -> str | None:
        """The id of this answer, which Cloudflare support asks for."""
        return self.headers.get("CF-Ray")

    @property
    def content_type(self) -> str:
        """The media type without parameters; empty where the server named none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    def redacted(self, request: HTTPRequest) -> HTTPResponse:
        """A copy without secrets, those of the request included: what an error may keep.

        Of a body above `KEPT` bytes it has the beginning; `flaw` says so.
        """
        mask = Mask(request.headers)
        shown = ((name, mask(shown_header(name, value))) for name, value in self.headers.items())
        body, flaw = _redacted(self.body, mask), self.flaw
        if len(body) > KEPT:
            flaw = flaw or f"an error keeps the first {KEPT:,} of its {len(self.body):,} bytes"
            body = body[:KEPT]
        return HTTPResponse(
            status_code=self.status_code,
            headers=CIMultiDict(shown),  # the proxy of aiohttp does not pickle
            body=body,
            flaw=flaw,
        )

    def decoded(self) -> object:
        """The JSON of the body, or else its text."""
        try:
            return _json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="replace")


def parse_date(text: str) -> datetime | None:
    """Return the date of an HTTP header, aware; `None` if it is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def listed(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header that is a list, which may come in several lines."""
    if not isinstance(headers, (CIMultiDictProxy, CIMultiDict)):
        return headers.get(name)
    lines = headers.getall(name, None)
    if lines is None:
        return None
    return lines[0] if len(lines) == 1 else ", ".join(lines)


def _redacted(body: bytes, mask: Mask) -> bytes:
    """The body of an answer without secrets, whether it is JSON or half of it."""
    if len(body) <= KEPT:  # only then is it shown as JSON
        try:
            value = _json.loads(body)
            shown = masked(value, mask)
            return body if shown == value else _json.dumps(shown)
        except ValueError:
            pass
    text = mask.cut_off(body.decode("latin-1"))
    found = re.search(r"client([_-]|\\u005f|\\u002d)?secret", text, re.IGNORECASE)
    return (text if found is None else text[: found.start()] + REDACTED).encode("latin-1")


def masked(value: object, mask: Mask, depth: int = 0) -> object:
    """Decoded JSON without secrets, and without what is nested too deeply to be shown."""
    if isinstance(value, str):
        return mask(value)
    if not isinstance(value, (list, dict)):
        return value
    if depth == _DEEPEST:
        return "…"
    if isinstance(value, list):
        return [masked(item, mask, depth + 1) for item in cast("list[object]", value)]
    return {
        mask(name): REDACTED if is_client_secret(name) else masked(item, mask, depth + 1)
        for name, item in cast("dict[str, object]", value).items()
    }
