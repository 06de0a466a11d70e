"""What a web app answers where a call of the SDK fails: one map, for any framework.

Copy it beside your app; `fastapi_app.py` and `aiohttp_app.py` show its use.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from cfaigw_billing import (
    APITimeoutError,
    BadRequestError,
    CloudflareError,
    ConflictError,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
    TopupConfirmationError,
    TopupFailedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
    UnprocessableEntityError,
)


class ArgumentError(Exception):
    """What the browser sent is no argument for the SDK; the message names it and the limit."""


# The class itself counts first, then those that it is derived from.
ERROR_STATUS: dict[type[Exception], int] = {
    # The card may have been charged, or has been. A 4xx or 5xx would be sent again, if not by the
    # page then by what stands between (proxies repeat a 502, and Envoy a 409, when told to repeat
    # at all). Nobody repeats a 2xx, and 202 is the one that promises nothing.
    TopupOutcomeUnknownError: 202,
    TopupPendingError: 202,
    TopupConfirmationError: 202,
    TopupFailedError: 202,
    # What the browser asked for, and can ask for in another way. Nothing was charged.
    PaymentRequiredError: 402,
    NotFoundError: 404,
    ConflictError: 409,
    ArgumentError: 422,
    BadRequestError: 422,
    UnprocessableEntityError: 422,
    # Not the browser's business. Nothing was charged either, so these may be sent again.
    RateLimitError: 503,
    APITimeoutError: 504,
    # Everything else; also 401 and 403, because the credentials are this server's: a browser that
    # was answered so would ask its user to log in.
    CloudflareError: 502,
}

# In our own words: those of the service are for the log.
DETAIL = {
    202: "The card may have been charged. Do not send this again: look at the balance first.",
    402: "The card was declined. Nothing was charged.",
    404: "There is no such account.",
    409: "This is not possible as the account stands.",
    422: "The billing service does not accept this.",
    502: "The billing service could not be asked.",
    503: "The billing service is busy.",
    504: "The billing service did not answer in time.",
}

CHARGE_FACTS = ("account_id", "amount", "sent_at", "payment_intent_id", "client_secret")
"""What the errors about charges carry: what to reconcile, or to go on with."""


class ErrorAnswer(NamedTuple):
    """What goes to the browser."""

    status: int
    body: dict[str, object]
    headers: dict[str, str]


def answer_to(error: Exception) -> ErrorAnswer:
    """The answer to give for an `ArgumentError` or a `CloudflareError`."""
    status = next(ERROR_STATUS[cls] for cls in type(error).__mro__ if cls in ERROR_STATUS)
    detail = str(error) if isinstance(error, ArgumentError) else DETAIL[status]
    # In the body, because an edge in front of this app puts its own CF-Ray into the headers.
    body: dict[str, object] = {"detail": detail, "cf_ray": getattr(error, "cf_ray", None)}
    headers: dict[str, str] = {}
    if status == 202:
        facts = {name: getattr(error, name, None) for name in CHARGE_FACTS}
        body |= {"retry": False} | {
            name: fact if isinstance(fact, int) else str(fact)
            for name, fact in facts.items()
            if fact is not None
        }
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return ErrorAnswer(status, body, headers)


@contextmanager
def browser_arguments() -> Generator[None]:
    """Around a call whose arguments are the browser's.

    A `ValueError` from anywhere else is a fault of the app, and not for the browser to read.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ArgumentError(str(error)) from error
