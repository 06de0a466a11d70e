"""Past invoices, and the next one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from attrs import field, frozen

from .._show.table import Alert, Column, Table, first
from ._base import AccountParams, AccountResponse, Response
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
    """The invoices to list: of automatic top-ups, of manual ones, or all (`None` is all)."""
    page: int | None = field(default=None, validator=whole(1))
    """The page, from 1. Seen to work, not documented."""
    per_page: int | None = field(default=None, validator=whole(1))
    """The rows per page. 50 is seen to work, not documented."""


@frozen(kw_only=True)
class Invoice(Response):
    """One past invoice.

    Attributes:
        amount_due: The amount that was due, in cents.
        amount_paid: The amount paid, in cents.
        amount_remaining: The amount still due, in cents.
        created: When it was made, Unix seconds.
    """

    amount_due: float
    """The amount that was due, in cents."""
    amount_due_money: ClassVar[Derived[Money]] = money("amount_due")
    """`amount_due` as exact money in `currency`."""
    amount_paid: float
    """The amount paid, in cents."""
    amount_paid_money: ClassVar[Derived[Money]] = money("amount_paid")
    """`amount_paid` as exact money in `currency`."""
    amount_remaining: float
    """The amount still due, in cents."""
    amount_remaining_money: ClassVar[Derived[Money]] = money("amount_remaining")
    """`amount_remaining` as exact money in `currency`."""
    currency: str
    """The ISO 4217 code as the service writes it, such as `usd`."""
    id: str | None = None
    """The invoice's identifier, `in_…`: for a top-up, its `payment_intent_id`."""
    attempt_count: int | None = None
    """The number of payment attempts."""
    attempted: bool | None = None
    """Whether a payment was tried."""
    auto_advance: bool | None = None
    """Whether the payment processor collects the payment automatically."""
    created: float | None = None
    """When it was made, Unix seconds."""
    created_datetime: ClassVar[Derived[datetime | None]] = optional_utc_seconds("created")
    """`created` as an aware UTC `datetime`."""
    created_by: str | None = None
    """The creator of the invoice."""
    description: str | None = None
    """The description by the service."""
    invoice_origin: str | None = None
    """The origin of the invoice."""
    invoice_pdf: str | None = None
    """The URL of the PDF."""
    status: Literal["draft", "open", "paid", "uncollectible", "void"] | str | None = None
    """The status; an unknown status comes through as its string."""


@frozen(kw_only=True)
class Pagination(Response):
    """The page of a list."""

    has_more: bool
    """Whether there is a next page."""
    page: int
    """This page, from 1."""
    per_page: int
    """The rows a page."""
    total_count: int
    """The rows on all pages."""


@frozen(kw_only=True)
class BillingInvoiceHistoryResponse(AccountResponse):
    """One page of the past invoices of an account."""

    invoices: tuple[Invoice, ...]
    """The invoices of this page."""
    pagination: Pagination
    """The place of this page in the list."""

    _list: ClassVar[str | None] = "invoices"
    _index: ClassVar[str | None] = "created"

    def _table(self, limit: int | None) -> Table:
        shown, notes = first(self.invoices, limit, "in the same order")
        others = self.pagination.total_count - len(self.invoices)
        if others > 0:
            notes.append(f"{others:,} on other pages: `iter_invoices()` has all")
        return Table.of(
            shown, _INVOICE_COLUMNS, title=f"Invoices: {len(self.invoices):,}", notes=notes
        )


def _status(invoice: Invoice) -> str:
    status = invoice.status or ""
    return Alert(status) if status in ("open", "uncollectible") else status


_INVOICE_COLUMNS = (
    Column("Created (UTC)", lambda invoice: moment(invoice, "created")),
    Column("Invoice", lambda invoice: invoice.id or ""),
    Column("Description", lambda invoice: invoice.description or "", wraps=True, least=8),
    Column("Due", lambda invoice: str(invoice.amount_due_money), right=True),
    Column("Paid", lambda invoice: str(invoice.amount_paid_money), right=True),
    Column("Status", _status),
)


@frozen(kw_only=True)
class BillingInvoicePreviewParams(AccountParams["BillingInvoicePreviewResponse"]):
    """The parameters of `billing.invoice_preview`."""


@frozen(kw_only=True)
class InvoiceLinePeriod(Response):
    """The period of an invoice line.

    Attributes:
        start: The start, Unix seconds.
        end: The end (excluded), Unix seconds.
    """

    start: float
    """The start, Unix seconds."""
    start_datetime: ClassVar[Derived[datetime]] = utc_seconds("start")
    """`start` as an aware UTC `datetime`."""
    end: float
    """The end (excluded), Unix seconds."""
    end_datetime: ClassVar[Derived[datetime]] = utc_seconds("end")
    """`end` as an aware UTC `datetime`."""


def _optional_decimal(text: str | None, _: object) -> Decimal | None:
    return None if text is None else Decimal(text)


@frozen(kw_only=True)
class InvoiceLinePricing(Response):
    """The unit price of an invoice line.

    Attributes:
        unit_amount_decimal: An exact unit price as text. Sources disagree whether it is in cents or
            in dollars.
    """

    unit_amount_decimal: str | None = None
    """An exact unit price as text. Sources disagree whether it is in cents or in dollars."""
    unit_amount: ClassVar[Derived[Decimal | None]] = Derived(
        "unit_amount_decimal", _optional_decimal
    )
    """`unit_amount_decimal` as an exact `Decimal`, without a unit."""


@frozen(kw_only=True)
class InvoiceLinePretaxCreditAmount(Response):
    """A credit that lowers an invoice line before tax.

    Attributes:
        amount: The credit, in cents.
    """

    amount: float
    """The credit, in cents."""
    amount_money: ClassVar[Derived[Money]] = money("amount")
    """`amount` as exact US dollars: the service gives no currency here."""
    type: str
    """The kind of credit."""
    credit_balance_transaction: str | None = None
    """The transaction behind the credit."""
    discount: str | None = None
    """The discount behind the credit."""


@frozen(kw_only=True)
class InvoiceLine(Response):
    """One line of an invoice.

    Attributes:
        amount: The line's amount, in cents.
        quantity: A plain number without a unit.
    """

    amount: float
    """The line's amount, in cents."""
    amount_money: ClassVar[Derived[Money]] = money("amount")
    """`amount` as exact money in `currency`."""
    currency: str
    """The ISO 4217 code as the service writes it, such as `usd`."""
    description: str | None = None
    """The description by the service."""
    period: InvoiceLinePeriod
    """The period of the line."""
    pricing: InvoiceLinePricing
    """The unit price."""
    quantity: float
    """A plain number without a unit."""
    pretax_credit_amounts: tuple[InvoiceLinePretaxCreditAmount, ...] | None = None
    """The credits that lower the line."""


@frozen(kw_only=True)
class BillingInvoicePreviewResponse(AccountResponse):
    """The next invoice so far.

    Attributes:
        amount_due: The amount due so far, in cents.
        amount_paid: The amount paid, in cents.
        amount_remaining: The amount still due, in cents.
        period_start: The start of the period, Unix seconds.
        period_end: The end of the period (excluded), Unix seconds.
    """

    id: str
    """The invoice's identifier."""
    amount_due: float
    """The amount due so far, in cents."""
    amount_due_money: ClassVar[Derived[Money]] = money("amount_due")
    """`amount_due` as exact money in `currency`."""
    amount_paid: float
    """The amount paid, in cents."""
    amount_paid_money: ClassVar[Derived[Money]] = money("amount_paid")
    """`amount_paid` as exact money in `currency`."""
    amount_remaining: float
    """The amount still due, in cents."""
    amount_remaining_money: ClassVar[Derived[Money]] = money("amount_remaining")
    """`amount_remaining` as exact money in `currency`."""
    currency: str
    """The ISO 4217 code as the service writes it, such as `usd`."""
    invoice_lines: tuple[InvoiceLine, ...]
    """The lines."""
    period_start: float
    """The start of the period, Unix seconds."""
    period_start_datetime: ClassVar[Derived[datetime]] = utc_seconds("period_start")
    """`period_start` as an aware UTC `datetime`."""
    period_end: float
    """The end of the period (excluded), Unix seconds."""
    period_end_datetime: ClassVar[Derived[datetime]] = utc_seconds("period_end")
    """`period_end` as an aware UTC `datetime`."""
    status: Literal["draft", "open", "paid", "uncollectible", "void"] | str
    """The status; an unknown status comes through as its string."""

    _list: ClassVar[str | None] = "invoice_lines"

    def _table(self, limit: int | None) -> Table:
        shown, notes = first(self.invoice_lines, limit, "in the same order")
        start, end = moment(self, "period_start", _DAY), moment(self, "period_end", _DAY)
        return Table.of(
            shown,
            _LINE_COLUMNS,
            title=f"Invoice preview: {self.amount_due_money} due ({self.status})",
            notes=[*notes, f"{self.id}, from {start} until {end}, {self.amount_paid_money} paid"],
        )


_DAY = "%Y-%m-%d"
_LINE_COLUMNS = (
    Column("Description", lambda line: line.description or "", wraps=True, least=8),
    Column("From (UTC)", lambda line: moment(line.period, "start", _DAY)),
    Column("Until (UTC)", lambda line: moment(line.period, "end", _DAY)),
    Column("Quantity", lambda line: f"{line.quantity:,.15g}", right=True),
    Column("Amount", lambda line: str(line.amount_money), right=True),
)
