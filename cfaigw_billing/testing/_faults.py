"""Faults, and the requests that they affect."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any, Literal, Self

import attrs
from aiohttp import web
from attrs.validators import and_, ge, le, optional

from ..types._validators import of_type, one_of
from ._messages import RecordedRequest, envelope, refusal
from ._validation import RATE_LIMITED, UNKNOWN, RefusedError, number, whole_number

Silence = Literal["close", "reset", "hang"]

_EDGE_PAGE = """<!DOCTYPE html>
<html><head><title>{status}</title></head><body><h1>Error {status}</h1></body></html>
"""


def _encoded(text: bytes | str | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text


def _line(_: object, attribute: attrs.Attribute[Any], text: Any) -> None:
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"`{attribute.name}` must be text in one line: {text!r}")


def _headers(_: object, attribute: attrs.Attribute[Any], headers: Any) -> None:
    if not isinstance(headers, Mapping):
        raise TypeError(f"`{attribute.name}` must be a mapping, not {type(headers).__name__}")
    for name, value in headers.items():  # pyright: ignore[reportUnknownVariableType]
        for text in (name, value):  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(text, str) or not text.isprintable():
                raise ValueError(f"`{attribute.name}` must map text to text, in one line: {text!r}")


@attrs.frozen(kw_only=True)
class Fault:
    """A fault of a request.

    You can combine the fields. With only `delay`, `headers`, `drip` or `truncate`, the request is
    carried out and answered normally, but later, with more headers, slowly or in part. The
    constructors make the most common faults, and document how the SDK reacts. To test a connection
    that fails, use an address where no emulator runs.

    Attributes:
        delay: Seconds to wait before the request is carried out; with `after`, before the answer.
        status: Answer with this status and an error envelope of `code` and `message`; 200 makes an
            answer that has `success: false`.
        code: The code in the error envelope.
        message: The message in the error envelope.
        body: Answer with exactly this body instead of an envelope; the default status is 200.
        content_type: The content type of `body`.
        headers: Headers to add to the answer.
        after: Carry the request out first: the charge is made, but its answer is lost.
        silence: Do not answer: "close" ends the connection, "reset" resets it (RST), "hang" leaves
            it open. The SDK's own sessions never repeat a request, but other aiohttp sessions
            repeat a GET if a reused connection closes: inject "close" twice for them.
        truncate: Send only so many bytes of the body, fewer than its `Content-Length`, and then do
            as `silence` says (default: "close").
        drip: Seconds between two bytes of the body.
        raw: Send exactly these bytes instead of an HTTP answer, and then do as `silence` says
            (default: "close").
    """

    delay: float = attrs.field(default=0.0, validator=and_(number, ge(0)))
    status: int | None = attrs.field(
        default=None, validator=optional(and_(whole_number, ge(200), le(599)))
    )
    code: int = attrs.field(default=UNKNOWN, validator=whole_number)
    message: str = attrs.field(default="An unknown error has occurred.", validator=of_type(str))
    body: bytes | None = attrs.field(default=None, converter=_encoded, validator=of_type(bytes))
    content_type: str = attrs.field(default="application/json", validator=_line)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], validator=_headers)
    after: bool = attrs.field(default=False, validator=of_type(bool))
    silence: Silence | None = attrs.field(default=None, validator=one_of("close", "reset", "hang"))
    truncate: int | None = attrs.field(default=None, validator=optional(and_(whole_number, ge(0))))
    drip: float = attrs.field(default=0.0, validator=and_(number, ge(0)))
    raw: bytes | None = attrs.field(default=None, converter=_encoded, validator=of_type(bytes))

    def __attrs_post_init__(self) -> None:
        answer = ("status", "body", "headers", "drip")
        if self.raw is not None:
            self._refuse("raw", *answer, "truncate")
        elif self.silence is not None and self.truncate is None:
            self._refuse("silence", *answer)

    def _refuse(self, reason: str, *names: str) -> None:
        for name in names:
            if getattr(self, name) not in (None, 0, {}):
                raise ValueError(f"`{name}` has no effect: `{reason}` sends no answer")

    # Wrong answers.

    @classmethod
    def unsuccessful(cls, message: str = "An unknown error has occurred.") -> Self:
        """A 200 with `success: false`: `APIStatusError`, also for a charge: it was refused."""
        return cls(status=200, message=message)

    @classmethod
    def rate_limited(cls, retry_after: float = 300) -> Self:
        """A 429 with `Retry-After`: the SDK waits, or raises `RateLimitError`.

        It waits if `retry_after` is at most `max_retry_wait`. A charge is treated the same: it was
        not carried out.
        """
        return cls(
            status=429,
            code=RATE_LIMITED,
            message="Too many requests.",
            headers={"Retry-After": f"{retry_after:.15g}"},
        )

    @classmethod
    def edge_page(cls, status: int = 502) -> Self:
        """An HTML page of Cloudflare's edge: the error class of the status.

        502 is retried; in the end `InternalServerError`. A charge is not retried, because it may
        have been carried out: `TopupOutcomeUnknownError`.
        """
        page = _EDGE_PAGE.format(status=status).encode()
        return cls(status=status, body=page, content_type="text/html; charset=UTF-8")

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Self:
        """A redirect: `APIStatusError`; the SDK does not follow it.

        For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(status=status, body=b"", headers={"Location": location})

    @classmethod
    def wrong_result(cls, result: object = None) -> Self:
        """A success with a wrong result, `{"balance": "much"}`: `APIResponseValidationError`.

        The request is not carried out. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=envelope(result).text)

    @classmethod
    def bad_gzip(cls) -> Self:
        """A body that is not valid gzip: retried; in the end `APIResponseValidationError`.

        The request is not carried out. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=b"this is not gzip", headers={"Content-Encoding": "gzip"})

    @classmethod
    def oversized(cls, size: int = 33 << 20) -> Self:
        """A body of so many bytes, compressed on the wire: `APIResponseValidationError`.

        The SDK reads at most 32 MiB. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=gzip.compress(bytes(size), 1), headers={"Content-Encoding": "gzip"})

    # Missing or incomplete answers.

    @classmethod
    def lost_answer(cls) -> Self:
        """The request is carried out, but the connection ends before the answer.

        For a charge, `TopupOutcomeUnknownError`: the charge was made, and `topup.reconcile` finds
        it. Other calls are retried; in the end `APIConnectionError`.
        """
        return cls(silence="close", after=True)

    @classmethod
    def reset(cls, *, after: bool = False) -> Self:
        """The connection is reset (RST); with `after`, the request is carried out first.

        Retried; in the end `APIConnectionError`. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(silence="reset", after=after)

    @classmethod
    def hang(cls, *, after: bool = False) -> Self:
        """The connection stays open without an answer; with `after`, the request is carried out.

        After `timeout`, retried; in the end `APITimeoutError`. For a charge,
        `TopupOutcomeUnknownError`.
        """
        return cls(silence="hang", after=after)

    @classmethod
    def cut_off(cls, size: int = 20) -> Self:
        """The request is carried out, but the answer ends after so many bytes of its body.

        Retried; in the end `APIResponseValidationError`. For a charge, `TopupOutcomeUnknownError`:
        the charge was made.
        """
        return cls(truncate=size)

    @classmethod
    def slow(cls, seconds: float = 1) -> Self:
        """The request is carried out; the answer takes so many seconds for each byte.

        After `timeout`, retried; in the end `APITimeoutError`. For a charge,
        `TopupOutcomeUnknownError`: the charge was made.
        """
        return cls(drip=seconds)

    @classmethod
    def garbage(cls) -> Self:
        """Bytes that are not HTTP: retried; in the end `APIConnectionError`.

        The request is not carried out. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(raw=b"\x16\x03\x01\x00this is not HTTP\r\n\r\n")

    # For the server.

    @property
    def answers(self) -> bool:
        """Whether it sends an answer, or at least the beginning of one."""
        return self.raw is None and (self.silence is None or self.truncate is not None)

    def answer(self) -> web.Response | None:
        """The answer that replaces the real one, if any."""
        if self.body is not None:
            content = {"Content-Type": self.content_type}
            return web.Response(status=self.status or 200, body=self.body, headers=content)
        if self.status is not None:
            return refusal(RefusedError(self.status, self.code, self.message))
        return None


@attrs.define
class Injection:
    """A fault, and which and how many requests it affects (None: all)."""

    fault: Fault
    left: int | None
    method: str | None
    path: str | None

    def applies_to(self, request: RecordedRequest) -> bool:
        return (
            self.left != 0
            and self.method in (None, request.method)
            and request.path.endswith(self.path or "")
        )
