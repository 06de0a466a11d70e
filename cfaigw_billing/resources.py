"""The classes behind `client.ai_gateway` and `client.accounts`, to annotate with.

    from cfaigw_billing.resources import AsyncBillingResource


    async def balance(billing: AsyncBillingResource) -> Money:
        return (await billing.credit_balance()).balance_money

`…WithRawResponse` and `…WithStreamingResponse` are their views of the same name; lists return the
paginators. A client makes all of these: do not call the classes yourself.
"""

from __future__ import annotations

from ._async.paging import (
    AsyncAccountPaginator,
    AsyncInvoicePaginator,
)
from ._async.resources import (
    AsyncAccountsResource,
    AsyncAccountsResourceWithRawResponse,
    AsyncAccountsResourceWithStreamingResponse,
    AsyncAIGatewayResource,
    AsyncAIGatewayResourceWithRawResponse,
    AsyncAIGatewayResourceWithStreamingResponse,
    AsyncBillingResource,
    AsyncBillingResourceWithRawResponse,
    AsyncBillingResourceWithStreamingResponse,
    AsyncCloudflareWithRawResponse,
    AsyncCloudflareWithStreamingResponse,
    AsyncConfigResource,
    AsyncConfigResourceWithRawResponse,
    AsyncConfigResourceWithStreamingResponse,
    AsyncSpendingLimitResource,
    AsyncSpendingLimitResourceWithRawResponse,
    AsyncSpendingLimitResourceWithStreamingResponse,
    AsyncTopupResource,
    AsyncTopupResourceWithRawResponse,
    AsyncTopupResourceWithStreamingResponse,
)
from ._sync.paging import (
    AccountPaginator,
    InvoicePaginator,
)
from ._sync.resources import (
    AccountsResource,
    AccountsResourceWithRawResponse,
    AccountsResourceWithStreamingResponse,
    AIGatewayResource,
    AIGatewayResourceWithRawResponse,
    AIGatewayResourceWithStreamingResponse,
    BillingResource,
    BillingResourceWithRawResponse,
    BillingResourceWithStreamingResponse,
    CloudflareWithRawResponse,
    CloudflareWithStreamingResponse,
    ConfigResource,
    ConfigResourceWithRawResponse,
    ConfigResourceWithStreamingResponse,
    SpendingLimitResource,
    SpendingLimitResourceWithRawResponse,
    SpendingLimitResourceWithStreamingResponse,
    TopupResource,
    TopupResourceWithRawResponse,
    TopupResourceWithStreamingResponse,
)

__all__ = [
    "AIGatewayResource",
    "AIGatewayResourceWithRawResponse",
    "AIGatewayResourceWithStreamingResponse",
    "AccountPaginator",
    "AccountsResource",
    "AccountsResourceWithRawResponse",
    "AccountsResourceWithStreamingResponse",
    "AsyncAIGatewayResource",
    "AsyncAIGatewayResourceWithRawResponse",
    "AsyncAIGatewayResourceWithStreamingResponse",
    "AsyncAccountPaginator",
    "AsyncAccountsResource",
    "AsyncAccountsResourceWithRawResponse",
    "AsyncAccountsResourceWithStreamingResponse",
    "AsyncBillingResource",
    "AsyncBillingResourceWithRawResponse",
    "AsyncBillingResourceWithStreamingResponse",
    "AsyncCloudflareWithRawResponse",
    "AsyncCloudflareWithStreamingResponse",
    "AsyncConfigResource",
    "AsyncConfigResourceWithRawResponse",
    "AsyncConfigResourceWithStreamingResponse",
    "AsyncInvoicePaginator",
    "AsyncSpendingLimitResource",
    "AsyncSpendingLimitResourceWithRawResponse",
    "AsyncSpendingLimitResourceWithStreamingResponse",
    "AsyncTopupResource",
    "AsyncTopupResourceWithRawResponse",
    "AsyncTopupResourceWithStreamingResponse",
    "BillingResource",
    "BillingResourceWithRawResponse",
    "BillingResourceWithStreamingResponse",
    "CloudflareWithRawResponse",
    "CloudflareWithStreamingResponse",
    "ConfigResource",
    "ConfigResourceWithRawResponse",
    "ConfigResourceWithStreamingResponse",
    "InvoicePaginator",
    "SpendingLimitResource",
    "SpendingLimitResourceWithRawResponse",
    "SpendingLimitResourceWithStreamingResponse",
    "TopupResource",
    "TopupResourceWithRawResponse",
    "TopupResourceWithStreamingResponse",
]
