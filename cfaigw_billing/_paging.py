"""Lists that come in pages, read a page at a time for the caller.

A list has ended where the service says so (`has_more`, `total_pages`, no further cursor), where a
page is empty, where one is shorter than asked for (unless the service says that more follow), and
where a page repeats one that came before: the service has been seen to ignore `page` and to answer
the first one for ever.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve

from ._config import RequestOptions
from .types import (
    Account,
    AccountListParams,
    AccountListResponse,
    BillingInvoiceHistoryParams,
    BillingInvoiceHistoryResponse,
    Params,
    ResultInfo,
)

if TYPE_CHECKING:
    from ._client import AsyncCloudflare
    from ._sync import Cloudflare

P = TypeVar("P")


class AsyncAccountPaginator:
    """The accounts: `async for` yields all of them, from as many pages as it takes.

    `await` answers the first page alone, as in the official SDK.
    """

    def __init__(
        self, client: AsyncCloudflare, params: AccountListParams, options: RequestOptions
    ) -> None:
        self._client = client
        self._params = params
        self._options = options

    def __await__(self) -> Generator[object, None, AccountListResponse]:
        return self._client.send(self._params, **self._options).__await__()

    async def __aiter__(self) -> AsyncGenerator[Account]:
        async for page in self.pages():
            for account in page.result:
                yield account

    def pages(self) -> AsyncGenerator[AccountListResponse]:
        """The pages, one request each."""
        return _pages(self._client, _account_turner(self._params), self._options)


class AccountPaginator:
    """The accounts: `for` yields all of them, from as many pages as it takes.

    `result` and `result_info` are those of the first page, as in the official SDK.
    """

    def __init__(
        self, client: Cloudflare, params: AccountListParams, options: RequestOptions
    ) -> None:
        self._client = client
        self._params = params
        self._options = options

    def __iter__(self) -> Generator[Account]:
        for page in self.pages():
            yield from page.result

    def pages(self) -> Generator[AccountListResponse]:
        """The pages, one request each."""
        turner = _account_turner(self._params)
        while turner.params is not None:
            page = self._client.send(turner.params, **self._options)
            if turner.turns(page):
                yield page

    @property
    def result(self) -> tuple[Account, ...]:
        """The accounts of the first page."""
        return self._first.result

    @property
    def result_info(self) -> ResultInfo | None:
        """Which part of the list the first page holds."""
        return self._first.result_info

    @cached_property
    def _first(self) -> AccountListResponse:
        return self._client.send(self._params, **self._options)


def invoice_pages(
    client: AsyncCloudflare, params: BillingInvoiceHistoryParams
) -> AsyncGenerator[BillingInvoiceHistoryResponse]:
    """The pages of an invoice history, one request each."""
    turner = PageTurner(
        params,
        items=lambda page: page.invoices,
        info=lambda page: ResultInfo(
            has_more=page.pagination.has_more, per_page=page.pagination.per_page
        ),
    )
    return _pages(client, turner, {})


def _account_turner(params: AccountListParams) -> PageTurner[AccountListResponse]:
    return PageTurner(
        params,
        items=lambda page: page.result,
        info=lambda page: page.result_info or ResultInfo(),
    )


async def _pages(
    client: AsyncCloudflare, turner: PageTurner[P], options: RequestOptions
) -> AsyncGenerator[P]:
    while turner.params is not None:
        page = await client.send(turner.params, **options)
        if turner.turns(page):
            yield page


class PageTurner(Generic[P]):
    """One pass over a list: which page to ask for next. It sends nothing itself.

    Args:
        params: Those of the first page.
        items: The rows of a page.
        info: What a page says of its place in the list.
    """

    def __init__(
        self,
        params: Params[P],
        *,
        items: Callable[[P], Sequence[object]],
        info: Callable[[P], ResultInfo],
    ) -> None:
        self.params: Params[P] | None = params
        """Those of the page to ask for, or `None` at the end."""
        self._items = items
        self._info = info
        self._seen: set[object] = set()

    def turns(self, page: P) -> bool:
        """Take the page that was asked for; false if it is one that came before."""
        rows = self._items(page)
        if rows:
            # By the id of the first row, where it has one: the others may have moved on a little.
            mark = getattr(rows[0], "id", None) or hash(tuple(rows))
            if mark in self._seen:
                self.params = None
                return False
            self._seen.add(mark)
        self.params = _following(self.params, len(rows), self._info(page))
        return True


def _following(params: Any, rows: int, info: ResultInfo) -> Any:
    """The parameters of the page after this one, or `None` where this is the last."""
    number, cursor = params.page or 1, getattr(params, "cursor", None)
    if not rows or info.has_more is False:
        return None
    if info.cursor:
        return evolve(params, cursor=info.cursor, page=None)
    if cursor or (info.total_pages is not None and number >= info.total_pages):
        return None
    more_follow = info.has_more or info.total_pages is not None
    if not more_follow and rows < (info.per_page or params.per_page or 1):
        return None
    return evolve(params, page=number + 1)
