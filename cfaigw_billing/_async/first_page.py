"""The first page of the list of accounts, as the official SDK returns it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import FunctionType
from typing import Any, Concatenate, ParamSpec

from .. import types

P = ParamSpec("P")


class AsyncFirstPage:
    """A list that returns its first page when it is awaited."""

    async def first_page(self) -> types.AccountListResponse:
        """Return only the first page."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, types.AccountListResponse]:
        return self.first_page().__await__()


def first_page(
    method: Callable[Concatenate[Any, P], AsyncFirstPage],
) -> Callable[Concatenate[Any, P], Awaitable[types.AccountListResponse]]:
    """Turn a method that returns a list into one that returns its first page."""

    async def call(view: Any, /, *args: P.args, **kwargs: P.kwargs) -> types.AccountListResponse:
        return await method(view, *args, **kwargs).first_page()

    vars(call)["__wrapped__"] = with_answer(method, "AccountListResponse")
    return call


def with_answer(method: Any, answer: str) -> FunctionType:
    """Return a function with the signature of a method, but another return type.

    It is never called. `inspect.signature` reads it as the `__wrapped__` of a call. Computing sixty
    signatures here would take a tenth of the package's import time.
    """
    shown = FunctionType(method.__code__, method.__globals__, argdefs=method.__defaults__)
    shown.__kwdefaults__ = method.__kwdefaults__
    shown.__annotations__ = {**method.__annotations__, "return": answer}
    return shown
