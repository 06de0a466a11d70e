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
    constructors make the most common faults, and say what the SDK does then. To test a connection
    that fails, use an address where no emulator runs.

    Attributes:
        delay: Seconds to wait before the request is carried out, or with `after`, answered.
        status: Answer this status, with an error envelope of `code` and `message`; with 200 it is
            a success that says `success: false`.
        code: The code in the error envelope.
        message: The message in the error envelope.
        body: Answer exactly this body instead of an envelope; the default status is 200.
        content_type: The content type of `body`.
        headers: Headers to add to the answer.
        after: Carry the request out first: the charge is made, but its answer is lost.
        silence: Do not answer: "close" ends the connection, "reset" resets it (RST), "hang" leaves
            it open. aiohttp repeats a GET if a kept connection ends: inject "close" twice. The
            SDK's own sessions do not.
        truncate: Send only so many bytes of the body, less than its `Content-Length`, and then do
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
                raise ValueError(f"`{name}` has no effect: with `{reason}` there is no answer")

    # Wrong answers.

    @classmethod
    def unsuccessful(cls, message: str = "An unknown error has occurred.") -> Self:
        """A 200 that says `success: false`: `APIStatusError`.

        For a charge too: the service refused it.
        """
        return cls(status=200, message=message)

    @classmethod
    def rate_limited(cls, retry_after: float = 300) -> Self:
        """A 429 with `Retry-After`: the SDK waits, or raises `RateLimitError`.

        It waits if that is at most `max_retry_wait`, also with a charge: nothing was carried out.
        """
        return cls(
            status=429,
            code=RATE_LIMITED,
            message="Too many requests.",
            headers={"Retry-After": f"{retry_after:.15g}"},
        )

    @classmethod
    def edge_page(cls, status: int = 502) -> Self:
        """An HTML page of Cloudflare's edge: the error of the status.

        502 is repeated; in the end `InternalServerError`. A charge may have been carried out:
        `TopupOutcomeUnknownError`, at once.
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
        """A success with this result, such as `{"balance": "much"}`: `APIResponseValidationError`.

        The request is not carried out. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=envelope(result).text)

    @classmethod
    def bad_gzip(cls) -> Self:
        """A success that cannot be unpacked: repeated; in the end `APIResponseValidationError`.

        The request is not carried out. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=b"this is no gzip", headers={"Content-Encoding": "gzip"})

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

        A charge was made: `TopupOutcomeUnknownError`, and `topup.reconcile` finds it. Other calls
        are repeated; in the end `APIConnectionError`.
        """
        return cls(silence="close", after=True)

    @classmethod
    def reset(cls, *, after: bool = False) -> Self:
        """The connection is reset (RST); with `after`, the request is carried out first.

        Repeated; in the end `APIConnectionError`. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(silence="reset", after=after)

    @classmethod
    def hang(cls, *, after: bool = False) -> Self:
        """The connection stays open without an answer; with `after`, the request is carried out.

        When `timeout` is over: repeated; in the end `APITimeoutError`. For a charge,
        `TopupOutcomeUnknownError`.
        """
        return cls(silence="hang", after=after)

    @classmethod
    def cut_off(cls, size: int = 20) -> Self:
        """The request is carried out, but the answer ends after so many bytes of its body.

        Repeated; in the end `APIResponseValidationError`. A charge was made:
        `TopupOutcomeUnknownError`.
        """
        return cls(truncate=size)

    @classmethod
    def slow(cls, seconds: float = 1) -> Self:
        """The request is carried out; the answer takes so many seconds for each byte.

        When `timeout` is over: repeated; in the end `APITimeoutError`. A charge was made:
        `TopupOutcomeUnknownError`.
        """
        return cls(drip=seconds)

    @classmethod
    def garbage(cls) -> Self:
        """Bytes that are not HTTP: repeated; in the end `APIConnectionError`.

        The request is not carried out. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(raw=b"\x16\x03\x01\x00this is no HTTP\r\n\r\n")

    # For the server.

    @property
    def answers(self) -> bool:
        """Whether there is an answer, or at least the beginning of one."""
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
