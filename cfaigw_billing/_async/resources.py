"""The methods of the async client. Each makes one call of the executor.

Each resource is followed by its views for `.with_raw_response` and `.with_streaming_response`: the
same methods, which return HTTP responses. The sync resources are generated from this module: after
a change here, run `python .ci/codegen.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Unpack

from .. import types
from .._core.options import ReadOptions, RequestOptions
from .._core.untyped import BillingOnly
from .._io.executor import Executor
from ..types import BillingCreditBalanceParams, BillingCreditBalanceResponse, Money
from .calls import AsyncCalls
from .first_page import first_page
from .responses import AsyncRawView, AsyncStreamingView, raw, streamed

if TYPE_CHECKING:
    from .._core.reconciliation import TopupReconciliation, TopupRecovery
    from .._core.sweeps.credit_balances import CreditBalances
    from .._core.sweeps.runways import Runways
    from .._core.sweeps.usage_histories import UsageHistories
    from .._show.progress import Progress
    from .metrics import AsyncMetrics
    from .paging import AsyncAccountPaginator, AsyncInvoicePaginator
    from .watch import AsyncWatch

# Methods import what single calls do not need.

if sys.version_info >= (3, 13):
    from warnings import deprecated
else:
    # Installed with aiohttp and anyio, which need it there themselves.
    from typing_extensions import deprecated

_RETIRED = (
    "the service has retired `spending_limit.create` and answers 403; "
    "use AI Gateway spend limits instead"
)


class AsyncResource(BillingOnly):
    """A group of methods."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor


class AsyncAccountsResource(AsyncResource):
    """The accounts that the credentials can see."""

    @cached_property
    def with_raw_response(self) -> AsyncAccountsResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AsyncAccountsResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AsyncAccountsResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AsyncAccountsResourceWithStreamingResponse(self._executor)

    def list(
        self,
        *,
        name: str | None = None,
        page: int | None = None,
        per_page: int = 50,
        **options: Unpack[ReadOptions],
    ) -> AsyncAccountPaginator:
        """Return every account that the credentials can see, fetched a page at a time.

        Args:
            name: Only accounts of this name.
            page: The page to begin with, from 1.
            per_page: Accounts per page, from 1 to 50.

        Permission: Account Settings Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/accounts/methods/list
        """
        from .paging import AsyncAccountPaginator

        return AsyncAccountPaginator(
            self._executor,
            types.AccountListParams(name=name, page=page, per_page=per_page),
            options,
        )


class AsyncAccountsResourceWithRawResponse(AsyncRawView):
    """The methods of `AsyncAccountsResource`, returning HTTP responses."""

    @raw(first_page(AsyncAccountsResource.list))
    def list(self) -> None:
        """See `AsyncAccountsResource.list`; this returns one page."""


class AsyncAccountsResourceWithStreamingResponse(AsyncStreamingView):
    """The methods of `AsyncAccountsResource`, returning HTTP responses that are not read yet."""

    @streamed(first_page(AsyncAccountsResource.list))
    def list(self) -> None:
        """See `AsyncAccountsResource.list`; this returns one page."""


class AsyncConfigResource(AsyncResource):
    """The automatic top-up: charge a card when the balance falls below a threshold."""

    @cached_property
    def with_raw_response(self) -> AsyncConfigResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AsyncConfigResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AsyncConfigResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AsyncConfigResourceWithStreamingResponse(self._executor)

    async def get(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> types.ConfigGetResponse:
        """Return the automatic top-up; zeros or `None` if it was never set up.

        Amounts are in cents.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/subresources/config/methods/get
        """
        return await self._executor.send(types.ConfigGetParams(account_id=account_id), options)

    async def create(
        self,
        *,
        account_id: str | None = None,
        amount: int | Money,
        threshold: int | Money,
        **options: Unpack[RequestOptions],
    ) -> types.ConfigCreateResponse:
        """Set the automatic top-up: from now on the service charges the card automatically.

        Args:
            amount: The credit to buy each time, in whole cents or as `Money`; at least $10.00. The
                card is charged more: a fee of 5 %, and tax where it is due.
            threshold: Charge when the balance falls below this, in whole cents or as `Money`; at
                least $5.00.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `extra_headers`, …: see `RequestOptions`.
        Permission: AI Gateway Write; the service may answer 403 to every API token.
        A repeat stores the same again.
        Raises: `PermissionDeniedError` and other `APIStatusError`, `APIConnectionError`,
            `APIResponseValidationError`; `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/subresources/config/methods/create
        """
        return await self._executor.send(
            types.ConfigCreateParams(account_id=account_id, amount=amount, threshold=threshold),
            options,
        )

    async def delete(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> object:
        """Switch the automatic top-up off; return the answer, an empty mapping.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `extra_headers`, …: see `RequestOptions`.
        Permission: AI Gateway Write; the service may answer 403 to every API token.
        A repeat changes nothing more.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/subresources/config/methods/delete
        """
        return await self._executor.send(types.ConfigDeleteParams(account_id=account_id), options)


class AsyncConfigResourceWithRawResponse(AsyncRawView):
    """The methods of `AsyncConfigResource`, returning HTTP responses."""

    @raw(AsyncConfigResource.get)
    def get(self) -> None:
        """See `AsyncConfigResource.get`."""

    @raw(AsyncConfigResource.create)
    def create(self) -> None:
        """See `AsyncConfigResource.create`."""

    @raw(AsyncConfigResource.delete)
    def delete(self) -> None:
        """See `AsyncConfigResource.delete`."""


class AsyncConfigResourceWithStreamingResponse(AsyncStreamingView):
    """The methods of `AsyncConfigResource`, returning HTTP responses that are not read yet."""

    @streamed(AsyncConfigResource.get)
    def get(self) -> None:
        """See `AsyncConfigResource.get`."""

    @streamed(AsyncConfigResource.create)
    def create(self) -> None:
        """See `AsyncConfigResource.create`."""

    @streamed(AsyncConfigResource.delete)
    def delete(self) -> None:
        """See `AsyncConfigResource.delete`."""


class AsyncTopupResource(AsyncResource):
    """Top-ups: charging a card for credit."""

    @cached_property
    def with_raw_response(self) -> AsyncTopupResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AsyncTopupResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AsyncTopupResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AsyncTopupResourceWithStreamingResponse(self._executor)

    @cached_property
    def config(self) -> AsyncConfigResource:
        """The automatic top-up."""
        return AsyncConfigResource(self._executor)

    async def create(
        self,
        *,
        account_id: str | None = None,
        amount: int | Money,
        payment_method_id: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> types.TopupCreateResponse:
        """Charge a card for credit. The credit has arrived when `status` is `completed`.

        Args:
            amount: The credit to buy, in whole cents or as `Money`: 5000 or `Money.dollars(50)`; at
                least $10.00. The card is charged more: a fee of 5 % ($50.00 of credit is a charge
                of $52.50), and tax where it is due.
            payment_method_id: The card, `pm_…`; `None`: the account's default card.
            idempotency_key: Charge once for this key, on a client with a `journal`: 1 to 255
                printable characters, such as the number of an order.

        With a key, a repeat in any process returns the first answer. It charges again only if it is
        certain that nothing was charged. If the first call is in flight, it waits for it, at most
        its `timeout`. If the first answer was lost, it looks for the invoice once. A
        `client_secret` is returned only once: later calls raise `TopupConfirmationError` until the
        payer has confirmed.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `extra_headers`, …: see `RequestOptions`.
        Permission: AI Gateway Write. A repeat without a key charges the card again. The SDK retries
        it only if the service cannot have carried it out (no connection, or a 429 with
        `Retry-After` and no `Ratelimit` with requests left).
        Raises: `PaymentRequiredError` (declined, nothing charged) and other `APIStatusError`;
            `TopupOutcomeUnknownError` (it may have been charged: see `reconcile` and `recover`);
            `APIConnectionError` (nothing was sent); `JournalError` (nothing was sent); `ValueError`
            or `TypeError` before that, also for a key that belongs to another top-up.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/create
        """
        return await self._executor.send(
            types.TopupCreateParams(
                account_id=account_id,
                amount=amount,
                payment_method_id=payment_method_id,
                idempotency_key=idempotency_key,
            ),
            options,
        )

    async def status(
        self,
        *,
        account_id: str | None = None,
        payment_intent_id: str,
        **options: Unpack[ReadOptions],
    ) -> types.TopupStatusResponse:
        """Return the status of a top-up: `pending`, or `completed` when its credit has arrived.

        Args:
            payment_intent_id: The id from `create`, `in_…`.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing, although it is a POST.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/status
        """
        return await self._executor.send(
            types.TopupStatusParams(account_id=account_id, payment_intent_id=payment_intent_id),
            options,
        )

    async def wait(
        self,
        *,
        account_id: str | None = None,
        payment_intent_id: str,
        timeout: float | None = 300.0,
    ) -> types.TopupStatusResponse:
        """Wait until the credit of a top-up has arrived: call `status`, at growing intervals.

        Args:
            payment_intent_id: The id from `create`, `in_…`.
            timeout: Seconds to wait at most; `None`: no limit.

        Returns only when the status is `completed`. An unknown status counts as pending.

        `account_id`: the account; if left out, the client's.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `TopupFailedError` if the top-up has failed or was cancelled; `TopupPendingError`
            when the time is over, both with the `payment_intent_id`; errors of `status`, with the
            id in a note.
        """
        from .topups import wait

        return await self._executor.run(
            wait,
            account_id=account_id,
            payment_intent_id=payment_intent_id,
            timeout=timeout,
        )

    async def create_and_wait(
        self,
        *,
        account_id: str | None = None,
        amount: int | Money,
        payment_method_id: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = 300.0,
    ) -> types.TopupStatusResponse:
        """Charge a card for credit, like `create`, and wait until the credit has arrived.

        Args:
            amount: The credit to buy, in whole cents or as `Money`; at least $10.00. The card is
                charged more: a fee of 5 %, and tax where it is due.
            payment_method_id: The card, `pm_…`; `None`: the account's default card.
            idempotency_key: Charge once for this key, on a client with a `journal`; see `create`.
            timeout: Seconds to wait at most, once it is charged; `None`: no limit.

        `account_id`: the account; if left out, the client's.
        Permission: AI Gateway Write. A repeat without a key charges the card again.
        Raises: The errors of `create`. After the charge, each with `payment_intent_id`,
            `account_id` and `amount`: `TopupPendingError` when the time is over or the status
            cannot be read (see its cause); `TopupFailedError` if the top-up has failed or was
            cancelled; `TopupConfirmationError`, with the `client_secret` too, if the payer must
            confirm the payment (3-D Secure).
        """
        from .topups import create_and_wait

        return await self._executor.run(
            create_and_wait,
            account_id=account_id,
            amount=amount,
            payment_method_id=payment_method_id,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def reconcile(
        self,
        error: BaseException | None = None,
        *,
        account_id: str | None = None,
        amount: int | Money | None = None,
        sent_at: datetime | None = None,
        exclude: Iterable[str] = (),
    ) -> TopupReconciliation:
        """Find out whether a top-up was charged, after its answer was lost. Charges nothing.

        It reads the manual invoices and the balance.

            found = await client.ai_gateway.billing.topup.reconcile(error)
            found = await client.ai_gateway.billing.topup.reconcile(
                account_id=row.account_id, amount=row.amount, sent_at=row.sent_at
            )

        Args:
            error: The `TopupOutcomeUnknownError` that `create` raised, or an error that has it as a
                cause or contains it: a cancellation, a `TimeoutError`, a group.
            account_id: Without `error`: the account; `None`: the client's.
            amount: Without `error`: the requested credit, in whole cents or as `Money`; at least
                1000 ($10.00).
            sent_at: Without `error`: when it was sent, an aware `datetime`: `sent_at` of the error,
                or the time of this machine's clock.
            exclude: Ids of invoices that belong to other charges: `payment_intent_id` from
                `create`, or from `reconcile` of another lost charge.

        Permission: AI Gateway Read. A repeat changes nothing; an invoice may appear only minutes
        after the charge, so ask again while the outcome is `not_found_yet`.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`, if the
            invoices cannot be read (if the balance cannot be read, it is `None` in the result);
            `ValueError` or `TypeError` before anything is sent, and for a `sent_at` in the future.
        """
        from .topups import reconcile

        return await self._executor.run(
            reconcile,
            error,
            account_id=account_id,
            amount=amount,
            sent_at=sent_at,
            exclude=exclude,
        )

    async def recover(self, *, older_than: timedelta = timedelta(days=1)) -> list[TopupRecovery]:
        """Settle the open top-ups in the client's `journal`: find out whether each was charged.

        Run it when a program starts, or from time to time. It charges nothing, and skips top-ups
        that another process is sending.

            for recovery in await client.ai_gateway.billing.topup.recover():
                print(recovery.entry.key, recovery.entry.state, recovery.error or "")

        A top-up that was never sent becomes `not_charged`; if its invoice is found, `charged`. If
        it is not certain which invoice belongs to it, or the invoice has no id, it stays `unknown`.
        Without an invoice it stays `unknown` too, because an invoice may come later. If a search
        `older_than` after the first search (by `recover`, or by `create` with its key) finds none
        either, it becomes `not_charged`, and its key may be sent again.

        Args:
            older_than: The time in which the invoice of a charge must appear, at least 15 minutes.
                Choose a longer time if payers confirm payments (3-D Secure).

        Permission: AI Gateway Read. A repeat changes nothing more.
        Raises: `ValueError` without a journal; `JournalError` if it cannot be read. An error about
            one top-up is in its result.
        """
        from .topups import recover

        return await self._executor.run(recover, older_than=older_than)

    async def limits(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> types.TopupLimitsResponse:
        """Return the smallest and the largest top-up that the service accepts, in cents.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/limits
        """
        return await self._executor.send(types.TopupLimitsParams(account_id=account_id), options)

    async def eligibility(
        self,
        *,
        account_id: str | None = None,
        payment_methods: Iterable[types.EligibilityPaymentMethod | Mapping[str, Any]] | None = None,
        **options: Unpack[ReadOptions],
    ) -> types.TopupEligibilityResponse:
        """Return whether the account can top up, and what to do if it cannot.

        Args:
            payment_methods: The account's payment methods, at most 100: values, or mappings with
                the keys `default`, `last_four` and `type`.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing, although it is a POST.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/topup/methods/eligibility
        """
        return await self._executor.send(
            types.TopupEligibilityParams(account_id=account_id, payment_methods=payment_methods),
            options,
        )


class AsyncTopupResourceWithRawResponse(AsyncRawView):
    """The methods of `AsyncTopupResource`, returning HTTP responses."""

    @cached_property
    def config(self) -> AsyncConfigResourceWithRawResponse:
        """The automatic top-up."""
        return AsyncConfigResourceWithRawResponse(self._values)

    @raw(AsyncTopupResource.create)
    def create(self) -> None:
        """See `AsyncTopupResource.create`."""

    @raw(AsyncTopupResource.status)
    def status(self) -> None:
        """See `AsyncTopupResource.status`."""

    @raw(AsyncTopupResource.limits)
    def limits(self) -> None:
        """See `AsyncTopupResource.limits`."""

    @raw(AsyncTopupResource.eligibility)
    def eligibility(self) -> None:
        """See `AsyncTopupResource.eligibility`."""


class AsyncTopupResourceWithStreamingResponse(AsyncStreamingView):
    """The methods of `AsyncTopupResource`, returning HTTP responses that are not read yet."""

    @cached_property
    def config(self) -> AsyncConfigResourceWithStreamingResponse:
        """The automatic top-up."""
        return AsyncConfigResourceWithStreamingResponse(self._values)

    @streamed(AsyncTopupResource.create)
    def create(self) -> None:
        """See `AsyncTopupResource.create`."""

    @streamed(AsyncTopupResource.status)
    def status(self) -> None:
        """See `AsyncTopupResource.status`."""

    @streamed(AsyncTopupResource.limits)
    def limits(self) -> None:
        """See `AsyncTopupResource.limits`."""

    @streamed(AsyncTopupResource.eligibility)
    def eligibility(self) -> None:
        """See `AsyncTopupResource.eligibility`."""


class AsyncSpendingLimitResource(AsyncResource):
    """The spending limit of an account."""

    @cached_property
    def with_raw_response(self) -> AsyncSpendingLimitResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AsyncSpendingLimitResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AsyncSpendingLimitResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AsyncSpendingLimitResourceWithStreamingResponse(self._executor)

    async def get(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> types.SpendingLimitGetResponse:
        """Return the spending limit; its amount is in cents.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/spending_limit/methods/get
        """
        return await self._executor.send(
            types.SpendingLimitGetParams(account_id=account_id), options
        )

    @deprecated(_RETIRED)
    async def create(
        self,
        *,
        account_id: str | None = None,
        amount: int | Money,
        duration: Literal["daily", "weekly", "monthly"],
        strategy: Literal["fixed", "sliding"],
        **options: Unpack[RequestOptions],
    ) -> object:
        """Set the spending limit. Retired: the service now answers 403.

        Args:
            amount: The most that may be spent within `duration`, in whole cents or as `Money`; at
                least $1.00.
            duration: The length of a period.
            strategy: Whether periods start at fixed times or slide.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `extra_headers`, …: see `RequestOptions`.
        Permission: AI Gateway Write. A repeat stores the same again.
        Raises: `PermissionDeniedError` and other `APIStatusError`, `APIConnectionError`,
            `APIResponseValidationError`; `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/spending_limit/methods/create
        """
        return await self._executor.send(
            types.SpendingLimitCreateParams(
                account_id=account_id, amount=amount, duration=duration, strategy=strategy
            ),
            options,
        )

    async def delete(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> object:
        """Remove the spending limit; return the answer, an empty mapping.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `extra_headers`, …: see `RequestOptions`.
        Permission: AI Gateway Write. A repeat changes nothing more: removing a missing limit
        succeeds.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/subresources/spending_limit/methods/delete
        """
        return await self._executor.send(
            types.SpendingLimitDeleteParams(account_id=account_id), options
        )


class AsyncSpendingLimitResourceWithRawResponse(AsyncRawView):
    """The methods of `AsyncSpendingLimitResource`, returning HTTP responses."""

    @raw(AsyncSpendingLimitResource.get)
    def get(self) -> None:
        """See `AsyncSpendingLimitResource.get`."""

    @deprecated(_RETIRED)
    @raw(AsyncSpendingLimitResource.create)  # pyright: ignore[reportDeprecated]
    def create(self) -> None:
        """See `AsyncSpendingLimitResource.create`."""

    @raw(AsyncSpendingLimitResource.delete)
    def delete(self) -> None:
        """See `AsyncSpendingLimitResource.delete`."""


class AsyncSpendingLimitResourceWithStreamingResponse(AsyncStreamingView):
    """The methods of `AsyncSpendingLimitResource`, returning HTTP responses that are not read yet."""

    @streamed(AsyncSpendingLimitResource.get)
    def get(self) -> None:
        """See `AsyncSpendingLimitResource.get`."""

    @deprecated(_RETIRED)
    @streamed(AsyncSpendingLimitResource.create)  # pyright: ignore[reportDeprecated]
    def create(self) -> None:
        """See `AsyncSpendingLimitResource.create`."""

    @streamed(AsyncSpendingLimitResource.delete)
    def delete(self) -> None:
        """See `AsyncSpendingLimitResource.delete`."""


class AsyncBillingResource(AsyncResource):
    """Credit balance, usage and invoices."""

    @cached_property
    def with_raw_response(self) -> AsyncBillingResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AsyncBillingResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AsyncBillingResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AsyncBillingResourceWithStreamingResponse(self._executor)

    @cached_property
    def topup(self) -> AsyncTopupResource:
        """Top-ups."""
        return AsyncTopupResource(self._executor)

    @cached_property
    def spending_limit(self) -> AsyncSpendingLimitResource:
        """The spending limit."""
        return AsyncSpendingLimitResource(self._executor)

    async def credit_balance(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> BillingCreditBalanceResponse:
        """Return the prepaid credit left, the card on file and the automatic top-up.

        `balance` is in cents: 640.19 is $6.40, as `balance_money` shows it. It may be negative.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/credit_balance
        """
        return await self._executor.send(BillingCreditBalanceParams(account_id=account_id), options)

    async def usage_history(
        self,
        *,
        account_id: str | None = None,
        value_grouping_window: Literal["day", "hour"],
        start_time: datetime | float | None = None,
        end_time: datetime | float | None = None,
        **options: Unpack[ReadOptions],
    ) -> types.BillingUsageHistoryResponse:
        """Return the usage in cents, with a row per day or hour; no rows if nothing was billable.

        Args:
            value_grouping_window: The length of one row.
            start_time: The start: an aware `datetime` or Unix milliseconds.
            end_time: The end (excluded), likewise. Without both: the whole history.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/usage_history
        """
        return await self._executor.send(
            types.BillingUsageHistoryParams(
                account_id=account_id,
                value_grouping_window=value_grouping_window,
                start_time=start_time,
                end_time=end_time,
            ),
            options,
        )

    async def invoice_history(
        self,
        *,
        account_id: str | None = None,
        type: Literal["auto", "manual", "all"] | None = None,
        page: int | None = None,
        per_page: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> types.BillingInvoiceHistoryResponse:
        """Return one page of past invoices; amounts in cents, times in Unix seconds.

        Args:
            type: Of automatic top-ups, of manual ones, or all (also `None`).
            page: The page, from 1.
            per_page: Invoices per page.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/invoice_history
        (`page` and `per_page` work, but are not documented there).
        """
        return await self._executor.send(
            types.BillingInvoiceHistoryParams(
                account_id=account_id, type=type, page=page, per_page=per_page
            ),
            options,
        )

    def iter_invoices(
        self,
        *,
        account_id: str | None = None,
        type: Literal["auto", "manual", "all"] | None = None,
        per_page: int = 50,
        **options: Unpack[ReadOptions],
    ) -> AsyncInvoicePaginator:
        """Return every past invoice, fetched a page at a time; cents, and Unix seconds.

        Args:
            type: Of automatic top-ups, of manual ones, or all (also `None`).
            per_page: Invoices per page.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/invoice_history
        """
        from .paging import AsyncInvoicePaginator

        return AsyncInvoicePaginator(
            self._executor,
            types.BillingInvoiceHistoryParams(
                account_id=account_id, type=type, page=1, per_page=per_page
            ),
            options,
        )

    async def credit_balances(
        self,
        account_ids: Iterable[str] | None = None,
        *,
        concurrency: int = 50,
        reserve: float = 0.1,
        progress: Progress = False,
    ) -> CreditBalances:
        """Return the balances of many accounts: an answer or an error for each.

        Args:
            account_ids: The accounts, each asked once; `None`: all that the credentials can see.
            concurrency: How many calls are in flight at a time.
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1. When it is reached, the sweep waits for the next window.
            progress: `True` for a bar (needs the extra `notebook`), or a function that is called
                with the number of accounts done and of all accounts (`None` until it is known).

        An error that ends the sweep has the answers so far in `error.partial`, a `CreditBalances`.
        Ask its `.missing` accounts next: `credit_balances(error.partial.missing)`. An interrupt
        (Ctrl-C, a cancellation) has `partial` too. The `TimeoutError` of `asyncio.timeout` has it
        on its `__cause__`; the one of `anyio.fail_after` does not. If the list of accounts broke
        off (`.listed` is false), list them again, and ask about the others.

        Permission: AI Gateway Read; for `None`, Account Settings Read too. A repeat changes nothing.
        Raises: `AuthenticationError` and other errors about the credentials, at once, until one
            account has been answered; for `None`, errors of the list of accounts; `RateLimitError`
            if the rate limit refuses every call again after a full wait. Any other error stays with
            its account, in `.failed`.
        """
        from .._core.sweeps.credit_balances import credit_balances
        from .sweeps import run_sweep

        return await run_sweep(
            self._executor,
            credit_balances(account_ids),
            concurrency=concurrency,
            reserve=reserve,
            progress=progress,
        )

    async def usage_histories(
        self,
        account_ids: Iterable[str] | None = None,
        *,
        value_grouping_window: Literal["day", "hour"],
        start_time: datetime | float | None = None,
        end_time: datetime | float | None = None,
        concurrency: int = 50,
        reserve: float = 0.1,
        progress: Progress = False,
    ) -> UsageHistories:
        """Return the usage of many accounts as one table: an answer or an error for each.

        Args:
            account_ids: The accounts, each asked once; `None`: all that the credentials can see.
            value_grouping_window: The length of one row.
            start_time: The start: an aware `datetime` or Unix milliseconds.
            end_time: The end (excluded), likewise. Without both: the whole history.
            concurrency: How many calls are in flight at a time.
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1. When it is reached, the sweep waits for the next window.
            progress: `True` for a bar (needs the extra `notebook`), or a function that is called
                with the number of accounts done and of all accounts (`None` until it is known).

        The answers of all accounts are in memory at the end: 720 rows for an account with a month
        of hours. An error that ends the sweep has the answers so far in `error.partial`, a
        `UsageHistories`: go on with its `.missing`, see `credit_balances`.

        Permission: AI Gateway Read; for `None`, Account Settings Read too. A repeat changes nothing.
        Raises: As `credit_balances`; `ValueError` or `TypeError` before anything is sent.
        """
        from .._core.sweeps.usage_histories import usage_histories
        from .sweeps import run_sweep

        params = types.BillingUsageHistoryParams(
            value_grouping_window=value_grouping_window, start_time=start_time, end_time=end_time
        )
        return await run_sweep(
            self._executor,
            usage_histories(account_ids, params),
            concurrency=concurrency,
            reserve=reserve,
            progress=progress,
        )

    async def runway(
        self,
        *,
        account_id: str | None = None,
        history: timedelta = timedelta(days=56),
    ) -> types.Runway:
        """Forecast when the credit runs out, if spending goes on as before.

        Makes two calls at the same time, `credit_balance` and `usage_history` by hour;
        `forecast_runway` computes the forecast from their answers. Amounts are in cents.

        Args:
            history: How far back to look at usage, from 4 to 366 days. Dates are told up to three
                times as far ahead.

        `account_id`: the account; the client's own if left out.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`;
            `ValueError` or `TypeError` before anything is sent.
        """
        from .runway import runway

        return await self._executor.run(runway, account_id=account_id, history=history)

    async def runways(
        self,
        account_ids: Iterable[str] | None = None,
        *,
        history: timedelta = timedelta(days=56),
        concurrency: int = 50,
        reserve: float = 0.1,
        progress: Progress = False,
    ) -> Runways:
        """Forecast when the credit of many accounts runs out: a forecast or an error for each.

        Args:
            account_ids: The accounts, each asked once; `None`: all that the credentials can see.
            history: How far back to look at usage, from 4 to 366 days. Dates are told up to three
                times as far ahead.
            concurrency: How many calls are in flight at a time.
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1. When it is reached, the sweep waits for the next window.
            progress: `True` for a bar (needs the extra `notebook`), or a function that is called
                with the number of accounts done and of all accounts (`None` until it is known).

        Each account takes two calls, and fails if one fails: 1,000 accounts are 2,000 calls, more
        than the service accepts in five minutes. An error that ends the sweep has the forecasts so
        far in `error.partial`, a `Runways`: go on with its `.missing`, see `credit_balances`.

        Permission: AI Gateway Read; for `None`, Account Settings Read too. A repeat changes nothing.
        Raises: As `credit_balances`; `ValueError` or `TypeError` before anything is sent.
        """
        from .._core.sweeps.runways import runways
        from .sweeps import run_sweep

        return await run_sweep(
            self._executor,
            runways(account_ids, history, self._executor.now),
            concurrency=concurrency,
            reserve=reserve,
            progress=progress,
        )

    def metrics(
        self,
        account_ids: Iterable[str] | None = None,
        *,
        refresh: timedelta = timedelta(minutes=5),
        runway: bool = True,
        reserve: float = 0.5,
    ) -> AsyncMetrics:
        """Serve the balances and usage of many accounts to Prometheus; needs the extra `metrics`.

            async with billing.metrics() as metrics:
                registry.register(metrics.collector)

        The accounts are checked until the block ends. A scrape returns the last values and sends
        nothing. An account that fails is `cfaigw_account_up 0` at once; its values stay for three
        refreshes, and are absent then. Amounts are in US dollars, times in Unix seconds.

        Args:
            account_ids: The accounts; `None`: all that the credentials can see, listed every hour.
            refresh: The time between two checks of an account, from 1 minute to 1 day. It gets
                longer for all accounts if the rate limit is too small.
            runway: Read usage too, for `cfaigw_usage_usd_total` and the two forecasts
                `cfaigw_empties_…`: two more calls per account, every six hours, and after a balance
                has risen or fallen fast.
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1.

        Permission: AI Gateway Read; for `None`, Account Settings Read too. A repeat changes nothing.
        Raises: `ValueError` or `TypeError` before anything is sent, `ModuleNotFoundError` without
            prometheus-client; when the block begins, `AuthenticationError` and other errors about
            the credentials and, for `None`, errors of the list of accounts. Later errors only show
            as accounts that are down.
        """
        from .metrics import AsyncMetrics
        from .refreshing import Refreshing

        refreshing = Refreshing(account_ids, refresh=refresh, runway=runway, reserve=reserve)
        return AsyncMetrics(self._executor, refreshing)

    def watch(
        self,
        account_ids: Iterable[str] | None = None,
        *,
        low: Money | None = Money.dollars(10),  # noqa: B008  # it does not change
        runway: timedelta | None = timedelta(days=3),
        state: Mapping[str, Any] | None = None,
        interval: timedelta = timedelta(minutes=15),
        reserve: float = 0.5,
        once: bool = False,
    ) -> AsyncWatch:
        """Watch the balances of accounts: an event when one is low, empty, topped up and so on.

            async with client.ai_gateway.billing.watch(state=load()) as watch:
                async for event in watch:
                    print(event)
                    save(watch.state)

        A balance is read once per `interval`, and up to once a minute near a threshold. The usage
        is read at first, every 6 hours, and after a rise or a fast fall.

        Args:
            account_ids: The accounts; `None`: all that the credentials can see, listed every hour.
            low: An account below this balance is `low`, until it is 10 % above; `None`: no such
                threshold. While an automatic top-up works, its account is not `low`.
            runway: An account is also `low` if the forecast's `empties_after` is nearer than this,
                from 1 hour to 366 days; `None`: no forecasts, and no usage is read.
            state: The `watch.state` of an earlier watch over the same accounts.
            interval: The longest time between two checks of an account, from 1 minute to 1 day. It
                gets longer for all accounts if the rate limit is too small.
            reserve: The part of the rate limit to leave to others, from 0 to below 1.
            once: Check each account once, and end.

        An account is `unreadable` after 3 failures over 15 minutes or more. If more than half of
        the accounts fail in the same way, there is one event, with the `account_id` `None`.

        Permission: AI Gateway Read; for `None`, Account Settings Read too. A repeat changes nothing.
        Raises: `ValueError` or `TypeError` before anything is sent. In the loop:
            `AuthenticationError` until one call was answered; errors of the first list of accounts.
        """
        from .watch import AsyncWatch
        from .watching import Watching

        watching = Watching(
            account_ids,
            low=low,
            runway=runway,
            state=state,
            interval=interval,
            reserve=reserve,
            once=once,
        )
        return AsyncWatch(self._executor, watching)

    async def invoice_preview(
        self,
        *,
        account_id: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> types.BillingInvoicePreviewResponse:
        """Return the next invoice so far; amounts in cents, times in Unix seconds.

        `account_id`: the account; if left out, the client's.
        `**options`: `timeout`, `max_age`, `extra_headers`, …: see `ReadOptions`.
        Permission: AI Gateway Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/ai_gateway/subresources/billing/methods/invoice_preview
        """
        return await self._executor.send(
            types.BillingInvoicePreviewParams(account_id=account_id),
            options,
        )


class AsyncBillingResourceWithRawResponse(AsyncRawView):
    """The methods of `AsyncBillingResource`, returning HTTP responses."""

    @cached_property
    def topup(self) -> AsyncTopupResourceWithRawResponse:
        """Top-ups."""
        return AsyncTopupResourceWithRawResponse(self._values)

    @cached_property
    def spending_limit(self) -> AsyncSpendingLimitResourceWithRawResponse:
        """The spending limit."""
        return AsyncSpendingLimitResourceWithRawResponse(self._values)

    @raw(AsyncBillingResource.credit_balance)
    def credit_balance(self) -> None:
        """See `AsyncBillingResource.credit_balance`."""

    @raw(AsyncBillingResource.usage_history)
    def usage_history(self) -> None:
        """See `AsyncBillingResource.usage_history`."""

    @raw(AsyncBillingResource.invoice_history)
    def invoice_history(self) -> None:
        """See `AsyncBillingResource.invoice_history`."""

    @raw(AsyncBillingResource.invoice_preview)
    def invoice_preview(self) -> None:
        """See `AsyncBillingResource.invoice_preview`."""


class AsyncBillingResourceWithStreamingResponse(AsyncStreamingView):
    """The methods of `AsyncBillingResource`, returning HTTP responses that are not read yet."""

    @cached_property
    def topup(self) -> AsyncTopupResourceWithStreamingResponse:
        """Top-ups."""
        return AsyncTopupResourceWithStreamingResponse(self._values)

    @cached_property
    def spending_limit(self) -> AsyncSpendingLimitResourceWithStreamingResponse:
        """The spending limit."""
        return AsyncSpendingLimitResourceWithStreamingResponse(self._values)

    @streamed(AsyncBillingResource.credit_balance)
    def credit_balance(self) -> None:
        """See `AsyncBillingResource.credit_balance`."""

    @streamed(AsyncBillingResource.usage_history)
    def usage_history(self) -> None:
        """See `AsyncBillingResource.usage_history`."""

    @streamed(AsyncBillingResource.invoice_history)
    def invoice_history(self) -> None:
        """See `AsyncBillingResource.invoice_history`."""

    @streamed(AsyncBillingResource.invoice_preview)
    def invoice_preview(self) -> None:
        """See `AsyncBillingResource.invoice_preview`."""


class AsyncAIGatewayResource(AsyncResource):
    """AI Gateway: this package covers its billing."""

    @cached_property
    def with_raw_response(self) -> AsyncAIGatewayResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AsyncAIGatewayResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AsyncAIGatewayResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AsyncAIGatewayResourceWithStreamingResponse(self._executor)

    @cached_property
    def billing(self) -> AsyncBillingResource:
        """Credit balance, usage, invoices, top-ups and the spending limit."""
        return AsyncBillingResource(self._executor)


class AsyncAIGatewayResourceWithRawResponse(AsyncRawView):
    """The methods of `AsyncAIGatewayResource`, returning HTTP responses."""

    @cached_property
    def billing(self) -> AsyncBillingResourceWithRawResponse:
        """Credit balance, usage, invoices, top-ups and the spending limit."""
        return AsyncBillingResourceWithRawResponse(self._values)


class AsyncAIGatewayResourceWithStreamingResponse(AsyncStreamingView):
    """The methods of `AsyncAIGatewayResource`, returning HTTP responses that are not read yet."""

    @cached_property
    def billing(self) -> AsyncBillingResourceWithStreamingResponse:
        """Credit balance, usage, invoices, top-ups and the spending limit."""
        return AsyncBillingResourceWithStreamingResponse(self._values)


class AsyncCloudflareWithRawResponse(AsyncRawView):
    """The methods of `AsyncCloudflare`, answering with HTTP responses."""

    @cached_property
    def accounts(self) -> AsyncAccountsResourceWithRawResponse:
        """The accounts that the credentials can see."""
        return AsyncAccountsResourceWithRawResponse(self._values)

    @cached_property
    def ai_gateway(self) -> AsyncAIGatewayResourceWithRawResponse:
        """AI Gateway."""
        return AsyncAIGatewayResourceWithRawResponse(self._values)

    @raw(AsyncCalls.send)
    def send(self) -> None:
        """See `AsyncCloudflare.send`."""

    @raw(AsyncCalls.get)
    def get(self) -> None:
        """See `AsyncCloudflare.get`."""

    @raw(AsyncCalls.post)
    def post(self) -> None:
        """See `AsyncCloudflare.post`."""

    @raw(AsyncCalls.put)
    def put(self) -> None:
        """See `AsyncCloudflare.put`."""

    @raw(AsyncCalls.patch)
    def patch(self) -> None:
        """See `AsyncCloudflare.patch`."""

    @raw(AsyncCalls.delete)
    def delete(self) -> None:
        """See `AsyncCloudflare.delete`."""


class AsyncCloudflareWithStreamingResponse(AsyncStreamingView):
    """The methods of `AsyncCloudflare`, answering with HTTP responses that are not read yet."""

    @cached_property
    def accounts(self) -> AsyncAccountsResourceWithStreamingResponse:
        """The accounts that the credentials can see."""
        return AsyncAccountsResourceWithStreamingResponse(self._values)

    @cached_property
    def ai_gateway(self) -> AsyncAIGatewayResourceWithStreamingResponse:
        """AI Gateway."""
        return AsyncAIGatewayResourceWithStreamingResponse(self._values)

    @streamed(AsyncCalls.send)
    def send(self) -> None:
        """See `AsyncCloudflare.send`."""

    @streamed(AsyncCalls.get)
    def get(self) -> None:
        """See `AsyncCloudflare.get`."""

    @streamed(AsyncCalls.post)
    def post(self) -> None:
        """See `AsyncCloudflare.post`."""

    @streamed(AsyncCalls.put)
    def put(self) -> None:
        """See `AsyncCloudflare.put`."""

    @streamed(AsyncCalls.patch)
    def patch(self) -> None:
        """See `AsyncCloudflare.patch`."""

    @streamed(AsyncCalls.delete)
    def delete(self) -> None:
        """See `AsyncCloudflare.delete`."""
