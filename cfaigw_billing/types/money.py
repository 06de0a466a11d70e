"""Exact money, and the attributes that show the numbers of an answer as money."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import total_ordering
from typing import Any, overload

from attrs import field, frozen

from ._data import Data, Property, descriptions, plain_digits
from ._derived import Derived

_FORMAT = (
    r"(?s)(?P<align>(?:.?[<>^])?)(?P<sign>[-+ ]?)(?P<width>(?:[1-9]\d*)?)(?P<group>[,_]?)"
    r"(?:\.(?P<digits>\d+))?f?"
)
"""The parts of a format; the same letters as for a number."""
_EXACT = Context(prec=1000)
"""A separate context, so that the program's decimal context does not round amounts."""
_QUOTIENT = Context(prec=34, rounding=ROUND_HALF_EVEN)
"""For division, which may have no exact result."""
_LARGEST = 400
"""The exponent of the largest amounts: enough for any float, and well within that context."""
_SYMBOLS = {"USD": "$"}
_WITHOUT_CENTS = (
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
    *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
)
_DIGITS = {
    **dict.fromkeys(_WITHOUT_CENTS, 0),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}
"""The decimal digits of currencies that do not have two digits at the payment processor."""


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
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"`currency` must be a str, not {type(value).__name__}")
    return value.upper()


@total_ordering
@frozen(kw_only=True)
class Money(Data):
    """An exact amount of money in one currency.

    You can compare, add and subtract money only with money in the same currency. A plain number or
    another currency raises `TypeError` or `ValueError`, because a number does not say whether it is
    in cents or dollars. You can multiply money with numbers. Zero is false.

        >>> balance = Money(cents=640.19)
        >>> str(balance)
        '$6.40'
        >>> balance < Money.dollars(10)
        True
        >>> f"{balance * 2:>12,.4f}"
        '    $12.8038'

    Attributes:
        cents: The exact amount in cents; it may have a fraction. In general: in the smallest unit
            of the currency (yen, and thousandths of a dinar).
        currency: The ISO 4217 code of the currency, in capitals.
    """

    cents: Decimal = field(converter=_exact)
    """The exact amount in cents; it may have a fraction.

    In general: in the smallest unit of the currency (yen, and thousandths of a dinar).
    """
    currency: str = field(default="USD", converter=_code)
    """The ISO 4217 code of the currency, in capitals."""

    @classmethod
    def dollars(cls, amount: Decimal | float | str) -> Money:
        """Return US dollars: `Money.dollars("6.40")` is $6.40."""
        return cls.from_major(amount)

    @classmethod
    def from_major(cls, amount: Decimal | float | str, currency: str = "USD") -> Money:
        """Return an amount in whole units: `Money.from_major("6.40", "EUR")` is EUR 6.40."""
        digits = _digits_of(_code(currency))
        return cls(cents=_EXACT.scaleb(_exact(amount), digits), currency=currency)

    @property
    def major(self) -> Decimal:
        """The exact amount in whole units (dollars)."""
        return _EXACT.scaleb(self.cents, Decimal(-_digits_of(self.currency)))

    def to_dict(self) -> dict[str, object]:
        """Return JSON data: `{"cents": 640.19, "currency": "USD", "major": "6.4019"}`.

        `major`, in whole units (dollars), is exact; `cents` is as exact as a JSON number.
        """
        cents = int(self.cents) if self.cents == int(self.cents) else float(self.cents)
        return {"cents": cents, "currency": self.currency, "major": plain_digits(self.major)}

    def told_apart(self, other: Money) -> tuple[str, str]:
        """Return this amount and another as texts that differ if the amounts differ.

        They have enough digits for that: a message must not say "$10.00 is below $10.00", but
        "$9.9999 is below $10.00".
        """
        digits = max(_digits_of(self.currency), _digits_of(other.currency))
        while self != other and self._text(digits) == other._text(digits):
            digits += 1
        return self._shown(digits), other._shown(digits)

    def _shown(self, digits: int) -> str:
        """Return the text with so many digits, or with the usual number if that is exact."""
        is_usual = round(self, usual := _digits_of(self.currency)) == self
        return self._text(usual if is_usual else digits)

    def __str__(self) -> str:
        return self._text(_digits_of(self.currency))

    def __format__(self, spec: str) -> str:
        """Format as a number: `[[fill]align][sign][width][,][.digits][f]`, such as `>12,.4f`.

        The default digits are those of the currency. Thousands have a separator, `,` or `_`.
        """
        found = re.fullmatch(_FORMAT, spec)
        if found is None:
            raise ValueError(
                f"Money is formatted with [[fill]align][sign][width][,][.digits][f], not {spec!r}"
            )
        digits = int(found["digits"] or _digits_of(self.currency))
        text = self._text(digits, found["sign"]).replace(",", found["group"] or ",")
        return format(text, (found["align"] or ">") + found["width"])

    def _text(self, digits: int, plus: str = "") -> str:
        amount = round(self, digits).major
        sign = "-" if amount < 0 else plus.replace("-", "")
        symbol = _SYMBOLS.get(self.currency, self.currency + " ")
        return f"{sign}{symbol}{amount.copy_abs():,.{digits}f}"

    def __round__(self, digits: int = 0) -> Money:
        """Round to so many digits of the whole unit (dollars), half to even.

        `round(m)` returns whole dollars, `round(m, 2)` whole cents.
        """
        unit = Decimal(1).scaleb(-digits)
        rounded = self.major.quantize(unit, ROUND_HALF_EVEN, _EXACT)
        return Money.from_major(rounded, self.currency)

    def __lt__(self, other: Money) -> bool:
        if not isinstance(other, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return self.cents < self._same_currency(other)

    def __bool__(self) -> bool:
        return self.cents != 0

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return self._of(_EXACT.add(self.cents, self._same_currency(other)))

    def __radd__(self, other: int) -> Money:
        # `sum` starts with the number 0, the only number that can be added.
        return self if type(other) is int and other == 0 else NotImplemented

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return self._of(_EXACT.subtract(self.cents, self._same_currency(other)))

    def __mul__(self, factor: Decimal | float) -> Money:
        """Multiply with a number, exactly."""
        if not _is_number(factor):
            return NotImplemented
        return self._of(_EXACT.multiply(self.cents, _exact(factor)))

    __rmul__ = __mul__

    @overload
    def __truediv__(self, divisor: Decimal | float) -> Money: ...
    @overload
    def __truediv__(self, divisor: Money) -> Decimal: ...
    def __truediv__(self, divisor: Money | Decimal | float) -> Money | Decimal:
        """Divide by a number, or by money of the same currency, which gives the ratio.

        The result has at most 34 digits.
        """
        if isinstance(divisor, Money):
            return _quotient(self.cents, self._same_currency(divisor))
        if not _is_number(divisor):
            return NotImplemented
        return self._of(_quotient(self.cents, _exact(divisor)))

    def __neg__(self) -> Money:
        return self._of(_EXACT.minus(self.cents))

    def __abs__(self) -> Money:
        return self._of(_EXACT.abs(self.cents))

    def _of(self, cents: Decimal) -> Money:
        return Money(cents=cents, currency=self.currency)

    def _same_currency(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other.cents

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> Money:
        currency = data.get("currency", "USD")
        if "major" not in data and "cents" not in data:
            raise ValueError("`cents` or `major` is missing")
        if "major" not in data:
            return cls(cents=data["cents"], currency=currency)
        found = cls.from_major(data["major"], currency)
        if float(data.get("cents", found.cents)) != float(found.cents):
            raise ValueError("`cents` and `major` are not the same amount")
        return found

    @classmethod
    def _properties(cls) -> Iterable[Property]:
        own: Any = cls
        told = descriptions(own) | {"major": "The exact amount in whole units (dollars), as text."}
        types = {"cents": (int | float, float | str), "currency": (str, str), "major": (str, str)}
        return [
            Property(
                name=name,
                written=written,
                read=read,
                required=False,
                schema={"description": told.get(name, "")},
            )
            for name, (written, read) in types.items()
        ]


def _digits_of(currency: str) -> int:
    return _DIGITS.get(currency, 2)


def _is_number(value: object) -> bool:
    return isinstance(value, (Decimal, int, float)) and not isinstance(value, bool)


def _quotient(amount: Decimal, divisor: Decimal) -> Decimal:
    if not divisor:
        raise ZeroDivisionError("money is divided by zero")
    return _QUOTIENT.divide(amount, divisor)


def _money(cents: float, owner: Any) -> Money:
    return Money(cents=cents, currency=getattr(owner, "currency", "USD"))


def money(field_name: str) -> Derived[Money]:
    """Return an attribute for the cents in a field as `Money`, in the value's currency or USD."""
    return Derived(field_name, _money)


def optional_money(field_name: str) -> Derived[Money | None]:
    """Do the same as `money`, for a field that may be `None`."""
    return Derived(field_name, lambda cents, owner: None if cents is None else _money(cents, owner))


# Arguments.


def in_cents(name: str, value: Any) -> Any:
    """Return `Money` as an int of US cents, and any other value as it is, for the validator."""
    if not isinstance(value, Money):
        return value
    if value.currency != "USD":
        raise ValueError(f"`{name}` must be in US dollars, got {value}")
    cents = int(value.cents)
    if cents != value.cents:
        shown, _ = value.told_apart(round(value, 2))
        raise ValueError(f"`{name}` must be in whole cents, got {shown}")
    return cents


def amount_in_cents(value: int | Money) -> int:
    """Convert the argument `amount` as `in_cents` does."""
    cents: int = in_cents("amount", value)
    return cents


def threshold_in_cents(value: int | Money) -> int:
    """Convert the argument `threshold` as `in_cents` does."""
    cents: int = in_cents("threshold", value)
    return cents
