"""The first page of the list of accounts, as the official SDK returns it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from .._async.first_page import with_answer as with_answer

if TYPE_CHECKING:
    from ..types import Account, AccountListResponse, ResultInfo

P = ParamSpec("P")


class FirstPage:
    """A list with the `result` and `result_info` of its first page."""

    @property
    def result(self) -> tuple[Account, ...]:
        """The accounts of the first page."""
        return self._first.result

    @property
    def result_info(self) -> ResultInfo | None:
        """The place of the first page in the list."""
        return self._first.result_info

    def first_page(self) -> AccountListResponse:
        """Return only the first page."""
        raise NotImplementedError

    @cached_property
    def _first(self) -> AccountListResponse:
        return self.first_page()


def first_page(
    method: Callable[Concatenate[Any, P], FirstPage],
) -> Callable[Concatenate[Any, P], AccountListResponse]:
    """Turn a method that returns a list into one that returns its first page."""

    def call(view: Any, /, *args: P.args, **kwargs: P.kwargs) -> AccountListResponse:
        return method(view, *args, **kwargs).first_page()

    vars(call)["__wrapped__"] = with_answer(method, "AccountListResponse")
    return call
