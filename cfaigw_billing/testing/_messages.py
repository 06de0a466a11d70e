"""Messages on the wire: requests as they arrive, and answers in the service's envelope."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
from aiohttp import web
from multidict import CIMultiDictProxy, MultiMapping

from ._state import JSON
from ._validation import INVALID, Parameters, RefusedError, parse

BASE_PATH = "/client/v4"
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request as it arrived; `path` is as sent, without the path of the base URL."""

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
    def api_token(self) -> str | None:
        """The API token of the request; None: it had none."""
        return api_token(self.headers)

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def api_token(headers: MultiMapping[str]) -> str | None:
    """Return the API token in the headers of a request; None: they have none."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token if token and scheme.lower() == "bearer" else None


async def parameters(request: web.Request, cls: type[Parameters]) -> Parameters:
    """Return the parameters of a call: the body of a POST, the query of any other request."""
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
    """Return a value of a query, as a number if it looks like one."""
    if _NUMBER.fullmatch(text) is None:
        return text
    return float(text) if "." in text else int(text)


def envelope(result: Any, *, status: int = 200, **more: Any) -> web.Response:
    """Return the response of a call that succeeded."""
    answer: JSON = {"success": True, "errors": [], "messages": [], "result": result, **more}
    return web.json_response(answer, status=status)


def refusal(refused: RefusedError) -> web.Response:
    """Return the response of a call that was refused."""
    error: JSON = {"code": refused.code, "message": refused.message}
    if refused.error_chain:
        error["error_chain"] = refused.error_chain
    answer: JSON = {"success": False, "errors": [error], "messages": [], "result": None}
    return web.json_response(answer, status=refused.status)
