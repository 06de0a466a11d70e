"""`Money`, and the `…_money` beside every amount of an answer."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import pytest

from cfaigw_billing import Money, types
from cfaigw_billing._core.codec import decode
from cfaigw_billing.types._base import Response
from cfaigw_billing.types._derived import Derived

EXACT: list[tuple[Any, str]] = [
    (640.19, "640.19"),
    (0.1, "0.1"),
    (-12.5, "-12.5"),
    (5000, "5000"),
    (1e15 + 0.3, "1000000000000000.2"),  # the shortest text that is that float
    (10**40, "1" + 40 * "0"),
    ("640.19", "640.19"),
    (Decimal("0.001"), "0.001"),
]


@pytest.mark.parametrize(("cents", "exact"), EXACT)
def test_an_amount_is_exactly_what_was_written(cents: Any, exact: str) -> None:
    assert Money(cents=cents).cents == Decimal(exact)


TEXTS = [
    (Money(cents=640.19), "$6.40"),
    (Money(cents=0), "$0.00"),
    (Money(cents=-640.19), "-$6.40"),
    (Money(cents=-0.1), "$0.00"),
    (Money(cents=123_456_789), "$1,234,567.89"),
    (Money(cents=-123_456_789), "-$1,234,567.89"),
    (Money(cents=99_999.5), "$1,000.00"),
    (Money(cents=0.5), "$0.00"),  # half to even
    (Money(cents=1.5), "$0.02"),
    (Money(cents=640.19, currency="eur"), "EUR 6.40"),
    (Money(cents=-640.19, currency="EUR"), "-EUR 6.40"),
    (Money(cents=500, currency="jpy"), "JPY 500"),  # yen have no cents
    (Money(cents=-1_234_567, currency="KRW"), "-KRW 1,234,567"),
    (Money(cents=1000, currency="KWD"), "KWD 1.000"),  # a dinar has 1,000 fils
]


@pytest.mark.parametrize(("money", "text"), TEXTS)
def test_text(money: Money, text: str) -> None:
    assert str(money) == text


def test_units_and_currency() -> None:
    assert Money(cents=640.19).major == Decimal("6.4019")
    assert Money.dollars("6.4019") == Money(cents=640.19)
    assert Money.from_major(6.4, "eur") == Money(cents=640, currency="EUR")
    assert Money.from_major(500, "JPY") == Money(cents=500, currency="JPY")
    assert Money.from_major("1.5", "kwd") == Money(cents=1500, currency="KWD")
    assert Money(cents=500, currency="VND").major == 500
    assert Money(cents=1, currency="BHD").major == Decimal("0.001")
    assert Money(cents=1).currency == "USD"
    assert Money(cents=1, currency="usd") == Money(cents=1)


def test_order() -> None:
    assert Money(cents=1) < Money(cents=2)
    assert Money(cents=2) <= Money(cents=2.0)
    assert Money(cents=3) > Money(cents=2)
    assert Money(cents=2) >= Money(cents="2")
    assert sorted([Money(cents=3), Money(cents=-1), Money(cents=2)]) == [
        Money(cents=-1),
        Money(cents=2),
        Money(cents=3),
    ]
    assert max(Money(cents=640.19), Money(cents=640.2)) == Money(cents=640.2)


def test_arithmetic_is_exact() -> None:
    assert Money(cents=0.1) + Money(cents=0.2) == Money(cents=0.3)
    assert Money(cents=640.19) - Money(cents=1000) == Money(cents=-359.81)
    assert -Money(cents=640.19) == Money(cents=-640.19)
    assert sum([Money(cents=0.1)] * 10) == Money(cents=1)
    assert sum([Money(cents=0.1, currency="EUR")] * 2) == Money(cents=0.2, currency="EUR")


MULTIPLY: Callable[[Any, Any], Any] = operator.mul


def divide(amount: Any, divisor: Any) -> Any:
    return amount / divisor


def test_money_is_multiplied_and_divided() -> None:
    assert Money.dollars("6.4019") * 3 == 3 * Money.dollars("6.4019") == Money.dollars("19.2057")
    assert Money.dollars(10) * 0.1 == Money.dollars(1)
    assert Money.dollars(100) * Decimal("1.05") == Money.dollars(105)
    assert Money.dollars(-10) / 4 == Money.dollars("-2.5")
    assert str(Money.dollars(10) / 3) == "$3.33"
    assert Money.from_major(10, "JPY") / 0.5 == Money.from_major(20, "JPY")
    assert Money.dollars(15) / Money.dollars(10) == Decimal("1.5")
    for zero in (0, 0.0, Money(cents=0)):
        for amount in (Money.dollars(1), Money(cents=0)):
            with pytest.raises(ZeroDivisionError):
                divide(amount, zero)
    for number in (float("nan"), float("inf"), Decimal("NaN")):
        with pytest.raises(ValueError, match="finite"):
            MULTIPLY(Money.dollars(1), number)


@pytest.mark.parametrize("number", [True, "2", None, [1]])
def test_money_is_multiplied_and_divided_by_numbers_only(number: Any) -> None:
    for compute in (MULTIPLY, divide):
        with pytest.raises(TypeError):
            compute(Money.dollars(1), number)
        with pytest.raises(TypeError):
            compute(number, Money.dollars(1))
    with pytest.raises(TypeError):
        MULTIPLY(Money.dollars(1), Money.dollars(1))
    with pytest.raises(TypeError):
        divide(1, Money.dollars(1))
    with pytest.raises(ValueError, match="USD and EUR do not mix"):
        divide(Money.dollars(1), Money.from_major(1, "EUR"))


def test_size_and_truth() -> None:
    assert abs(Money.dollars(-5)) == abs(Money.dollars(5)) == Money.dollars(5)
    assert Money(cents="0.001")
    assert not Money(cents=0)
    assert not Money(cents="-0.00")


ROUNDED = [
    # the amount, the digits, the result
    ("6.4019", 2, "6.40"),
    ("6.405", 2, "6.40"),  # half to even
    ("6.415", 2, "6.42"),
    ("6.4019", 0, "6"),
    ("-6.5", 0, "-6"),
    ("160", -2, "200"),
    ("6.4019", 10, "6.4019"),
]


@pytest.mark.parametrize(("amount", "digits", "expected"), ROUNDED)
def test_money_is_rounded_to_digits_of_the_dollar(amount: str, digits: int, expected: str) -> None:
    assert round(Money.dollars(amount), digits) == Money.dollars(expected)
    assert round(Money.dollars(amount)) == round(Money.dollars(amount), 0)
    dinars = round(Money.from_major(amount, "KWD"), digits)
    assert dinars == Money.from_major(expected, "KWD")


FORMATS = [
    # the format, $1,234.5678 in it
    ("", "$1,234.57"),
    (">12", "   $1,234.57"),
    ("12", "   $1,234.57"),  # to the right, as numbers are
    ("<12", "$1,234.57   "),
    ("*^12", "*$1,234.57**"),
    (".4f", "$1,234.5678"),
    (">14,.3f", "    $1,234.568"),
    ("+,.0f", "+$1,235"),
    (" ", " $1,234.57"),
    ("-", "$1,234.57"),
    ("_.1f", "$1_234.6"),
    ("f", "$1,234.57"),
]


@pytest.mark.parametrize(("spec", "text"), FORMATS)
def test_the_formats_of_numbers(spec: str, text: str) -> None:
    assert format(Money.dollars("1234.5678"), spec) == text


def test_formats_have_the_digits_of_the_currency_and_the_sign() -> None:
    assert f"{Money.from_major(1234, 'JPY'):>12}" == "   JPY 1,234"
    assert f"{Money.from_major('1.5', 'KWD'):+}" == "+KWD 1.500"
    assert f"{Money.dollars(-5):+}" == f"{Money.dollars(-5): }" == "-$5.00"
    with localcontext(prec=3):
        assert f"{Money.dollars('1234.5678'):.4f}" == "$1,234.5678"


@pytest.mark.parametrize("spec", ["x", "d", "s", ".2s", "012", "=12", ".f", "%", ".2e", "12.4ff"])
def test_a_format_that_is_none_says_what_one_is(spec: str) -> None:
    with pytest.raises(ValueError, match="Money is formatted with"):
        format(Money.dollars(1), spec)


APART = [
    # two amounts, and their texts
    ("9.9999", "10", ("$9.9999", "$10.00")),
    ("10", "9.9999", ("$10.00", "$9.9999")),
    ("9.50", "10", ("$9.50", "$10.00")),
    ("9.9985", "9.999", ("$9.998", "$9.999")),
    ("10", "10.00", ("$10.00", "$10.00")),
    ("9.9999", "9.9999", ("$10.00", "$10.00")),  # there is nothing to tell apart
    ("-0.001", "0", ("-$0.001", "$0.00")),
    ("0.30000000000000004", "0.3", ("$0.30000000000000004", "$0.30")),
]


@pytest.mark.parametrize(("one", "other", "texts"), APART)
def test_two_amounts_are_told_apart(one: str, other: str, texts: tuple[str, str]) -> None:
    assert Money.dollars(one).told_apart(Money.dollars(other)) == texts


def test_amounts_of_other_currencies_are_told_apart() -> None:
    yen = Money.from_major(5, "JPY")
    assert yen.told_apart(Money.from_major("5.1", "JPY")) == ("JPY 5", "JPY 5.1")
    assert yen.told_apart(Money.dollars(5)) == ("JPY 5", "$5.00")


def test_arithmetic_is_exact_whatever_the_programs_decimal_context() -> None:
    with localcontext(prec=3):
        assert Money(cents=123_456.78) + Money(cents=0.01) == Money(cents=123_456.79)
        assert Money(cents=123_456.78) - Money(cents=0.01) == Money(cents=123_456.77)
        assert -Money(cents=123_456.78) == Money(cents=-123_456.78)
        assert Money(cents=123_456.78).major == Decimal("1234.5678")
        assert Money.dollars("1234.5678") == Money(cents=123_456.78)
        assert str(Money(cents=123_456.78)) == "$1,234.57"


def test_equal_money_is_one_key() -> None:
    assert {
        Money(cents=640),
        Money(cents=640.0),
        Money(cents="640.00"),
        Money(cents=640, currency="usd"),
    } == {Money(cents=640)}
    assert Money(cents=640) != Money(cents=640, currency="EUR")
    assert Money(cents=640) not in [640, 640.0, Decimal(640), None]
    ten: Any = 10
    assert (Money(cents=10) == ten) is False
    assert (Money.dollars(10) != ten) is True


def pickled(money: Money) -> Money:
    again: Money = pickle.loads(pickle.dumps(money))  # noqa: S301  # our own
    return again


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_copies_are_equal(again: Callable[[Money], Money]) -> None:
    money = Money(cents=640.19, currency="EUR")
    assert again(money) == money
    assert hash(again(money)) == hash(money)


OPERATORS = [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("compute", OPERATORS)
@pytest.mark.parametrize("number", [640, 640.19, Decimal(1), True, "1", None])
def test_a_bare_number_does_not_mix_with_money(
    compute: Callable[[Any, Any], Any], number: Any
) -> None:
    with pytest.raises(TypeError):
        compute(Money(cents=1), number)
    with pytest.raises(TypeError):
        compute(number, Money(cents=1))


@pytest.mark.parametrize("compute", OPERATORS)
def test_another_currency_does_not_mix(compute: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(ValueError, match="USD and EUR do not mix"):
        compute(Money(cents=1), Money(cents=1, currency="EUR"))


@pytest.mark.parametrize("start", [1, 0.0, False])
def test_money_is_added_to_no_number_but_the_zero_of_sum(start: Any) -> None:
    with pytest.raises(TypeError):
        sum([Money(cents=1)], start)


def of_cents(cents: Any) -> Money:
    return Money(cents=cents)


WRONG: list[tuple[Any, type[Exception]]] = [
    (True, TypeError),
    (None, TypeError),
    (float("nan"), ValueError),
    (float("inf"), ValueError),
    (Decimal("sNaN"), ValueError),
    ("-Infinity", ValueError),
    ("", ValueError),
    ("$6.40", ValueError),
]


@pytest.mark.parametrize(("cents", "error"), WRONG)
@pytest.mark.parametrize("make", [of_cents, Money.from_major, Money.dollars])
def test_what_is_no_amount_raises(
    make: Callable[[Any], Money], cents: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        make(cents)


def test_a_bare_amount_that_may_be_dollars_or_cents_is_refused() -> None:
    with pytest.raises(TypeError, match="positional"):
        Money(10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_money_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Money(cents=1).cents = Decimal(2)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# The siblings of the amounts.

AMOUNTS = {"amount_due": 1000.5, "amount_paid": 0, "amount_remaining": -2.25}
LINE = {"amount": 0.1, "currency": "eur", "period": {"start": 0, "end": 0}, "pricing": {}}
PREVIEW: dict[str, Any] = {
    "id": "in_1",
    "invoice_lines": [],
    "period_start": 0,
    "period_end": 0,
    "status": "draft",
}
ROW = {"id": "1", "start_time": 0, "end_time": 0}

SIBLINGS: list[tuple[type[Response], dict[str, Any], dict[str, Money | None]]] = [
    # the class, what was answered, its money
    (
        types.BillingCreditBalanceResponse,
        {"balance": 640.19, "has_default_payment_method": True},
        {"balance_money": Money(cents=640.19)},
    ),
    (
        types.TopupConfig,
        {"amount": 5000, "threshold": 0},
        {"amount_money": Money(cents=5000), "threshold_money": Money(cents=0)},
    ),
    (
        types.ConfigGetResponse,
        {"amount": None},
        {"amount_money": None, "threshold_money": None},
    ),
    (
        types.ConfigCreateResponse,
        {"amount": 5000, "threshold": 500},
        {"amount_money": Money(cents=5000), "threshold_money": Money(cents=500)},
    ),
    (
        types.TopupLimitsResponse,
        {"min_cents": 1000, "max_cents": 1e5, "currency": "gbp"},
        {
            "min_money": Money(cents=1000, currency="GBP"),
            "max_money": Money(cents=100_000, currency="GBP"),
        },
    ),
    (
        types.History,
        {**ROW, "aggregated_value": 0.1},
        {"aggregated_value_money": Money(cents="0.1")},
    ),
    (
        types.Invoice,
        {**AMOUNTS, "currency": "usd"},
        {
            "amount_due_money": Money(cents=1000.5),
            "amount_paid_money": Money(cents=0),
            "amount_remaining_money": Money(cents=-2.25),
        },
    ),
    (
        types.BillingInvoicePreviewResponse,
        {**AMOUNTS, **PREVIEW, "currency": "eur"},
        {
            "amount_due_money": Money(cents=1000.5, currency="EUR"),
            "amount_paid_money": Money(cents=0, currency="EUR"),
            "amount_remaining_money": Money(cents=-2.25, currency="EUR"),
        },
    ),
    (
        types.InvoiceLine,
        {**LINE, "quantity": 1},
        {"amount_money": Money(cents=0.1, currency="EUR")},
    ),
    (
        types.InvoiceLinePretaxCreditAmount,
        {"amount": 12.5, "type": "credit"},
        {"amount_money": Money(cents=12.5)},
    ),
    (types.Config, {"amount": 100}, {"amount_money": Money(cents=100)}),
    (types.Config, {"amount": None}, {"amount_money": None}),
]


@pytest.mark.parametrize(("cls", "answered", "expected"), SIBLINGS)
def test_the_money_beside_an_amount(
    cls: type[Response], answered: dict[str, Any], expected: dict[str, Money | None]
) -> None:
    value = decode(answered, cls, "result", lambda: answered)
    assert {name: getattr(value, name) for name in expected} == expected


def test_every_money_of_every_class_is_in_the_table_above() -> None:
    exported = (getattr(types, name) for name in types.__all__)
    present = {
        (cls, name)
        for cls in exported
        if isinstance(cls, type) and issubclass(cls, Response)
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, Derived) and name.endswith("_money")
    }
    assert present == {(cls, name) for cls, _, expected in SIBLINGS for name in expected}


def test_the_unit_price_is_an_exact_decimal_without_a_unit() -> None:
    pricing = types.InvoiceLinePricing(unit_amount_decimal="0.00012345678901234567890123456789")
    assert pricing.unit_amount == Decimal("0.00012345678901234567890123456789")
    assert types.InvoiceLinePricing().unit_amount is None


@pytest.mark.parametrize("amount", ["1e401", "-1e999999999", Decimal("1e99999")])
def test_an_amount_beyond_all_reason_is_refused(amount: Decimal | str) -> None:
    with pytest.raises(ValueError, match="below 1e401"):
        Money(cents=amount)
    with pytest.raises(ValueError, match="below 1e401"):
        Money.dollars(amount)
    assert str(Money(cents=1e308)).startswith("$")


@pytest.mark.parametrize("currency", [None, 840, b"USD"])
def test_a_currency_that_is_no_text_is_refused(currency: Any) -> None:
    with pytest.raises(TypeError, match="`currency` must be a str"):
        Money(cents=1, currency=currency)
    with pytest.raises(TypeError, match="`currency` must be a str"):
        Money.from_major(1, currency)
