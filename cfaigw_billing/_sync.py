"""The sync client: the calls of the async one, without `await`.

@generated from _resources.py and _client.py by `python -m cfaigw_billing._codegen`; do not edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Unpack

from ._bulk import Outcomes
from ._client import AsyncCloudflare, T
from ._compat import deprecated
from ._config import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_MAX_RETRY_WAIT,
    DEFAULT_TIMEOUT,
    RequestOptions,
    Timeout,
)
from ._paging import AccountPaginator, InvoicePaginator
from ._ratelimit import RateLimit
from ._secret import conceal, conceal_headers, conceal_options
from ._sweep import CreditBalances, Progress, credit_balances
from ._sync_base import SyncClient, SyncResource
from ._topups import TopupReconciliation, create_and_wait, reconcile, wait
from .types import (
    AccountListParams,
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingInvoiceHistoryParams,
    BillingInvoiceHistoryResponse,
    BillingInvoicePreviewParams,
    BillingInvoicePreviewResponse,
    BillingUsageHistoryParams,
    BillingUsageHistoryResponse,
    ConfigCreateParams,
    ConfigCreateResponse,
    ConfigDeleteParams,
    ConfigGetParams,
    ConfigGetResponse,
    EligibilityPaymentMethod,
    Params,
    SpendingLimitCreateParams,
    SpendingLimitDeleteParams,
    SpendingLimitGetParams,
    SpendingLimitGetResponse,
    TopupCreateParams,
    TopupCreateResponse,
    TopupEligibilityParams,
    TopupEligibilityResponse,
    TopupLimitsParams,
    TopupLimitsResponse,
    TopupStatusParams,
    TopupStatusResponse,
)


class AccountsResource(SyncResource):
    """The accounts that the credentials can see."""

    def list(
        self,
        *,
        name: str | None = None,
        page: int | None = None,
        per_page: int = 50,
        **options: Unpack[RequestOptions],
    ) -> AccountPaginator:
        """Every account that the credentials can see, fetched a page at a time.

        Args:
            name: Only accounts of this name.
            page: The page to begin with, from 1.
            per_page: Accounts a page, from 1 to 50.

        Permission: Account Settings Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/accounts/methods/list
        """
        return AccountPaginator(
            self._client,
            AccountListParams(name=name, page=page, per_page=per_page),
            options,
        )


class ConfigResource(SyncResource):
    """The automatic top-up: charge a card when the balance falls below a threshold."""

    def get(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> ConfigGetResponse:
        """The automatic top-up as it is set up; zeros or `None` where it never was.

        Amounts are in cents.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/subresources/config/methods/get
        """
        return self._client.send(ConfigGetParams(account_id=account_id), **options)

    def create(
        self,
        *,
        account_id: str | None = None,
        amount: int,
        threshold: int,
        **options: Unpack[RequestOptions],
    ) -> ConfigCreateResponse:
        """Set the automatic top-up: from now on the service charges the card by itself.

        Args:
            amount: What to charge each time, in whole cents; at least 1000 ($10.00).
            threshold: Charge when the balance falls below this, in cents; at least 500 ($5.00).

        Permission: AI Gateway Write; the service may answer 403 to every API token.
        A repeat stores the same again.
        Raises: `PermissionDeniedError` and other `APIStatusError`, `APIConnectionError`,
            `APIResponseValidationError`; `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/subresources/config/methods/create
        """
        return self._client.send(
            ConfigCreateParams(account_id=account_id, amount=amount, threshold=threshold),
            **options,
        )

    def delete(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> object:
        """Switch the automatic top-up off; answers the bare result, an empty mapping.

        Permission: AI Gateway Write; the service may answer 403 to every API token.
        A repeat changes nothing more.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/subresources/config/methods/delete
        """
        return self._client.send(ConfigDeleteParams(account_id=account_id), **options)


class TopupResource(SyncResource):
    """Top-ups: charging a card for credit."""

    @cached_property
    def config(self) -> ConfigResource:
        """The automatic top-up."""
        return ConfigResource(self._client)

    def create(
        self,
        *,
        account_id: str | None = None,
        amount: int,
        payment_method_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> TopupCreateResponse:
        """Charge a card for credit. The credit arrives when `status` says `completed`.

        Args:
            amount: What to charge, in whole cents; at least 1000 ($10.00).
            payment_method_id: The card, `pm_…`; `None`: the account's default card.

        Permission: AI Gateway Write. A repeat charges the card again, so it reaches the service
        once: the SDK tries again only where nothing can have arrived (no connection, or a 429).
        Raises: `PaymentRequiredError` (declined, nothing charged) and other `APIStatusError`;
            `TopupOutcomeUnknownError` (it may have been charged: see `reconcile`);
            `APIConnectionError` (nothing was sent); `ValueError` or `TypeError` before that.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/create
        """
        return self._client.send(
            TopupCreateParams(
                account_id=account_id, amount=amount, payment_method_id=payment_method_id
            ),
            **options,
        )

    def status(
        self,
        *,
        account_id: str | None = None,
        payment_intent_id: str,
        **options: Unpack[RequestOptions],
    ) -> TopupStatusResponse:
        """Whether the credit of a top-up has arrived: `pending` or `completed`.

        Args:
            payment_intent_id: What `create` answered, `in_…`.

        Permission: AI Gateway Read. A repeat changes nothing, although it is a POST.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/status
        """
        return self._client.send(
            TopupStatusParams(account_id=account_id, payment_intent_id=payment_intent_id),
            **options,
        )

    def wait(
        self,
        *,
        account_id: str | None = None,
        payment_intent_id: str,
        timeout: float | None = 300.0,
    ) -> TopupStatusResponse:
        """Ask `status` again and again, less and less often, until the credit has arrived.

        Args:
            payment_intent_id: What `create` answered, `in_…`.
            timeout: Seconds to wait at most; `None`: no limit.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `TopupPendingError`, with the `payment_intent_id`, when the time is over; errors of
            `status`, with a note of the `payment_intent_id`.
        """
        return self._client.portal.call(
            lambda: wait(
                self._client.async_client,
                account_id=account_id,
                payment_intent_id=payment_intent_id,
                timeout=timeout,
            )
        )

    def create_and_wait(
        self,
        *,
        account_id: str | None = None,
        amount: int,
        payment_method_id: str | None = None,
        timeout: float | None = 300.0,
    ) -> TopupStatusResponse:
        """Charge a card for credit, as `create`, and wait until the credit has arrived.

        Args:
            amount: What to charge, in whole cents; at least 1000 ($10.00).
            payment_method_id: The card, `pm_…`; `None`: the account's default card.
            timeout: Seconds to wait at most, once it is charged; `None`: no limit.

        Permission: AI Gateway Write. A repeat charges the card again.
        Raises: what `create` and `wait` raise; `TopupConfirmationError`, with the answer of
            `create`, where the payer must confirm the payment (3-D Secure) before it can complete.
        """
        return self._client.portal.call(
            lambda: create_and_wait(
                self._client.async_client,
                account_id=account_id,
                amount=amount,
                payment_method_id=payment_method_id,
                timeout=timeout,
            )
        )

    def reconcile(self, error: BaseException) -> TopupReconciliation:
        """Find out whether a top-up was charged whose answer was lost.

        Looks through the manual invoices since it was sent and reads the balance; charges nothing.

        Args:
            error: The `TopupOutcomeUnknownError` that `create` raised, or the interrupt that
                stopped it.

        Permission: AI Gateway Read. A repeat changes nothing; an invoice may appear only minutes
        after the charge, so ask again while the outcome is `not_found_yet`.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        """
        return self._client.portal.call(lambda: reconcile(self._client.async_client, error))

    def limits(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> TopupLimitsResponse:
        """The smallest and the largest top-up that the service takes, in cents.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/limits
        """
        return self._client.send(TopupLimitsParams(account_id=account_id), **options)

    def eligibility(
        self,
        *,
        account_id: str | None = None,
        payment_methods: Iterable[EligibilityPaymentMethod | Mapping[str, Any]] | None = None,
        **options: Unpack[RequestOptions],
    ) -> TopupEligibilityResponse:
        """Whether the account can top up, and what to do where it cannot.

        Args:
            payment_methods: The account's payment methods, at most 100: values, or mappings with
                the keys `default`, `last_four` and `type`.

        Permission: AI Gateway Read. A repeat changes nothing, although it is a POST.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/eligibility
        """
        return self._client.send(
            TopupEligibilityParams(account_id=account_id, payment_methods=payment_methods),
            **options,
        )


class SpendingLimitResource(SyncResource):
    """The spending limit of an account."""

    def get(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> SpendingLimitGetResponse:
        """The spending limit; its amount is in cents.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/spending_limit/methods/get
        """
        return self._client.send(SpendingLimitGetParams(account_id=account_id), **options)

    @deprecated(
        "the service has retired `spending_limit.create` and answers 403; "
        "use AI Gateway spend limits instead"
    )
    def create(
        self,
        *,
        account_id: str | None = None,
        amount: int,
        duration: Literal["daily", "weekly", "monthly"],
        strategy: Literal["fixed", "sliding"],
        **options: Unpack[RequestOptions],
    ) -> object:
        """Set the spending limit: retired, the service now answers 403.

        Args:
            amount: The most that may be spent within `duration`, in whole cents; at least 100.
            duration: The length of a period.
            strategy: Whether periods start at fixed times or slide.

        Permission: AI Gateway Write. A repeat stores the same again.
        Raises: `PermissionDeniedError` and other `APIStatusError`, `APIConnectionError`,
            `APIResponseValidationError`; `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/spending_limit/methods/create
        """
        return self._client.send(
            SpendingLimitCreateParams(
                account_id=account_id, amount=amount, duration=duration, strategy=strategy
            ),
            **options,
        )

    def delete(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> object:
        """Remove the spending limit; answers the bare result, an empty mapping.

        Permission: AI Gateway Write. A repeat changes nothing more; removing a limit that is not
        there succeeds.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/spending_limit/methods/delete
        """
        return self._client.send(SpendingLimitDeleteParams(account_id=account_id), **options)


class BillingResource(SyncResource):
    """Credit balance, usage and invoices."""

    @cached_property
    def topup(self) -> TopupResource:
        """Top-ups."""
        return TopupResource(self._client)

    @cached_property
    def spending_limit(self) -> SpendingLimitResource:
        """The spending limit."""
        return SpendingLimitResource(self._client)

    def credit_balance(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> BillingCreditBalanceResponse:
        """The prepaid credit that is left, the card on file and the automatic top-up.

        `balance` is in cents: 640.19 is $6.40, as `balance_money` shows it. It may be negative.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/credit_balance
        """
        return self._client.send(BillingCreditBalanceParams(account_id=account_id), **options)

    def usage_history(
        self,
        *,
        account_id: str | None = None,
        value_grouping_window: Literal["day", "hour"],
        start_time: datetime | float | None = None,
        end_time: datetime | float | None = None,
        **options: Unpack[RequestOptions],
    ) -> BillingUsageHistoryResponse:
        """What was used, a row a day or hour, in cents; no rows where nothing was billable.

        Args:
            value_grouping_window: The length of one row.
            start_time: The first moment: an aware `datetime` or Unix milliseconds.
            end_time: The moment after the last, alike. Without bounds: the whole history.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/usage_history
        """
        return self._client.send(
            BillingUsageHistoryParams(
                account_id=account_id,
                value_grouping_window=value_grouping_window,
                start_time=start_time,
                end_time=end_time,
            ),
            **options,
        )

    def invoice_history(
        self,
        *,
        account_id: str | None = None,
        type: Literal["auto", "manual", "all"] | None = None,
        page: int | None = None,
        per_page: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> BillingInvoiceHistoryResponse:
        """One page of past invoices; amounts in cents, times in Unix seconds.

        Args:
            type: Of automatic top-ups, of manual ones, or all (what `None` means too).
            page: The page, from 1.
            per_page: Invoices a page.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/invoice_history
        (`page` and `per_page` are seen to work and not described there).
        """
        return self._client.send(
            BillingInvoiceHistoryParams(
                account_id=account_id, type=type, page=page, per_page=per_page
            ),
            **options,
        )

    def iter_invoices(
        self,
        *,
        account_id: str | None = None,
        type: Literal["auto", "manual", "all"] | None = None,
        per_page: int = 50,
        **options: Unpack[RequestOptions],
    ) -> InvoicePaginator:
        """Every past invoice, fetched a page at a time; amounts in cents, times in Unix seconds.

        Args:
            type: Of automatic top-ups, of manual ones, or all (what `None` means too).
            per_page: Invoices a page.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/invoice_history
        """
        return InvoicePaginator(
            self._client,
            BillingInvoiceHistoryParams(
                account_id=account_id, type=type, page=1, per_page=per_page
            ),
            options,
        )

    def credit_balances(
        self,
        account_ids: Iterable[str] | None = None,
        *,
        concurrency: int = 50,
        reserve: float = 0.1,
        progress: Progress = False,
    ) -> CreditBalances:
        """The balances of many accounts at once, each with its answer or its own error.

        Args:
            account_ids: The accounts, each asked once; `None`: all that the credentials can see.
            concurrency: How many calls are in flight at a time.
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1. When it is reached, the sweep waits for the next window.
            progress: `True` for a bar (needs the extra `notebook`), or what to call with the
                number of calls done and, where it is known, of all.

        Permission: AI Gateway Read; for `None`, Account Settings Read too. A repeat changes nothing.
        Raises: `AuthenticationError` at once, or what else says that the credentials are wrong; for
            `None`, errors of the list of accounts. Any other error stays with its account, in
            `.failed`.
        """
        return credit_balances(
            self._client,
            account_ids,
            concurrency=concurrency,
            reserve=reserve,
            progress=progress,
        )

    def invoice_preview(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> BillingInvoicePreviewResponse:
        """The invoice that is building up; amounts in cents, times in Unix seconds.

        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/invoice_preview
        """
        return self._client.send(
            BillingInvoicePreviewParams(account_id=account_id),
            **options,
        )


class AIGatewayResource(SyncResource):
    """AI Gateway; of its API this package covers billing."""

    @cached_property
    def billing(self) -> BillingResource:
        """Credit balance, usage, invoices, top-ups and the spending limit."""
        return BillingResource(self._client)


class Cloudflare(SyncClient):
    """A client of the AI Gateway billing API.

    One client serves a whole program. Share it between tasks or threads, and close it at the end,
    or use it in a `with` block (`async with` for the async one).

    Args:
        api_token: An API token; else the environment's CLOUDFLARE_API_TOKEN.
        api_email: With `api_key`, the older way to authenticate; else CLOUDFLARE_EMAIL.
        api_key: The global API key; else CLOUDFLARE_API_KEY.
        user_service_key: A service key; else CLOUDFLARE_API_USER_SERVICE_KEY.
        account_id: The account of every call that names none; else CLOUDFLARE_ACCOUNT_ID.
        base_url: Where the API is; else CLOUDFLARE_BASE_URL, else Cloudflare's.
        timeout: Seconds for one attempt, answer included; an `aiohttp.ClientTimeout`; or `None`.
        total_timeout: Seconds for a whole call, repeats and waits included; `None`: no limit.
        max_retries: How often a failed call is repeated, where a repeat is safe: a charge only
            where nothing of it can have arrived.
        max_retry_wait: The longest wait, in seconds, that the service may ask for before a
            repeat; a call that would have to wait longer fails at once.
        max_charge: The largest top-up, in cents, automatic ones included: a larger one is refused
            before anything is sent. 0 makes a client that cannot charge at all.
        default_headers: Headers of every request; `None` as a value leaves one of the SDK's out.
        default_query: Query parameters of every request.

    An empty string counts as not given. Credentials given here beat those of the environment.
    """

    def __init__(
        self,
        *,
        api_token: str | None = None,
        api_email: str | None = None,
        api_key: str | None = None,
        user_service_key: str | None = None,
        account_id: str | None = None,
        base_url: str | None = None,
        timeout: Timeout = DEFAULT_TIMEOUT,
        total_timeout: float | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_retry_wait: float = DEFAULT_MAX_RETRY_WAIT,
        max_charge: int | None = None,
        default_headers: Mapping[str, str | None] | None = None,
        default_query: Mapping[str, object] | None = None,
    ) -> None:
        api_token, api_key, user_service_key = conceal(api_token, api_key, user_service_key)
        default_headers = conceal_headers(default_headers)
        super().__init__(
            AsyncCloudflare(
                api_token=api_token,
                api_email=api_email,
                api_key=api_key,
                user_service_key=user_service_key,
                account_id=account_id,
                base_url=base_url,
                timeout=timeout,
                total_timeout=total_timeout,
                max_retries=max_retries,
                max_retry_wait=max_retry_wait,
                max_charge=max_charge,
                default_headers=default_headers,
                default_query=default_query,
            ),
        )

    @cached_property
    def accounts(self) -> AccountsResource:
        """The accounts that the credentials can see."""
        return AccountsResource(self)

    @cached_property
    def ai_gateway(self) -> AIGatewayResource:
        """AI Gateway."""
        return AIGatewayResource(self)

    def send(self, params: Params[T], **options: Unpack[RequestOptions]) -> T:
        """Run the call that `params` are the parameters of; what the methods do.

        Args:
            params: Such as `BillingCreditBalanceParams(account_id="…")`; their class decides
                which call it is and what it answers.
            **options: `extra_headers`, `extra_query`, `extra_body`, and `timeout` in seconds.

        Raises: `ValueError` or `TypeError` before anything is sent, `APIStatusError`,
            `APIConnectionError`, `APIResponseValidationError`.
        """
        options = conceal_options(options)
        return self.portal.call(lambda: self.async_client.send(params, **options))

    def send_many(
        self,
        requests: Iterable[Params[T]],
        *,
        concurrency: int = 50,
        reserve: float = 0.1,
        allow_charges: bool = False,
    ) -> Outcomes[T]:
        """Run many calls at once; how each of them ended, in the order in which they end.

            with client.send_many(requests) as outcomes:
                for outcome in outcomes:
                    print(outcome.request, outcome.error or outcome.response)

        A call that fails does so by itself, in its outcome. Wrong credentials, or a fault of
        `requests`, end all of them and are raised by the loop.

        Leaving the block, by `break` or by an error, ends what is still in flight. A top-up that
        is cut off so may have been charged: its `TopupOutcomeUnknownError` is raised by the block,
        or noted on the error that leaves it. `outcomes.unread` has what ended without being read.

        Args:
            requests: The parameters of the calls, of whatever kinds; read as they are needed, so
                that there may be any number of them.
            concurrency: How many are in flight at a time (of more than 100, some wait for one of
                the client's 100 connections).
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1. When it is reached, the calls wait for the next window, up to 10
                minutes: `max_retry_wait` and `total_timeout` do not count that wait.
            allow_charges: Whether there may be top-ups among them.

        Raises: `ValueError` or `TypeError` for arguments; from the loop `AuthenticationError`, and
            whatever `requests` raises.
        """
        return Outcomes(
            self,
            requests,
            concurrency=concurrency,
            reserve=reserve,
            allow_charges=allow_charges,
        )

    @property
    def rate_limit(self) -> RateLimit:
        """Where the service's rate limit stands, as far as the answers so far have told."""
        return self.async_client.rate_limit
