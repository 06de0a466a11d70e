"""Find the invoice of a charge whose answer was lost. Nothing here is sent.

Only two facts about the charge are known: the credit and the time of sending. Each invoice is
compared with them:

- **Time.** An invoice fits if it was created between the time of sending and 15 minutes later, plus
  or minus 2 seconds, because the service counts whole seconds. It is near if it was created up to
  10 minutes before, because clocks differ. If two clocks are known to differ, either time may fit.
  A charge in a journal may have been sent by another machine, so the service's clock is used for
  it. If that time is not known, the charge may be a day older than recorded.
- **Price.** Credit costs a fee of 5 %, and tax in some places. It is not documented whether the
  amount of an invoice includes them. So two prices fit: the credit, and the credit with its fee. A
  higher price, up to 1.4 times the credit, may include tax. A customer credit lowers the amount
  due: then the price is the invoice's `total`.
- **Status and currency.** The invoice is paid, in US dollars.

`charged`: one invoice fits in time, price, status and currency, and no other invoice near the time
could belong to the charge. If only tax explains the price, another top-up could cost the same. Then
three more conditions must hold: the invoice was created within a minute, the balance is at least
the credit, and the price is not the price of a round credit. The balance alone proves nothing,
because the balance before and the spending since are not known.

`ambiguous`: a person must decide. A manual invoice is near the time, with any price; or a later one
costs no more than the charge could cost (a customer credit may have lowered its price).

`not_found_yet`: the list is complete and has no such invoice. A wrong `not_found_yet` leads to a
second charge; a wrong `charged` leads to credit that never arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from attrs import evolve, frozen

from .. import types
from ..errors import APIError, TopupOutcomeUnknownError
from ..types import BillingCreditBalanceResponse, Money
from ..types._validators import FEE, LEAST_TOPUP, MAX_CENTS, check_whole
from ..types.money import in_cents
from .journal import Entry

CLOCK_SKEW = timedelta(minutes=10)
"""The largest error of a clock that was not compared with the service's clock."""
BELIEVED = timedelta(days=1)
"""The largest error of any clock: a `Date` further away is ignored."""
ROUNDING = timedelta(seconds=2)
"""The largest difference of two synchronized clocks: the service counts whole seconds."""
PROMPT = timedelta(minutes=15)
"""The longest time from a charge to the creation of its invoice."""
AT_ONCE = timedelta(minutes=1)
"""The same, if only tax explains the price."""
MOST = 1.4
"""The highest price with fee and tax, as a multiple of the credit: a rough upper limit."""
ROUND = 500
"""Cents. People buy credit in multiples of five dollars."""


@frozen(kw_only=True)
class TopupReconciliation:
    """The evidence about a top-up whose answer was lost, and the conclusion."""

    outcome: Literal["charged", "not_found_yet", "ambiguous"]
    """The conclusion.

    - `charged`: exactly one paid invoice fits: it was created in the minutes after the charge was
      sent, with the price of that credit. Do not send the top-up again. (One invoice proves only
      one charge: `exclude` it when you ask about another charge of the same amount.)
    - `not_found_yet`: no manual invoice is near that time. The invoice appears when the top-up
      completes, so ask again for some minutes before you conclude "not charged".
    - `ambiguous`: manual invoices are near that time, or later ones have a possible price, but it
      is not certain that one belongs to the charge; or the service listed only some of the
      invoices. A person must decide.
    """
    invoices: tuple[types.Invoice, ...]
    """If `charged`, the invoice of the charge; else all invoices that may belong to it."""
    balance: BillingCreditBalanceResponse | None
    """The account's balance now; `None` if it could not be read (see `balance_error`)."""
    balance_error: APIError | None = None
    """Why the balance could not be read."""

    @property
    def payment_intent_id(self) -> str | None:
        """The id of the top-up for `topup.status`, if it was charged and its invoice has an id."""
        return self.invoices[0].id if self.outcome == "charged" else None


@frozen(kw_only=True)
class TopupRecovery:
    """The result of `topup.recover` for one top-up in the journal."""

    entry: Entry
    """The entry now; its `state` is the result."""
    reconciliation: TopupReconciliation | None = None
    """The evidence; `None` if none was needed, or there is an `error`."""
    error: Exception | None = None
    """Why the search for its invoice failed."""


@frozen(kw_only=True)
class LostCharge:
    """The known facts of a charge whose answer was lost."""

    account_id: str | None
    """The account; `None`: the client's."""
    amount: int
    """The requested credit, in cents."""
    moments: Sequence[datetime]
    """When it was sent, by the service's clock: all readings, if clocks differ."""
    wrong: datetime | None = None
    """A reading that is known to be wrong. It can make a charge `ambiguous`, never `charged`."""
    is_compared: bool = True
    """Whether the first reading comes from a clock that was compared with the service's."""
    may_be_early: timedelta = timedelta()
    """How long before all readings it may have been sent, if the clock was not compared."""

    @property
    def proof(self) -> Sequence[datetime]:
        """The readings that can prove that an invoice belongs to the charge."""
        return [moment for moment in self.moments if moment != self.wrong]

    def read_again(self, moment: datetime) -> LostCharge:
        """Return the charge with one more reading, from a clock that was compared meanwhile.

        If the last reading was not compared and is too far from this one, it is wrong.
        """
        charge = evolve(self, moments=(*self.moments, moment))
        far = CLOCK_SKEW < abs(moment - self.moments[-1]) < BELIEVED
        return evolve(charge, wrong=self.moments[-1]) if far and not self.is_compared else charge


def judge(
    charge: LostCharge,
    invoices: Iterable[types.Invoice],
    balance: BillingCreditBalanceResponse | None,
) -> tuple[Literal["charged", "not_found_yet", "ambiguous"], tuple[types.Invoice, ...]]:
    """Judge whether the charge was made. Return the outcome and the invoices that show it.

    Args:
        charge: The charge.
        invoices: The manual invoices of its account, without those that belong to other charges.
        balance: The balance of its account, if known.
    """
    evidence = [invoice for invoice in invoices if _is_evidence(invoice, charge)]
    rivals = [each for each in evidence if _is_near(each, charge) and _may_cost(each, charge)]
    if len(rivals) == 1 and _is(rivals[0], charge, balance):
        return "charged", (rivals[0],)
    return "ambiguous" if evidence else "not_found_yet", tuple(evidence)


def _is_evidence(invoice: types.Invoice, charge: LostCharge) -> bool:
    if _is_near(invoice, charge):
        return True
    created = _created(invoice)
    is_later = created is not None and created > min(charge.moments) - charge.may_be_early
    return is_later and (_price(invoice) <= charge.amount * MOST or not _is_usd(invoice))


def _is_near(invoice: types.Invoice, charge: LostCharge) -> bool:
    """Return whether it was created near the time of sending, or has no time."""
    return _created(invoice) is None or _made(invoice, charge.moments, CLOCK_SKEW, PROMPT)


def _is(
    invoice: types.Invoice, charge: LostCharge, balance: BillingCreditBalanceResponse | None
) -> bool:
    """Return whether the invoice certainly belongs to the charge."""
    paid = invoice.amount_paid >= invoice.amount_due and invoice.amount_remaining <= 0
    if not paid or invoice.status not in ("paid", None) or not _is_usd(invoice):
        return False
    price, credit = _price(invoice), charge.amount
    if not _made(invoice, charge.proof, ROUNDING, PROMPT):
        return False
    if _is_with_fee(price, credit):
        return True
    if price == credit:
        return not _is_with_fee(price, _round_credit(price / (1 + FEE)))
    return (
        _made(invoice, charge.proof, ROUNDING, AT_ONCE)
        and balance is not None
        and balance.balance >= credit
        and not _is_with_fee(price, _round_credit(price / (1 + FEE)))
        and price != _round_credit(price)
    )


def _made(
    invoice: types.Invoice, moments: Sequence[datetime], before: timedelta, after: timedelta
) -> bool:
    """Return whether it was created within `before` and `after` of one of the moments."""
    created = _created(invoice)
    return created is not None and any(
        moment - before <= created <= moment + after for moment in moments
    )


def _is_usd(invoice: types.Invoice) -> bool:
    return invoice.currency.upper() == "USD"


def _may_cost(invoice: types.Invoice, charge: LostCharge) -> bool:
    """Return whether the charge could cost this price; in another currency it always could."""
    in_range = charge.amount <= _price(invoice) <= charge.amount * MOST
    return in_range or not _is_usd(invoice)


def _is_with_fee(price: float, credit: float) -> bool:
    """Return whether the price is the credit and the fee, rounded either way."""
    return abs(price - credit * (1 + FEE)) <= 1


def _round_credit(cents: float) -> float:
    """Return the nearest round amount."""
    return round(cents / ROUND) * ROUND


def _price(invoice: types.Invoice) -> float:
    """Return the billed amount, in cents, before a customer credit."""
    total = invoice.extra.get("total")
    billed = total if isinstance(total, (int, float)) else 0.0
    return max(billed, invoice.amount_due)


def _created(invoice: types.Invoice) -> datetime | None:
    """Return when it was created; `None` if unknown (also zero)."""
    try:
        return invoice.created_datetime if (invoice.created or 0) > 0 else None
    except OverflowError:  # too large for a time
        return None


# The facts of a charge.


def charge_of_facts(
    account_id: str | None, amount: int | Money | None, sent_at: datetime | None
) -> LostCharge:
    """Return the charge that the caller describes; raise if a fact is missing or wrong."""
    for name, fact in (("amount", amount), ("sent_at", sent_at)):
        if fact is None:
            raise TypeError(f"`{name}` is missing: pass `error`, or else `amount` and `sent_at`")
    cents = in_cents("amount", amount)
    check_whole("amount", cents, LEAST_TOPUP, MAX_CENTS, "cents")  # 50 is hardly 50 cents
    if not isinstance(sent_at, datetime):
        raise TypeError(f"`sent_at` must be an aware datetime, not {type(sent_at).__name__}")
    if sent_at.utcoffset() is None:
        raise ValueError(f"`sent_at` must be an aware datetime (with a tzinfo), got {sent_at!r}")
    return LostCharge(account_id=account_id, amount=cents, moments=(sent_at,))


def check_absent(**facts: object) -> None:
    """Raise if a fact is passed together with the error that holds it."""
    for name, fact in facts.items():
        if fact is not None:
            raise TypeError(f"`{name}` must not be passed with `error`, which has it already")


def charge_of_entry(entry: Entry) -> LostCharge:
    """Return the charge of an entry. Another machine, with another clock, may have sent it."""
    by_machine = entry.sent_at or entry.created_at
    by_service = entry.sent_by_service
    sent_at = by_service or by_machine
    return LostCharge(
        account_id=entry.account_id,
        amount=entry.amount,
        moments=(sent_at, by_machine),
        wrong=_wrong(by_machine, sent_at),
        is_compared=by_service is not None,
        may_be_early=BELIEVED if by_service is None else timedelta(),
    )


def _wrong(by_machine: datetime, by_service: datetime) -> datetime | None:
    """Return the machine's reading if the service's clock shows that it is wrong."""
    return by_machine if timedelta() < abs(by_service - by_machine) < BELIEVED else None


def charge_of_error(error: BaseException, asks: Callable[[str], bool]) -> LostCharge:
    """Return the charge that an error is about; `asks(url)`: whether the client uses that URL."""
    found = _lost_charges(error)
    if not found:
        raise TypeError(
            f"`error` must be a TopupOutcomeUnknownError, or an error that was caused by one, "
            f"not {type(error).__name__}"
        )
    if len(found) > 1:
        raise ValueError(
            f"`error` holds {len(found)} lost charges: pass each TopupOutcomeUnknownError alone"
        )
    lost = found[0]
    url = lost.request.url.partition("?")[0]
    if not asks(url):
        raise ValueError(
            f"`error` is about a charge at {url}: use a client with the `base_url` of the charge"
        )
    by_machine = lost.request.sent_at or lost.sent_at
    return LostCharge(
        account_id=lost.account_id,
        amount=lost.amount,
        moments=(lost.sent_at, by_machine),
        wrong=_wrong(by_machine, lost.sent_at),
        is_compared=lost.is_by_the_service,
    )


def _lost_charges(error: object) -> list[TopupOutcomeUnknownError]:
    """Return the error itself, or the lost charges in its causes and groups, at any depth."""
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


def invoice_ids(exclude: Iterable[str]) -> frozenset[str | None]:
    """Return `exclude` as a set; raise if it does not hold invoice ids."""
    given: Any = exclude
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"`exclude` must be an iterable of invoice ids, not {type(given).__name__}")
    ids: frozenset[Any] = frozenset(exclude)
    for each in ids:
        if not isinstance(each, str):
            raise TypeError(f"`exclude` must hold invoice ids (str), not {type(each).__name__}")
    return ids


def check_age(older_than: object) -> None:
    """Raise if `older_than` is not long enough for an invoice to appear."""
    if not isinstance(older_than, timedelta):
        raise TypeError(f"`older_than` must be a timedelta, not {type(older_than).__name__}")
    if older_than < PROMPT:
        raise ValueError(f"`older_than` must be at least 15 minutes, got {older_than}")
