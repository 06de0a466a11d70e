"""Lists that come in pages, read a page at a time for the caller.

A list has ended where the service says so (`has_more`, `total_pages`, no further cursor), where a
page is empty or shorter than asked for, and where a page repeats one that came before: the service
has been seen to ignore `page` and to answer the first one for ever.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import evolve

from ._config import RequestOptions
from .types import Account, AccountListParams, AccountListResponse, ResultInfo

if TYPE_CHECKING:
    from ._client import AsyncCloudflare
    from ._sync import Cloudflare


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

    async def pages(self) -> AsyncGenerator[AccountListResponse]:
        """The pages, one request each."""
        params: AccountListParams | None = self._params
        firsts: set[str] = set()
        while params is not None:
            page = await self._client.send(params, **self._options)
            if page.result and page.result[0].id in firsts:
                return
            yield page
            firsts.update(account.id for account in page.result[:1])
            params = _following(params, page)


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
        source = AsyncAccountPaginator(self._client.async_client, self._params, self._options)
        return self._client.portal.iterate(source.pages())

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


def _following(params: AccountListParams, page: AccountListResponse) -> AccountListParams | None:
    """The parameters of the page after this one, or `None` where this is the last."""
    info = page.result_info or ResultInfo()
    if not page.result or info.has_more is False:
        return None
    if info.cursor:
        return evolve(params, cursor=info.cursor, page=None)
    number = params.page or 1
    if params.cursor or (info.total_pages is not None and number >= info.total_pages):
        return None
    if len(page.result) < (info.per_page or params.per_page or 1):
        return None
    return evolve(params, page=number + 1)
