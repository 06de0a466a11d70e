"""The next step for a key: the complete table, written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from attrs import evolve

from cfaigw_billing._core.journal import OPEN, Entry, Step, check_same, decide
from cfaigw_billing.journal import State

NOW = datetime(2026, 5, 4, tzinfo=UTC)
ENTRY = Entry(
    key="order-1",
    base_url="https://api.test",
    account_id="a",
    amount=5000,
    created_at=NOW,
    holder="h",
    lease_until=NOW,
)

DECISIONS: dict[tuple[State, bool], Step] = {
    # state, whether the sender has given a sign of life: what to do
    ("claimed", True): Step.WAIT,
    ("claimed", False): Step.SEND,  # nothing was sent; the mark decides who of two may send
    ("sent", True): Step.WAIT,
    ("sent", False): Step.RECONCILE,
    ("unknown", True): Step.RECONCILE,
    ("unknown", False): Step.RECONCILE,
    ("charged", True): Step.ANSWER,
    ("charged", False): Step.ANSWER,
    ("not_charged", True): Step.SEND,
    ("not_charged", False): Step.SEND,
}


def test_the_table_is_whole() -> None:
    assert len(DECISIONS) == 2 * len(get_args(State))


@pytest.mark.parametrize(("state", "alive"), DECISIONS)
def test_decide(state: State, alive: bool) -> None:
    entry = evolve(ENTRY, state=state, lease_until=NOW + timedelta(microseconds=int(alive)))
    assert decide(entry, NOW) is DECISIONS[state, alive]


def test_a_lease_by_a_clock_that_was_years_ahead_blocks_no_key() -> None:
    far = evolve(ENTRY, lease_until=NOW + timedelta(days=3650))
    assert decide(far, NOW) is Step.SEND
    assert decide(evolve(far, state="sent"), NOW) is Step.RECONCILE


def test_a_new_key_is_sent() -> None:
    assert decide(None, NOW) is Step.SEND


def test_only_what_is_proven_is_sent_again() -> None:
    sends = {state for (state, _), step in DECISIONS.items() if step is Step.SEND}
    assert sends == {"claimed", "not_charged"}
    assert {"claimed", "sent", "unknown"} == OPEN


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("account_id", "b"),
        ("amount", 5001),
        ("payment_method_id", "pm_1"),
        ("base_url", "https://staging.test"),
    ],
)
def test_a_key_is_of_one_top_up(name: str, other: object) -> None:
    changed: dict[str, Any] = {name: other}
    check_same(ENTRY, evolve(ENTRY, holder="x", created_at=NOW + timedelta(1), attempt=2))
    with pytest.raises(ValueError, match=f"'order-1' belongs .* its `{name}` was"):
        check_same(ENTRY, evolve(ENTRY, **changed))


# What a person settles.


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_open_entry_is_settled_by_its_invoice_or_as_not_charged(state: State) -> None:
    entry = evolve(ENTRY, state=state, version=3)
    charged = entry.as_charged("in_1")
    assert (charged.state, charged.payment_intent_id, charged.version) == ("charged", "in_1", 4)
    assert (entry.as_not_charged().state, entry.as_not_charged().version) == ("not_charged", 4)


@pytest.mark.parametrize("state", sorted(set(get_args(State)) - OPEN))
def test_what_is_settled_stays_so(state: State) -> None:
    entry = evolve(ENTRY, state=state)
    for settle in (entry.as_not_charged, lambda: entry.as_charged("in_1")):
        with pytest.raises(ValueError, match=f"'order-1' is settled already: {state}"):
            settle()


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_invoice_is_not_an_invoice(nothing: Any) -> None:
    with pytest.raises(ValueError, match="`payment_intent_id` must be an invoice"):
        ENTRY.as_charged(nothing)
