"""The calls of the service as data: one row each.

To add an endpoint, add its types, its row here and its method in `_async/resources.py`, and run the
generator. The executor, the tests and the documentation use the rows. A call without a row can be
made by its path (`UntypedParams`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

import attrs
from attrs import Factory, field, frozen

from .. import types
from ..types import Params

T = TypeVar("T")


Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Safety(Enum):
    """The effect if the same request reaches the service twice."""

    READS = "reads"
    """It changes nothing."""
    REPEATABLE = "repeatable"
    """It stores the same state again."""
    CHARGES = "charges"
    """It charges the card again. The service has no idempotency key: it must not be repeated."""
    UNKNOWN = "unknown"
    """This package does not know the call: it must not be repeated either."""


def _charges(operation: Operation[Any]) -> bool:
    return operation.safety is Safety.CHARGES


def _needs_fresh(operation: Operation[Any]) -> bool:
    return operation.safety in (Safety.CHARGES, Safety.UNKNOWN)


@frozen(kw_only=True)
class Operation(Generic[T]):
    """One call of the service."""

    name: str
    """The path of the method on the client, such as `ai_gateway.billing.credit_balance`."""
    method: Method
    """The HTTP method."""
    path: str
    """The path below the base URL; `{name}` stands for the parameter of that name."""
    params_given: type[Params[T]] | str = field(alias="params")
    """The class `params`, or its name in `types`: then it is imported when it is first used."""
    result_given: type[T] | str = field(alias="result")
    """The class `result`, or its name in `types`."""
    safety: Safety
    """The effect of a repeat."""
    charges_later: bool = False
    """Whether it lets the service charge the card automatically, its `amount` each time."""
    envelope: bool = False
    """Whether `result` is made from the whole envelope, not only from its `result`."""
    typed: bool = True
    """Whether the answer is an envelope; else `result` is made from the whole answer."""
    forbidden: str | None = None
    """The reason for a 403, if it is not only a missing permission."""

    charges: bool = field(init=False, default=Factory(_charges, takes_self=True))
    """Whether it charges a card."""
    fresh: bool = field(init=False, default=Factory(_needs_fresh, takes_self=True))
    """Whether it needs a new connection, because an idle one may be dead."""

    @cached_property
    def params(self) -> type[Params[T]]:
        """The class of its parameters; those not in `path` go to the query, or a POST's body."""
        params: type[Params[T]] = _class(self.params_given)
        return params

    @cached_property
    def result(self) -> type[T]:
        """The type of its answer."""
        result: type[T] = _class(self.result_given)
        return result

    @cached_property
    def names_account(self) -> bool:
        """Whether the value of an answer has the `account_id` of the call."""
        return self.typed and hasattr(self.result, "account_id")

    @cached_property
    def payload(self) -> tuple[str, ...]:
        """The names of the parameters that are not in `path`."""
        fields = [f for f in attrs.fields(self.params) if f.metadata.get("sent", True)]
        return tuple(f.name for f in fields if f"{{{f.name}}}" not in self.path)

    @cached_property
    def plain(self) -> bool:
        """Whether its request is only the path, without query and body."""
        return self.typed and self.method == "GET" and not self.payload

    @property
    def permission(self) -> str:
        """The permission that the credentials need."""
        if not self.name.startswith("ai_gateway."):
            return "Account Settings Read"
        return "AI Gateway Read" if self.safety is Safety.READS else "AI Gateway Write"


def _class(found: Any) -> Any:
    return getattr(types, found) if isinstance(found, str) else found


_BILLING = "/accounts/{account_id}/ai-gateway/billing"
_DASHBOARD_ONLY = (
    "the credentials need the permission AI Gateway Write; the service may also refuse all API "
    "tokens: then change the automatic top-up in the dashboard"
)

ALL: tuple[Operation[Any], ...] = (
    Operation(
        name="accounts.list",
        method="GET",
        path="/accounts",
        params="AccountListParams",
        result="AccountListResponse",
        safety=Safety.READS,
        envelope=True,
    ),
    Operation(
        name="ai_gateway.billing.credit_balance",
        method="GET",
        path=f"{_BILLING}/credit-balance",
        params="BillingCreditBalanceParams",
        result="BillingCreditBalanceResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.usage_history",
        method="GET",
        path=f"{_BILLING}/usage-history",
        params="BillingUsageHistoryParams",
        result="BillingUsageHistoryResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.invoice_history",
        method="GET",
        path=f"{_BILLING}/invoice-history",
        params="BillingInvoiceHistoryParams",
        result="BillingInvoiceHistoryResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.invoice_preview",
        method="GET",
        path=f"{_BILLING}/invoice-preview",
        params="BillingInvoicePreviewParams",
        result="BillingInvoicePreviewResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.create",
        method="POST",
        path=f"{_BILLING}/topup",
        params="TopupCreateParams",
        result="TopupCreateResponse",
        safety=Safety.CHARGES,
    ),
    Operation(
        name="ai_gateway.billing.topup.status",
        method="POST",
        path=f"{_BILLING}/topup/status",
        params="TopupStatusParams",
        result="TopupStatusResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.limits",
        method="GET",
        path=f"{_BILLING}/topup/limits",
        params="TopupLimitsParams",
        result="TopupLimitsResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.eligibility",
        method="POST",
        path=f"{_BILLING}/topup/eligibility",
        params="TopupEligibilityParams",
        result="TopupEligibilityResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.config.get",
        method="GET",
        path=f"{_BILLING}/topup/config",
        params="ConfigGetParams",
        result="ConfigGetResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.topup.config.create",
        method="POST",
        path=f"{_BILLING}/topup/config",
        params="ConfigCreateParams",
        result="ConfigCreateResponse",
        safety=Safety.REPEATABLE,
        charges_later=True,
        forbidden=_DASHBOARD_ONLY,
    ),
    Operation(
        name="ai_gateway.billing.topup.config.delete",
        method="DELETE",
        path=f"{_BILLING}/topup/config",
        params="ConfigDeleteParams",
        result=object,
        safety=Safety.REPEATABLE,
        forbidden=_DASHBOARD_ONLY,
    ),
    Operation(
        name="ai_gateway.billing.spending_limit.get",
        method="GET",
        path=f"{_BILLING}/spending-limit",
        params="SpendingLimitGetParams",
        result="SpendingLimitGetResponse",
        safety=Safety.READS,
    ),
    Operation(
        name="ai_gateway.billing.spending_limit.create",
        method="POST",
        path=f"{_BILLING}/spending-limit",
        params="SpendingLimitCreateParams",
        result=object,
        safety=Safety.REPEATABLE,
        forbidden="the service has retired this call; use AI Gateway spend limits instead",
    ),
    Operation(
        name="ai_gateway.billing.spending_limit.delete",
        method="DELETE",
        path=f"{_BILLING}/spending-limit",
        params="SpendingLimitDeleteParams",
        result=object,
        safety=Safety.REPEATABLE,
    ),
)

BY_PARAMS: Mapping[str, Operation[Any]] = MappingProxyType(
    {str(operation.params_given): operation for operation in ALL}
)
"""The operations by the name of their class of parameters, for `client.send`."""
