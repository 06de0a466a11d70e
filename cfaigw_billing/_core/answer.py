"""Decode the bytes of an answer to a value or an error.

The service answers with an envelope, `{"success": …, "errors": […], "result": …}`. The edge in
front of it answers with HTML or text. The status alone is not enough: a failure can have status
200, so `success` decides.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast
from urllib.parse import unquote

from attrs import define, field

from .._wire import strict_json as _json
from .._wire.messages import KEPT, TOO_LARGE, HTTPRequest, HTTPResponse, listed, masked
from .._wire.secrets import Mask
from ..errors import (
    APIError,
    APIResponseError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    ErrorData,
    RateLimitError,
    TopupOutcomeUnknownError,
    class_for_status,
)
from .codec import DecodeError, decode
from .operations import Operation
from .ratelimit import parse as parse_limits
from .retry import BUSY_STATUSES, Failure, retry_after

T = TypeVar("T")

_VERDICT = ("success", "errors", "messages")
"""The parts of an envelope that are not the result."""
_EXCERPT = 200
"""How many characters of a page an error shows if it is not an envelope."""
_LONGEST_REASON = 600
"""How many characters of the service's reason the line of an error shows."""
_DEEPEST_CHAIN = 20
"""How deep an `error_chain` is followed."""
_ENTRY = 32
"""The approximate size of an entry of `errors` without its message, in characters."""
LISTS_NO_ACCOUNTS = 1001
"""The error code of a token that belongs to one account and cannot list accounts."""
_NO_ROUTE = 7003
BAD_CREDENTIALS = frozenset({6003, 9106, 9107})
"""Error codes of wrong credentials, with any HTTP status."""
_ENCODINGS = {"identity", "gzip", "deflate", "br", "zstd"}
"""The content encodings that the transport decodes."""


@define(eq=False)
class Answer(Generic[T]):
    """The answer to one call."""

    operation: Operation[T]
    """The call."""
    http_request: HTTPRequest
    """The request that was sent."""
    http_response: HTTPResponse
    """The response to it."""
    retries_taken: int
    """The number of retries before it."""
    account_id: str | None = None
    """The account of the call; the response does not name it."""
    _decoded: tuple[T] | None = field(default=None, init=False, repr=False)
    """The value that `error` decoded, kept for `parse`, so that it is decoded only once."""

    def parse(self) -> T:
        """Return the decoded value.

        Raises:
            APIStatusError: The service refused the call.
            APIResponseValidationError: The answer does not match the API description.
        """
        # Errors are made below and raised here, where no local variable holds the answer: error
        # reports that include local variables must not show a `client_secret`.
        outcome = self._outcome()
        try:
            if isinstance(outcome, APIResponseError):
                raise outcome
            return outcome
        finally:
            del outcome  # the raised error refers to this frame, so the frame must not refer to it

    def mismatch(self, reason: str) -> APIResponseValidationError:
        """Return the error for an answer that is valid but does not match the request."""
        return cast("APIResponseValidationError", self._error(APIResponseValidationError, reason))

    def error(self) -> APIResponseError | None:
        """Return the error that `parse` would raise, if any."""
        outcome = self._outcome()
        if isinstance(outcome, APIResponseError):
            return outcome
        self._decoded = (outcome,)
        return None

    def refusal(self) -> APIResponseError | None:
        """Return the error that `parse` would raise, but `None` for a value that is not valid."""
        error = self.error()
        decodes = self.http_response.flaw is None and not isinstance(error, APIStatusError)
        return None if decodes else error

    def failure(self) -> Failure | None:
        """Return the kind of failure, which decides about a retry; `None` for a good answer.

        For most calls a good status is enough. The answer to a charge is also decoded, because an
        answer that cannot be decoded leaves it unknown whether the card was charged.
        """
        response = self.http_response
        if self._accepted and response.flaw is None and not self.operation.charges:
            return None
        if response.status_code == 429:
            return Failure.RATE_LIMITED if self._is_of_the_limiter else Failure.THROTTLED
        if response.status_code in BUSY_STATUSES:
            return Failure.BUSY
        if response.flaw is not None:
            return Failure.UNCLEAR if response.flaw == TOO_LARGE else Failure.NO_ANSWER
        error = self.error()
        if error is None:
            return None
        return Failure.REFUSED if self._is_refused else Failure.UNCLEAR

    @property
    def _is_of_the_limiter(self) -> bool:
        """Whether a 429 certainly comes from the rate limiter, before anything is charged.

        It has `Retry-After`, and `Ratelimit`, if present, reports that no requests are left.
        """
        headers = self.http_response.headers
        if "Retry-After" not in headers:
            return False
        counts = parse_limits(listed(headers, "Ratelimit") or "").values()
        return not counts or any(count.get("r") == 0 for count in counts)

    @property
    def _is_refused(self) -> bool:
        """Whether the service refused the call in an envelope, and did not fail internally."""
        try:
            envelope = _json.loads(self.http_response.body)
        except ValueError:
            return False
        if not isinstance(envelope, dict) or self.http_response.status_code >= 500:
            return False
        answer = cast("dict[str, object]", envelope)
        return answer.get("success") is False and not answer.get("result")

    @property
    def _accepted(self) -> bool:
        return 200 <= self.http_response.status_code < 300

    def _outcome(self) -> T | APIResponseError:
        if self._decoded is not None:
            (value,), self._decoded = self._decoded, None
            return value
        response = self.http_response
        if response.flaw is not None:
            return self._unexpected(response.flaw)
        if not self.operation.typed and self._accepted:
            return self._untyped()
        try:
            envelope: Any = _json.loads(response.body)
        except ValueError as error:
            return self._unexpected(str(error))
        if not isinstance(envelope, dict):
            return self._unexpected("expected an object at the top")
        envelope = cast("dict[str, object]", envelope)
        success = envelope.get("success")
        if success is True and self._accepted:
            return self._value(envelope)
        if self._accepted and success is not False:
            return self._unexpected("success: expected a boolean")
        return self._refused(envelope.get("errors"))

    def _value(self, envelope: dict[str, object]) -> T | APIResponseError:
        operation = self.operation
        try:
            value = decode(
                self._part(envelope),
                operation.result,
                "" if operation.envelope else "result",
                self._part,
            )
        except DecodeError as error:
            return self._error(APIResponseValidationError, str(error))
        if operation.names_account:
            # Safe although the value is frozen: it was just created and is not shared yet.
            object.__setattr__(value, "account_id", self.account_id)
        return value

    def _part(self, envelope: dict[str, object] | None = None) -> object:
        """Return the part of the envelope that holds the value; without envelope, decode again."""
        if envelope is None:
            envelope = cast("dict[str, object]", _json.loads(self.http_response.body))
        if self.operation.envelope:
            return {key: envelope[key] for key in envelope if key not in _VERDICT}
        return envelope.get("result")

    def _untyped(self) -> T | APIResponseError:
        """Decode an answer that need not be an envelope or JSON."""
        body, result = self.http_response.body, self.operation.result
        as_it_comes = result is bytes or result is str

        def again() -> object:
            return _json.loads(body) if body else None

        try:
            value = again()
        except ValueError as error:
            if not as_it_comes:
                return self._unexpected(str(error))
            value = None
        if isinstance(value, dict):
            answer = cast("dict[str, object]", value)
            if answer.get("success") is False:
                return self._refused(answer.get("errors"))
        if as_it_comes:
            return cast("T", body if result is bytes else body.decode(errors="replace"))
        try:
            return decode(value, result, "", again)  # pyright: ignore[reportUnknownArgumentType]
        except DecodeError as error:
            return self._error(APIResponseValidationError, str(error))

    def _refused(self, entries: object) -> APIResponseError:
        errors = _Errors(Mask(self.http_request.headers)).read(entries)
        reason = "; ".join(map(str, errors)) or "the service gave no reason"
        cls = class_for_status(self.http_response.status_code)
        return self._error(cls, reason, errors)

    def _unexpected(self, reason: str) -> APIResponseError:
        """Return the error for an answer that is not an envelope: by status, or if 2xx, invalid."""
        response = self.http_response.redacted(self.http_request)
        cls = class_for_status(response.status_code)
        encoding = response.headers.get("Content-Encoding", "identity")
        if self.http_response.flaw is None and encoding.lower() not in _ENCODINGS:
            reason = f"its Content-Encoding ({encoding}) cannot be decoded"
        excerpt = response.body[: 4 * _EXCERPT].decode(errors="replace")[:_EXCERPT]
        return self._error(
            APIResponseValidationError if self._accepted else cls,
            f"{reason}, got {response.content_type or 'no content type'} {excerpt!r}",
        )

    def _error(
        self, cls: type[APIResponseError], reason: str, errors: tuple[ErrorData, ...] = ()
    ) -> APIResponseError:
        request, response = self.http_request, self.http_response
        reason = Mask(request.headers)(reason)  # before cutting, which could leave half a secret
        reason = _without_path(reason, request.path)[:_LONGEST_REASON]
        wait = retry_after(response.headers, datetime.now(UTC))
        parts = [
            f"{response.status_code} {request.method} {request.path}: {reason}",
            _next_step(self.operation, request, response.status_code, errors, wait),
            f"CF-Ray {response.cf_ray}" if response.cf_ray else "",
        ]
        error = cls(
            " · ".join(filter(None, parts)),
            request=request,
            response=response,
            errors=errors,
            retries_taken=self.retries_taken,
        )
        if isinstance(error, RateLimitError):
            error.retry_after = wait
        return error


def _without_path(reason: str, path: str) -> str:
    """Replace the path in the service's reason: the line begins with it already."""
    for spelled in {path, unquote(path)}:
        reason = re.sub(rf"(?<![\w/]){re.escape(spelled)}(?![\w/%])", "this path", reason)
    return reason


def lists_no_accounts(error: Exception | None) -> bool:
    """Return whether the token cannot list accounts because it belongs to one account."""
    return isinstance(error, APIError) and any(it.code == LISTS_NO_ACCOUNTS for it in error.errors)


def refuses_credentials(error: Exception | None) -> bool:
    """Return whether the service refuses the credentials, and not only this call."""
    if isinstance(error, TopupOutcomeUnknownError):
        return False  # the caller must always get this error
    if isinstance(error, AuthenticationError):
        return True
    return isinstance(error, APIError) and any(it.code in BAD_CREDENTIALS for it in error.errors)


def _next_step(
    operation: Operation[Any],
    request: HTTPRequest,
    status_code: int,
    errors: tuple[ErrorData, ...],
    wait: float | None,
) -> str:
    """Return the next step for the user; empty if not known."""
    if any(error.message == "NO_MANUAL_TOPUP" for error in errors):
        return "complete one manual top-up first (billing.topup.create)"
    codes = {error.code for error in errors}
    if LISTS_NO_ACCOUNTS in codes and operation.path == "/accounts":
        return "this token belongs to one account and cannot list accounts; pass the account ids"
    if 300 <= status_code < 400:
        return "redirects are not followed: check `base_url`"
    if status_code == 404 or _NO_ROUTE in codes:
        return _wrong_account_id(request.path)
    if status_code == 401:
        return (
            "check the API token (CLOUDFLARE_API_TOKEN or `api_tokens`), or the e-mail and the key"
        )
    if status_code == 402 and errors:
        return "the card was declined and nothing was charged; try another card"
    if status_code == 403:
        return operation.forbidden or f"the credentials need {operation.permission}"
    if status_code == 429 and wait is not None:
        return f"every call with these credentials is refused for the next {wait:g} s"
    return ""


def _wrong_account_id(path: str) -> str:
    """Return an explanation if the account id of a path is not valid; else an empty text."""
    account_ids = re.findall("/accounts/([^/]+)", path)
    if not account_ids or re.fullmatch("[0-9a-fA-F]{32}", account_ids[-1]):
        return ""
    return f"{unquote(account_ids[-1])!r:.80} is not 32 hex digits, as account ids are"


class _Errors:
    """Reads the `errors` of an envelope. It accepts any content, so that every failure is reported.

    It masks secrets, and keeps at most about `KEPT` characters.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._characters_left = KEPT

    def read(self, entries: object, depth: int = 0) -> tuple[ErrorData, ...]:
        if not isinstance(entries, list) or depth == _DEEPEST_CHAIN:
            return ()
        found: list[ErrorData] = []
        for entry in cast("list[object]", entries):
            if self._characters_left <= 0:
                break
            found.append(self._entry(entry, depth))
        return tuple(found)

    def _entry(self, entry: object, depth: int) -> ErrorData:
        if not isinstance(entry, dict):
            return ErrorData(code=None, message=self._text(entry))
        fields = cast("dict[str, object]", entry)
        code, url = fields.get("code"), fields.get("documentation_url")
        return ErrorData(
            code=code if type(code) is int else None,
            message=self._text(fields.get("message", "")),
            documentation_url=self._text(url) if isinstance(url, str) else None,
            error_chain=self.read(fields.get("error_chain"), depth + 1),
        )

    def _text(self, value: object) -> str:
        text = str(masked(value, self._mask))[: self._characters_left]
        self._characters_left -= len(text) + _ENTRY
        return text
