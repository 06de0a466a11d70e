"""The errors of this package.

    CloudflareError
    ├── JournalError
    ├── TopupConfirmationError
    ├── TopupFailedError
    ├── TopupPendingError
    └── APIError
        ├── APIConnectionError
        │   ├── APITimeoutError
        │   └── TopupOutcomeUnknownError
        └── APIResponseError
            ├── APIResponseValidationError
            └── APIStatusError
                ├── BadRequestError             400
                ├── AuthenticationError         401
                ├── PaymentRequiredError        402
                ├── PermissionDeniedError       403
                ├── NotFoundError               404
                ├── ConflictError               409
                ├── UnprocessableEntityError    422
                ├── RateLimitError              429
                └── InternalServerError         5xx

A wrong argument is a `ValueError` or a `TypeError` that names the argument and the limit. It is
raised before anything is sent.

All errors can be pickled and copied, hold no secret, and say in one line what to do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import frozen

from ._wire.messages import HTTPRequest, HTTPResponse
from ._wire.secrets import Mask, Secret


@frozen(kw_only=True)
class ErrorData:
    """One entry of the `errors` list of an answer."""

    code: int | None
    """Cloudflare's error code, such as 10000; `None` if the answer has none."""
    message: str
    """The message of the service."""
    documentation_url: str | None = None
    """The address of the page that explains the code."""
    error_chain: tuple[ErrorData, ...] = ()
    """The causes, outermost first."""

    def __str__(self) -> str:
        text = self.message if self.code is None else f"{self.message} ({self.code})"
        return ": ".join([text, *map(str, self.error_chain)])


class CloudflareError(Exception):
    """The base of all errors of this package; raised itself if credentials are missing."""

    partial: Any = None
    """If it ended a sweep, the result so far; its `missing` are the accounts to ask next. Any other
    exception that ends a sweep has it too."""
    idempotency_key: str | None = None
    """The key of the charge, given or generated, if the client has a `journal`."""

    @property
    def answer_status(self) -> int:
        """The HTTP status for a web app to answer with, if this error ends a request to the app.

        202: the card was or may have been charged; after a 4xx or 5xx, a proxy or a person could
        send the request again. 402, 404, 409, 422: the request cannot be carried out. 502, 503,
        504: the request may be sent again. A 401 or 403 of the service becomes 502, because the
        credentials belong to the app.
        """
        return next((status for status, kinds in _ANSWERS.items() if isinstance(self, kinds)), 502)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default fails for keyword arguments. A cause from elsewhere may hold secrets.
        cause = self.__cause__ if isinstance(self.__cause__, CloudflareError) else None
        return _restore, (type(self), self.args, self.__dict__), cause and {"__cause__": cause}


def _restore(cls: type[CloudflareError], args: tuple[Any, ...], state: Any) -> CloudflareError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class JournalError(CloudflareError):
    """The journal could not be read or written (see `__cause__`). No charge was sent."""

    def __init__(self, message: str, *, idempotency_key: str | None = None) -> None:
        super().__init__(message + _with_key(idempotency_key))
        self.idempotency_key: str | None = idempotency_key


def _with_key(idempotency_key: str | None) -> str:
    return f" · idempotency key {idempotency_key}" if idempotency_key is not None else ""


class _OfTopup:
    """The attributes of the errors about a top-up that the service has accepted."""

    payment_intent_id: str
    """The id of the top-up, `in_…`, which is an invoice."""
    account_id: str
    """The account."""
    amount: int | None
    """The requested credit, in cents; `None` if only `topup.wait` was called."""


def _say(error: CloudflareError, message: str, idempotency_key: str | None, **facts: Any) -> None:
    """Set the message and the attributes of an error."""
    error.args = (message + _with_key(idempotency_key),)
    error.__dict__.update(facts, idempotency_key=idempotency_key)


class TopupPendingError(CloudflareError, _OfTopup):
    """A top-up was charged, but is not known to have completed. It may still complete.

    The `timeout` of `topup.wait` is over, or the status could not be read (see `__cause__`).
    """

    def __init__(
        self,
        payment_intent_id: str,
        *,
        account_id: str,
        amount: int | None,
        idempotency_key: str | None = None,
    ) -> None:
        _say(
            self,
            f"the top-up {payment_intent_id} has been charged, but is not known to have completed: "
            f"wait for it again, do not make another",
            idempotency_key,
            payment_intent_id=payment_intent_id,
            account_id=account_id,
            amount=amount,
        )


class TopupFailedError(CloudflareError, _OfTopup):
    """A top-up has failed or was cancelled: its credit will not come."""

    status: str
    """The status from the service."""

    def __init__(
        self,
        status: str,
        payment_intent_id: str,
        *,
        account_id: str,
        amount: int | None,
        idempotency_key: str | None = None,
    ) -> None:
        _say(
            self,
            f"the top-up {payment_intent_id} is {status!r}, and its credit will not come: look at "
            f"that invoice before you make another",
            idempotency_key,
            status=status,
            payment_intent_id=payment_intent_id,
            account_id=account_id,
            amount=amount,
        )


class TopupConfirmationError(CloudflareError, _OfTopup):
    """The payer must confirm the payment of a top-up (3-D Secure)."""

    amount: int  # pyright: ignore[reportIncompatibleVariableOverride]  # it is never changed
    """The credit that is bought, in cents."""
    client_secret: Secret | None
    """The secret for the page on which the payer confirms; masked in reprs, not in pickles.

    `None`: an earlier call with this `idempotency_key` got it, and it is not stored.
    """

    def __init__(
        self,
        payment_intent_id: str,
        client_secret: Secret | None,
        *,
        account_id: str,
        amount: int,
        idempotency_key: str | None = None,
    ) -> None:
        page = (
            "on a page that gets the `client_secret` of this error"
            if client_secret is not None
            else "and an earlier call got the `client_secret` for that: it is not stored"
        )
        _say(
            self,
            f"the top-up {payment_intent_id} waits for the payer to confirm the payment, {page}",
            idempotency_key,
            payment_intent_id=payment_intent_id,
            account_id=account_id,
            amount=amount,
            client_secret=client_secret,
        )


class APIError(CloudflareError):
    """A call failed. `str(error)` is one line; the attributes hold the details."""

    message: str
    """The line that `str(error)` shows."""
    request: HTTPRequest
    """The request that was sent, secrets redacted."""
    retries_taken: int
    """How many times the SDK retried the request before it gave up."""
    errors: tuple[ErrorData, ...] = ()
    """The `errors` of the answer, chains included; empty if there was no readable answer."""
    cf_ray: str | None = None
    """The `CF-Ray` of the answer, which Cloudflare support asks for."""

    def __init__(self, message: str, *, request: HTTPRequest, retries_taken: int = 0) -> None:
        # The service's text must not hold line breaks or terminal escapes.
        message = Mask(request.headers)(message) + _with_key(request.idempotency_key)
        self.message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
        super().__init__(self.message)
        self.request = request.redacted()
        self.retries_taken = retries_taken
        self.idempotency_key: str | None = request.idempotency_key


class APIConnectionError(APIError):
    """No answer came: the host was not reached, or the connection broke."""


class APITimeoutError(APIConnectionError):
    """No answer came in time."""


class TopupOutcomeUnknownError(APIConnectionError):
    """A charge was sent and no understandable answer came: the card may have been charged.

    The SDK never sends it again. Do not send it again yourself before `topup.reconcile(error)` has
    checked whether the card was charged. The cause (`__cause__`) says what happened.
    """

    account_id: str
    """The account."""
    amount: int
    """The requested credit, in cents. Fee and tax may have been charged on top."""
    sent_at: datetime
    """When the charge was sent: aware, UTC.

    By the service's clock, if its last answer (`Date`) showed that this machine's clock is off by
    more than two seconds; else by this machine's clock. `request.sent_at` is always by the latter.
    """
    is_by_the_service: bool = False
    """Whether `sent_at` was compared with the service's clock, known from an earlier answer."""

    def __init__(
        self,
        reason: str,
        *,
        request: HTTPRequest,
        account_id: str,
        amount: int,
        sent_at: datetime,
        is_by_the_service: bool = False,
    ) -> None:
        call = f"{request.method} {request.path}: "  # the reason may be the line of an error
        reason = reason.removesuffix(_with_key(request.idempotency_key))
        super().__init__(
            f"{call}a top-up of {amount} cents (${amount / 100:,.2f}) was sent at "
            f"{sent_at:%Y-%m-%dT%H:%M:%SZ}, and whether it was charged is unknown: "
            f"{reason.replace(call, '')} · do not send it again before "
            f"`billing.topup.reconcile(error)` has checked it",
            request=request,
            retries_taken=max(request.attempts - 1, 0),
        )
        self.account_id = account_id
        self.amount = amount
        self.sent_at = sent_at
        self.is_by_the_service = is_by_the_service


class APIResponseError(APIError):
    """An answer came, but not a success. Only its two subclasses are raised."""

    status_code: int
    """The HTTP status of the answer."""
    response: HTTPResponse
    """The answer, secrets redacted. An error keeps the first 8,192 bytes of the body."""

    def __init__(
        self,
        message: str,
        *,
        request: HTTPRequest,
        response: HTTPResponse,
        errors: tuple[ErrorData, ...] = (),
        retries_taken: int = 0,
    ) -> None:
        super().__init__(message, request=request, retries_taken=retries_taken)
        self.status_code = response.status_code
        self.response = response.redacted(request)
        self.cf_ray: str | None = self.response.cf_ray
        self.errors = errors

    @property
    def body(self) -> object:
        """The decoded JSON of `response.body`, or its text if that is not JSON.

        If the body is longer than 8,192 bytes, the beginning of the text: see `response`.
        """
        return self.response.decoded()


class APIResponseValidationError(APIResponseError):
    """The answer does not match the API description; the message names the path to the fault."""


class APIStatusError(APIResponseError):
    """The service refused: an error status, or `success: false` with any status."""


class BadRequestError(APIStatusError):
    """400: the service does not accept these arguments."""


class AuthenticationError(APIStatusError):
    """401: the credentials are wrong."""


class PaymentRequiredError(APIStatusError):
    """402: the card was declined. Nothing was charged."""


class PermissionDeniedError(APIStatusError):
    """403: the credentials lack the permission, or the service has retired the call."""


class NotFoundError(APIStatusError):
    """404: the account or the endpoint does not exist."""


class ConflictError(APIStatusError):
    """409: the request conflicts with the state of the account."""


class UnprocessableEntityError(APIStatusError):
    """422: the service understood the arguments, but does not accept them."""


class RateLimitError(APIStatusError):
    """429: too many requests; all calls with these credentials are blocked for a while.

    Also raised if a call would have to wait longer than it may for the rate limit. Then it was not
    sent: `request.attempts` counts only the attempts before.
    """

    retry_after: float | None = None
    """Seconds until the service accepts requests again, if known."""


class InternalServerError(APIStatusError):
    """5xx: the service, or Cloudflare's edge in front of it, failed."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def class_for_status(status_code: int) -> type[APIStatusError]:
    """Return the error class for an HTTP status."""
    if status_code >= 500:
        return InternalServerError
    return _BY_STATUS.get(status_code, APIStatusError)


_ANSWERS: dict[int, tuple[type[CloudflareError], ...]] = {
    202: (TopupPendingError, TopupFailedError, TopupConfirmationError, TopupOutcomeUnknownError),
    402: (PaymentRequiredError,),
    404: (NotFoundError,),
    409: (ConflictError,),
    422: (BadRequestError, UnprocessableEntityError),
    503: (JournalError, RateLimitError),
    504: (APITimeoutError,),
}
