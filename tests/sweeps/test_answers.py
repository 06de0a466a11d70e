"""The result of a sweep as a mapping: accounts that answered, failed, or were not asked."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest
from attrs import evolve
from matplotlib import pyplot

from cfaigw_billing import CreditBalances, Money, Runways, UsageHistories, forecast_runway
from cfaigw_billing._core.sweeps.answers import AccountAnswers
from cfaigw_billing.types import (
    BillingCreditBalanceResponse,
    BillingUsageHistoryResponse,
    History,
)

BALANCE = BillingCreditBalanceResponse(balance=640.19, has_default_payment_method=False)
USAGE = BillingUsageHistoryResponse(history=())
RUNWAY = forecast_runway(BALANCE, USAGE, now=datetime(2026, 11, 28, tzinfo=UTC))


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # our own


@pytest.fixture(params=[(CreditBalances, BALANCE), (UsageHistories, USAGE)], ids=["usd", "usage"])
def answers(request: pytest.FixtureRequest) -> AccountAnswers[Any]:
    """Account a answered, b failed, c is missing."""
    cls, answer = request.param
    found: AccountAnswers[Any] = cls(
        {"a": answer}, {"b": ConnectionError("broken")}, {"a": "A"}, missing=["c"], listed=False
    )
    return found


def test_the_error_of_an_account_is_raised_where_its_answer_is_wanted(
    answers: AccountAnswers[Any],
) -> None:
    with pytest.raises(ConnectionError, match="broken") as caught:
        answers["b"]
    assert caught.value is answers.failed["b"]


def test_an_error_that_is_raised_often_does_not_grow(answers: AccountAnswers[Any]) -> None:
    depths: set[int] = set()
    for _ in range(5):
        with pytest.raises(ConnectionError) as caught:
            answers["b"]
        depths.add(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(depths) == 1


@pytest.mark.parametrize(
    ("account_id", "reason"), [("c", "sweep ended early"), ("d", "not one of the accounts")]
)
def test_an_account_that_was_not_asked_is_a_key_error_that_says_why(
    account_id: str, reason: str, answers: AccountAnswers[Any]
) -> None:
    with pytest.raises(KeyError, match=f"{account_id} .*{reason}"):
        answers[account_id]


def test_the_mapping_knows_only_those_that_answered(answers: AccountAnswers[Any]) -> None:
    answer = answers["a"]
    assert (list(answers), list(answers.values())) == (["a"], [answer])
    assert dict(answers) == dict(answers.items()) == {"a": answer}
    assert [name in answers for name in "abcd"] == [True, False, False, False]
    assert [name in answers.keys() for name in "ab"] == [True, False]  # noqa: SIM118  # the view
    assert [(name, answer) in answers.items() for name in "ab"] == [True, False]
    assert [answers.get(name) for name in "abcd"] == [answer, None, None, None]
    assert answers.get("b", 5) == 5
    assert answers == {"a": answer}
    match answers:
        case {"b": _}:
            pytest.fail("b has no answer")
        case {"a": found}:
            assert found is answer
        case _:
            pytest.fail("a has one")


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, pickled],
)
def test_it_copies_and_pickles(
    duplicate: Callable[[Any], Any], answers: AccountAnswers[Any]
) -> None:
    assert answers._repr_html_()  # which may keep what it has added up
    copied = duplicate(answers)
    assert type(copied) is type(answers)
    assert dict(copied) == dict(answers)
    assert (copied.names, copied.missing, copied.listed) == ({"a": "A"}, ("c",), False)
    with pytest.raises(ConnectionError, match="broken"):
        copied["b"]
    assert copied._repr_html_() == answers._repr_html_()


def test_the_repr_and_the_table_count_those_without_an_answer(answers: AccountAnswers[Any]) -> None:
    page = answers._repr_html_()
    for text in ("1 failed", "1 missing", "the list of accounts incomplete"):
        assert text in repr(answers)
        assert text in page
    assert "2 accounts: " in page
    assert "b failed: broken" in page


# a | b


def union(one: Any, other: Any) -> Any:
    return one | other


def answered(*cents: float, **names: float) -> CreditBalances:
    """The accounts that answered, with their balances, numbered or named."""
    balances = {f"{number}": each for number, each in enumerate(cents)} | names
    return CreditBalances(
        {name: evolve(BALANCE, balance=each) for name, each in balances.items()}, {}
    )


def failing(**errors: Exception) -> CreditBalances:
    return CreditBalances({}, errors)


def state_of(answers: AccountAnswers[Any]) -> object:
    """Everything that a user sees of it, and in which order."""
    kept = [*answers.items()], [*answers.failed.items()], answers.names, answers.missing
    return type(answers), kept, answers.listed, answers.to_records(), answers._repr_html_()


def test_the_union_has_the_accounts_of_both() -> None:
    one = CreditBalances(
        answered(b=1.0, a=2000.0), {"x": LookupError("one")}, {"a": "A"}, missing=["m", "n"]
    )
    other = CreditBalances(answered(c=-5.0), {"y": LookupError("other")}, {"c": "C"}, missing=["m"])
    before = state_of(one), state_of(other)
    both = one | other
    assert (list(both), list(both.failed)) == (["b", "a", "c"], ["x", "y"])
    assert (both.names, both.missing, both.listed) == ({"a": "A", "c": "C"}, ("m", "n"), True)
    assert both.total == one.total + other.total
    assert list(both.below(Money.dollars(10))) == ["b", "c"]
    assert [record["account_id"] for record in both.to_records()] == ["b", "a", "c", "x", "y"]
    assert list(both.to_pandas().index) == ["b", "a", "c", "x", "y"]
    axes: Any = both.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["C", "b", "A"]
    pyplot.close(axes.figure)
    assert "5 accounts: $19.96 in all" in both._repr_html_()
    with pytest.raises(LookupError, match="other"):
        both["y"]
    assert (state_of(one), state_of(other)) == before, "they are as they were"


def test_of_an_account_in_both_the_second_counts_answer_or_error() -> None:
    first = answered(a=1.0, b=2.0) | failing(c=LookupError("first"), d=LookupError("first"))
    again = answered(a=10.0, c=30.0) | failing(b=LookupError("again"), d=LookupError("again"))
    found = first | again
    assert {name: answer.balance for name, answer in found.items()} == {"a": 10.0, "c": 30.0}
    assert {name: str(error) for name, error in found.failed.items()} == {
        "d": "again",
        "b": "again",
    }


def test_what_was_missing_and_then_asked_is_missing_no_more() -> None:
    partial = CreditBalances(answered(a=1.0), {}, missing=["b", "c", "d"], listed=False)
    rest = answered(b=2.0) | failing(c=LookupError())
    for whole in (partial | rest, rest | partial):
        assert whole.missing == ("d",)
        assert not whole.listed, "there may be more accounts"
        assert len(whole) + len(whole.failed) == 3


@pytest.mark.parametrize("cls", [CreditBalances, Runways, UsageHistories])
def test_an_empty_one_changes_nothing(cls: Any) -> None:
    value = {CreditBalances: BALANCE, Runways: RUNWAY, UsageHistories: USAGE}[cls]
    some = cls({"a": value}, {"b": LookupError("x")}, {"a": "A"}, missing=["c"], listed=False)
    for same in (some | cls({}, {}), cls({}, {}) | some, reduce(union, [some], cls({}, {}))):
        assert state_of(same) == state_of(some)
        assert same is not some


def test_many_parts_become_one() -> None:
    parts = [CreditBalances(answered(*range(n)), {}) for n in range(20)]
    whole = reduce(union, parts)
    assert state_of(whole) == state_of(answered(*range(19)))
    growing = parts[0]
    for part in parts:
        growing |= part
    assert state_of(growing) == state_of(whole)
    assert len(parts[0]) == 0, "`|=` makes a new one, too"


def test_what_was_added_up_before_is_added_up_again() -> None:
    row = History(id="1", aggregated_value=100.0, start_time=0, end_time=3_600_000)
    parts = [UsageHistories({name: evolve(USAGE, history=(row,))}, {}) for name in "ab"]
    assert [part.total for part in parts] == [Money.dollars(1)] * 2
    both = parts[0] | parts[1]
    assert both.total == Money.dollars(2)
    assert list(both.totals) == ["a", "b"]


def test_what_counts_as_low_or_soon_is_kept() -> None:
    low, usual = answered(a=1500.0), answered(b=1500.0)
    low.low = Money.dollars(20)
    assert (low | usual).low == (usual | low).low == Money.dollars(20)
    usual.low = Money.dollars(5)
    assert (low | usual).low == Money.dollars(5)
    soon = Runways({}, {})
    soon.soon = timedelta(days=1)
    assert (Runways({}, {}) | soon).soon == timedelta(days=1)


@pytest.mark.parametrize("other", [{}, {"a": BALANCE}, None, Runways({}, {}), [("a", BALANCE)]])
def test_what_is_no_such_result_does_not_merge(other: Any) -> None:
    some = answered(a=1.0)
    with pytest.raises(TypeError, match="unsupported operand"):
        union(some, other)
    with pytest.raises(TypeError, match="unsupported operand"):
        union(other, some)

    class Special(CreditBalances):
        """A subclass of a user."""

    with pytest.raises(TypeError, match="unsupported operand"):
        union(some, Special({}, {}))
    assert isinstance(Special({}, {}) | Special({}, {}), Special)
