"""Every call of the service as a value: one row each, and nothing here that runs.

A new endpoint is its types, its row here, its method in `_async/resources.py`, and a run of the
generator. The rows are what the executor, the tests and the documentation go by. What has no row
can be called by its path (`UntypedParams`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

import attrs
from attrs import Factory, field, frozen

from .. import types
from ..types import Params

T = TypeVar("T")


Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Safety(Enum):
    """The effect of the same request reaching the service twice."""

    READS = "reads"
    """Nothing is changed, however often."""
    REPEATABLE = "repeatable"
    """The state after two is the state after one."""
    CHARGES = "charges"
    """Each one charges a card. The service has no idempotency key: it must not be repeated."""
    UNKNOWN = "unknown"
    """This package does not know the call: it must not be repeated either."""


def _payload(operation: Operation[Any]) -> tuple[str, ...]:
    in_path = re.findall(r"{(\w+)}", operation.path)
    return tuple(f.name for f in attrs.fields(operation.params) if f.name not in in_path)


def _is_plain(operation: Operation[Any]) -> bool:
    return operation.typed and operation.method == "GET" and not operation.payload


def _charges(operation: Operation[Any]) -> bool:
    return operation.safety is Safety.CHARGES


def _needs_fresh(operation: Operation[Any]) -> bool:
    return operation.safety in (Safety.CHARGES, Safety.UNKNOWN)


def _names_account(operation: Operation[Any]) -> bool:
    return operation.typed and hasattr(operation.result, "account_id")


@frozen(kw_only=True)
class Operation(Generic[T]):
    """One call of the service."""

    name: str
    """The path of the method on the client, such as `ai_gateway.billing.credit_balance`."""
    method: Method
    """The HTTP method."""
    path: str
    """The path below the base URL; `{name}` stands for the parameter of that name."""
    params: type[Params[T]]
    """The class of its parameters. Those not in `path` go to the query, on a POST to the body."""
    result: type[T]
    """The type of its answer."""
    safety: Safety
    """The effect of a repeat."""
    charges_later: bool = False
    """Whether it lets the service charge the card by itself, up to its `amount` a time."""
    envelope: bool = False
    """Whether `result` is made of the whole envelope, and not of its `result` alone."""
    typed: bool = True
    """Whether the answer is known to be an envelope; else `result` is made of the whole answer."""
    forbidden: str | None = None
    """Why a 403 comes, where there is more to say than that a permission is missing."""

    names_account: bool = field(init=False, default=Factory(_names_account, takes_self=True))
    """Whether the value of an answer has the `account_id` of the call."""
    payload: tuple[str, ...] = field(init=False, default=Factory(_payload, takes_self=True))
    """The names of the parameters that are not in `path`."""
    plain: bool = field(init=False, default=Factory(_is_plain, takes_self=True))
    """Whether it sends nothing but its path."""
    charges: bool = field(init=False, default=Factory(_charges, takes_self=True))
    """Whether it charges a card."""
    fresh: bool = field(init=False, default=Factory(_needs_fresh, takes_self=True))
    """Whether it needs a connection of its own: one that was idle may be dead."""

    @property
    def permission(self) -> str:
        """The permission that the credentials need."""
        if not self.name.startswith("ai_gateway."):
            return "Account Settings Read"
        return "AI Gateway Read" if self.safety is Safety.READS else "AI Gateway Write"


_BILLING = "/accounts/{account_id}/ai-gateway/billing"
_DASHBOARD_ONLY = (
    "the credentials need the permission AI Gateway Write; newer: the service lets only the "
    "dashboard, and no API token, change the automatic top-up"
)

ALL: tuple[Operation[Any], ...] = (
    Operation(
        name="accounts.list",
        method="GET",
        path="/accounts",
        params=types.AccountListParams,
        result=types.AccountListResponse,
        safety=Safety.READS,
        envelope=True,
    ),
    Operation(
        name="ai_gateway.billing.credit_balance",
        method="GET",
        path=f"{_BILLING}/credit-balance",
        params=types.BillingCreditBalanceParams,
        result=types.BillingCreditBalanceResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.usage_history",
        method="GET",
        path=f"{_BILLING}/usage-history",
        params=types.BillingUsageHistoryParams,
        result=types.BillingUsageHistoryResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.invoice_history",
        method="GET",
        path=f"{_BILLING}/invoice-history",
        params=types.BillingInvoiceHistoryParams,
        result=types.BillingInvoiceHistoryResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.invoice_preview",
        method="GET",
        path=f"{_BILLING}/invoice-preview",
        params=types.BillingInvoicePreviewParams,
        result=types.BillingInvoicePreviewResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.create",
        method="POST",
        path=f"{_BILLING}/topup",
        params=types.TopupCreateParams,
        result=types.TopupCreateResponse,
        safety=Safety.CHARGES,
    ),
    Operation(
        name="ai_gateway.billing.topup.status",
        method="POST",
        path=f"{_BILLING}/topup/status",
        params=types.TopupStatusParams,
        result=types.TopupStatusResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.limits",
        method="GET",
        path=f"{_BILLING}/topup/limits",
        params=types.TopupLimitsParams,
        result=types.TopupLimitsResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.eligibility",
        method="POST",
        path=f"{_BILLING}/topup/eligibility",
        params=types.TopupEligibilityParams,
        result=types.TopupEligibilityResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.config.get",
        method="GET",
        path=f"{_BILLING}/topup/config",
        params=types.ConfigGetParams,
        result=types.ConfigGetResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.config.create",
        method="POST",
        path=f"{_BILLING}/topup/config",
        params=types.ConfigCreateParams,
        result=types.ConfigCreateResponse,
        safety=Safety.REPEATABLE,
        charges_later=True,
        forbidden=_DASHBOARD_ONLY,
    ),
    Operation(
        name="ai_gateway.billing.topup.config.delete",
        method="DELETE",
        path=f"{_BILLING}/topup/config",
        params=types.ConfigDeleteParams,
        result=object,
        safety=Safety.REPEATABLE,
        forbidden=_DASHBOARD_ONLY,
    ),
    Operation(
        name="ai_gateway.billing.spending_limit.get",
        method="GET",
        path=f"{_BILLING}/spending-limit",
        params=types.SpendingLimitGetParams,
        result=types.SpendingLimitGetResponse,
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.spending_limit.create",
        method="POST",
        path=f"{_BILLING}/spending-limit",
        params=types.SpendingLimitCreateParams,
        result=object,
        safety=Safety.REPEATABLE,
        forbidden="the service has retired this call; use AI Gateway spend limits instead",
    ),
    Operation(
        name="ai_gateway.billing.spending_limit.delete",
        method="DELETE",
        path=f"{_BILLING}/spending-limit",
        params=types.SpendingLimitDeleteParams,
        result=object,
        safety=Safety.REPEATABLE,
    ),
)

BY_PARAMS: Mapping[type[Params[Any]], Operation[Any]] = MappingProxyType(
    {operation.params: operation for operation in ALL}
)
"""The operation of each class of parameters: what `client.send` goes by."""
