"""The routes of the emulator: the operation of each, and the rule that may forbid it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from aiohttp import web

from ._operations import (
    CreditBalance,
    InvoiceHistory,
    InvoicePreview,
    Operation,
    SpendingLimitCreate,
    SpendingLimitDelete,
    SpendingLimitGet,
    TopupConfigCreate,
    TopupConfigDelete,
    TopupConfigGet,
    TopupCreate,
    TopupEligibility,
    TopupLimits,
    TopupStatus,
    UsageHistory,
)
from ._service import Service

Rule = Callable[["Service", web.Request], bool]


def never(_: Service, __: web.Request) -> bool:
    return False


def spending_limit_is_retired(emulator: Service, _: web.Request) -> bool:
    return emulator.spending_limit_retired


def token_is_not_enough(emulator: Service, request: web.Request) -> bool:
    return emulator.topup_config_dashboard_only and "Authorization" in request.headers


@attrs.frozen
class Route:
    """One call; `path` follows `/accounts/{account_id}/ai-gateway/billing`."""

    method: str
    path: str
    operation: type[Operation]
    status: int = attrs.field(default=200, kw_only=True)
    forbidden: Rule = attrs.field(default=never, kw_only=True)


ROUTES = (
    Route("GET", "/credit-balance", CreditBalance),
    Route("GET", "/usage-history", UsageHistory),
    Route("GET", "/invoice-history", InvoiceHistory),
    Route("GET", "/invoice-preview", InvoicePreview),
    Route("POST", "/topup", TopupCreate),
    Route("POST", "/topup/status", TopupStatus),
    Route("GET", "/topup/limits", TopupLimits),
    Route("POST", "/topup/eligibility", TopupEligibility),
    Route("GET", "/topup/config", TopupConfigGet),
    Route("POST", "/topup/config", TopupConfigCreate, forbidden=token_is_not_enough),
    Route("DELETE", "/topup/config", TopupConfigDelete, forbidden=token_is_not_enough),
    Route("GET", "/spending-limit", SpendingLimitGet),
    Route(
        "POST",
        "/spending-limit",
        SpendingLimitCreate,
        status=201,
        forbidden=spending_limit_is_retired,
    ),
    Route("DELETE", "/spending-limit", SpendingLimitDelete),
)
