"""The request bodies of the control API. Amounts are in cents, times in seconds."""

from __future__ import annotations

from typing import Any, cast

import attrs
from attrs.validators import and_, ge, le, lt, optional

from ..types._validators import of_type, one_of
from ._limit import RequestLimit
from ._state import JSON, InvoiceType
from ._validation import NULLABLE, number, parse, whole_number

_MOST = 1e15
"""The largest number of cents or seconds: sums of them stay exact in JSON."""
_amount = and_(number, ge(-_MOST), le(_MOST))
_rate = and_(number, ge(0), le(1))
_not_negative = and_(number, ge(0), le(_MOST))


@attrs.frozen(kw_only=True)
class Card:
    brand: str = attrs.field(validator=of_type(str))
    last4: str = attrs.field(validator=of_type(str))


@attrs.frozen(kw_only=True)
class Limits:
    min_cents: int = attrs.field(validator=and_(whole_number, ge(0)))
    max_cents: int = attrs.field(validator=and_(whole_number, ge(0)))
    currency: str = attrs.field(default="usd", validator=of_type(str))


def _card(given: Any) -> JSON | None:
    return None if given is None else attrs.asdict(parse(Card, given))


def _limits(given: Any) -> JSON | None:
    return None if given is None else attrs.asdict(parse(Limits, given))


def _limit(given: Any) -> RequestLimit | None:
    return None if given is None else parse(RequestLimit, given)


@attrs.frozen(kw_only=True)
class AccountChange:
    """A change of an account; fields that are not given stay as they are."""

    api_token: str | None = attrs.field(
        default=None, repr=False, validator=of_type(str), metadata=NULLABLE
    )
    limit: RequestLimit | None = attrs.field(default=None, converter=_limit, metadata=NULLABLE)
    name: str = attrs.field(default="", validator=of_type(str))
    balance: float = attrs.field(default=0.0, validator=_amount)
    payment_method: JSON | None = attrs.field(default=None, converter=_card, metadata=NULLABLE)
    declines: bool = attrs.field(default=False, validator=of_type(bool))
    needs_confirmation: bool = attrs.field(default=False, validator=of_type(bool))
    first_topup_success: bool = attrs.field(default=False, validator=of_type(bool))
    customer_credit: int = attrs.field(
        default=0, validator=and_(whole_number, ge(0), le(int(_MOST)))
    )
    topup_seconds: float | None = attrs.field(
        default=None, validator=optional(_not_negative), metadata=NULLABLE
    )
    topup_limits: JSON | None = attrs.field(default=None, converter=_limits)


@attrs.frozen(kw_only=True)
class SettingsChange:
    """A change of the emulator; fields that are not given stay as they are."""

    topup_seconds: float = attrs.field(default=0.0, validator=_not_negative)
    fee: float = attrs.field(default=0.0, validator=_rate)
    tax: float = attrs.field(default=0.0, validator=_rate)
    ignores_page: bool = attrs.field(default=False, validator=of_type(bool))
    spending_limit_retired: bool = attrs.field(default=False, validator=of_type(bool))
    topup_config_dashboard_only: bool = attrs.field(default=False, validator=of_type(bool))
    account_owned_token: bool = attrs.field(default=False, validator=of_type(bool))
    limit: RequestLimit | None = attrs.field(default=None, converter=_limit, metadata=NULLABLE)


@attrs.frozen(kw_only=True)
class Spending:
    cents: float = attrs.field(validator=_not_negative)


def _day(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    of_type(list)(_, attribute, value)
    if len(value) != 24:
        raise ValueError(f"{attribute.name!r} must be 24 amounts, by hour, not {len(value)}")
    for cents in value:
        _not_negative(_, attribute, cents)


@attrs.frozen(kw_only=True)
class HourlySpending:
    cents: list[float] | None = attrs.field(validator=optional(_day), metadata=NULLABLE)
    days: float = attrs.field(default=0.0, validator=and_(_not_negative, lt(10_000)))


@attrs.frozen(kw_only=True)
class Confirmation:
    payment_intent_id: str = attrs.field(validator=of_type(str))


@attrs.frozen(kw_only=True)
class Usage:
    days: int = attrs.field(validator=and_(whole_number, ge(0), lt(10_000)))
    cents_per_day: float = attrs.field(default=240.0, validator=_not_negative)


@attrs.frozen(kw_only=True)
class Invoice:
    amount: float = attrs.field(validator=_amount)
    type: InvoiceType = attrs.field(default="manual", validator=one_of("auto", "manual"))


@attrs.frozen(kw_only=True)
class Advance:
    seconds: float = attrs.field(validator=_not_negative)


@attrs.frozen(kw_only=True)
class Selection:
    """Which requests a fault affects, and how many; null: all, until the faults are cleared."""

    times: int | None = attrs.field(
        default=cast("int | None", 1),
        validator=optional(and_(whole_number, ge(1))),
        metadata=NULLABLE,
    )
    method: str | None = attrs.field(default=None, validator=of_type(str))
    path: str | None = attrs.field(default=None, validator=of_type(str))


@attrs.frozen(kw_only=True)
class Reset:
    accounts: bool = attrs.field(default=False, validator=of_type(bool))
