"""Calls of endpoints without a method here: `UntypedParams` has the HTTP method and the path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from attrs import field, frozen

from ..types import Params
from .operations import ALL, BY_PARAMS, Method, Operation, Safety

T = TypeVar("T")


def _below_the_base_url(_: object, __: object, path: Any) -> None:
    """Raise if a path could lead out of the base URL."""
    if not isinstance(path, str):
        raise TypeError(f"`path` must be a str, not {type(path).__name__}")
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("`path` must begin with one /; it goes below `base_url`")
    if re.search(r"[\x00-\x1f\x7f]", path):
        raise ValueError("`path` must have no control characters")
    if {".", ".."} & set(_steps(path)) or "#" in path:
        raise ValueError("`path` must have no `.`, no `..` and no #")


def _steps(path: str) -> list[str]:
    """Return the steps of a path without its query, as the most lenient server would read them."""
    path = path.partition("?")[0]
    while path != (path := unquote(path)):  # a proxy may decode what the server decodes again
        pass
    steps = path.replace("\\", "/").split("/")
    return [re.sub(r"[;?#].*|[\x00-\x20\x7f]", "", step, flags=re.DOTALL) for step in steps]


def account_of(path: str) -> str | None:
    """Return the account in a path, however it is encoded; `None` if it has none."""
    steps = pairwise(step.lower() for step in _steps(path) if step)
    return next((after for before, after in steps if before == "accounts"), None)


def account_named(path: str) -> str | None:
    """Return the account at the beginning of a path, as written; `None` if it has none."""
    first, account_id, *_ = *filter(None, _steps(path)), "", ""
    return (account_id or None) if first.lower() == "accounts" else None


def check_charges_nothing(method: Method, url: str) -> None:
    """Raise if a URL, however it is encoded, charges a card."""
    if method in ("GET", "DELETE"):
        return
    where = "/" + "/".join(filter(None, _steps(url))).lower()
    for operation in ALL:
        charges = operation.charges or operation.charges_later
        if charges and where.endswith(operation.path.partition("{account_id}")[2]):
            raise ValueError(f"`path` charges a card; call `{operation.name}`, which is safe")


@frozen(kw_only=True)
class UntypedParams(Params[T]):
    """The parameters of a call without a method here."""

    method: Method
    path: str = field(validator=_below_the_base_url)
    cast_to: type[T]
    """The type of the answer, envelope included."""
    body: object = None
    """The JSON to send, if any."""


def operation_of(params: Params[T]) -> Operation[T]:
    """Return the call for these parameters."""
    operation = BY_PARAMS.get(type(params).__name__)
    if operation is None or operation.params is not type(params):
        if isinstance(params, UntypedParams):
            return _untyped(params)
        raise TypeError(
            f"`params` must be the parameters of a call, such as BillingCreditBalanceParams, "
            f"not {type(params).__name__}"
        )
    return operation


class BillingOnly:
    """Base of objects with the methods for billing: other names raise a helpful error."""

    if not TYPE_CHECKING:  # so that type checkers still report unknown names

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name):  # a property that fails
                return object.__getattribute__(self, name)
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}: this package has only the "
                f"billing of AI Gateway and the list of accounts. Reach other endpoints with "
                f"`client.get(path, cast_to=…)` (or post, put, patch, delete), or use the official "
                f"package `cloudflare`",
                name=name,
                obj=self,
            )


_REPEATABLE: Mapping[Method, Safety] = {
    "GET": Safety.READS,
    "PUT": Safety.REPEATABLE,
    "DELETE": Safety.REPEATABLE,
}


def _untyped(params: UntypedParams[T]) -> Operation[T]:
    return Operation(
        name="",
        method=params.method,
        path=params.path,
        params=UntypedParams,
        result=params.cast_to,
        safety=_REPEATABLE.get(params.method, Safety.UNKNOWN),
        typed=False,
        forbidden="the credentials lack the permission for it",
    )
