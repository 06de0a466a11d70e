"""Lists as iterators over all their pages.

@generated from `_async/paging.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Generic, TypeVar

from .. import types
from .._core.options import RequestOptions
from .._core.pages import ACCOUNTS, INVOICES, Layout, PageTurner, on_one_page
from .executor import BlockingExecutor
from ..types import Params
from .first_page import FirstPage

P = TypeVar("P")
T = TypeVar("T")


class Paginator(Generic[P, T]):
    """A list: `for` yields the rows of all pages."""

    def __init__(
        self,
        executor: BlockingExecutor,
        layout: Layout[P, T],
        params: Params[P],
        options: RequestOptions,
    ) -> None:
        self._executor = executor
        self._layout = layout
        self._params = params
        self._options = options

    def __iter__(self) -> Generator[T]:
        turner = PageTurner(self._params, self._layout)
        while turner.params is not None:
            for item in turner.new(self._executor.send(turner.params, self._options)):
                yield item

    def pages(self) -> Generator[P]:
        """Yield the pages with new rows, one request each."""
        turner = PageTurner(self._params, self._layout)
        while turner.params is not None:
            page = self._executor.send(turner.params, self._options)
            if turner.new(page):
                yield page


class AccountPaginator(
    Paginator["types.AccountListResponse", "types.Account"], FirstPage
):
    """The accounts: `for` yields those of all pages.

    For only the first page, as in the official SDK, see `FirstPage`.
    """

    def __init__(
        self, executor: BlockingExecutor, params: types.AccountListParams, options: RequestOptions
    ) -> None:
        super().__init__(executor, ACCOUNTS, params, options)

    def first_page(self) -> types.AccountListResponse:
        """Return only the first page."""
        return self._executor.send(self._params, self._options)


class InvoicePaginator(Paginator["types.BillingInvoiceHistoryResponse", "types.Invoice"]):
    """The past invoices: `for` yields those of all pages."""

    def __init__(
        self, executor: BlockingExecutor, params: types.BillingInvoiceHistoryParams, options: RequestOptions
    ) -> None:
        super().__init__(executor, INVOICES, params, options)

    def collect(self) -> types.BillingInvoiceHistoryResponse:
        """Return all invoices as one page, to show or export."""
        account_id = self._executor.account_id(self._params)
        return on_one_page([invoice for invoice in self], account_id)
