"""Work of several calls: wait for a top-up, and find out whether a lost one was charged."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

import anyio
from attrs import evolve

from .. import types
from .._core.options import check_seconds
from .._core.reconciliation import (
    CLOCK_SKEW,
    LostCharge,
    TopupReconciliation,
    charge_of_error,
    charge_of_facts,
    check_absent,
    invoice_ids,
    judge,
)
from .._io.executor import Executor
from ..errors import (
    APIError,
    TopupConfirmationError,
    TopupFailedError,
    TopupPendingError,
)
from ..types import BillingCreditBalanceParams, BillingCreditBalanceResponse, Money
from .paging import AsyncInvoicePaginator

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
    executor: Executor,
    error: BaseException | None,
    *,
    account_id: str | None,
    amount: int | Money | None,
    sent_at: datetime | None,
    exclude: Iterable[str],
) -> TopupReconciliation:
    """Look through the manual invoices for a charge whose answer was lost."""
    others = invoice_ids(exclude)
    if error is None:
        charge = charge_of_facts(account_id, amount, sent_at)
    else:
        check_absent(account_id=account_id, amount=amount, sent_at=sent_at)
        charge = charge_of_error(error, executor.asks)
    invoices, complete = await _manual_invoices(executor, charge.account_id)
    charge = _by_the_services_clock(executor, charge)
    balance, balance_error = await _balance(executor, charge.account_id)
    outcome, evidence = judge(charge, (i for i in invoices if i.id not in others), balance)
    if outcome == "not_found_yet" and not complete:
        outcome = "ambiguous"  # the charge's invoice may be among those that were not listed
    return TopupReconciliation(
        outcome=outcome, invoices=evidence, balance=balance, balance_error=balance_error
    )


async def _manual_invoices(
    executor: Executor, account_id: str | None
) -> tuple[list[types.Invoice], bool]:
    """Return each of them once, and whether these are all. Two without an id are two invoices."""
    params = types.BillingInvoiceHistoryParams(
        account_id=account_id, type="manual", page=1, per_page=50
    )
    known: dict[str, types.Invoice] = {}  # one may move to the next page meanwhile
    nameless: list[types.Invoice] = []
    total = 0
    has_more = False
    async for page in AsyncInvoicePaginator(executor, params, {}).pages():
        known |= {invoice.id: invoice for invoice in page.invoices if invoice.id}
        nameless += [invoice for invoice in page.invoices if not invoice.id]
        total, has_more = page.pagination.total_count, page.pagination.has_more
    found = [*known.values(), *nameless]
    return found, not has_more and len(found) >= total


async def _balance(
    executor: Executor, account_id: str | None
) -> tuple[BillingCreditBalanceResponse | None, APIError | None]:
    """The balance, or why there is none: what the invoices say does not depend on it."""
    try:
        return await executor.send(BillingCreditBalanceParams(account_id=account_id), {}), None
    except APIError as error:
        return None, error.with_traceback(None)


def _by_the_services_clock(executor: Executor, charge: LostCharge) -> LostCharge:
    """The charge with one more reading of its moment, now that the service has told its time."""
    heard, clock = executor.service_clock, executor.clock
    moments = (*charge.moments, heard.corrected(charge.moments[-1], clock))
    if min(moments) > max(clock.now(), heard.corrected(clock.now(), clock)) + CLOCK_SKEW:
        raise ValueError(
            f"`sent_at` is {min(moments)}, which is in the future: no invoice can be found by it"
        )
    return evolve(charge, moments=moments)


async def wait(
    executor: Executor,
    *,
    account_id: str | None,
    payment_intent_id: str,
    timeout: float | None,
    amount: int | None = None,
) -> types.TopupStatusResponse:
    """Ask for the status of a top-up until it has completed or failed."""
    check_seconds("timeout", timeout)
    params = types.TopupStatusParams(account_id=account_id, payment_intent_id=payment_intent_id)
    account_id = executor.account_id(params)
    pause = FIRST_PAUSE
    try:
        with anyio.fail_after(timeout):
            while not _has_ended(answer := await _status(executor, params)):
                await executor.clock.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
            executor.recent.changed(account_id)  # its credit has just come
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


async def _status(executor: Executor, params: types.TopupStatusParams) -> types.TopupStatusResponse:
    """Ask once; another top-up may have completed while this one has not."""
    answer = await executor.execute(params, {})
    status = answer.parse()
    if status.payment_intent_id != params.payment_intent_id:
        raise answer.unfit(
            f"result.payment_intent_id: expected {params.payment_intent_id!r}, "
            f"got {status.payment_intent_id!r:.80}"
        )
    return status


def _has_ended(answer: types.TopupStatusResponse) -> bool:
    return answer.status == "completed" or answer.status.lower() in FAILED


async def create_and_wait(
    executor: Executor,
    *,
    account_id: str | None,
    amount: int | Money,
    payment_method_id: str | None,
    timeout: float | None,
) -> types.TopupStatusResponse:
    """Charge a card for credit and wait for the credit."""
    check_seconds("timeout", timeout)  # before there is a charge
    params = types.TopupCreateParams(
        account_id=account_id, amount=amount, payment_method_id=payment_method_id
    )
    account_id, cents = executor.account_id(params), params.amount
    created = await executor.send(params, {})
    payment_intent_id = created.payment_intent_id
    if created.client_secret is not None:
        raise TopupConfirmationError(
            payment_intent_id, created.client_secret, account_id=account_id, amount=cents
        )
    try:
        return await wait(
            executor,
            account_id=account_id,
            payment_intent_id=payment_intent_id,
            timeout=timeout,
            amount=cents,
        )
    except (TopupPendingError, TopupFailedError):
        raise
    except Exception as error:  # it is about a question, not about the charge
        raise TopupPendingError(payment_intent_id, account_id=account_id, amount=cents) from error
    except BaseException as interrupt:
        if interrupt.__cause__ is None:
            interrupt.__cause__ = TopupPendingError(
                payment_intent_id, account_id=account_id, amount=cents
            )
        raise
