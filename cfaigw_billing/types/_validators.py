"""Checks of arguments. Each names the argument and the limit, before a byte is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

from attrs import Attribute

from ._derived import FIRST_MILLISECONDS

Validator = Callable[[Any, "Attribute[Any]", Any], None]

MAX_CENTS = 99_999_999
"""The payment processor accepts amounts of at most eight digits ($999,999.99)."""

LEAST_TOPUP = 1000
"""The smallest top-up that the service accepts, in cents."""

FEE = 0.05
"""The fee on credit, as a part of its amount; tax comes on top where due."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, the last year of a `datetime`."""
_OUTSIDE_A_SEGMENT = r"[/\\\x00-\x1f\x7f\ud800-\udfff]"
_ACCOUNT_ID = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._~-]{1,64}")


def account(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Check an account id; `None` passes."""
    if value is not None and not (type(value) is str and _ACCOUNT_ID.fullmatch(value)):
        check_account(attribute.name, value)


def is_account_id(value: object) -> TypeGuard[str]:
    """Return whether a value can be the identifier of an account."""
    return isinstance(value, str) and _ACCOUNT_ID.fullmatch(value) is not None


def check_account(name: str, value: Any) -> None:
    """Raise if a value cannot be an account id."""
    _check_text(name, value)
    if not _ACCOUNT_ID.fullmatch(value):
        raise ValueError(
            f"`{name}` must be at most 64 letters, digits, '-', '_', '.' or '~' (an account id has "
            f"32 hex digits); got {value!r:.100}"
        )


def identifier(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Check for a non-empty string that is safe in a path segment; `None` passes."""
    if value is None:
        return
    _check_text(attribute.name, value)
    if value in (".", "..") or re.search(_OUTSIDE_A_SEGMENT, value):
        raise ValueError(
            f"`{attribute.name}` must stay within one path segment: no '/', '\\', control "
            f"characters, '.' or '..'; got {value!r}"
        )


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a str, not {type(value).__name__}")
    if not value:
        # The message of the official SDK, so that tests that compare it still pass.
        raise ValueError(f"Expected a non-empty value for `{name}` but received {value!r}")


def required_identifier(instance: object, attribute: Attribute[Any], value: Any) -> None:
    """Check as `identifier` does, and refuse `None`."""
    if value is None:
        raise ValueError(f"Expected a non-empty value for `{attribute.name}` but received None")
    identifier(instance, attribute, value)


def of_type(expected: type) -> Validator:
    """Check the type; `None` passes if the field allows it."""

    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if value is None and attribute.default is None:
            return
        if not isinstance(value, expected):
            raise TypeError(
                f"`{attribute.name}` must be a {expected.__name__}, not {type(value).__name__}"
            )

    return check


def each_of_type(expected: type, *, at_most: int) -> Validator:
    """Check for at most so many values of the type; `None` passes."""

    def check(_: object, attribute: Attribute[Any], values: Any) -> None:
        if values is None:
            return
        if len(values) > at_most:
            raise ValueError(
                f"`{attribute.name}` must have at most {at_most} entries, got {len(values)}"
            )
        for index, value in enumerate(values):
            if not isinstance(value, expected):
                raise TypeError(
                    f"`{attribute.name}[{index}]` must be of type {expected.__name__}, "
                    f"not {type(value).__name__}"
                )

    return check


def whole(minimum: int, maximum: int | None = None, unit: str = "") -> Validator:
    """Check for an `int` (not a `bool`) within the bounds; `None` passes if allowed."""

    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if value is not None or attribute.default is not None:
            check_whole(attribute.name, value, minimum, maximum, unit)

    return check


def check_whole(
    name: str, value: Any, minimum: int, maximum: int | None = None, unit: str = ""
) -> None:
    """Raise if a value is not an `int` (or is a `bool`), or not within the bounds."""
    shown = shown_cents if unit == "cents" else str
    if type(value) is not int:
        wanted = "a whole number of cents (an int) or Money" if unit else "a whole number (an int)"
        raise TypeError(f"`{name}` must be {wanted}, not {type(value).__name__} {value!r}")
    if value < minimum:
        raise ValueError(f"`{name}` must be at least {shown(minimum)}, got {shown(value)}")
    if maximum is not None and value > maximum:
        raise ValueError(f"`{name}` must be at most {shown(maximum)}, got {shown(value)}")


def shown_cents(cents: int) -> str:
    """Return an amount in both units, for a message: people mistake the one for the other."""
    dollars, rest = divmod(abs(cents), 100)
    return f"{cents} cents ({'-' if cents < 0 else ''}${dollars:,}.{rest:02})"


def cents(minimum: int) -> Validator:
    """Check for whole cents, at least `minimum`."""
    return whole(minimum, MAX_CENTS, "cents")


def one_of(*choices: str) -> Validator:
    """Check for a value that the service knows; `None` passes if the field allows it."""

    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if value is None and attribute.default is None:
            return
        if value not in choices:
            listed = ", ".join(map(repr, choices))
            raise ValueError(f"`{attribute.name}` must be one of {listed}; got {value!r}")

    return check


def milliseconds(name: str, value: Any) -> float | None:
    """Return an aware `datetime`, or a number of milliseconds, in milliseconds.

    Refuse a positive number below 10^11: it looks like seconds, and would be before March 1973 in
    milliseconds. Accept 0 and negative numbers: in both units they are before all usage.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"`{name}` must be an aware datetime (with a tzinfo), got {value!r}")
        return (value - _EPOCH) // timedelta(milliseconds=1)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"`{name}` must be an aware datetime or a number of milliseconds since "
            f"1970, not {type(value).__name__}"
        )
    if not abs(value) <= _LAST_MILLISECOND:  # also true for NaN
        raise ValueError(
            f"`{name}` must be finite and at most the year 9999, in milliseconds, got {value!r}"
        )
    if 0 < value < FIRST_MILLISECONDS:
        raise ValueError(
            f"`{name}` is {value!r}, which looks like seconds: give milliseconds (multiply by "
            f"1000) or an aware datetime"
        )
    return int(value) if value == int(value) else value


LONGEST_KEY = 255


def idempotency_key(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Check for a string of 1 to 255 printable characters; `None` passes."""
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"`{attribute.name}` must be a str, not {type(value).__name__}")
    if not 1 <= len(value) <= LONGEST_KEY or not value.isprintable():
        raise ValueError(
            f"`{attribute.name}` must have 1 to {LONGEST_KEY} printable characters, "
            f"got {len(value)}: {value!r:.60}"
        )
