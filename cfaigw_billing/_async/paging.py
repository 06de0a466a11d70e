"""Lists as iterators over all their pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

from .. import types
from .._core.options import RequestOptions
from .._core.pages import ACCOUNTS, INVOICES, Layout, PageTurner, on_one_page
from .._io.executor import Executor
from ..types import Params
from .first_page import AsyncFirstPage

P = TypeVar("P")
T = TypeVar("T")


class AsyncPaginator(Generic[P, T]):
    """A list: `async for` yields the rows of all pages."""

    def __init__(
        self,
        executor: Executor,
        layout: Layout[P, T],
        params: Params[P],
        options: RequestOptions,
    ) -> None:
        self._executor = executor
        self._layout = layout
        self._params = params
        self._options = options

    async def __aiter__(self) -> AsyncGenerator[T]:
        turner = PageTurner(self._params, self._layout)
        while turner.params is not None:
            for item in turner.new(await self._executor.send(turner.params, self._options)):
                yield item

    async def pages(self) -> AsyncGenerator[P]:
        """Yield the pages with new rows, one request each."""
        turner = PageTurner(self._params, self._layout)
        while turner.params is not None:
            page = await self._executor.send(turner.params, self._options)
            if turner.new(page):
                yield page


class AsyncAccountPaginator(
    AsyncPaginator["types.AccountListResponse", "types.Account"], AsyncFirstPage
):
    """The accounts: `async for` yields those of all pages.

    For only the first page, as in the official SDK, see `AsyncFirstPage`.
    """

    def __init__(
        self, executor: Executor, params: types.AccountListParams, options: RequestOptions
    ) -> None:
        super().__init__(executor, ACCOUNTS, params, options)

    async def first_page(self) -> types.AccountListResponse:
        """Return only the first page."""
        return await self._executor.send(self._params, self._options)


class AsyncInvoicePaginator(AsyncPaginator["types.BillingInvoiceHistoryResponse", "types.Invoice"]):
    """The past invoices: `async for` yields those of all pages."""

    def __init__(
        self, executor: Executor, params: types.BillingInvoiceHistoryParams, options: RequestOptions
    ) -> None:
        super().__init__(executor, INVOICES, params, options)

    async def collect(self) -> types.BillingInvoiceHistoryResponse:
        """Return all invoices as one page, to show or export."""
        account_id = self._executor.account_id(self._params)
        return on_one_page([invoice async for invoice in self], account_id)
