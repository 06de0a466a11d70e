"""The events of a watch: the rules, random histories, and watches over a service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from math import nan
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import virtually
from virtual_service import BEGAN, VirtualAccount, VirtualService, client_of, moment

from cfaigw_billing import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    Cloudflare,
    Event,
    InternalServerError,
    Money,
    RateLimitError,
)
from cfaigw_billing._core.watch.schedule import Look
from cfaigw_billing._core.watch.state import Subject, WatchState
from cfaigw_billing._core.watch.steps import Thresholds, steps_after
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import (
    BillingCreditBalanceResponse,
    Runway,
    RunwayHistory,
    TopupConfig,
)

if TYPE_CHECKING:
    from conftest import Run

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
THRESHOLDS = Thresholds(low=Money.dollars(10), runway=timedelta(days=3))
BALANCE_ONLY = Thresholds(low=Money.dollars(10), runway=None)


def seen(at: float, balance: float, account_id: str = "a", **topup: Any) -> Look:
    """A look that was answered, so many seconds after the first."""
    answer = BillingCreditBalanceResponse(
        balance=balance,
        has_default_payment_method=True,
        topup_config=TopupConfig(**topup) if topup else None,
    )
    return Look(account_id=account_id, name="Acme", at=moment(at), balance=answer)


def forecast(at: float, balance: float, days: float | None) -> Look:
    """A look with a forecast: empty after so many days at the earliest."""
    found = seen(at, balance)
    runway = Runway(
        outcome="forecast",
        as_of=found.at,
        balance=balance,
        spending_per_day=100.0,
        empties_after=None if days is None else found.at + timedelta(days=days),
        topup="off",
        history=RunwayHistory(),
    )
    return Look(account_id="a", name="Acme", at=found.at, balance=found.balance, runway=runway)


def failed(at: float, account_id: str | None = "a", error: Exception | None = None) -> Look:
    return Look(account_id=account_id, at=moment(at), error=error or LookupError("no answer"))


def watched(
    *looks: Look, told: WatchState | None = None, thresholds: Thresholds = BALANCE_ONLY
) -> list[Event]:
    """The events of looks, all of them handed out."""
    told, events = told or WatchState(), list[Event]()
    for look in looks:
        for step in steps_after(told, look, thresholds):
            told.put(step.account_id, step.subject)
            events += [step.event] if step.event else []
    return events


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind for event in events]


# Rule 1: the difference between what is and what was told.


def test_telling_changes_nothing_until_it_is_put() -> None:
    told = WatchState()
    look = seen(0, 900)
    first = steps_after(told, look, BALANCE_ONLY)
    assert first == steps_after(told, look, BALANCE_ONLY)
    assert told.state == WatchState().state


# Rule 2: the state.


def test_what_changed_while_nobody_watched_is_told_and_what_did_not_is_not() -> None:
    told = WatchState()
    assert kinds(watched(seen(0, 900), seen(0, 5000, "b"), told=told)) == ["low"]
    told = WatchState.from_state(json.loads(json.dumps(told.state)))
    later = [seen(DAY, 900), seen(DAY, 700, "b"), seen(DAY, 0, "c")]
    events = watched(*later, told=told)
    assert [(e.account_id, e.kind) for e in events] == [("b", "low"), ("c", "empty")]


def test_an_event_that_was_not_saved_comes_again_with_its_key() -> None:
    told = WatchState()
    watched(seen(0, 5000), told=told)
    state = told.state
    first = watched(seen(HOUR, 900), told=told)
    again = watched(seen(2 * HOUR, 880), told=WatchState.from_state(state))
    assert [event.key for event in first] == [event.key for event in again] == ["a:low:1"]


WRONG_STATES: list[tuple[Any, type[Exception], str]] = [
    ([], TypeError, "must be a saved `watch.state`, not list"),
    ({}, ValueError, "must be a saved `watch.state` of version 2, not None"),
    ({"version": 3}, ValueError, "of version 2, not 3"),
    ({"version": 2, "account:a": []}, ValueError, "`state` must be a saved `watch.state`"),
    ({"version": 2, "account:a": {"x": 1}}, ValueError, r"state\['account:a'\]"),
    ({"version": 2, "account:a": {"at": nan}}, ValueError, r"expected float.*\.at"),
    ({"version": 2, 1: {}}, ValueError, "`state` must be a saved `watch.state`"),
    ({"version": 2, "accounts": {}}, ValueError, "without 'accounts'"),
    ({"version": 1}, ValueError, "`state` must be a saved `watch.state`"),
    ({"version": 1, "service": {}, "accounts": {}, "x": {}}, ValueError, "`state` must be a saved"),
    ({"version": 1, "service": {}, "accounts": []}, ValueError, "`state` must be a saved"),
    ({"version": 1, "service": {}, "accounts": {"a": {"x": 1}}}, ValueError, r"state.*:a'\]"),
    (
        {"version": 1, "service": {}, "accounts": {"a": {"at": "x"}}},
        ValueError,
        r"expected float.*\.at",
    ),
    (
        {"version": 1, "service": {}, "accounts": {"a": {"at": nan}}},
        ValueError,
        r"expected float.*\.at",
    ),
    ({"version": 1, "service": {"open": {"x": 1}}, "accounts": {}}, ValueError, "state.*x"),
    ({"version": 1, "service": {"near": 1}, "accounts": {}}, ValueError, r"state.*\.near"),
    ({"version": 1, "service": {"failing": 1}, "accounts": {}}, ValueError, r"state.*\.failing"),
]


@pytest.mark.parametrize(("state", "error", "message"), WRONG_STATES)
def test_a_wrong_state_is_refused(state: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WatchState.from_state(state)
    with pytest.raises(error, match=message):
        Cloudflare().ai_gateway.billing.watch(["a"], state=state)


def test_a_state_of_version_1_which_was_nested_is_still_read() -> None:
    told = WatchState()
    watched(seen(0, 900), seen(0, 5000, "b"), told=told)
    told.service = Subject(open={"unreadable": 5.0}, told={"unreadable": 2}, failing="outage")
    state = told.state
    nested = {
        "version": 1,
        "service": state["service:a"],
        "accounts": {name: state[f"account:{name}"] for name in ("a", "b")},
    }
    assert WatchState.from_state(nested).state == state


def down(names: Iterable[str], told: WatchState) -> list[Event]:
    """Let all these accounts fail for an hour."""
    told.keep([*names])
    looks = [failed(10 * MINUTE * n, name) for n in range(6) for name in names]
    return watched(*looks, told=told)


def test_the_union_of_two_states_is_the_state_of_the_accounts_of_both() -> None:
    one, other = WatchState(), WatchState()
    watched(seen(0, 900), seen(0, 5000, "b"), told=one)
    watched(seen(0, 700, "c"), failed(0, "d"), told=other)
    assert one.state | {"version": 2} == one.state == {"version": 2} | one.state
    union = json.loads(json.dumps(one.state | other.state))
    told = WatchState.from_state(union)
    assert told.state == union
    assert told.accounts == one.accounts | other.accounts
    assert told.failing == one.failing + other.failing
    now = [seen(DAY, 900), seen(DAY, 0, "b"), seen(DAY, 700, "c"), seen(DAY, 0, "d")]
    assert [(e.account_id, e.kind) for e in watched(*now, told=told)] == [
        ("b", "empty"),
        ("d", "empty"),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_the_union_keeps_that_the_service_was_unreadable_for_one_of_them(order: int) -> None:
    broken, well = WatchState(), WatchState()
    (outage,) = down("abc", broken)
    watched(*(seen(0, 5000, name) for name in "defg"), told=well)
    first, second = (broken.state, well.state)[::order]
    told = WatchState.from_state(first | second)
    assert told.service == broken.service
    (readable,) = watched(*(seen(DAY, 5000, name) for name in "abc"), told=told)
    assert (readable.kind, readable.closes) == ("readable", outage.key)


@pytest.mark.parametrize("order", [1, -1])
def test_in_the_union_no_key_of_an_outage_comes_twice(order: int) -> None:
    often, now = WatchState(), WatchState()
    for _ in range(2):
        down("abc", often)
        watched(*(seen(HOUR, 5000, name) for name in "abc"), told=often)
    down("def", now)
    assert often.service.told == {"unreadable": 2}
    first, second = (often.state, now.state)[::order]
    told = WatchState.from_state(first | second)
    assert (list(told.service.open), told.service.told) == (["unreadable"], {"unreadable": 2})
    watched(*(seen(HOUR, 5000, name) for name in "def"), told=told)
    (outage,) = down("abcdef", told)
    assert outage.key == "service:unreadable:3"


# Rule 3: low.


def test_low_opens_below_the_threshold_and_closes_10_percent_above() -> None:
    balances = [1500, 1000, 999.9, 950, 1051, 980, 1099, 1100, 1000, 990]
    events = watched(*(seen(HOUR * hour, balance) for hour, balance in enumerate(balances)))
    low, topped_up, again, recovered, low_again = events
    assert (low.kind, low.balance, low.at) == ("low", 999.9, moment(2 * HOUR))
    assert {topped_up.kind, again.kind} == {"topped_up"}  # 950 to 1051, 980 to 1099
    assert (recovered.kind, recovered.closes) == ("recovered", low.key)
    assert recovered.since == low.since
    assert low_again.kind == "low"
    assert len({event.key for event in events}) == 5


def test_low_opens_and_closes_by_the_runway_too() -> None:
    looks = [
        forecast(0, 9000, 3.5),
        forecast(HOUR, 9000, 2.9),
        forecast(2 * HOUR, 9000, 3.2),
        seen(3 * HOUR, 9000),  # the usage could not be read: it resolves nothing
        forecast(4 * HOUR, 9000, 3.4),
        forecast(5 * HOUR, 9000, None),
    ]
    events = watched(*looks, thresholds=THRESHOLDS)
    assert [(event.kind, event.at) for event in events] == [
        ("low", moment(HOUR)),
        ("recovered", moment(4 * HOUR)),
    ]
    assert "empty after" in str(events[0])


def test_forecasts_that_fail_for_long_hide_no_change_of_the_balance() -> None:
    """Nothing keeps it low: the balance has recovered, and no forecast has ever been near."""
    told = WatchState()
    balances = [900, 9000, 900]
    looks = [seen(HOUR * hour, balance) for hour, balance in enumerate(balances)]
    for look in looks:
        told = WatchState.from_state(json.loads(json.dumps(told.state)))
        watched(look, told=told, thresholds=THRESHOLDS)
    assert told.accounts["a"].told == {"low": 2, "topped_up": 1}
    assert kinds(watched(forecast(0, 9000, 2.9), told=told, thresholds=THRESHOLDS)) == ["topped_up"]
    told = WatchState.from_state(json.loads(json.dumps(told.state)))
    assert watched(seen(HOUR, 9000), told=told, thresholds=THRESHOLDS) == []
    events = watched(forecast(2 * HOUR, 9000, 4), told=told, thresholds=THRESHOLDS)
    assert kinds(events) == ["recovered"]


def test_empty_takes_the_place_of_low_and_low_that_of_empty() -> None:
    events = watched(seen(0, 500), seen(HOUR, -3), seen(2 * HOUR, 500), seen(3 * HOUR, 5000))
    assert [(event.kind, event.key, event.closes) for event in events] == [
        ("low", "a:low:1", None),
        ("empty", "a:empty:1", "a:low:1"),
        ("topped_up", "a:topped_up:1", None),
        ("low", "a:low:2", "a:empty:1"),
        ("topped_up", "a:topped_up:2", None),
        ("recovered", "a:low:2:recovered", "a:low:2"),
    ]


# Rule 4: looks that fail.


def test_a_failed_look_keeps_the_level_and_resolves_nothing() -> None:
    events = watched(seen(0, 900), failed(HOUR), seen(2 * HOUR, 900))
    assert kinds(events) == ["low"]


@pytest.mark.parametrize(
    ("times", "told_at"),
    [
        ([0, 1, 14, 15], 15),
        ([0, 15, 16], 16),
        ([0, 20], None),
        ([0, 1, 2, 3, 14.9], None),
    ],
)
def test_unreadable_comes_after_3_failures_and_15_minutes(
    times: list[float], told_at: float | None
) -> None:
    told = WatchState()
    events = watched(*(failed(MINUTE * minute) for minute in times), told=told)
    assert [event.at for event in events] == ([] if told_at is None else [moment(MINUTE * told_at)])
    if told_at is not None:
        assert "no answer" in str(events[0])
        (readable,) = watched(failed(DAY), seen(DAY, 5000), told=told)
        assert (readable.kind, readable.closes) == ("readable", events[0].key)


def test_a_clock_that_was_ahead_when_it_began_to_fail_does_not_silence_it() -> None:
    looks = [failed(DAY), *(failed(10 * MINUTE * n) for n in range(5))]
    assert kinds(watched(*looks)) == ["unreadable"]


def test_more_than_half_failing_alike_is_one_event_about_the_service() -> None:
    names, told = [f"{number}" for number in range(8)], WatchState()
    told.keep(names)
    events = watched(*(failed(hour * HOUR, name) for hour in range(6) for name in names), told=told)
    (down,) = events
    assert (down.account_id, down.kind, down.key) == (None, "unreadable", "service:unreadable:1")
    assert "5 of 8 accounts: no answer" in str(down)
    state = told.state
    events = watched(*(seen(DAY, 5000, name) for name in names), told=WatchState.from_state(state))
    assert [(event.kind, event.closes) for event in events] == [("readable", down.key)]
    events = watched(*(seen(DAY, 5000, name) for name in names[:6]), told=told)
    events += watched(failed(DAY, names[6]), failed(DAY, names[7]), told=told)
    told_of = [(event.account_id, event.kind) for event in events]
    assert told_of == [(None, "readable"), ("6", "unreadable"), ("7", "unreadable")]


def test_an_outage_in_several_forms_is_one_event() -> None:
    names, told = [f"{number}" for number in range(8)], WatchState()
    told.keep(names)
    forms = [
        kind.__new__(kind, "no answer")
        for kind in (APITimeoutError, InternalServerError, APIConnectionError, RateLimitError)
    ]
    mixed = [
        failed(hour * HOUR, name, forms[number % 2])
        for hour in range(4)
        for number, name in enumerate(names)
    ]
    changed = [failed((4 + n) * HOUR, name, form) for n, form in enumerate(forms) for name in names]
    (down,) = watched(*mixed, *changed, told=told)
    assert (down.account_id, down.kind) == (None, "unreadable")


def test_accounts_that_fail_differently_are_told_one_by_one() -> None:
    told, names = WatchState(), ["a", "b", "c", "d"]
    told.keep(names)
    errors = [LookupError("l"), LookupError("l"), ValueError("v"), ValueError("v")]
    looks = [
        failed(hour * HOUR, name, error)
        for hour in range(3)
        for name, error in zip(names, errors, strict=True)
    ]
    assert [event.account_id for event in watched(*looks, told=told)] == names


def test_a_list_that_fails_for_long_is_an_event_about_the_service() -> None:
    told = WatchState()
    told.keep(["a", "b"])
    looks = [failed(hour * HOUR, None) for hour in range(5)]
    (down,) = watched(seen(0, 5000), *looks, told=told)
    assert (down.kind, down.account_id) == ("unreadable", None)
    assert watched(seen(DAY, 5000), told=told) == []
    listed = Look(account_id=None, at=moment(DAY), accounts=("a", "b"))
    (readable,) = watched(listed, seen(DAY, 5000), told=told)
    assert readable.closes == down.key


# Rule 5: the automatic top-up.

TOPUP: dict[str, Any] = {"amount": 5000, "threshold": 2000}


def test_within_the_sawtooth_of_a_healthy_topup_there_is_no_low() -> None:
    thresholds = Thresholds(low=Money.dollars(100), runway=timedelta(days=3))
    balances = [3000, 2100, 1900, 6900, 4000, 2000, 1500, 500, 5400]
    looks = [seen(300 * n, balance, **TOPUP) for n, balance in enumerate(balances)]
    events = watched(*looks, thresholds=thresholds)
    assert kinds(events) == ["topped_up", "topped_up"]


@pytest.mark.parametrize("minutes", [14.9, 15])
def test_below_its_threshold_for_15_minutes_without_a_rise_it_has_failed(minutes: float) -> None:
    told = WatchState()
    looks = [seen(0, 2100, **TOPUP), seen(60, 1999, **TOPUP), seen(120, 1990, **TOPUP)]
    assert watched(*looks, told=told) == []
    late = watched(seen(60 + minutes * MINUTE, 900, **TOPUP), told=told)
    assert kinds(late) == ([] if minutes < 15 else ["auto_topup_failed", "low"])
    if late:
        assert "below $20.00 for 15 minutes" in str(late[0])
        assert watched(seen(HOUR, 900, **TOPUP), told=told) == []
        events = watched(seen(2 * HOUR, 5900, **TOPUP), told=told)
        assert kinds(events) == ["topped_up", "auto_topup_restored", "recovered"]
        assert events[1].closes == late[0].key


def test_a_rise_below_the_threshold_starts_the_15_minutes_again() -> None:
    looks = [(0, 1000), (14, 1500), (28, 1490), (30, 1480)]
    events = watched(*(seen(MINUTE * at, balance, **TOPUP) for at, balance in looks))
    assert [(event.kind, event.at) for event in events] == [
        ("topped_up", moment(14 * MINUTE)),
        ("auto_topup_failed", moment(30 * MINUTE)),
    ][: len(events)]
    assert kinds(events)[0] == "topped_up"


def test_a_disabled_topup_has_failed_at_once() -> None:
    told = WatchState()
    look = seen(0, 900, **TOPUP, disabled_reason="card_declined")
    failed_topup, low = watched(look, told=told)
    assert (failed_topup.kind, failed_topup.error) == ("auto_topup_failed", "card_declined")
    assert low.kind == "low"
    assert watched(seen(HOUR, 900, **TOPUP), told=told) == [], "it has not charged yet"


# Rule 6: top-ups.


def test_a_rise_beyond_noise_is_topped_up_with_its_amount() -> None:
    events = watched(seen(0, 2000), seen(60, 2100), seen(120, 2050), seen(180, 7049.5))
    (event,) = events
    assert (event.kind, event.amount) == ("topped_up", 4999.5)
    assert (event.since, event.at) == (moment(120), moment(180))
    assert event.amount_money == Money(cents=4999.5)
    assert str(event) == "Acme (a): topped up by $50.00, balance $70.50"
    told = event.to_dict()
    assert (told["amount"], told["amount_usd"], told["balance_usd"]) == (4999.5, "49.995", "70.495")
    assert json.loads(event.to_json()) == told


def test_an_event_is_one_line_whatever_names_hold() -> None:
    event = Event(
        kind="unreadable",
        account_id="a",
        name="x\ny\x1b",
        at=BEGAN,
        since=BEGAN,
        key="k",
        error="e",
    )
    assert str(event) == "x y  (a): unreadable, e"


# A thousand random histories.

NAMES = ("a", "b", "c")
TOPUPS: dict[str, dict[str, Any]] = {
    "off": {},
    "on": TOPUP,
    "disabled": {**TOPUP, "disabled_reason": "card_declined"},
}
MOVES = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([-500.0, 0.0, 5.0, 900.0, 1000.0, 1050.0, 1150.0, 6000.0, None]),
        st.sampled_from([1.0, 5.0, 20.0]),
        st.sampled_from(list(TOPUPS)),
        st.sampled_from(["", "", "", "killed", "killed before it was saved"]),
    ),
    max_size=25,
)
"""An account, its balance (`None`: the look fails), minutes since the last one, its automatic
top-up, and what becomes of the program at the first event."""


@settings(max_examples=1000, deadline=None)
@given(MOVES)
def test_random_histories_with_kills(
    moves: list[tuple[str, float | None, float, str, str]],
) -> None:
    """Openings and closings alternate; none is missed or repeated, except one for each kill."""
    told, now = WatchState(), 0.0
    told.keep(NAMES)
    saved, delivered = told.state, list[Event]()
    for name, balance, minutes, topup, kill in moves:
        now += minutes * MINUTE
        look = failed(now, name)
        if balance is not None:
            look = seen(now, balance, name, **TOPUPS[topup])
        steps = steps_after(told, look, BALANCE_ONLY)
        first = next((step for step in steps if step.event), None)
        if kill and first and first.event:
            if kill == "killed":  # after it was saved
                told.put(first.account_id, first.subject)
                delivered.append(first.event)
                saved = told.state
            told = WatchState.from_state(json.loads(json.dumps(saved)))
            steps = steps_after(told, look, BALANCE_ONLY)
            again = [step.event.key for step in steps if step.event]
            if kill == "killed":
                assert first.event.key not in again
            elif first.event.kind in ("low", "empty", "recovered") and topup != "on":
                assert first.event.key in again
        for step in steps:
            told.put(step.account_id, step.subject)
            if step.event:
                delivered.append(step.event)
                saved = told.state
        check_what_is_open(told, name, balance, topup)
    assert open_after(delivered) == {
        event_key: account_id
        for account_id in (None, *NAMES)
        for kind in told.of(account_id).open
        for event_key in [f"{account_id or 'service'}:{kind}:{told.of(account_id).told[kind]}"]
    }


def check_what_is_open(told: WatchState, name: str, balance: float | None, topup: str) -> None:
    """The open episodes match the state of the account."""
    if balance is None:
        return
    is_open = told.of(name).open
    assert "unreadable" not in is_open
    assert ("empty" in is_open) == (balance <= 0)
    if topup != "on" and balance > 0:
        assert ("low" in is_open) == (balance < 1000) or 1000 <= balance < 1100
    if topup != "on":
        assert ("auto_topup_failed" in is_open) == (topup == "disabled")
    if balance >= 2000:
        assert "low" not in is_open


def open_after(events: list[Event]) -> dict[str, str | None]:
    """The episodes that are open after events, which must fit together."""
    is_open: dict[str, str | None] = {}
    assert len({event.key for event in events}) == len(events)
    for event in events:
        if event.closes is not None:
            assert is_open.pop(event.closes) == event.account_id
        if event.kind in ("low", "empty", "auto_topup_failed", "unreadable"):
            is_open[event.key] = event.account_id
    return is_open


# Watches over a service in virtual time.


def watch_for(
    service: VirtualService, seconds: float, state: Any = None, **options: Any
) -> tuple[list[Event], Any]:
    """The events of so many seconds, and the state after them."""

    async def main() -> tuple[list[Event], Any]:
        events: list[Event] = []
        client = client_of(service)
        async with client, client.ai_gateway.billing.watch(state=state, **options) as watch:
            try:
                async with asyncio.timeout(seconds):
                    async for event in watch:
                        events.append(event)  # those so far, at the time-out
            except TimeoutError:
                pass
            return events, watch.state

    return virtually(main())


def test_a_crossing_at_steady_spending_is_told_within_2_minutes() -> None:
    """200 accounts, which cross one after another within two hours."""
    service = VirtualService()
    for number in range(200):
        hours = 0.5 + 1.5 * number / 200
        service.accounts[f"{number:032x}"] = VirtualAccount(1000 + 100 * hours, 100)
    events, _ = watch_for(service, 2.1 * HOUR, runway=None)
    assert kinds(events) == ["low"] * 200
    for event in events:
        account = service.accounts[str(event.account_id)]
        crossing = moment((account.balance - 1000) / account.per_hour * HOUR)
        assert timedelta(0) <= event.at - crossing < timedelta(minutes=2)
    assert service.limit.refused == 0


def test_a_restart_goes_on_from_the_state() -> None:
    service = VirtualService(accounts={"a": VirtualAccount(900), "b": VirtualAccount(9000)})
    events, state = watch_for(service, HOUR)
    assert kinds(events) == ["low"]
    service.accounts["b"].balance = 100
    del service.accounts["a"]
    events, state = watch_for(service, HOUR, json.loads(json.dumps(state)))
    assert [(event.account_id, event.name) for event in events] == [("b", "Acme")]
    assert list(state) == ["version", "account:b"]


def test_an_outage_is_one_event_and_its_end_another() -> None:
    service = VirtualService(accounts={f"{n}": VirtualAccount() for n in range(50)})

    def meanwhile(now: float) -> None:
        service.status = 401 if HOUR < now < 3 * HOUR else 200

    service.meanwhile = meanwhile
    down, up = watch_for(service, 5 * HOUR, runway=None)[0]
    assert (down.kind, up.kind, up.closes) == ("unreadable", "readable", down.key)
    assert down.account_id is None
    assert moment(HOUR) < down.at < moment(HOUR + 15 * MINUTE)
    assert moment(3 * HOUR) < up.at < moment(3 * HOUR + 20 * MINUTE)


# Watches over the emulator, with both clients.


def watch_once(run: Run, emulator: Emulator, **options: Any) -> tuple[list[Event], Any]:
    """One round with either client."""

    def call(client: Any) -> Any:
        watch = client.ai_gateway.billing.watch(once=True, **options)
        if hasattr(watch, "__enter__"):
            with watch:
                return list(watch), watch.state

        async def events() -> Any:
            async with watch:
                return [event async for event in watch], watch.state

        return events()

    found: tuple[list[Event], Any] = run(
        call, base_url=emulator.base_url, api_token=emulator.api_token
    )
    return found


def test_one_round_tells_once(run: Run, billing_emulator: Emulator) -> None:
    rich = billing_emulator.add_account("rich", name="Rich", balance=50_000)
    billing_emulator.add_account("low", name="Low", balance=640.19)
    billing_emulator.add_account("odd", name="Odd", balance=50_000)
    billing_emulator.inject(Fault(status=403), times=None, path="/odd/ai-gateway")
    events, state = watch_once(run, billing_emulator)
    assert [(event.kind, event.name, event.balance) for event in events] == [("low", "Low", 640.19)]
    assert events[0].runway is not None
    assert watch_once(run, billing_emulator, state=json.loads(json.dumps(state)))[0] == []
    rich.balance = -1.0
    (event,), _ = watch_once(run, billing_emulator, state=state)
    assert (event.kind, event.account_id) == ("empty", "rich")


def test_the_state_holds_what_was_handed_out(run: Run, billing_emulator: Emulator) -> None:
    for name in ("x", "y"):
        billing_emulator.add_account(name, balance=10)

    def first_state(client: Any) -> Any:
        watch = client.ai_gateway.billing.watch(["x", "y"])
        if hasattr(watch, "__enter__"):
            with watch:
                return next(watch), watch.state

        async def event() -> Any:
            async with watch:
                return await anext(watch), watch.state

        return event()

    event, state = run(
        first_state, base_url=billing_emulator.base_url, api_token=billing_emulator.api_token
    )
    (other,), _ = watch_once(run, billing_emulator, account_ids=["x", "y"], state=state)
    assert {event.account_id, other.account_id} == {"x", "y"}


def test_accounts_move_between_watches(run: Run, billing_emulator: Emulator) -> None:
    for name in ("x", "y", "z"):
        billing_emulator.add_account(name, balance=10)
    first, one = watch_once(run, billing_emulator, account_ids=["x", "y"])
    second, other = watch_once(run, billing_emulator, account_ids=["z"])
    assert [event.kind for event in (*first, *second)] == ["low"] * 3
    union = json.loads(json.dumps(one | other))
    for names in (["x"], ["y", "z"]):
        events, state = watch_once(run, billing_emulator, account_ids=names, state=union)
        assert events == []
        assert state.keys() == {"version", *(f"account:{name}" for name in names)}


def test_wrong_credentials_are_raised_in_the_first_round(
    run: Run, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("x", balance=10)
    billing_emulator.inject(Fault(status=401, code=10000), times=None)
    with pytest.raises(AuthenticationError):
        watch_once(run, billing_emulator, account_ids=["x"])


def test_a_client_may_be_closed_inside_the_block(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("x", balance=10)
    client = Cloudflare(base_url=billing_emulator.base_url, api_token=billing_emulator.api_token)
    with client.ai_gateway.billing.watch(["x"]) as watch:
        assert next(watch).kind == "low"
        client.close()


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"low": 10}, TypeError, "`low` must be Money, not int"),
    ({"low": Money(cents=1, currency="EUR")}, ValueError, "`low` must be in USD"),
    ({"runway": 3}, TypeError, "`runway` must be a timedelta, not int"),
    ({"runway": timedelta(0)}, ValueError, "`runway` must be from 1 hour to 366 days"),
    ({"interval": 60}, TypeError, "`interval` must be a timedelta, not int"),
    ({"interval": timedelta(seconds=59)}, ValueError, "`interval` must be from 1 minute to 1 day"),
    ({"reserve": 1}, ValueError, "`reserve`"),
    ({"account_ids": "abc"}, TypeError, "`account_ids`"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_arguments_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Cloudflare().ai_gateway.billing.watch(**options)
