"""Search for the invoice of a lost charge, and settle its entry in the journal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from .. import types
from .._core.journal import Entry, Journal, Step, decide
from .._core.pages import INVOICES, PageTurner
from .._core.reconciliation import (
    CLOCK_SKEW,
    PROMPT,
    LostCharge,
    TopupReconciliation,
    TopupRecovery,
    charge_of_entry,
    judge,
)
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
            outcome = "ambiguous"  # the list may lack the invoice of the charge
        return TopupReconciliation(
            outcome=outcome,
            invoices=evidence,
            balance=self.balance,
            balance_error=self.balance_error,
        )


async def look_for(executor: Executor, charge: LostCharge) -> Evidence:
    """Read the evidence about a charge from the service."""
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
    known: dict[str, types.Invoice] = {}  # by id: an invoice may come again on the next page
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
    """Return the balance, or the error: the invoices are evidence even without it."""
    try:
        return await executor.send(BillingCreditBalanceParams(account_id=account_id), {}), None
    except APIError as error:
        return None, error.with_traceback(None)


def _by_the_services_clock(executor: Executor, charge: LostCharge) -> LostCharge:
    """Add the time of the charge by the service's clock, which is known after an answer."""
    service_clock, clock = executor.service_clock, executor.clock
    charge = charge.read_again(service_clock.corrected(charge.moments[-1], clock))
    moments = charge.moments
    if min(moments) > max(clock.now(), service_clock.corrected(clock.now(), clock)) + CLOCK_SKEW:
        raise ValueError(
            f"`sent_at` is {min(moments)}, which is in the future: no invoice can be found by it"
        )
    return charge


# Entries of the journal.


@frozen(kw_only=True)
class Settlement:
    """An entry after the search for its invoice."""

    entry: Entry
    """The current entry."""
    reconciliation: TopupReconciliation
    """The evidence."""


async def settle(
    executor: Executor, journal: Journal, entry: Entry, older_than: timedelta | None = None
) -> Settlement:
    """Look for the invoice of an entry, and record the result.

    Invoices of other keys do not count. While another charge of the account is in flight, a new
    invoice may belong to it, so the outcome is `ambiguous`. It is `ambiguous` too if the invoice
    has no id. The invoices that fit are shared out among lost charges of the same amount.

    Args:
        executor: The executor that asks the service.
        journal: The journal that holds the entry.
        entry: The entry; its sender is gone.
        older_than: If a search this long after the first search still finds no invoice, nothing
            was charged. `None`: never conclude that.
    """
    evidence = await look_for(executor, charge_of_entry(entry))
    # Read after the invoices: a charge with an invoice by then is in flight or recorded here.
    others = [
        other
        for other in await journal.entries(account_id=entry.account_id)
        if other.key != entry.key and other.base_url == entry.base_url
    ]
    found = _conclusion(evidence, entry, others, executor.clock.now())
    return await _record(executor, journal, entry, found, older_than)


def _conclusion(
    evidence: Evidence, entry: Entry, others: Sequence[Entry], now: datetime
) -> TopupReconciliation:
    taken: set[str | None] = {o.payment_intent_id for o in others if o.payment_intent_id}
    found = evidence.judged(taken)
    if found.outcome == "ambiguous":
        twins = [other for other in others if _is_twin(entry, other, now)]
        found = _shared_out(evidence, entry, twins, taken, found)
    in_flight = any(o.state == "sent" and decide(o, now) is Step.WAIT for o in others)
    # Without an id, the same invoice could settle another key too.
    has_no_id = found.outcome == "charged" and not found.payment_intent_id
    is_doubtful = has_no_id or (in_flight and found.invoices)
    return evolve(found, outcome="ambiguous") if is_doubtful else found


def _is_twin(entry: Entry, other: Entry, now: datetime) -> bool:
    """Return whether `other` is also a lost charge, whose invoice would look the same."""
    apart = (other.sent_at or other.created_at) - (entry.sent_at or entry.created_at)
    alike = other.amount == entry.amount and abs(apart) <= PROMPT
    return alike and decide(other, now) is Step.RECONCILE


def _shared_out(
    evidence: Evidence,
    entry: Entry,
    twins: Sequence[Entry],
    taken: set[str | None],
    found: TopupReconciliation,
) -> TopupReconciliation:
    """Share out the invoices among lost charges of the same amount, in the order of sending.

    It does not matter which charge gets which invoice, as long as each invoice settles only one.
    If there are more invoices than lost charges, one belongs to another charge: a person must
    decide.
    """
    ids = [i.id for i in sorted(found.invoices, key=lambda i: i.created or 0) if i.id]
    fitting = [i for i in ids if evidence.judged(taken | {*ids} - {i}).outcome == "charged"]
    if not fitting or len(fitting) > 1 + len(twins):
        return found
    before = sum((t.sent_at or t.created_at) < (entry.sent_at or entry.created_at) for t in twins)
    own = fitting[min(before, len(fitting) - 1)]
    return evidence.judged(taken | {*fitting} - {own})


async def recover_one(
    executor: Executor, journal: Journal, entry: Entry, older_than: timedelta
) -> TopupRecovery:
    """Settle an open entry, if that is possible now."""
    step = decide(entry, executor.clock.now())
    try:
        if step is Step.RECONCILE:
            settled = await settle(executor, journal, entry, older_than)
            return TopupRecovery(entry=settled.entry, reconciliation=settled.reconciliation)
        if step is Step.SEND:  # claimed but never sent, and the sender is gone
            new = entry.as_not_charged()
            is_stored = await journal.replace(entry, new)
            entry = new if is_stored else await journal.find(entry.key) or entry
    except Exception as error:
        return TopupRecovery(entry=entry, error=error)
    return TopupRecovery(entry=entry)


async def _record(
    executor: Executor,
    journal: Journal,
    entry: Entry,
    found: TopupReconciliation,
    older_than: timedelta | None,
) -> Settlement:
    new = evolve(entry, state="unknown", version=entry.version + 1)
    if found.outcome == "charged":
        new = entry.as_charged(found.payment_intent_id or "")
    elif found.outcome == "not_found_yet":
        now = executor.service_clock.now(executor.clock)
        since = entry.not_found_at or now
        settled = older_than is not None and now - since >= older_than
        new = evolve(new, state="not_charged" if settled else "unknown", not_found_at=since)
    elif entry.not_found_at is not None:
        new = evolve(new, not_found_at=None)
    if evolve(new, version=entry.version) == entry or await journal.replace(entry, new):
        return Settlement(entry=new, reconciliation=found)
    current = await journal.find(entry.key) or entry
    if current == entry:  # another key has just taken that invoice
        found = evolve(found, outcome="ambiguous")
    return Settlement(entry=current, reconciliation=found)
