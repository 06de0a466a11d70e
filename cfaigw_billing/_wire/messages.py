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
"""The `flaw` of a body that was too large to read."""

KEPT = 8 * 1024
"""How many bytes of a body an error keeps: enough to read, and little enough for a log."""

_DEEPEST = 100
"""How deep JSON is shown: `repr` and `pickle` fail for deeper values."""


@define(kw_only=True, eq=False)
class HTTPRequest:
    """A request as it is sent, and its progress."""

    method: str
    """The HTTP method, in capitals."""
    url: str
    """The absolute address, percent-encoded."""
    headers: Mapping[str, str]
    """The headers that the SDK sets; a secret one is a `Secret`."""
    body: bytes | None = field(default=None, repr=False)
    """The JSON body, or none."""
    attempts: int = 0
    """The number of attempts."""
    sent_at: datetime | None = None
    """The time of the last attempt, by this machine's clock; only for charges."""
    may_have_arrived: bool = False
    """Whether an attempt had a connection, so that the service may have received the request."""
    idempotency_key: str | None = None
    """The key of a charge in a journal; it is not sent."""
    before_sending: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    """Awaited when the connection is open, before anything is sent."""

    async def announce(self) -> None:
        """Await `before_sending`, and mark the request as sent."""
        if self.before_sending is not None:
            await self.before_sending()
        self.may_have_arrived = True

    @property
    def path(self) -> str:
        """The address without scheme, host and query."""
        return "/" + self.url.partition("://")[2].partition("/")[2].partition("?")[0]

    def redacted(self) -> HTTPRequest:
        """Return a copy for an error, without secrets and body."""
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
    """A body that has not been read yet."""

    def chunks(self, size: int | None) -> AsyncGenerator[bytes]:
        """Yield its parts as they arrive, or of `size` bytes each."""
        ...

    async def read(self) -> tuple[bytes, str | None]:
        """Return the rest, and why it is incomplete, if it is."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


@define(kw_only=True, eq=False)
class HTTPResponse:
    """A response."""

    status_code: int
    """The HTTP status."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers; names are case-insensitive."""
    body: bytes = field(repr=False)
    """The body, decompressed: all of it, unless `flaw` is set."""
    flaw: str | None = None
    """Why `body` is incomplete; `None` if it is complete."""
    unread: Unread | None = field(default=None, repr=False)
    """The source of a body that was not read with the answer."""

    @property
    def cf_ray(self) -> str | None:
        """The id of this answer, which Cloudflare support asks for."""
        return self.headers.get("CF-Ray")

    @property
    def content_type(self) -> str:
        """The media type without parameters; empty if the server sent none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    def redacted(self, request: HTTPRequest) -> HTTPResponse:
        """Return a copy for an error, without secrets, also those of the request.

        It keeps the first `KEPT` bytes of the body; `flaw` says if that is not all.
        """
        mask = Mask(request.headers)
        shown = ((name, mask(shown_header(name, value))) for name, value in self.headers.items())
        body, flaw = _redacted(self.body, mask), self.flaw
        if len(body) > KEPT:
            flaw = flaw or f"an error keeps the first {KEPT:,} of its {len(self.body):,} bytes"
            body = body[:KEPT]
        return HTTPResponse(
            status_code=self.status_code,
            headers=CIMultiDict(shown),  # aiohttp's mapping does not pickle
            body=body,
            flaw=flaw,
        )

    def decoded(self) -> object:
        """Return the body as decoded JSON, or as text if it is not JSON."""
        try:
            return _json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="replace")


def parse_date(text: str) -> datetime | None:
    """Return the date of an HTTP header, aware; `None` if it is not valid."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def listed(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header whose value is a list; it may have several lines."""
    if not isinstance(headers, (CIMultiDictProxy, CIMultiDict)):
        return headers.get(name)
    lines = headers.getall(name, None)
    if lines is None:
        return None
    return lines[0] if len(lines) == 1 else ", ".join(lines)


def _redacted(body: bytes, mask: Mask) -> bytes:
    """Mask the secrets in a body, which may be JSON or a part of it."""
    if len(body) <= KEPT:  # a longer body is cut, and so is not JSON
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
    """Return decoded JSON without secrets and without too deeply nested values."""
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
