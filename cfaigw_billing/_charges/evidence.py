"""Collect the evidence about a lost charge: the account's manual invoices and its balance."""

from __future__ import annotations

from collections.abc import Collection

from attrs import frozen

from .. import types
from .._core.pages import INVOICES, PageTurner
from .._core.reconciliation import CLOCK_SKEW, LostCharge, TopupReconciliation, judge
from .._io.executor import Executor
from ..errors import APIError
from ..types import BillingCreditBalanceParams, BillingCreditBalanceResponse


@frozen(kw_only=True)
class Evidence:
    """The evidence about one charge."""

    charge: LostCharge
    invoices: list[types.Invoice]
    is_complete: bool
    """Whether `invoices` holds all manual invoices of the account."""
    balance: BillingCreditBalanceResponse | None
    balance_error: APIError | None

    def judged(self, exclude: Collection[str | None]) -> TopupReconciliation:
        """Return the conclusion. The invoices in `exclude` belong to other charges."""
        invoices = (invoice for invoice in self.invoices if invoice.id not in exclude)
        outcome, evidence = judge(self.charge, invoices, self.balance)
        if outcome == "not_found_yet" and not self.is_complete:
            outcome = "ambiguous"  # the charge's invoice may be among those that were not listed
        return TopupReconciliation(
            outcome=outcome,
            invoices=evidence,
            balance=self.balance,
            balance_error=self.balance_error,
        )


async def look_for(executor: Executor, charge: LostCharge) -> Evidence:
    """Ask the service for the evidence about a charge."""
    invoices, is_complete = await _manual_invoices(executor, charge.account_id)
    charge = _by_the_services_clock(executor, charge)
    balance, balance_error = await _balance(executor, charge.account_id)
    return Evidence(
        charge=charge,
        invoices=invoices,
        is_complete=is_complete,
        balance=balance,
        balance_error=balance_error,
    )


async def _manual_invoices(
    executor: Executor, account_id: str | None
) -> tuple[list[types.Invoice], bool]:
    """Return the manual invoices, each once, and whether the list is complete."""
    params = types.BillingInvoiceHistoryParams(
        account_id=account_id, type="manual", page=1, per_page=50
    )
    known: dict[str, types.Invoice] = {}  # by id: one may come again on the next page
    without_id: list[types.Invoice] = []
    total = 0
    has_more = False
    turner = PageTurner(params, INVOICES)
    while turner.params is not None:
        page = await executor.send(turner.params, {})
        if not turner.new(page):
            continue
        known |= {invoice.id: invoice for invoice in page.invoices if invoice.id}
        without_id += [invoice for invoice in page.invoices if not invoice.id]
        total, has_more = page.pagination.total_count, page.pagination.has_more
    found = [*known.values(), *without_id]
    return found, not has_more and len(found) >= total


async def _balance(
    executor: Executor, account_id: str | None
) -> tuple[BillingCreditBalanceResponse | None, APIError | None]:
    """Return the balance, or the error. The invoices are evidence without it too."""
    try:
        return await executor.send(BillingCreditBalanceParams(account_id=account_id), {}), None
    except APIError as error:
        return None, error.with_traceback(None)


def _by_the_services_clock(executor: Executor, charge: LostCharge) -> LostCharge:
    """Add the time of the charge by the service's clock, now that an answer has told it."""
    heard, clock = executor.service_clock, executor.clock
    charge = charge.read_again(heard.corrected(charge.moments[-1], clock))
    moments = charge.moments
    if min(moments) > max(clock.now(), heard.corrected(clock.now(), clock)) + CLOCK_SKEW:
        raise ValueError(
            f"`sent_at` is {min(moments)}, which is in the future: no invoice can be found by it"
        )
    return charge
