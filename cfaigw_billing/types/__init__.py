"""The parameters of every call, and the values that the calls return.

Amounts are in cents, with the names on the wire; each has a `…_money` that is exact `Money`. Times
are epoch numbers in the unit that their docstring states; each has a `…_datetime`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import attribute

if TYPE_CHECKING:
    from ._base import AccountParams, Params, Response
    from .accounts import (
        Account,
        AccountListParams,
        AccountListResponse,
        AccountSettings,
        ResultInfo,
    )
    from .balance import (
        BillingCreditBalanceParams,
        BillingCreditBalanceResponse,
        PaymentMethod,
        TopupConfig,
    )
    from .invoices import (
        BillingInvoiceHistoryParams,
        BillingInvoiceHistoryResponse,
        BillingInvoicePreviewParams,
        BillingInvoicePreviewResponse,
        Invoice,
        InvoiceLine,
        InvoiceLinePeriod,
        InvoiceLinePretaxCreditAmount,
        InvoiceLinePricing,
        Pagination,
    )
    from .money import Money
    from .runway import Runway, RunwayHistory, RunwayOutcome, RunwayTopup
    from .spending_limit import (
        Config,
        SpendingLimitCreateParams,
        SpendingLimitDeleteParams,
        SpendingLimitGetParams,
        SpendingLimitGetResponse,
    )
    from .topup import (
        AccountPaymentMethodState,
        ConfigCreateParams,
        ConfigCreateResponse,
        ConfigDeleteParams,
        ConfigGetParams,
        ConfigGetResponse,
        DisplayPaymentMethod,
        EligibilityPaymentMethod,
        EligibilityReason,
        PaymentMethodType,
        RecommendedAction,
        TopupCreateParams,
        TopupCreateResponse,
        TopupEligibilityParams,
        TopupEligibilityResponse,
        TopupLimitsParams,
        TopupLimitsResponse,
        TopupStatusParams,
        TopupStatusResponse,
    )
    from .usage import BillingUsageHistoryParams, BillingUsageHistoryResponse, History

__all__ = [
    "Account",
    "AccountListParams",
    "AccountListResponse",
    "AccountParams",
    "AccountPaymentMethodState",
    "AccountSettings",
    "BillingCreditBalanceParams",
    "BillingCreditBalanceResponse",
    "BillingInvoiceHistoryParams",
    "BillingInvoiceHistoryResponse",
    "BillingInvoicePreviewParams",
    "BillingInvoicePreviewResponse",
    "BillingUsageHistoryParams",
    "BillingUsageHistoryResponse",
    "Config",
    "ConfigCreateParams",
    "ConfigCreateResponse",
    "ConfigDeleteParams",
    "ConfigGetParams",
    "ConfigGetResponse",
    "DisplayPaymentMethod",
    "EligibilityPaymentMethod",
    "EligibilityReason",
    "History",
    "Invoice",
    "InvoiceLine",
    "InvoiceLinePeriod",
    "InvoiceLinePretaxCreditAmount",
    "InvoiceLinePricing",
    "Money",
    "Pagination",
    "Params",
    "PaymentMethod",
    "PaymentMethodType",
    "RecommendedAction",
    "Response",
    "ResultInfo",
    "Runway",
    "RunwayHistory",
    "RunwayOutcome",
    "RunwayTopup",
    "SpendingLimitCreateParams",
    "SpendingLimitDeleteParams",
    "SpendingLimitGetParams",
    "SpendingLimitGetResponse",
    "TopupConfig",
    "TopupCreateParams",
    "TopupCreateResponse",
    "TopupEligibilityParams",
    "TopupEligibilityResponse",
    "TopupLimitsParams",
    "TopupLimitsResponse",
    "TopupStatusParams",
    "TopupStatusResponse",
]

# Each module is imported when one of its names is first used: creating the classes of all calls
# would double the time of a program that asks for one balance.
_NAMES = {
    "_base": (
        "AccountParams",
        "Params",
        "Response",
    ),
    "accounts": (
        "Account",
        "AccountListParams",
        "AccountListResponse",
        "AccountSettings",
        "ResultInfo",
    ),
    "balance": (
        "BillingCreditBalanceParams",
        "BillingCreditBalanceResponse",
        "PaymentMethod",
        "TopupConfig",
    ),
    "invoices": (
        "BillingInvoiceHistoryParams",
        "BillingInvoiceHistoryResponse",
        "BillingInvoicePreviewParams",
        "BillingInvoicePreviewResponse",
        "Invoice",
        "InvoiceLine",
        "InvoiceLinePeriod",
        "InvoiceLinePretaxCreditAmount",
        "InvoiceLinePricing",
        "Pagination",
    ),
    "money": ("Money",),
    "runway": (
        "Runway",
        "RunwayHistory",
        "RunwayOutcome",
        "RunwayTopup",
    ),
    "spending_limit": (
        "Config",
        "SpendingLimitCreateParams",
        "SpendingLimitDeleteParams",
        "SpendingLimitGetParams",
        "SpendingLimitGetResponse",
    ),
    "topup": (
        "AccountPaymentMethodState",
        "ConfigCreateParams",
        "ConfigCreateResponse",
        "ConfigDeleteParams",
        "ConfigGetParams",
        "ConfigGetResponse",
        "DisplayPaymentMethod",
        "EligibilityPaymentMethod",
        "EligibilityReason",
        "PaymentMethodType",
        "RecommendedAction",
        "TopupCreateParams",
        "TopupCreateResponse",
        "TopupEligibilityParams",
        "TopupEligibilityResponse",
        "TopupLimitsParams",
        "TopupLimitsResponse",
        "TopupStatusParams",
        "TopupStatusResponse",
    ),
    "usage": (
        "BillingUsageHistoryParams",
        "BillingUsageHistoryResponse",
        "History",
    ),
}
_MODULES = {name: f".{module}" for module, names in _NAMES.items() for name in names}


if not TYPE_CHECKING:  # for a type checker, a name that is not there is an error

    def __getattr__(name: str) -> object:
        return attribute(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return __all__
