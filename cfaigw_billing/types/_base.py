"""What every request value and every response value has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

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


@frozen(kw_only=True)
class Response:
    """A value that the service answered."""

    extra: Mapping[str, object] = field(factory=dict[str, object], repr=False, hash=False)
    """What the service sent and this version does not know, as decoded JSON by its wire name."""
