"""Read lists page by page.

A list ends if the service says so (`has_more`, `total_pages`, no further cursor), if a page is
empty, or if it is shorter than requested (unless the service says that more follow). It also ends
if the service ignores `page`, as seen live: then rows come again on a page without a number, or
with the number of the page before.

If rows come again on a page with the right number, rows that were added meanwhile have moved them
there. They are skipped, and the list goes on, but not forever: the service may repeat a page under
the requested number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Generic, TypeVar

from attrs import evolve, frozen

from .. import types
from ..types import Params

P = TypeVar("P")
T = TypeVar("T")


@frozen
class Layout(Generic[P, T]):
    """Reads the parts of a page that are needed to turn pages."""

    items: Callable[[P], Sequence[T]]
    """The rows of a page."""
    info: Callable[[P], types.ResultInfo]
    """Return the place of a page in the list, as the page gives it."""


ACCOUNTS: Layout[types.AccountListResponse, types.Account] = Layout(
    items=lambda page: page.result,
    info=lambda page: page.result_info or types.ResultInfo(),
)
INVOICES: Layout[types.BillingInvoiceHistoryResponse, types.Invoice] = Layout(
    items=lambda page: page.invoices,
    info=lambda page: types.ResultInfo(
        has_more=page.pagination.has_more,
        page=page.pagination.page,
        per_page=page.pagination.per_page,
        total_count=page.pagination.total_count,
    ),
)
STALE = 20
"""After how many pages in a row without a new row a list ends."""


class PageTurner(Generic[P, T]):
    """One pass over a list: decides which page to request next. It sends nothing itself."""

    def __init__(self, params: Params[P], layout: Layout[P, T]) -> None:
        self.params: Params[P] | None = params
        """The parameters of the next page; `None` at the end."""
        self._layout = layout
        self._last = types.ResultInfo()
        self._seen: set[int] = set()
        self._found = 0
        self._stale = 0

    def new(self, page: P) -> list[T]:
        """Take the requested page. Return its rows that did not come before."""
        rows, info = self._layout.items(page), self._layout.info(page)
        again = self._may_come_again(info)
        new = [row for place, row in enumerate(rows) if self._is_new(row, place < again)]
        self._found += len(new)
        self._stale = 0 if new else self._stale + 1
        ended = self._ignores_page(info, len(rows) - len(new)) or self._stale >= STALE
        self.params = None if ended else _following(self.params, len(rows), info)
        self._last = info
        return new

    def _may_come_again(self, info: types.ResultInfo) -> float:
        """Return how many rows at the beginning of a page may have come before.

        This matters for rows without an id: two equal rows are two rows of the list, unless the
        list has grown, which moves the last rows of one page to the next.
        """
        total, before = info.total_count, self._last.total_count
        if info.page in (None, self._last.page) or total is None or self._found >= total:
            return inf
        return 0 if before is None else total - before

    def _is_new(self, row: T, may_come_again: bool) -> bool:
        name = getattr(row, "id", None)
        mark = hash(name or row)
        if mark in self._seen and (name or may_come_again):
            return False
        self._seen.add(mark)
        return True

    def _ignores_page(self, info: types.ResultInfo, old: int) -> bool:
        if info.page is None:
            return old > 0 and self._stale > 0
        return old > 0 and info.page == self._last.page


def _following(params: Any, rows: int, info: types.ResultInfo) -> Any:
    """Return the parameters of the next page; `None` if this is the last."""
    number, cursor = params.page or 1, getattr(params, "cursor", None)
    if not rows or info.has_more is False:
        return None
    if info.cursor:
        return None if info.cursor == cursor else evolve(params, cursor=info.cursor, page=None)
    if cursor or (info.total_pages is not None and number >= info.total_pages):
        return None
    asked = min(filter(None, (info.per_page, params.per_page)), default=1)
    if not (info.has_more or info.total_pages is not None) and rows < asked:
        return None
    return evolve(params, page=number + 1)


def on_one_page(
    invoices: Sequence[types.Invoice], account_id: str
) -> types.BillingInvoiceHistoryResponse:
    """Return the invoices of an account as one page."""
    count = len(invoices)
    place = types.Pagination(has_more=False, page=1, per_page=count, total_count=count)
    return types.BillingInvoiceHistoryResponse(
        account_id=account_id, invoices=tuple(invoices), pagination=place
    )
