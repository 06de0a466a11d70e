"""Past invoices, and the next one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from attrs import field, frozen

from .._show.table import Alert, Column, Table, first
from ._base import AccountParams, Response
from ._derived import Derived, optional_utc_seconds, utc_seconds
from ._records import moment
from ._validators import one_of, whole
from .money import Money, money


@frozen(kw_only=True)
class BillingInvoiceHistoryParams(AccountParams["BillingInvoiceHistoryResponse"]):
    """The parameters of `billing.invoice_history`."""

    type: Literal["auto", "manual", "all"] | None = field(
        default=None, validator=one_of("auto", "manual", "all")
    )
    """Which invoices: of automatic top-ups, of manual ones, or all (what `None` means too)."""
    page: int | None = field(default=None, validator=whole(1))
    """The page, from 1. Seen to work, not documented."""
    per_page: int | None = field(default=None, validator=whole(1))
    """The rows a page; 50 is known to work. Seen to work, not documented."""


@frozen(kw_only=True)
class Invoice(Response):
    """One past invoice."""

    amount_due: float
    """What was to be paid, in cents."""
    amount_due_money: ClassVar[Derived[Money]] = money("amount_due")
    """`amount_due` as exact money in `currency`."""
    amount_paid: float
    """What has been paid, in cents."""
    amount_paid_money: ClassVar[Derived[Money]] = money("amount_paid")
    """`amount_paid` as exact money in `currency`."""
    amount_remaining: float
    """What is still to be paid, in cents."""
    amount_remaining_money: ClassVar[Derived[Money]] = money("amount_remaining")
    """`amount_remaining` as exact money in `currency`."""
    currency: str
    """The ISO 4217 code as the service writes it, such as `usd`."""
    id: str | None = None
    """The invoice's identifier, `in_…`: for a top-up, its `payment_intent_id`."""
    attempt_count: int | None = None
    """How many times a payment was tried."""
    attempted: bool | None = None
    """Whether a payment was tried."""
    auto_advance: bool | None = None
    """Whether the payment processor goes on collecting by itself."""
    created: float | None = None
    """When it was made, Unix seconds."""
    created_datetime: ClassVar[Derived[datetime | None]] = optional_utc_seconds("created")
    """`created` as an aware UTC `datetime`."""
    created_by: str | None = None
    """Who made it."""
    description: str | None = None
    """The service's words for it."""
    invoice_origin: str | None = None
    """What it came from."""
    invoice_pdf: str | None = None
    """The address of the document."""
    status: Literal["draft", "open", "paid", "uncollectible", "void"] | str | None = None
    """Where it stands; a status that is new to this version comes through as its string."""


@frozen(kw_only=True)
class Pagination(Response):
    """Which part of a list an answer holds."""

    has_more: bool
    """Whether there is a page after this one."""
    page: int
    """This page, from 1."""
    per_page: int
    """The rows a page."""
    total_count: int
    """The rows on all pages."""


@frozen(kw_only=True)
class BillingInvoiceHistoryResponse(Response):
    """One page of the past invoices of an account."""

    invoices: tuple[Invoice, ...]
    """The invoices of this page."""
    pagination: Pagination
    """Which page it is."""

    _list: ClassVar[str | None] = "invoices"
    _index: ClassVar[str | None] = "created"

    def _table(self, limit: int | None) -> Table:
        shown, notes = first(self.invoices, limit, "in the same order")
        others = self.pagination.total_count - len(self.invoices)
        if others > 0:
            notes.append(f"{others:,} on other pages: `iter_invoices()` has all")
        return Table(
            title=f"Invoices: {len(self.invoices):,}",
            columns=[
                Column("Created (UTC)"),
                Column("Invoice"),
                Column("Description", wraps=True, least=8),
                Column("Due", right=True),
                Column("Paid", right=True),
                Column("Status"),
            ],
            rows=[_row(invoice) for invoice in shown],
            notes=notes,
        )


def _row(invoice: Invoice) -> tuple[str, ...]:
    status = invoice.status or ""
    return (
        moment(invoice, "created"),
        invoice.id or "",
        invoice.description or "",
        str(invoice.amount_due_money),
        str(invoice.amount_paid_money),
        Alert(status) if invoice.status in ("open", "uncollectible") else status,
    )


@frozen(kw_only=True)
class BillingInvoicePreviewParams(AccountParams["BillingInvoicePreviewResponse"]):
    """The parameters of `billing.invoice_preview`."""


@frozen(kw_only=True)
class InvoiceLinePeriod(Response):
    """The time that an invoice line is for."""

    start: float
    """The first moment, Unix seconds."""
    start_datetime: ClassVar[Derived[datetime]] = utc_seconds("start")
    """`start` as an aware UTC `datetime`."""
    end: float
    """The moment after the last, Unix seconds."""
    end_datetime: ClassVar[Derived[datetime]] = utc_seconds("end")
    """`end` as an aware UTC `datetime`."""


def _optional_decimal(text: str | None, _: object) -> Decimal | None:
    return None if text is None else Decimal(text)


@frozen(kw_only=True)
class InvoiceLinePricing(Response):
    """The unit price of an invoice line."""

    unit_amount_decimal: str | None = None
    """An exact unit price as text. Sources disagree whether it is in cents or in dollars."""
    unit_amount: ClassVar[Derived[Decimal | None]] = Derived(
        "unit_amount_decimal", _optional_decimal
    )
    """`unit_amount_decimal` as an exact `Decimal`, without a unit."""


@frozen(kw_only=True)
class InvoiceLinePretaxCreditAmount(Response):
    """A credit that lowers an invoice line before tax."""

    amount: float
    """The credit, in cents."""
    amount_money: ClassVar[Derived[Money]] = money("amount")
    """`amount` as exact US dollars: the service names no currency beside it."""
    type: str
    """What kind of credit it is."""
    credit_balance_transaction: str | None = None
    """The transaction that the credit came from."""
    discount: str | None = None
    """The discount that the credit came from."""


@frozen(kw_only=True)
class InvoiceLine(Response):
    """One line of an invoice."""

    amount: float
    """The line's amount, in cents."""
    amount_money: ClassVar[Derived[Money]] = money("amount")
    """`amount` as exact money in `currency`."""
    currency: str
    """The ISO 4217 code as the service writes it, such as `usd`."""
    description: str | None = None
    """The service's words for it."""
    period: InvoiceLinePeriod
    """The time that it is for."""
    pricing: InvoiceLinePricing
    """The unit price."""
    quantity: float
    """How many units; no unit of its own."""
    pretax_credit_amounts: tuple[InvoiceLinePretaxCreditAmount, ...] | None = None
    """The credits that lower it."""


@frozen(kw_only=True)
class BillingInvoicePreviewResponse(Response):
    """The invoice that is building up."""

    id: str
    """The invoice's identifier."""
    amount_due: float
    """What is to be paid so far, in cents."""
    amount_due_money: ClassVar[Derived[Money]] = money("amount_due")
    """`amount_due` as exact money in `currency`."""
    amount_paid: float
    """What has been paid, in cents."""
    amount_paid_money: ClassVar[Derived[Money]] = money("amount_paid")
    """`amount_paid` as exact money in `currency`."""
    amount_remaining: float
    """What is still to be paid, in cents."""
    amount_remaining_money: ClassVar[Derived[Money]] = money("amount_remaining")
    """`amount_remaining` as exact money in `currency`."""
    currency: str
    """The ISO 4217 code as the service writes it, such as `usd`."""
    invoice_lines: tuple[InvoiceLine, ...]
    """The lines."""
    period_start: float
    """The first moment of the period, Unix seconds."""
    period_start_datetime: ClassVar[Derived[datetime]] = utc_seconds("period_start")
    """`period_start` as an aware UTC `datetime`."""
    period_end: float
    """The moment after the period, Unix seconds."""
    period_end_datetime: ClassVar[Derived[datetime]] = utc_seconds("period_end")
    """`period_end` as an aware UTC `datetime`."""
    status: Literal["draft", "open", "paid", "uncollectible", "void"] | str
    """Where it stands; a status that is new to this version comes through as its string."""

    _list: ClassVar[str | None] = "invoice_lines"

    def _table(self, limit: int | None) -> Table:
        shown, notes = first(self.invoice_lines, limit, "in the same order")
        day = "%Y-%m-%d"
        start, end = moment(self, "period_start", day), moment(self, "period_end", day)
        return Table(
            title=f"Invoice preview: {self.amount_due_money} due ({self.status})",
            columns=[
                Column("Description", wraps=True, least=8),
                Column("From (UTC)"),
                Column("Until (UTC)"),
                Column("Quantity", right=True),
                Column("Amount", right=True),
            ],
            rows=[
                (
                    line.description or "",
                    moment(line.period, "start", day),
                    moment(line.period, "end", day),
                    f"{line.quantity:,.15g}",
                    str(line.amount_money),
                )
                for line in shown
            ],
            notes=[*notes, f"{self.id}, from {start} until {end}, {self.amount_paid_money} paid"],
        )
