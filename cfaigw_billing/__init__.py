"""Cloudflare AI Gateway billing: credit balance, usage, invoices, top-ups.

    from cfaigw_billing import AsyncCloudflare, Cloudflare

`AsyncCloudflare` is the async client; `Cloudflare` is the same client for blocking code.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._lazy import attribute
from ._version import __version__

if TYPE_CHECKING:
    from . import resources, types
    from ._async.client import AsyncCloudflare
    from ._async.metrics import AsyncMetrics
    from ._async.responses import AsyncAPIResponse, AsyncResponseContextManager
    from ._async.send_many import AsyncOutcomes
    from ._async.watch import AsyncWatch
    from ._core.options import (
        APITokens,
        AsyncClientOptions,
        AsyncConstructorOptions,
        ClientOptions,
        ConstructorOptions,
        ReadOptions,
        RequestOptions,
        Timeout,
    )
    from ._core.ratelimit import RateLimit
    from ._core.reconciliation import TopupReconciliation, TopupRecovery
    from ._core.runway import forecast_runway
    from ._core.sweeps.credit_balances import CreditBalances
    from ._core.sweeps.outcome import Outcome
    from ._core.sweeps.runways import Runways
    from ._core.sweeps.usage_histories import UsageHistories
    from ._core.watch.event import Event
    from ._sync.client import Cloudflare
    from ._sync.metrics import Metrics
    from ._sync.responses import APIResponse, ResponseContextManager
    from ._sync.send_many import Outcomes
    from ._sync.watch import Watch
    from ._wire.messages import HTTPRequest, HTTPResponse
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
    "APITokens",
    "AsyncAPIResponse",
    "AsyncClientOptions",
    "AsyncCloudflare",
    "AsyncConstructorOptions",
    "AsyncMetrics",
    "AsyncOutcomes",
    "AsyncResponseContextManager",
    "AsyncWatch",
    "AuthenticationError",
    "BadRequestError",
    "ClientOptions",
    "Cloudflare",
    "CloudflareError",
    "ConflictError",
    "ConstructorOptions",
    "CreditBalances",
    "ErrorData",
    "Event",
    "HTTPRequest",
    "HTTPResponse",
    "InternalServerError",
    "JournalError",
    "Metrics",
    "Money",
    "NotFoundError",
    "Outcome",
    "Outcomes",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "ReadOptions",
    "RequestOptions",
    "ResponseContextManager",
    "Runways",
    "Timeout",
    "TopupConfirmationError",
    "TopupFailedError",
    "TopupOutcomeUnknownError",
    "TopupPendingError",
    "TopupReconciliation",
    "TopupRecovery",
    "UnprocessableEntityError",
    "UsageHistories",
    "Watch",
    "__version__",
    "forecast_runway",
    "resources",
    "types",
]

# The public names are imported when they are first used, so that importing the package is fast:
# aiohttp alone takes a tenth of a second.
_MODULES = dict.fromkeys(__all__, ".errors") | {
    "APIResponse": "._sync.responses",
    "AsyncAPIResponse": "._async.responses",
    "AsyncClientOptions": "._core.options",
    "AsyncCloudflare": "._async.client",
    "AsyncConstructorOptions": "._core.options",
    "AsyncMetrics": "._async.metrics",
    "AsyncOutcomes": "._async.send_many",
    "AsyncResponseContextManager": "._async.responses",
    "AsyncWatch": "._async.watch",
    "ClientOptions": "._core.options",
    "Cloudflare": "._sync.client",
    "ConstructorOptions": "._core.options",
    "CreditBalances": "._core.sweeps.credit_balances",
    "Event": "._core.watch.event",
    "HTTPRequest": "._wire.messages",
    "HTTPResponse": "._wire.messages",
    "Metrics": "._sync.metrics",
    "Money": ".types",
    "Outcome": "._core.sweeps.outcome",
    "Outcomes": "._sync.send_many",
    "RateLimit": "._core.ratelimit",
    "ReadOptions": "._core.options",
    "RequestOptions": "._core.options",
    "ResponseContextManager": "._sync.responses",
    "Runways": "._core.sweeps.runways",
    "Timeout": "._core.options",
    "APITokens": "._core.options",
    "TopupReconciliation": "._core.reconciliation",
    "TopupRecovery": "._core.reconciliation",
    "UsageHistories": "._core.sweeps.usage_histories",
    "Watch": "._sync.watch",
    "forecast_runway": "._core.runway",
}


if not TYPE_CHECKING:  # for a type checker, a name that is not there is an error

    def __getattr__(name: str) -> object:
        if name in ("resources", "types"):
            return import_module(f".{name}", __name__)
        return attribute(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return __all__
