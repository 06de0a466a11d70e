"""How the emulated service validates parameters and refuses calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import attrs

Parameters = TypeVar("Parameters", bound=attrs.AttrsInstance)

# Error codes.
NO_MANUAL_TOPUP = 1000
NO_ACCOUNT_LIST = 1001
INVALID_HEADERS = 6003
INVALID_AUTHORIZATION = 6111
INVALID = 7001
NOT_FOUND = 7002
NO_ROUTE = 7003
PAYMENT_FAILED = 7010
RATE_LIMITED = 971
UNAUTHENTICATED = 10000
UNKNOWN = 10013
FORBIDDEN = 10403


NULLABLE = {"nullable": True}
"""The metadata of a field that may be null."""


@attrs.define
class RefusedError(Exception):
    """The service answers with this HTTP status and error instead of a result."""

    status: int
    code: int
    message: str
    error_chain: Sequence[dict[str, Any]] = ()


def parse(cls: type[Parameters], given: Any) -> Parameters:
    """Return a `cls` made from the JSON object `given`; raise `RefusedError` if it is not valid."""
    if not isinstance(given, dict):
        raise RefusedError(400, INVALID, f"A JSON object is required, not {given!r}")
    properties = cast("dict[str, Any]", given)
    known = {field.name: field for field in attrs.fields(cls) if field.init}
    for name, value in properties.items():
        if name not in known:
            raise RefusedError(400, INVALID, f"{name!r} is not a known property")
        if value is None and not known[name].metadata.get("nullable"):
            raise RefusedError(400, INVALID, f"{name!r} must not be null")
    for name, field in known.items():
        if name not in properties and field.default is attrs.NOTHING:
            raise RefusedError(400, INVALID, f"{name!r} is required")
    try:
        return cls(**properties)
    except (TypeError, ValueError) as error:
        raise RefusedError(400, INVALID, error.args[0]) from error


def number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if type(value) not in (int, float):  # isinstance would accept true and false
        raise TypeError(f"{attribute.name!r} must be a number, not {value!r}")


def whole_number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if type(value) is not int:
        raise TypeError(f"{attribute.name!r} must be a whole number, not {value!r}")
