"""Cloudflare AI Gateway billing: credit balance, usage, invoices, top-ups.

    from cfaigw_billing import AsyncCloudflare, Cloudflare

`AsyncCloudflare` is the client to await; `Cloudflare` is the same one to call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from . import types
    from ._async.client import AsyncCloudflare
    from ._async.responses import AsyncAPIResponse
    from ._async.send_many import AsyncOutcomes
    from ._core.options import RequestOptions
    from ._core.outcome import Outcome
    from ._core.ratelimit import RateLimit
    from ._core.reconciliation import TopupReconciliation, TopupRecovery
    from ._core.sweeps.credit_balances import CreditBalances
    from ._core.sweeps.usage_histories import UsageHistories
    from ._sync.client import Cloudflare
    from ._sync.responses import APIResponse
    from ._sync.send_many import Outcomes
    from .errors import (
        APIConnectionError,
        APIError,
        APIResponseError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        CloudflareError,
        ConflictError,
        ErrorData,
        InternalServerError,
        JournalError,
        NotFoundError,
        PaymentRequiredError,
        PermissionDeniedError,
        RateLimitError,
        TopupConfirmationError,
        TopupFailedError,
        TopupOutcomeUnknownError,
        TopupPendingError,
        UnprocessableEntityError,
    )
    from .types import Money

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncAPIResponse",
    "AsyncCloudflare",
    "AsyncOutcomes",
    "AuthenticationError",
    "BadRequestError",
    "Cloudflare",
    "CloudflareError",
    "ConflictError",
    "CreditBalances",
    "ErrorData",
    "InternalServerError",
    "JournalError",
    "Money",
    "NotFoundError",
    "Outcome",
    "Outcomes",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "RequestOptions",
    "TopupConfirmationError",
    "TopupFailedError",
    "TopupOutcomeUnknownError",
    "TopupPendingError",
    "TopupReconciliation",
    "TopupRecovery",
    "UnprocessableEntityError",
    "UsageHistories",
    "__version__",
    "types",
]

# The public names are imported when they are first used, so that importing the package costs next
# to nothing: aiohttp alone takes a tenth of a second.
_MODULES = {
    "APIResponse": "._sync.responses",
    "AsyncAPIResponse": "._async.responses",
    "AsyncCloudflare": "._async.client",
    "AsyncOutcomes": "._async.send_many",
    "Cloudflare": "._sync.client",
    "CreditBalances": "._core.sweeps.credit_balances",
    "Money": ".types",
    "Outcome": "._core.outcome",
    "Outcomes": "._sync.send_many",
    "RateLimit": "._core.ratelimit",
    "RequestOptions": "._core.options",
    "TopupReconciliation": "._core.reconciliation",
    "TopupRecovery": "._core.reconciliation",
    "UsageHistories": "._core.sweeps.usage_histories",
}


def __getattr__(name: str) -> object:
    if name == "types":
        return import_module(".types", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES.get(name, ".errors"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
