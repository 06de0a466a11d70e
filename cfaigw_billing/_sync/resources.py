"""The methods of the sync client.

@generated from `_async/resources.py` by `python .ci/codegen.py`; do not edit.
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
from .executor import BlockingExecutor
from ..types import BillingCreditBalanceParams, BillingCreditBalanceResponse, Money
from .calls import Calls
from .first_page import first_page
from .responses import RawView, StreamingView, raw, streamed

if TYPE_CHECKING:
    from .._core.reconciliation import TopupReconciliation, TopupRecovery
    from .._core.sweeps.credit_balances import CreditBalances
    from .._core.sweeps.runways import Runways
    from .._core.sweeps.usage_histories import UsageHistories
    from .._show.progress import Progress
    from .metrics import Metrics
    from .paging import AccountPaginator, InvoicePaginator
    from .watch import Watch

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


class Resource(BillingOnly):
    """A group of methods."""

    def __init__(self, executor: BlockingExecutor) -> None:
        self._executor = executor


class AccountsResource(Resource):
    """The accounts that the credentials can see."""

    @cached_property
    def with_raw_response(self) -> AccountsResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AccountsResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AccountsResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AccountsResourceWithStreamingResponse(self._executor)

    def list(
        self,
        *,
        name: str | None = None,
        page: int | None = None,
        per_page: int = 50,
        **options: Unpack[ReadOptions],
    ) -> AccountPaginator:
        """Return every account that the credentials can see, fetched a page at a time.

        Args:
            name: Only accounts of this name.
            page: The page to begin with, from 1.
            per_page: Accounts per page, from 1 to 50.

        Permission: Account Settings Read. A repeat changes nothing.
        Raises: `APIStatusError`, `APIConnectionError`, `APIResponseValidationError`.
        Source: https://developers.cloudflare.com/api/resources/accounts/methods/list
        """
        from .paging import AccountPaginator

        return AccountPaginator(
            self._executor,
            types.AccountListParams(name=name, page=page, per_page=per_page),
            options,
        )


class AccountsResourceWithRawResponse(RawView):
    """The methods of `AccountsResource`, returning HTTP responses."""

    @raw(first_page(AccountsResource.list))
    def list(self) -> None:
        """See `AccountsResource.list`; this returns one page."""


class AccountsResourceWithStreamingResponse(StreamingView):
    """The methods of `AccountsResource`, returning HTTP responses that are not read yet."""

    @streamed(first_page(AccountsResource.list))
    def list(self) -> None:
        """See `AccountsResource.list`; this returns one page."""


class ConfigResource(Resource):
    """The automatic top-up: charge a card when the balance falls below a threshold."""

    @cached_property
    def with_raw_response(self) -> ConfigResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return ConfigResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> ConfigResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return ConfigResourceWithStreamingResponse(self._executor)

    def get(
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
        return self._executor.send(types.ConfigGetParams(account_id=account_id), options)

    def create(
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
        return self._executor.send(
            types.ConfigCreateParams(account_id=account_id, amount=amount, threshold=threshold),
            options,
        )

    def delete(
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
        return self._executor.send(types.ConfigDeleteParams(account_id=account_id), options)


class ConfigResourceWithRawResponse(RawView):
    """The methods of `ConfigResource`, returning HTTP responses."""

    @raw(ConfigResource.get)
    def get(self) -> None:
        """See `ConfigResource.get`."""

    @raw(ConfigResource.create)
    def create(self) -> None:
        """See `ConfigResource.create`."""

    @raw(ConfigResource.delete)
    def delete(self) -> None:
        """See `ConfigResource.delete`."""


class ConfigResourceWithStreamingResponse(StreamingView):
    """The methods of `ConfigResource`, returning HTTP responses that are not read yet."""

    @streamed(ConfigResource.get)
    def get(self) -> None:
        """See `ConfigResource.get`."""

    @streamed(ConfigResource.create)
    def create(self) -> None:
        """See `ConfigResource.create`."""

    @streamed(ConfigResource.delete)
    def delete(self) -> None:
        """See `ConfigResource.delete`."""


class TopupResource(Resource):
    """Top-ups: charging a card for credit."""

    @cached_property
    def with_raw_response(self) -> TopupResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return TopupResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> TopupResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return TopupResourceWithStreamingResponse(self._executor)

    @cached_property
    def config(self) -> ConfigResource:
        """The automatic top-up."""
        return ConfigResource(self._executor)

    def create(
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
        return self._executor.send(
            types.TopupCreateParams(
                account_id=account_id,
                amount=amount,
                payment_method_id=payment_method_id,
                idempotency_key=idempotency_key,
            ),
            options,
        )

    def status(
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
        return self._executor.send(
            types.TopupStatusParams(account_id=account_id, payment_intent_id=payment_intent_id),
            options,
        )

    def wait(
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
        from .._async.topups import wait

        return self._executor.run(
            wait,
            account_id=account_id,
            payment_intent_id=payment_intent_id,
            timeout=timeout,
        )

    def create_and_wait(
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
        from .._async.topups import create_and_wait

        return self._executor.run(
            create_and_wait,
            account_id=account_id,
            amount=amount,
            payment_method_id=payment_method_id,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    def reconcile(
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

            found = client.ai_gateway.billing.topup.reconcile(error)
            found = client.ai_gateway.billing.topup.reconcile(
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
        from .._async.topups import reconcile

        return self._executor.run(
            reconcile,
            error,
            account_id=account_id,
            amount=amount,
            sent_at=sent_at,
            exclude=exclude,
        )

    def recover(self, *, older_than: timedelta = timedelta(days=1)) -> list[TopupRecovery]:
        """Settle the open top-ups in the client's `journal`: find out whether each was charged.

        Run it when a program starts, or from time to time. It charges nothing, and skips top-ups
        that another process is sending.

            for recovery in client.ai_gateway.billing.topup.recover():
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
        from .._async.topups import recover

        return self._executor.run(recover, older_than=older_than)

    def limits(
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
        return self._executor.send(types.TopupLimitsParams(account_id=account_id), options)

    def eligibility(
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
        return self._executor.send(
            types.TopupEligibilityParams(account_id=account_id, payment_methods=payment_methods),
            options,
        )


class TopupResourceWithRawResponse(RawView):
    """The methods of `TopupResource`, returning HTTP responses."""

    @cached_property
    def config(self) -> ConfigResourceWithRawResponse:
        """The automatic top-up."""
        return ConfigResourceWithRawResponse(self._values)

    @raw(TopupResource.create)
    def create(self) -> None:
        """See `TopupResource.create`."""

    @raw(TopupResource.status)
    def status(self) -> None:
        """See `TopupResource.status`."""

    @raw(TopupResource.limits)
    def limits(self) -> None:
        """See `TopupResource.limits`."""

    @raw(TopupResource.eligibility)
    def eligibility(self) -> None:
        """See `TopupResource.eligibility`."""


class TopupResourceWithStreamingResponse(StreamingView):
    """The methods of `TopupResource`, returning HTTP responses that are not read yet."""

    @cached_property
    def config(self) -> ConfigResourceWithStreamingResponse:
        """The automatic top-up."""
        return ConfigResourceWithStreamingResponse(self._values)

    @streamed(TopupResource.create)
    def create(self) -> None:
        """See `TopupResource.create`."""

    @streamed(TopupResource.status)
    def status(self) -> None:
        """See `TopupResource.status`."""

    @streamed(TopupResource.limits)
    def limits(self) -> None:
        """See `TopupResource.limits`."""

    @streamed(TopupResource.eligibility)
    def eligibility(self) -> None:
        """See `TopupResource.eligibility`."""


class SpendingLimitResource(Resource):
    """The spending limit of an account."""

    @cached_property
    def with_raw_response(self) -> SpendingLimitResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return SpendingLimitResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> SpendingLimitResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return SpendingLimitResourceWithStreamingResponse(self._executor)

    def get(
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
        return self._executor.send(
            types.SpendingLimitGetParams(account_id=account_id), options
        )

    @deprecated(_RETIRED)
    def create(
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
        return self._executor.send(
            types.SpendingLimitCreateParams(
                account_id=account_id, amount=amount, duration=duration, strategy=strategy
            ),
            options,
        )

    def delete(
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
        return self._executor.send(
            types.SpendingLimitDeleteParams(account_id=account_id), options
        )


class SpendingLimitResourceWithRawResponse(RawView):
    """The methods of `SpendingLimitResource`, returning HTTP responses."""

    @raw(SpendingLimitResource.get)
    def get(self) -> None:
        """See `SpendingLimitResource.get`."""

    @deprecated(_RETIRED)
    @raw(SpendingLimitResource.create)  # pyright: ignore[reportDeprecated]
    def create(self) -> None:
        """See `SpendingLimitResource.create`."""

    @raw(SpendingLimitResource.delete)
    def delete(self) -> None:
        """See `SpendingLimitResource.delete`."""


class SpendingLimitResourceWithStreamingResponse(StreamingView):
    """The methods of `SpendingLimitResource`, returning HTTP responses that are not read yet."""

    @streamed(SpendingLimitResource.get)
    def get(self) -> None:
        """See `SpendingLimitResource.get`."""

    @deprecated(_RETIRED)
    @streamed(SpendingLimitResource.create)  # pyright: ignore[reportDeprecated]
    def create(self) -> None:
        """See `SpendingLimitResource.create`."""

    @streamed(SpendingLimitResource.delete)
    def delete(self) -> None:
        """See `SpendingLimitResource.delete`."""


class BillingResource(Resource):
    """Credit balance, usage and invoices."""

    @cached_property
    def with_raw_response(self) -> BillingResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return BillingResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> BillingResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return BillingResourceWithStreamingResponse(self._executor)

    @cached_property
    def topup(self) -> TopupResource:
        """Top-ups."""
        return TopupResource(self._executor)

    @cached_property
    def spending_limit(self) -> SpendingLimitResource:
        """The spending limit."""
        return SpendingLimitResource(self._executor)

    def credit_balance(
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
        return self._executor.send(BillingCreditBalanceParams(account_id=account_id), options)

    def usage_history(
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
        return self._executor.send(
            types.BillingUsageHistoryParams(
                account_id=account_id,
                value_grouping_window=value_grouping_window,
                start_time=start_time,
                end_time=end_time,
            ),
            options,
        )

    def invoice_history(
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
        return self._executor.send(
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
    ) -> InvoicePaginator:
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
        from .paging import InvoicePaginator

        return InvoicePaginator(
            self._executor,
            types.BillingInvoiceHistoryParams(
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

        return run_sweep(
            self._executor,
            credit_balances(account_ids),
            concurrency=concurrency,
            reserve=reserve,
            progress=progress,
        )

    def usage_histories(
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
        return run_sweep(
            self._executor,
            usage_histories(account_ids, params),
            concurrency=concurrency,
            reserve=reserve,
            progress=progress,
        )

    def runway(
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
        from .._async.runway import runway

        return self._executor.run(runway, account_id=account_id, history=history)

    def runways(
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

        return run_sweep(
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
    ) -> Metrics:
        """Serve the balances and usage of many accounts to Prometheus; needs the extra `metrics`.

            with billing.metrics() as metrics:
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
        from .metrics import Metrics
        from .._async.refreshing import Refreshing

        refreshing = Refreshing(account_ids, refresh=refresh, runway=runway, reserve=reserve)
        return Metrics(self._executor, refreshing)

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
    ) -> Watch:
        """Watch the balances of accounts: an event when one is low, empty, topped up and so on.

            with client.ai_gateway.billing.watch(state=load()) as watch:
                for event in watch:
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
        from .watch import Watch
        from .._async.watching import Watching

        watching = Watching(
            account_ids,
            low=low,
            runway=runway,
            state=state,
            interval=interval,
            reserve=reserve,
            once=once,
        )
        return Watch(self._executor, watching)

    def invoice_preview(
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
        return self._executor.send(
            types.BillingInvoicePreviewParams(account_id=account_id),
            options,
        )


class BillingResourceWithRawResponse(RawView):
    """The methods of `BillingResource`, returning HTTP responses."""

    @cached_property
    def topup(self) -> TopupResourceWithRawResponse:
        """Top-ups."""
        return TopupResourceWithRawResponse(self._values)

    @cached_property
    def spending_limit(self) -> SpendingLimitResourceWithRawResponse:
        """The spending limit."""
        return SpendingLimitResourceWithRawResponse(self._values)

    @raw(BillingResource.credit_balance)
    def credit_balance(self) -> None:
        """See `BillingResource.credit_balance`."""

    @raw(BillingResource.usage_history)
    def usage_history(self) -> None:
        """See `BillingResource.usage_history`."""

    @raw(BillingResource.invoice_history)
    def invoice_history(self) -> None:
        """See `BillingResource.invoice_history`."""

    @raw(BillingResource.invoice_preview)
    def invoice_preview(self) -> None:
        """See `BillingResource.invoice_preview`."""


class BillingResourceWithStreamingResponse(StreamingView):
    """The methods of `BillingResource`, returning HTTP responses that are not read yet."""

    @cached_property
    def topup(self) -> TopupResourceWithStreamingResponse:
        """Top-ups."""
        return TopupResourceWithStreamingResponse(self._values)

    @cached_property
    def spending_limit(self) -> SpendingLimitResourceWithStreamingResponse:
        """The spending limit."""
        return SpendingLimitResourceWithStreamingResponse(self._values)

    @streamed(BillingResource.credit_balance)
    def credit_balance(self) -> None:
        """See `BillingResource.credit_balance`."""

    @streamed(BillingResource.usage_history)
    def usage_history(self) -> None:
        """See `BillingResource.usage_history`."""

    @streamed(BillingResource.invoice_history)
    def invoice_history(self) -> None:
        """See `BillingResource.invoice_history`."""

    @streamed(BillingResource.invoice_preview)
    def invoice_preview(self) -> None:
        """See `BillingResource.invoice_preview`."""


class AIGatewayResource(Resource):
    """AI Gateway: this package covers its billing."""

    @cached_property
    def with_raw_response(self) -> AIGatewayResourceWithRawResponse:
        """The same methods; each returns the HTTP response."""
        return AIGatewayResourceWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> AIGatewayResourceWithStreamingResponse:
        """The same methods; each returns an HTTP response that is not read yet."""
        return AIGatewayResourceWithStreamingResponse(self._executor)

    @cached_property
    def billing(self) -> BillingResource:
        """Credit balance, usage, invoices, top-ups and the spending limit."""
        return BillingResource(self._executor)


class AIGatewayResourceWithRawResponse(RawView):
    """The methods of `AIGatewayResource`, returning HTTP responses."""

    @cached_property
    def billing(self) -> BillingResourceWithRawResponse:
        """Credit balance, usage, invoices, top-ups and the spending limit."""
        return BillingResourceWithRawResponse(self._values)


class AIGatewayResourceWithStreamingResponse(StreamingView):
    """The methods of `AIGatewayResource`, returning HTTP responses that are not read yet."""

    @cached_property
    def billing(self) -> BillingResourceWithStreamingResponse:
        """Credit balance, usage, invoices, top-ups and the spending limit."""
        return BillingResourceWithStreamingResponse(self._values)


class CloudflareWithRawResponse(RawView):
    """The methods of `Cloudflare`, answering with HTTP responses."""

    @cached_property
    def accounts(self) -> AccountsResourceWithRawResponse:
        """The accounts that the credentials can see."""
        return AccountsResourceWithRawResponse(self._values)

    @cached_property
    def ai_gateway(self) -> AIGatewayResourceWithRawResponse:
        """AI Gateway."""
        return AIGatewayResourceWithRawResponse(self._values)

    @raw(Calls.send)
    def send(self) -> None:
        """See `Cloudflare.send`."""

    @raw(Calls.get)
    def get(self) -> None:
        """See `Cloudflare.get`."""

    @raw(Calls.post)
    def post(self) -> None:
        """See `Cloudflare.post`."""

    @raw(Calls.put)
    def put(self) -> None:
        """See `Cloudflare.put`."""

    @raw(Calls.patch)
    def patch(self) -> None:
        """See `Cloudflare.patch`."""

    @raw(Calls.delete)
    def delete(self) -> None:
        """See `Cloudflare.delete`."""


class CloudflareWithStreamingResponse(StreamingView):
    """The methods of `Cloudflare`, answering with HTTP responses that are not read yet."""

    @cached_property
    def accounts(self) -> AccountsResourceWithStreamingResponse:
        """The accounts that the credentials can see."""
        return AccountsResourceWithStreamingResponse(self._values)

    @cached_property
    def ai_gateway(self) -> AIGatewayResourceWithStreamingResponse:
        """AI Gateway."""
        return AIGatewayResourceWithStreamingResponse(self._values)

    @streamed(Calls.send)
    def send(self) -> None:
        """See `Cloudflare.send`."""

    @streamed(Calls.get)
    def get(self) -> None:
        """See `Cloudflare.get`."""

    @streamed(Calls.post)
    def post(self) -> None:
        """See `Cloudflare.post`."""

    @streamed(Calls.put)
    def put(self) -> None:
        """See `Cloudflare.put`."""

    @streamed(Calls.patch)
    def patch(self) -> None:
        """See `Cloudflare.patch`."""

    @streamed(Calls.delete)
    def delete(self) -> None:
        """See `Cloudflare.delete`."""
