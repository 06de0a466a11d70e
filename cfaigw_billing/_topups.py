"""What takes several calls: finding out whether a top-up was charged."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from ._paging import invoice_pages
from .errors import TopupOutcomeUnknownError
from .types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingInvoiceHistoryParams,
    Invoice,
)

if TYPE_CHECKING:
    from ._client import AsyncCloudflare

CLOCK_SKEW = timedelta(minutes=2)
"""How far this machine's clock may be ahead of the service's."""


@frozen(kw_only=True)
class TopupReconciliation:
    """What the account shows of a top-up whose answer was lost, and what follows from it."""

    outcome: Literal["charged", "not_found_yet", "ambiguous"]
    """What is known.

    - `charged`: exactly one paid invoice fits. Do not send the top-up again.
    - `not_found_yet`: none fits. Invoices appear when a top-up completes, so ask again for some
      minutes before you take it for "not charged".
    - `ambiguous`: several fit, or one that is not paid or lies before the charge by the clocks.
      A person has to look.
    """
    invoices: tuple[Invoice, ...]
    """The manual invoices of this amount since the charge was sent: the evidence."""
    balance: BillingCreditBalanceResponse = field()
    """The account's balance now."""

    @property
    def payment_intent_id(self) -> str | None:
        """What to ask `topup.status` about, if the top-up was charged."""
        return self.invoices[0].id if self.outcome == "charged" else None


async def reconcile(
    client: AsyncCloudflare, error: TopupOutcomeUnknownError
) -> TopupReconciliation:
    """Look through the manual invoices for the charge that `error` is about."""
    params = BillingInvoiceHistoryParams(
        account_id=error.account_id, type="manual", page=1, per_page=50
    )
    invoices: dict[object, Invoice] = {}  # by id: one may move to the next page meanwhile
    async for page in invoice_pages(client, params):
        fitting = [invoice for invoice in page.invoices if _fits(invoice, error)]
        invoices |= {invoice.id or invoice: invoice for invoice in fitting}
    balance = await client.send(BillingCreditBalanceParams(account_id=error.account_id))
    found = tuple(invoices.values())
    return TopupReconciliation(outcome=_outcome(found, error), invoices=found, balance=balance)


def _fits(invoice: Invoice, error: TopupOutcomeUnknownError) -> bool:
    """Whether an invoice may be that of the charge; one without a time may always be."""
    created = _created(invoice)
    recent = created is None or created >= error.sent_at - CLOCK_SKEW
    return recent and invoice.amount_due == error.amount


def _outcome(
    invoices: tuple[Invoice, ...], error: TopupOutcomeUnknownError
) -> Literal["charged", "not_found_yet", "ambiguous"]:
    if not invoices:
        return "not_found_yet"
    [invoice, *others] = invoices
    created = _created(invoice)
    # The service counts whole seconds, so its time may lie a fraction of one before ours.
    after = created is not None and created >= error.sent_at.replace(microsecond=0)
    paid = invoice.amount_paid >= error.amount
    return "charged" if after and paid and not others else "ambiguous"


def _created(invoice: Invoice) -> datetime | None:
    try:
        return invoice.created_datetime
    except OverflowError:  # a number that is no time
        return None
