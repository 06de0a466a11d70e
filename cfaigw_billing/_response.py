"""From the bytes of an answer to the value it stands for, or to the error that says what came.

Every answer is an envelope, `{"success": …, "errors": […], "result": …}`, but for those of the edge
before the service, which are pages of HTML or text. `success` counts, and not the status alone: a
failure can come with a 200.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from attrs import define

from . import _json
from ._codec import DecodeError, decode
from ._http import HTTPRequest, HTTPResponse
from ._operations import Operation
from ._retry import retry_after
from .errors import (
    APIResponseError,
    APIResponseValidationError,
    ErrorData,
    RateLimitError,
    class_for_status,
)

T = TypeVar("T")

_EXCERPT = 200
"""How many characters of a page that is no envelope an error shows."""
_DEEPEST_CHAIN = 20
"""How deep an `error_chain` is followed."""


@define(eq=False)
class APIResponse(Generic[T]):
    """The answer to one call, read to its end."""

    operation: Operation[T]
    """The call."""
    http_request: HTTPRequest
    """What was sent."""
    http_response: HTTPResponse
    """What came."""
    retries_taken: int
    """How many times the request had been repeated before."""

    def parse(self) -> T:
        """The value that the answer stands for; an error says what came instead.

        Raises:
            APIStatusError: The service refused.
            APIResponseValidationError: The answer is not what the API describes.
        """
        envelope = self._envelope()
        try:
            if self.operation.envelope:
                return decode(envelope, self.operation.result, "")
            return decode(envelope.get("result"), self.operation.result, "result")
        except DecodeError as error:
            raise self._error(APIResponseValidationError, str(error), envelope) from None

    def _envelope(self) -> dict[str, Any]:
        try:
            body = _json.loads(self.http_response.body)
        except ValueError as error:
            text = self.http_response.body.decode(errors="replace")
            raise self._unexpected(text, f"not JSON ({error})") from None
        if not isinstance(body, dict):
            raise self._unexpected(body, "expected an object at the top")
        envelope = cast("dict[str, Any]", body)
        success = envelope.get("success")
        if success is True and self._accepted:
            return envelope
        if self._accepted and success is not False:
            raise self._unexpected(envelope, "success: expected a boolean")
        raise self._refused(envelope)

    @property
    def _accepted(self) -> bool:
        return 200 <= self.http_response.status_code < 300

    def _refused(self, envelope: dict[str, Any]) -> APIResponseError:
        errors = _error_data(envelope.get("errors"))
        reason = "; ".join(map(str, errors)) or "the service gave no reason"
        cls = class_for_status(self.http_response.status_code)
        return self._error(cls, reason, envelope, errors)

    def _unexpected(self, body: object, reason: str) -> APIResponseError:
        """A page that is no envelope is a refusal by its status, and a wrong answer to a 2xx."""
        response = self.http_response
        cls = class_for_status(response.status_code)
        excerpt = response.body[: 4 * _EXCERPT].decode(errors="replace")[:_EXCERPT]
        return self._error(
            APIResponseValidationError if self._accepted else cls,
            f"{reason}, got {response.content_type or 'no content type'} {excerpt!r}",
            body,
        )

    def _error(
        self,
        cls: type[APIResponseError],
        reason: str,
        body: object,
        errors: tuple[ErrorData, ...] = (),
    ) -> APIResponseError:
        request, response = self.http_request, self.http_response
        wait = retry_after(response.headers, datetime.now(UTC))
        parts = [
            f"{response.status_code} {request.method} {request.path}: {reason}",
            _next_step(self.operation, response.status_code, errors, wait),
            f"CF-Ray {response.cf_ray}" if response.cf_ray else "",
        ]
        error = cls(
            " · ".join(filter(None, parts)),
            request=request,
            response=response,
            body=body,
            errors=errors,
            retries_taken=self.retries_taken,
        )
        if isinstance(error, RateLimitError):
            error.retry_after = wait
        return error


def _next_step(
    operation: Operation[Any],
    status_code: int,
    errors: tuple[ErrorData, ...],
    wait: float | None,
) -> str:
    """What the person who reads the error can do about it; empty where that is not known."""
    if any(error.message == "NO_MANUAL_TOPUP" for error in errors):
        return "complete one manual top-up first (billing.topup.create)"
    if status_code == 401:
        return "check the API token (CLOUDFLARE_API_TOKEN), or the e-mail and the key"
    if status_code == 402:
        return "the card was declined and nothing was charged; try another card"
    if status_code == 403:
        return operation.forbidden or f"the credentials need {operation.permission}"
    if status_code == 429 and wait is not None:
        return f"every call with these credentials is refused for the next {wait:g} s"
    return ""


def _error_data(entries: object, depth: int = 0) -> tuple[ErrorData, ...]:
    """The `errors` of an envelope, read leniently: a failure must not fail to be reported."""
    if not isinstance(entries, list) or depth == _DEEPEST_CHAIN:
        return ()
    found: list[ErrorData] = []
    for entry in cast("list[object]", entries):
        if not isinstance(entry, dict):
            found.append(ErrorData(code=None, message=str(entry)))
            continue
        fields = cast("dict[str, object]", entry)
        code, url = fields.get("code"), fields.get("documentation_url")
        found.append(
            ErrorData(
                code=code if type(code) is int else None,
                message=str(fields.get("message", "")),
                documentation_url=url if isinstance(url, str) else None,
                error_chain=_error_data(fields.get("error_chain"), depth + 1),
            )
        )
    return tuple(found)
