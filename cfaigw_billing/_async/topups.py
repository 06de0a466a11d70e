"""What takes several calls: waiting for a top-up, and finding out whether one was charged."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import anyio
from attrs import evolve

from .._core.config import check_seconds
from .._core.reconciliation import CLOCK_SKEW, LostCharge, TopupReconciliation, judge
from ..errors import (
    APIError,
    TopupConfirmationError,
    TopupFailedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from ..types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingInvoiceHistoryParams,
    Invoice,
    TopupCreateParams,
    TopupStatusParams,
    TopupStatusResponse,
)
from ..types._validators import check_whole
from .paging import AsyncInvoicePaginator

if TYPE_CHECKING:
    from .client import AsyncCloudflare

_log = logging.getLogger("cfaigw_billing")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
"""Seconds between two looks at a top-up; each pause is half as long again as the one before."""

FAILED = frozenset(
    {"failed", "failure", "payment_failed", "declined", "denied", "rejected", "aborted", "expired"}
    | {"canceled", "cancelled", "void", "voided", "uncollectible", "refunded", "reversed"}
)
"""The statuses after which no credit comes. `completed` and `pending` alone are documented."""


async def reconcile(
    client: AsyncCloudflare,
    error: BaseException | None,
    *,
    account_id: str | None,
    amount: int | None,
    sent_at: datetime | None,
    exclude: Iterable[str],
) -> TopupReconciliation:
    """Look through the manual invoices for a charge whose answer was lost."""
    others = _ids(exclude)
    if error is None:
        charge = _charge_of_facts(account_id, amount, sent_at)
    else:
        _check_absent(account_id=account_id, amount=amount, sent_at=sent_at)
        charge = _charge_of_error(client, error)
    invoices = await _manual_invoices(client, charge.account_id)
    charge = _by_the_services_clock(client, charge)
    balance, balance_error = await _balance(client, charge.account_id)
    outcome, evidence = judge(charge, (i for i in invoices if i.id not in others), balance)
    return TopupReconciliation(
        outcome=outcome, invoices=evidence, balance=balance, balance_error=balance_error
    )


async def _manual_invoices(client: AsyncCloudflare, account_id: str | None) -> list[Invoice]:
    """Each of them once; two that have no id are two, however alike."""
    params = BillingInvoiceHistoryParams(account_id=account_id, type="manual", page=1, per_page=50)
    known: dict[str, Invoice] = {}  # one may move to the next page meanwhile
    nameless: list[Invoice] = []
    async for page in AsyncInvoicePaginator(client, params, {}).pages():
        known |= {invoice.id: invoice for invoice in page.invoices if invoice.id}
        nameless += [invoice for invoice in page.invoices if not invoice.id]
    return [*known.values(), *nameless]


async def _balance(
    client: AsyncCloudflare, account_id: str | None
) -> tuple[BillingCreditBalanceResponse | None, APIError | None]:
    """The balance, or why there is none: what the invoices say does not depend on it."""
    try:
        return await client.send(BillingCreditBalanceParams(account_id=account_id)), None
    except APIError as error:
        return None, error.with_traceback(None)


def _by_the_services_clock(client: AsyncCloudflare, charge: LostCharge) -> LostCharge:
    """The charge with one more reading of its moment, now that the service has told its time."""
    executor = client._executor  # pyright: ignore[reportPrivateUsage]
    heard, clock = executor.service_clock, executor.clock
    moments = (*charge.moments, heard.corrected(charge.moments[-1], clock))
    if min(moments) > max(clock.now(), heard.corrected(clock.now(), clock)) + CLOCK_SKEW:
        raise ValueError(
            f"`sent_at` is {min(moments)}, which is in the future: no invoice can be found by it"
        )
    return evolve(charge, moments=moments)


# The facts of a charge.


def _charge_of_facts(
    account_id: str | None, amount: int | None, sent_at: datetime | None
) -> LostCharge:
    for name, fact in (("amount", amount), ("sent_at", sent_at)):
        if fact is None:
            raise TypeError(f"`{name}` is missing: pass `error`, or else the facts of the charge")
    check_whole("amount", amount, 1, unit="cents")
    if not isinstance(sent_at, datetime):
        raise TypeError(f"`sent_at` must be an aware datetime, not {type(sent_at).__name__}")
    if sent_at.utcoffset() is None:
        raise ValueError(f"`sent_at` must be an aware datetime (with a tzinfo), got {sent_at!r}")
    return LostCharge(account_id=account_id, amount=cast("int", amount), moments=(sent_at,))


def _check_absent(**facts: object) -> None:
    for name, fact in facts.items():
        if fact is not None:
            raise TypeError(f"`{name}` must not be passed with `error`, which knows it")


def _charge_of_error(client: AsyncCloudflare, error: BaseException) -> LostCharge:
    found = _lost_charges(error)
    if not found:
        raise TypeError(
            f"`error` must be a TopupOutcomeUnknownError, or an error that was caused by one, "
            f"not {type(error).__name__}"
        )
    if len(found) > 1:
        raise ValueError(
            f"`error` holds {len(found)} lost charges: pass each TopupOutcomeUnknownError by itself"
        )
    lost = found[0]
    if not client._executor.asks(lost.request.url):  # pyright: ignore[reportPrivateUsage]
        raise ValueError(
            f"`error` is of a charge at {lost.request.url}, where this client does not ask: use "
            f"one with the `base_url` of the charge"
        )
    by_machine = lost.request.sent_at or lost.sent_at
    return LostCharge(
        account_id=lost.account_id, amount=lost.amount, moments=(lost.sent_at, by_machine)
    )


def _lost_charges(error: object) -> list[TopupOutcomeUnknownError]:
    """Those that an error is, was caused by, or holds, at any depth."""
    found: list[TopupOutcomeUnknownError] = []
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, TopupOutcomeUnknownError):
            found.append(each)
            continue
        left += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", each).exceptions
    return found


def _ids(exclude: Iterable[str]) -> frozenset[str | None]:
    given: Any = exclude
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"`exclude` must be an iterable of invoice ids, not {type(given).__name__}")
    ids: frozenset[Any] = frozenset(exclude)
    for each in ids:
        if not isinstance(each, str):
            raise TypeError(f"`exclude` must hold invoice ids (str), not {type(each).__name__}")
    return ids


async def wait(
    client: AsyncCloudflare,
    *,
    account_id: str | None,
    payment_intent_id: str,
    timeout: float | None,
    amount: int | None = None,
) -> TopupStatusResponse:
    """Ask for the status of a top-up until it has completed or failed."""
    check_seconds("timeout", timeout)
    params = TopupStatusParams(account_id=account_id, payment_intent_id=payment_intent_id)
    executor = client._executor  # pyright: ignore[reportPrivateUsage]
    account_id = executor.account_id(params)
    pause = FIRST_PAUSE
    try:
        with anyio.fail_after(timeout):
            while not _has_ended(answer := await client.send(params)):
                await executor.clock.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
    except TimeoutError:
        raise TopupPendingError(payment_intent_id, account_id=account_id, amount=amount) from None
    except BaseException as error:
        error.add_note(f"payment_intent_id: {payment_intent_id}")
        if not isinstance(error, Exception):  # a cancellation may never be seen by anyone
            _log.warning("the wait for top-up %s was ended by %r", payment_intent_id, error)
        raise
    if answer.status != "completed":
        raise TopupFailedError(
            answer.status, payment_intent_id, account_id=account_id, amount=amount
        )
    return answer


def _has_ended(answer: TopupStatusResponse) -> bool:
    return answer.status == "completed" or answer.status.lower() in FAILED


async def create_and_wait(
    client: AsyncCloudflare,
    *,
    account_id: str | None,
    amount: int,
    payment_method_id: str | None,
    timeout: float | None,
) -> TopupStatusResponse:
    """Charge a card for credit and wait for the credit."""
    check_seconds("timeout", timeout)  # before there is a charge
    params = TopupCreateParams(
        account_id=account_id, amount=amount, payment_method_id=payment_method_id
    )
    account_id = client._executor.account_id(params)  # pyright: ignore[reportPrivateUsage]
    created = await client.send(params)
    payment_intent_id = created.payment_intent_id
    if created.client_secret is not None:
        raise TopupConfirmationError(
            payment_intent_id, created.client_secret, account_id=account_id, amount=amount
        )
    try:
        return await wait(
            client,
            account_id=account_id,
            payment_intent_id=payment_intent_id,
            timeout=timeout,
            amount=amount,
        )
    except (APIError, ValueError) as error:  # they speak of a question, not of the charge
        raise TopupPendingError(payment_intent_id, account_id=account_id, amount=amount) from error
