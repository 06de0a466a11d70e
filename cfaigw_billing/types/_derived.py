"""Read-only attributes that show a field in another form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MILLISECONDS = 1e11
"""If its unit is not known, an epoch number above this is in milliseconds (in seconds it would be
after 5138), and one below is in seconds (in milliseconds it would be before March 1973)."""


class Derived(Generic[T]):
    """An attribute computed from the field `field_name` of the same value."""

    def __init__(self, field_name: str, compute: Callable[[Any, Any], T]) -> None:
        self.field_name = field_name
        self._compute = compute

    @overload
    def __get__(self, instance: None, owner: type) -> Derived[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Derived[T] | T:
        if instance is None:
            return self
        return self._compute(getattr(instance, self.field_name), instance)


def _from_seconds(seconds: float, _: object = None) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _from_milliseconds(milliseconds: float, _: object = None) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _from_either(number: float | None, _: object) -> datetime | None:
    if number is None:
        return None
    return (_from_milliseconds if abs(number) > FIRST_MILLISECONDS else _from_seconds)(number)


def utc_seconds(field_name: str) -> Derived[datetime]:
    """Return an attribute for Unix seconds as an aware UTC `datetime`."""
    return Derived(field_name, _from_seconds)


def optional_utc_seconds(field_name: str) -> Derived[datetime | None]:
    """Do the same as `utc_seconds`, for a field that may be `None`."""
    return Derived(field_name, lambda value, _: None if value is None else _from_seconds(value))


def utc_milliseconds(field_name: str) -> Derived[datetime]:
    """Return an attribute for Unix milliseconds as an aware UTC `datetime`."""
    return Derived(field_name, _from_milliseconds)


def optional_utc(field_name: str) -> Derived[datetime | None]:
    """Return an attribute for milliseconds or seconds, told apart by size, as a UTC `datetime`."""
    return Derived(field_name, _from_either)
