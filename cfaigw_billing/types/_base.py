"""What every request value and every response value has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NoReturn, TypeVar

from attrs import field, frozen

from ._validators import identifier

T = TypeVar("T")


@frozen(kw_only=True)
class Params(Generic[T]):
    """The parameters of one call, checked when they are made; `T` is what the call answers.

    An optional parameter that is `None` is not sent.
    """


@frozen(kw_only=True)
class AccountParams(Params[T]):
    """The parameters of a call on one account."""

    account_id: str | None = field(default=None, validator=identifier)
    """The account's identifier; `None` stands for the client's `account_id`."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("`extra` is what the service sent: it cannot be changed")


def _copied(_: object) -> tuple[Any, ...]:
    return dict, ()


_writers = dict.fromkeys(("__setitem__", "__ior__", "setdefault", "update"), _refuse)

EMPTY: Mapping[str, object] = type("Empty", (dict,), {**_writers, "__reduce__": _copied})()
"""An empty dictionary that stays empty: the `extra` of every value that has none.

A year of hourly usage has 8,760 of them.
"""


@frozen(kw_only=True)
class Response:
    """A value that the service answered."""

    extra: Mapping[str, object] = field(default=EMPTY, repr=False, hash=False)
    """What the service sent and this version does not know, as decoded JSON by its wire name."""
