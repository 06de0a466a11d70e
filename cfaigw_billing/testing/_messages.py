"""What goes over the wire: requests as they arrive, answers, and faults in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs
from aiohttp import web
from attrs.validators import and_, ge, in_, le, optional
from multidict import CIMultiDictProxy, MultiMapping

from ._state import JSON
from ._validation import INVALID, UNKNOWN, Parameters, RefusedError, parse

BASE_PATH = "/client/v4"
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request as it arrived; `path` is as it was sent, without the path of the base URL."""

    method: str
    path: str
    query: MultiMapping[str]
    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    body: bytes

    @classmethod
    async def receive(cls, request: web.Request) -> RecordedRequest:
        """Read the whole request."""
        return cls(
            method=request.method,
            path=request.rel_url.raw_path.removeprefix(BASE_PATH),
            query=request.query,
            headers=request.headers,
            body=await request.read(),
        )

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong with a request.

    With none of `status`, `body` and `silence` the request is answered as always, only `delay`
    seconds later and with `headers` added.

    Attributes:
        delay: Seconds to wait before the request is carried out, or with `after`, answered.
        status: Answer this status, with an error envelope of `code` and `message`.
        code: Of the error envelope.
        message: Of the error envelope.
        body: Answer exactly this body instead of an envelope; the status is 200 unless given.
        content_type: Of `body`.
        headers: Added to the answer.
        after: Carry the request out first: the answer is lost, the charge is made.
        silence: No answer at all: "close" breaks the connection, "hang" leaves it open. aiohttp
            repeats a GET by itself when a connection that it kept breaks: close it twice.
    """

    delay: float = attrs.field(default=0.0, validator=ge(0))
    status: int | None = attrs.field(default=None, validator=optional(and_(ge(200), le(599))))
    code: int = UNKNOWN
    message: str = "An unknown error has occurred."
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    after: bool = False
    silence: Literal["close", "hang"] | None = attrs.field(
        default=None, validator=in_((None, "close", "hang"))
    )

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


async def parameters(request: web.Request, cls: type[Parameters]) -> Parameters:
    """The parameters of a call: the body of a POST, the query of any other request."""
    if request.method != "POST":
        # The service rejects unknown properties of a body, but not of a query.
        known = attrs.fields_dict(cls).keys() & request.query.keys()
        return parse(cls, {name: _decode(request.query[name]) for name in known})
    if request.content_type != "application/json":
        raise RefusedError(400, INVALID, "The Content-Type must be application/json.")
    try:
        body = await request.json()
    except ValueError as error:
        raise RefusedError(400, INVALID, f"The body is not JSON: {error}") from error
    return parse(cls, body)


def _decode(text: str) -> str | float:
    """A value of a query, which is a number where it reads as one."""
    if _NUMBER.fullmatch(text) is None:
        return text
    return float(text) if "." in text else int(text)


def envelope(result: Any, *, status: int = 200, **more: Any) -> web.Response:
    """The answer to a call that succeeded."""
    answer: JSON = {"success": True, "errors": [], "messages": [], "result": result, **more}
    return web.json_response(answer, status=status)


def refusal(refused: RefusedError) -> web.Response:
    """The answer to a call that did not."""
    error: JSON = {"code": refused.code, "message": refused.message}
    if refused.error_chain:
        error["error_chain"] = refused.error_chain
    answer: JSON = {"success": False, "errors": [error], "messages": [], "result": None}
    return web.json_response(answer, status=refused.status)
