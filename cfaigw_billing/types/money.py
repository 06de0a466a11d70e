"""Exact money, and the attributes that show a response's bare numbers as money."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import total_ordering
from typing import Any

from attrs import field, frozen

from ._derived import Derived

_FORMAT = re.compile(r"(.*?)(?:\.(\d+)f?)?\Z", re.DOTALL)
"""A format of strings, and how many digits, if it ends in that: never a part of the text."""
_EXACT = Context(prec=1000)
"""So that no setting of the program's own decimal context rounds an amount."""
_LARGEST = 400
"""The exponent of the largest amounts: any float, and still well within that context."""
_SYMBOLS = {"USD": "$"}


def _exact(value: Decimal | float | str) -> Decimal:
    given: Any = value
    if isinstance(given, bool) or not isinstance(given, (Decimal, int, float, str)):
        raise TypeError(f"an amount must be a number, not {type(given).__name__}")
    # `str` of a float is its shortest exact form: the digits that were on the wire.
    try:
        amount = Decimal(str(value) if isinstance(value, float) else value)
    except ArithmeticError:
        raise ValueError(f"an amount must be a number, got {value!r}") from None
    if not amount.is_finite():
        raise ValueError(f"an amount must be finite, got {value!r}")
    if amount.adjusted() > _LARGEST:
        raise ValueError(f"an amount must be below 1e{_LARGEST + 1}, got {value!r}")
    return amount


def _code(value: str) -> str:
    return value.upper()


@total_ordering
@frozen(kw_only=True)
class Money:
    """An exact amount of money in one currency.

    It compares, adds and subtracts with money of the same currency only: a bare number or another
    currency is a `TypeError` or a `ValueError`, because a number does not say whether it is cents
    or dollars.

        >>> balance = Money(cents=640.19)
        >>> str(balance)
        '$6.40'
        >>> balance < Money.dollars(10)
        True

    Attributes:
        cents: The exact amount in cents (hundredths of the currency's unit); it may have a
            fraction.
    """

    cents: Decimal = field(converter=_exact)
    """The exact amount in cents (hundredths of the currency's unit); it may have a fraction."""
    currency: str = field(default="USD", converter=_code)
    """The ISO 4217 code of the currency, in capitals."""

    @classmethod
    def dollars(cls, amount: Decimal | float | str) -> Money:
        """US dollars: `Money.dollars("6.40")` is $6.40."""
        return cls.from_major(amount)

    @classmethod
    def from_major(cls, amount: Decimal | float | str, currency: str = "USD") -> Money:
        """Money from an amount in whole units: `Money.from_major("6.40", "EUR")` is EUR 6.40."""
        return cls(cents=_EXACT.scaleb(_exact(amount), 2), currency=currency)

    @property
    def major(self) -> Decimal:
        """The exact amount in whole units (dollars)."""
        return _EXACT.scaleb(self.cents, Decimal(-2))

    def __str__(self) -> str:
        return self._rounded(2)

    def __format__(self, spec: str) -> str:
        """Format as a string (`>12`), or as a number with so many digits (`>12.4f`)."""
        layout, digits = _FORMAT.findall(spec)[0]
        return format(self._rounded(int(digits or 2)), layout)

    def _rounded(self, digits: int) -> str:
        unit = Decimal(1).scaleb(-digits)
        amount = self.major.quantize(unit, ROUND_HALF_EVEN, _EXACT)
        sign = "-" if amount < 0 else ""
        symbol = _SYMBOLS.get(self.currency, self.currency + " ")
        return f"{sign}{symbol}{amount.copy_abs():,}"

    def __lt__(self, other: Money) -> bool:
        if not isinstance(other, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return self.cents < self._same_currency(other)

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return Money(
            cents=_EXACT.add(self.cents, self._same_currency(other)), currency=self.currency
        )

    def __radd__(self, other: int) -> Money:
        # `sum` starts with the number 0; it is the only bare number that money adds to.
        return self if type(other) is int and other == 0 else NotImplemented

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return Money(
            cents=_EXACT.subtract(self.cents, self._same_currency(other)), currency=self.currency
        )

    def __neg__(self) -> Money:
        return Money(cents=_EXACT.minus(self.cents), currency=self.currency)

    def _same_currency(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other.cents


def _money(cents: float, owner: Any) -> Money:
    return Money(cents=cents, currency=getattr(owner, "currency", "USD"))


def money(field_name: str) -> Derived[Money]:
    """The cents in `field_name`, as `Money` in the currency that the value names, else USD."""
    return Derived(field_name, _money)


def optional_money(field_name: str) -> Derived[Money | None]:
    """Do the same as `money`, for a field that may be `None`."""
    return Derived(field_name, lambda cents, owner: None if cents is None else _money(cents, owner))
