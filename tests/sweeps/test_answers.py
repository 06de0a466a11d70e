"""What a sweep leads to, as a mapping: who answered, who failed, who was not asked."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from cfaigw_billing import CreditBalances, UsageHistories
from cfaigw_billing._core.sweeps.answers import AccountAnswers
from cfaigw_billing.types import BillingCreditBalanceResponse, BillingUsageHistoryResponse

BALANCE = BillingCreditBalanceResponse(balance=640.19, has_default_payment_method=False)
USAGE = BillingUsageHistoryResponse(history=())


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
