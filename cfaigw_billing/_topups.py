"""What takes several calls: waiting for a top-up, and finding out whether one was charged."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import anyio
from attrs import frozen

from ._config import check_seconds
from ._paging import AsyncInvoicePaginator
from .errors import (
    APIError,
    TopupConfirmationError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from .types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingInvoiceHistoryParams,
    Invoice,
    TopupCreateParams,
    TopupStatusParams,
    TopupStatusResponse,
)

if TYPE_CHECKING:
    from ._client import AsyncCloudflare

_log = logging.getLogger("cfaigw_billing")

CLOCK_SKEW = timedelta(minutes=10)
"""How far this machine's clock may be from the service's."""
PROMPT = timedelta(minutes=15)
"""How long after a charge its invoice is still taken for its own without a question."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
"""Seconds between two looks at a top-up; each pause is half as long again as the one before."""


@frozen(kw_only=True)
class TopupReconciliation:
    """What the account shows of a top-up whose answer was lost, and what follows from it."""

    outcome: Literal["charged", "not_found_yet", "ambiguous"]
    """What is known.

    - `charged`: exactly one paid invoice of this amount was made in the minutes after the charge
      was sent. Do not send the top-up again. (Of two lost charges alike, one invoice answers for
      one only.)
    - `not_found_yet`: none fits. Invoices appear when a top-up completes, so ask again for some
      minutes before you take it for "not charged".
    - `ambiguous`: several may be it, or one that is not paid, or was made some minutes before or
      long after the charge. A person has to look.
    """
    invoices: tuple[Invoice, ...]
    """The manual invoices of this amount that may be that of the charge: the evidence."""
    balance: BillingCreditBalanceResponse
    """The account's balance now."""

    @property
    def payment_intent_id(self) -> str | None:
        """What to ask `topup.status` about, if the top-up was charged."""
        return self.invoices[0].id if self.outcome == "charged" else None


async def reconcile(client: AsyncCloudflare, error: BaseException) -> TopupReconciliation:
    """Look through the manual invoices for the charge that `error` is about."""
    lost = error if isinstance(error, TopupOutcomeUnknownError) else _cause(error)
    params = BillingInvoiceHistoryParams(
        account_id=lost.account_id, type="manual", page=1, per_page=50
    )
    invoices: dict[object, Invoice] = {}  # by id: one may move to the next page meanwhile
    async for invoice in AsyncInvoicePaginator(client, params, {}):
        if _may_be(invoice, lost):
            invoices[invoice.id or invoice] = invoice
    balance = await client.send(BillingCreditBalanceParams(account_id=lost.account_id))
    found = tuple(invoices.values())
    return TopupReconciliation(outcome=_outcome(found, lost), invoices=found, balance=balance)


def _cause(interrupt: object) -> TopupOutcomeUnknownError:
    """The error that an interrupted charge leaves in the cancellation or the KeyboardInterrupt."""
    cause = getattr(interrupt, "__cause__", None)
    if not isinstance(cause, TopupOutcomeUnknownError):
        raise TypeError(
            f"`error` must be a TopupOutcomeUnknownError, or an interrupt that was caused by one, "
            f"not {type(interrupt).__name__}"
        )
    return cause


def _may_be(invoice: Invoice, error: TopupOutcomeUnknownError) -> bool:
    """Whether an invoice is worth a look; one without a time always is."""
    created = _created(invoice)
    recent = created is None or created >= error.sent_at - CLOCK_SKEW
    return recent and invoice.amount_due == error.amount


def _is(invoice: Invoice, error: TopupOutcomeUnknownError) -> bool:
    """Whether an invoice is that of the charge beyond reasonable doubt."""
    created = _created(invoice)
    # The service counts whole seconds, so its time may lie a fraction of one before ours.
    first = error.sent_at.replace(microsecond=0)
    return (
        created is not None
        and first <= created <= error.sent_at + PROMPT
        and invoice.amount_paid >= error.amount
        and invoice.status in ("paid", None)
        and invoice.currency.upper() == "USD"
    )


def _outcome(
    invoices: tuple[Invoice, ...], error: TopupOutcomeUnknownError
) -> Literal["charged", "not_found_yet", "ambiguous"]:
    if not invoices:
        return "not_found_yet"
    return "charged" if len(invoices) == 1 and _is(invoices[0], error) else "ambiguous"


def _created(invoice: Invoice) -> datetime | None:
    try:
        return invoice.created_datetime
    except OverflowError:  # a number that is no time
        return None


async def wait(
    client: AsyncCloudflare,
    *,
    account_id: str | None,
    payment_intent_id: str,
    timeout: float | None,
) -> TopupStatusResponse:
    """Ask for the status of a top-up until it is no longer pending."""
    check_seconds("timeout", timeout)
    params = TopupStatusParams(account_id=account_id, payment_intent_id=payment_intent_id)
    clock = client._executor.clock  # pyright: ignore[reportPrivateUsage]
    pause = FIRST_PAUSE
    try:
        with anyio.fail_after(timeout):
            while (status := await client.send(params)).status == "pending":
                await clock.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
    except TimeoutError:
        raise TopupPendingError(payment_intent_id) from None
    except BaseException as error:
        error.add_note(f"payment_intent_id: {payment_intent_id}")
        if not isinstance(error, Exception):  # a cancellation may never be seen by anyone
            _log.warning("the wait for top-up %s was ended by %r", payment_intent_id, error)
        raise
    return status


async def create_and_wait(
    client: AsyncCloudflare,
    *,
    account_id: str | None,
    amount: int,
    payment_method_id: str | None,
    timeout: float | None,
) -> TopupStatusResponse:
    """Charge a card and wait for the credit."""
    check_seconds("timeout", timeout)  # before there is a charge
    params = TopupCreateParams(
        account_id=account_id, amount=amount, payment_method_id=payment_method_id
    )
    created = await client.send(params)
    payment_intent_id = created.payment_intent_id
    if created.client_secret is not None:
        raise TopupConfirmationError(payment_intent_id, created.client_secret)
    try:
        return await wait(
            client, account_id=account_id, payment_intent_id=payment_intent_id, timeout=timeout
        )
    except (APIError, ValueError) as error:  # they speak of a question, not of the charge
        raise TopupPendingError(payment_intent_id) from error
