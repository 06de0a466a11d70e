"""Faults of requests, and the requests that they happen to."""

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

    The fields combine. With `delay`, `headers`, `drip` and `truncate` alone, the request is carried
    out and answered as always, only later, with more headers, slowly or in part. The constructors
    have the faults that are met most often, and say what the SDK does then. That no connection is
    made is no fault of a server: ask where no emulator runs.

    Attributes:
        delay: Seconds to wait before the request is carried out, or with `after`, answered.
        status: Answer this status, with an error envelope of `code` and `message`; with 200 it is
            a success that says `success: false`.
        code: Of the error envelope.
        message: Of the error envelope.
        body: Answer exactly this body instead of an envelope; the status is 200 unless given.
        content_type: Of `body`.
        headers: Added to the answer.
        after: Carry the request out first: the answer is lost, the charge is made.
        silence: No answer at all: "close" ends the connection, "reset" tears it down (RST), "hang"
            leaves it open. aiohttp repeats a GET by itself when a connection that it kept ends:
            close it twice; the SDK's own sessions do not.
        truncate: The answer falls silent after so many bytes of its body, although its
            `Content-Length` promises all of them; `silence` says how, "close" unless given.
        drip: Seconds between one byte of the body and the next.
        raw: Put exactly these bytes on the connection instead of an HTTP answer, and fall silent;
            `silence` says how, "close" unless given.
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

    # An answer, but not the one that was asked for.

    @classmethod
    def unsuccessful(cls, message: str = "An unknown error has occurred.") -> Self:
        """A 200 that says `success: false`: `APIStatusError`.

        For a charge too: the service refused it.
        """
        return cls(status=200, message=message)

    @classmethod
    def rate_limited(cls, retry_after: float = 300) -> Self:
        """A 429 that asks to come again in so many seconds: the SDK waits, or `RateLimitError`.

        It waits where that is at most `max_retry_wait`, charges included: nothing was carried out.
        """
        return cls(
            status=429,
            code=RATE_LIMITED,
            message="Too many requests.",
            headers={"Retry-After": f"{retry_after:.15g}"},
        )

    @classmethod
    def edge_page(cls, status: int = 502) -> Self:
        """A page in HTML from in front of the service: the error of the status.

        502 is repeated, and `InternalServerError` in the end. Whether a charge was carried out
        behind it, nobody knows: `TopupOutcomeUnknownError`, at once.
        """
        page = _EDGE_PAGE.format(status=status).encode()
        return cls(status=status, body=page, content_type="text/html; charset=UTF-8")

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Self:
        """The resource has moved: `APIStatusError`, not followed.

        For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(status=status, body=b"", headers={"Location": location})

    @classmethod
    def wrong_result(cls, result: object = None) -> Self:
        """A success with this result, such as `{"balance": "much"}`: `APIResponseValidationError`.

        The service is not asked. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=envelope(result).text)

    @classmethod
    def bad_gzip(cls) -> Self:
        """A success that cannot be unpacked: repeated, `APIResponseValidationError` in the end.

        The service is not asked. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=b"this is no gzip", headers={"Content-Encoding": "gzip"})

    @classmethod
    def oversized(cls, size: int = 33 << 20) -> Self:
        """So many bytes, of which few go over the wire: `APIResponseValidationError`.

        The SDK reads at most 32 MiB. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(body=gzip.compress(bytes(size), 1), headers={"Content-Encoding": "gzip"})

    # No whole answer.

    @classmethod
    def lost_answer(cls) -> Self:
        """The request is carried out, and the connection ends where the answer should begin.

        A charge was made: `TopupOutcomeUnknownError`, and `topup.reconcile` finds it. What may be
        repeated is; `APIConnectionError` in the end.
        """
        return cls(silence="close", after=True)

    @classmethod
    def reset(cls, *, after: bool = False) -> Self:
        """The connection is torn down (RST), with `after` once the request was carried out.

        Repeated, and `APIConnectionError` in the end; for a charge `TopupOutcomeUnknownError`.
        """
        return cls(silence="reset", after=after)

    @classmethod
    def hang(cls, *, after: bool = False) -> Self:
        """No answer, and no end, with `after` once the request was carried out.

        When `timeout` is over: repeated, and `APITimeoutError` in the end; for a charge
        `TopupOutcomeUnknownError`.
        """
        return cls(silence="hang", after=after)

    @classmethod
    def cut_off(cls, size: int = 20) -> Self:
        """The request is carried out, and the answer ends after so many bytes of its body.

        Repeated, and `APIResponseValidationError` in the end; a charge was made:
        `TopupOutcomeUnknownError`.
        """
        return cls(truncate=size)

    @classmethod
    def slow(cls, seconds: float = 1) -> Self:
        """The request is carried out, and answered in so many seconds for each byte.

        When `timeout` is over: repeated, and `APITimeoutError` in the end; a charge was made:
        `TopupOutcomeUnknownError`.
        """
        return cls(drip=seconds)

    @classmethod
    def garbage(cls) -> Self:
        """Something else than HTTP: repeated, and `APIConnectionError` in the end.

        The service is not asked. For a charge, `TopupOutcomeUnknownError`.
        """
        return cls(raw=b"\x16\x03\x01\x00this is no HTTP\r\n\r\n")

    # What the server does with it.

    @property
    def answers(self) -> bool:
        """Whether there is an answer, if only the beginning of one."""
        return self.raw is None and (self.silence is None or self.truncate is not None)

    def answer(self) -> web.Response | None:
        """The answer in place of the real one, if this fault replaces it."""
        if self.body is not None:
            content = {"Content-Type": self.content_type}
            return web.Response(status=self.status or 200, body=self.body, headers=content)
        if self.status is not None:
            return refusal(RefusedError(self.status, self.code, self.message))
        return None


@attrs.define
class Injection:
    """A fault, how many requests are still to meet it (None: all), and which."""

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
