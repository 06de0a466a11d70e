"""When the credit runs out: the rules by example, what holds for all answers, and the emulator."""

from __future__ import annotations

import json
import pickle
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from math import isfinite
from typing import Any, cast

import pytest
from attrs import evolve
from fastapi import FastAPI
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cfaigw_billing import forecast_runway
from cfaigw_billing.testing import Emulator
from cfaigw_billing.types import (
    BillingCreditBalanceResponse,
    BillingUsageHistoryResponse,
    History,
    Runway,
    TopupConfig,
)

NOW = datetime(2026, 11, 26, 9, 20, tzinfo=UTC)  # a Thursday
"""A third of the unfinished hour has passed."""
MS = 3_600_000
"""An hour in milliseconds."""
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TOPUP = TopupConfig(amount=5000, threshold=1000)


def row(hours_ago: float, cents: float, width: float = 1.0) -> History:
    """Return the usage of an hour, so many whole hours before the current one."""
    start = (NOW.timestamp() // 3600 - hours_ago) * MS
    return History(
        id=str(hours_ago), aggregated_value=cents, start_time=start, end_time=start + width * MS
    )


Spent = dict[int, float] | list[History]


def usage(cents: Spent) -> BillingUsageHistoryResponse:
    """Rows, or the cents by how many hours ago."""
    rows = [row(*item) for item in cents.items()] if isinstance(cents, dict) else cents
    return BillingUsageHistoryResponse(history=tuple(rows))


def balance(cents: float, config: TopupConfig | None = None) -> BillingCreditBalanceResponse:
    return BillingCreditBalanceResponse(
        balance=cents, has_default_payment_method=True, topup_config=config
    )


def steady(hours: int, cents: float = 10.0) -> dict[int, float]:
    """So many whole hours of the same usage, and the part of the unfinished one."""
    return dict.fromkeys(range(1, hours + 1), cents) | {0: cents / 3}


def forecast(
    cents: float = 2400.0,
    spent: Spent | None = None,
    config: TopupConfig | None = None,
    now: datetime = NOW,
) -> Runway:
    """Forecast for an account that spends 240 cents a day by default."""
    return forecast_runway(
        balance(cents, config), usage(steady(28 * 24) if spent is None else spent), now=now
    )


def dates(runway: Runway) -> list[datetime | None]:
    return [runway.empties_after, runway.empties_at, runway.empties_before]


# The rules.


def test_steady_spending_goes_on() -> None:
    runway = forecast(2400)
    assert (runway.outcome, runway.as_of, runway.balance) == ("forecast", NOW, 2400)
    assert runway.spending_per_day == pytest.approx(240)
    assert runway.empties_at is not None
    assert abs(runway.empties_at - (NOW + 10 * DAY)) <= MINUTE
    assert runway.empties_after is not None
    assert runway.empties_before is not None
    assert NOW + 7 * DAY < runway.empties_after < runway.empties_at < runway.empties_before
    assert runway.empties_before < NOW + 13 * DAY
    assert (runway.topup, runway.topup_at) == ("off", None)
    assert runway.history.first == NOW.replace(minute=0) - timedelta(hours=28 * 24)
    assert (runway.history.hours, runway.history.rows) == (673, 673)
    assert runway.history.reach == 3 * timedelta(hours=673)


def test_the_hour_of_the_day_and_the_weekend_count() -> None:
    """Ten dollars on each working day, half at 10:00 and half at 14:00 (UTC)."""
    begun = NOW.replace(minute=0)
    hours = ((ago, begun - timedelta(hours=ago)) for ago in range(56 * 24))
    office = {ago: 500.0 for ago, at in hours if at.hour in (10, 14) and at.weekday() < 5}
    for cents, lasts in ((450, "2026-11-26 10"), (900, "2026-11-26 14"), (2900, "2026-11-30 14")):
        runway = forecast(cents, office)
        assert f"{runway.empties_at:%Y-%m-%d %H}" == lasts


def test_an_hour_without_a_row_is_zero_after_the_first_row_only() -> None:
    young, gaps = dict.fromkeys(range(97), 10.0), dict.fromkeys(range(0, 97, 2), 10.0)
    assert forecast(spent=young).history.hours == 97
    assert forecast(spent=young).spending_per_day > 200
    assert forecast(spent=gaps).history.hours == 97
    assert forecast(spent=gaps).history.rows == 49
    assert 100 < forecast(spent=gaps).spending_per_day < 140


def test_the_unfinished_hour_counts_by_the_part_that_has_passed() -> None:
    assert forecast(spent=steady(672) | {0: 10.0}).spending_per_day > 240.1
    assert forecast(spent=steady(672) | {0: 0.0}).spending_per_day < 239.9


def test_the_newest_whole_hour_counts_only_where_it_raises_the_rate() -> None:
    assert forecast(spent=steady(672) | {1: 2.0}).spending_per_day == pytest.approx(240)
    assert forecast(spent=steady(672) | {1: 200.0}).spending_per_day > 250
    assert forecast(spent=steady(672) | {2: 2.0}).spending_per_day < 239.9


@pytest.mark.parametrize(
    ("runway", "outcome", "per_day"),
    [
        (forecast(0), "empty", 240),
        (forecast(-5), "empty", 240),
        (forecast(spent={}), "idle", 0),
        (forecast(spent={28 * 24: 10.0}), "idle", 0),
        (forecast(spent={28 * 24 - 1: 10.0}), "forecast", None),
        (forecast(spent=steady(71)), "too_new", 240),
        (forecast(spent=steady(72)), "forecast", 240),
        (forecast(spent={0: 10.0}), "too_new", 240),
        (forecast(0, {}), "empty", 0),
    ],
)
def test_some_accounts_have_no_dates(runway: Runway, outcome: str, per_day: float | None) -> None:
    assert runway.outcome == outcome
    if outcome != "forecast":
        assert [*dates(runway), runway.topup_at] == [None] * 4
    if per_day is not None:
        assert runway.spending_per_day == pytest.approx(per_day, rel=0.01)


def test_a_topup_that_is_on_has_a_date_of_its_own() -> None:
    runway = forecast(2400, config=TOPUP)
    assert runway.topup == "on"
    assert runway.topup_at == forecast(1400).empties_at
    assert dates(runway) == dates(forecast(2400))
    due = forecast(900, config=TOPUP)
    assert due.topup_at is not None
    assert abs(due.topup_at - NOW) <= MINUTE


@pytest.mark.parametrize(
    ("config", "topup"),
    [
        (None, "off"),
        (TopupConfig(), "off"),
        (TopupConfig(amount=0, threshold=0, disabled_reason="payment_failed"), "off"),
        (evolve(TOPUP, disabled_reason="payment_failed"), "failed"),
        (evolve(TOPUP, error="declined"), "failed"),
        (evolve(TOPUP, last_failed_at=1.8e12), "failed"),
    ],
)
def test_a_topup_that_does_not_work_has_no_date(config: TopupConfig | None, topup: str) -> None:
    runway = forecast(2400, config=config)
    assert (runway.topup, runway.topup_at) == (topup, None)
    assert dates(runway) == dates(forecast(2400))


def test_what_is_too_far_ahead_is_not_told() -> None:
    week = steady(7 * 24)
    assert None not in dates(forecast(240 * 5, week))
    after, *rest = dates(forecast(240 * 22, week))
    assert after is not None
    assert after < NOW + 22 * DAY
    assert rest == [None, None]
    assert dates(forecast(240 * 1000, week)) == [None, None, None]
    assert forecast(240 * 1000, week).outcome == "forecast"


def test_dates_are_whole_minutes_and_the_interval_is_rounded_outwards() -> None:
    for cents in range(100, 400, 7):
        runway = forecast(float(cents))
        found = dates(runway)
        assert [date and date.second for date in found] == [0, 0, 0]
        assert found == sorted(cast("list[datetime]", found))
    soon = forecast(1e-9)
    assert dates(soon) == [NOW, NOW, NOW + MINUTE]


# What is refused.


def test_answers_about_different_accounts_are_refused() -> None:
    mine = evolve(balance(2400.0, None), account_id="a")
    assert forecast_runway(mine, usage(steady(96)), now=NOW).account_id == "a"
    theirs = evolve(usage(steady(96)), account_id="b")
    with pytest.raises(ValueError, match="must be about the same account: 'a', 'b'"):
        forecast_runway(mine, theirs, now=NOW)


def test_a_naive_now_is_refused() -> None:
    with pytest.raises(ValueError, match="`now` must be an aware datetime"):
        forecast(now=NOW.replace(tzinfo=None))
    with pytest.raises(TypeError, match="`now` must be a datetime, not float"):
        forecast(now=cast("Any", NOW.timestamp()))


def test_days_instead_of_hours_are_refused() -> None:
    with pytest.raises(ValueError, match='value_grouping_window="hour"'):
        forecast(spent=[row(48, 10.0, width=24)])


def test_another_time_zone_is_the_same_moment() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert forecast(now=there) == forecast()
    assert forecast(now=there).as_of.tzinfo is UTC


# What holds for all answers.

few = settings(max_examples=60, deadline=None, database=None)
amounts = st.floats(allow_nan=False, allow_infinity=False)
any_rows = st.lists(
    st.builds(
        row,
        st.floats(-100, 10_000) | st.integers(-2, 200) | st.sampled_from([1e15, -1e15, 1e300]),
        amounts | st.floats(0, 100),
        st.floats(-2, 1),
    ),
    max_size=40,
)
configs = st.none() | st.builds(
    TopupConfig, amount=st.none() | amounts, threshold=st.none() | amounts, error=st.none()
)


def made_up(seed: int, hours: int, share: float, largest: int) -> dict[int, float]:
    """Whole cents by hours ago, in such a share of the hours and in the first one."""
    rng = random.Random(seed)
    ago = [hour for hour in range(hours) if rng.random() < share or hour == hours - 1]
    return {hour: float(rng.randint(1, largest)) for hour in ago}


histories = st.builds(
    made_up,
    st.integers(0, 10_000),
    st.integers(73, 700),
    st.sampled_from([0.02, 0.2, 0.9, 1.0]),
    st.sampled_from([1, 100, 10**6]),
)


@few
@example([row(72, 5e-324), row(0, 0.0)], 0.0, None, datetime(2026, 1, 1))
@example([row(72, 1.8e-303), *(row(0, 0.0) for _ in range(2))], 0.0, None, datetime(2026, 1, 1))
@example([row(72, 5.8e-289), *(row(ago, 0.0) for ago in range(4))], 1.0, None, datetime(2026, 1, 1))
@given(any_rows, amounts, configs, st.datetimes(datetime(1990, 1, 1), datetime(9999, 12, 1)))
def test_every_answer_gives_a_runway_that_can_be_shown(
    rows: list[History], cents: float, config: TopupConfig | None, at: datetime
) -> None:
    for now in (NOW, at.replace(tzinfo=UTC)):
        runway = forecast(cents, rows, config, now)
        assert isfinite(runway.spending_per_day)
        assert runway.spending_per_day >= 0
        known = [date for date in dates(runway) if date is not None]
        assert known == sorted(known)
        assert known == [] or runway.outcome == "forecast"
        assert all(now - MINUTE < date <= now + runway.history.reach + MINUTE for date in known)
        assert pickle.loads(pickle.dumps(runway)) == runway  # noqa: S301  # our own
        assert runway.to_records()[0]["outcome"] == runway.outcome
        assert "Spending per day" in runway._repr_html_()


@few
@given(histories, st.floats(0.01, 1e5), st.floats(1, 30))
def test_a_larger_balance_never_gives_an_earlier_date(
    spent: dict[int, float], cents: float, times: float
) -> None:
    less, more = forecast(cents, spent, TOPUP), forecast(cents * times, spent, TOPUP)
    for earlier, later in zip(
        [*dates(less), less.topup_at], [*dates(more), more.topup_at], strict=True
    ):
        # A minute, because the numbers behind the dates are rounded, too.
        assert later is None or (earlier is not None and earlier <= later + MINUTE)


@few
@given(histories, st.floats(1, 1e5), st.integers(-29, 60))  # a cent stays above `LEAST`
def test_the_unit_of_money_changes_nothing(
    spent: dict[int, float], cents: float, exponent: int
) -> None:
    times = 2.0**exponent
    scaled = forecast(cents * times, {ago: value * times for ago, value in spent.items()})
    runway = forecast(cents, spent)
    assert dates(scaled) == dates(runway)
    assert scaled.spending_per_day == pytest.approx(runway.spending_per_day * times)


def shuffled(rows: list[History]) -> list[History]:
    return random.Random(1).sample(rows, len(rows))


def with_zeros(rows: list[History]) -> list[History]:
    return [*rows, *(row(ago, 0.0) for ago in range(0, 2000, 3))]


def split(rows: list[History]) -> list[History]:
    parts = (1.0, -3.0, 2.0, 0.0)  # that add up to nothing
    return [
        evolve(each, aggregated_value=each.aggregated_value * (number == 0) + part)
        for each in rows
        for number, part in enumerate(parts)
    ]


def with_the_future(rows: list[History]) -> list[History]:
    return [*rows, *(row(-ahead, 1e6) for ahead in (1, 2, 500))]


@pytest.mark.parametrize("change", [shuffled, with_zeros, split, with_the_future])
@few
@given(histories, st.floats(1, 1e6))
def test_the_same_spending_in_other_rows_changes_nothing(
    change: Callable[[list[History]], list[History]], spent: dict[int, float], cents: float
) -> None:
    rows = [row(*item) for item in spent.items()]
    assert forecast(cents, change(rows)) == forecast(cents, rows)


def test_it_costs_no_more_than_it_did() -> None:
    """In calls of functions, Python's and C's: eight weeks take less than a millisecond."""
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    answers = balance(24_000, TOPUP), usage(steady(56 * 24))
    sys.setprofile(count)
    try:
        forecast_runway(*answers, now=NOW)
    finally:
        sys.setprofile(None)
    assert calls < 8300  # 15 % above what was counted


# How it is shown.


def shown(runway: Runway) -> dict[str, str]:
    return dict(runway._details())


def test_it_shows_dates_in_dollars_and_utc() -> None:
    runway = forecast(2400)
    after, at, before = (f"{date:%Y-%m-%d %H:%M} UTC" for date in dates(runway))
    assert shown(runway) == {
        "Balance": "$24.00",
        "Spending per day": "$2.40",
        "Automatic top-up": "off",
        "Empty": f"about {at}",
        "In 8 of 10 cases": f"{after} to {before}",
    }
    assert shown(forecast(240 * 22, steady(7 * 24)))["In 8 of 10 cases"].endswith("or later")
    assert shown(forecast(1e9))["Empty"] == "more than 84 days from now"


def test_it_never_mixes_a_topup_with_an_empty_account() -> None:
    on = shown(forecast(2400, config=TOPUP))
    assert "Empty" not in on
    assert on["Next charge"].startswith("about 2026-12-02")
    assert on["Empty if that charge fails"].startswith("about 2026-12-06")
    failed = shown(forecast(2400, config=evolve(TOPUP, error="declined")))
    assert failed["Automatic top-up"] == "failed"
    assert "Next charge" not in failed
    assert shown(forecast(0, config=TOPUP))["Empty"] == "now"
    assert "28 days" in shown(forecast(spent={}))["Empty"]
    assert "72 hours" in shown(forecast(spent=steady(5)))["Empty"]


def test_its_record_has_cents_and_dollars() -> None:
    (record,) = forecast(2400).to_records()
    assert record["balance"] == 2400
    assert record["balance_usd"] == "24"
    assert record["empties_at"] == str(forecast(2400).empties_at).replace(" ", "T")
    assert record["history_rows"] == 673
    assert "extra" not in record
    assert forecast(2400).to_pandas().loc[0, "spending_per_day"] == pytest.approx(240)


def test_its_data_is_json_and_comes_back() -> None:
    runway = evolve(forecast(2400, config=TOPUP), account_id="a")
    data = runway.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert (data["account_id"], data["spending_per_day_usd"]) == ("a", "2.4")
    assert data["history"] == {"first": "2026-10-29T09:00:00+00:00", "hours": 673, "rows": 673}
    adapter = TypeAdapter(Runway)
    for kind in (runway, forecast(0), forecast(spent={}), forecast(spent=steady(5))):
        again = adapter.validate_json(adapter.dump_json(kind))
        assert again == kind == pickle.loads(pickle.dumps(kind))  # noqa: S301
        assert again.account_id == kind.account_id


def test_a_route_of_fastapi_may_answer_it() -> None:
    app = FastAPI()

    @app.get("/runway")
    def runway() -> Runway:
        return forecast(2400)

    schema = app.openapi()["components"]["schemas"]["Runway"]
    assert schema["required"] == list(forecast(2400).to_dict())
    assert "cents" in schema["properties"]["balance"]["description"]
    assert "9 of 10" in schema["properties"]["empties_after"]["description"]


def test_it_is_drawn_on_the_plot_of_usage() -> None:
    answer, config = usage(steady(28 * 24)), TOPUP
    axes: Any = answer.plot(runway=forecast(2400, config=config))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [
        "Expected spending",
        "In 8 of 10 cases",
        "Empty if that charge fails",
        "Next charge",
    ]
    (level,) = axes.collections[0].get_segments()
    assert level[0][1] == pytest.approx(0.10)  # dollars an hour
    axes.figure.canvas.draw()
    assert answer.plot(runway=forecast(0)).get_legend() is None  # it has no dates
    assert answer.plot().get_legend() is None


# The emulator spends, and the forecast comes true.

OFFICE = [0.0] * 8 + [60.0] * 10 + [0.0] * 6
"""Six dollars between 8:00 and 18:00 (UTC)."""


def ask(emulator: Emulator, account_id: str) -> Runway:
    with emulator.client(account_id=account_id) as client:
        billing = client.ai_gateway.billing
        return forecast_runway(
            billing.credit_balance(),
            billing.usage_history(value_grouping_window="hour"),
            now=emulator.now,
        )


def test_a_forecast_comes_true() -> None:
    with Emulator(at=NOW) as emulator:
        account = emulator.add_account("a", balance=6000)
        account.spend_hourly(OFFICE, days=28)
        runway = ask(emulator, "a")
        assert runway.spending_per_day == pytest.approx(600, rel=0.05)
        assert runway.empties_after is not None
        emulator.advance((runway.empties_after - NOW).total_seconds())
        assert account.balance > 0
        assert runway.empties_before is not None
        emulator.advance((runway.empties_before - emulator.now).total_seconds())
        assert account.balance < 0
        assert ask(emulator, "a").outcome == "empty"


def test_topups_of_the_past_change_nothing() -> None:
    with Emulator(at=NOW) as emulator:
        accounts = [emulator.add_account(name, balance=6000) for name in ("one", "two")]
        for account in accounts:
            account.spend_hourly(OFFICE, days=14)
        accounts[1].topup_config |= {"amount": 3000, "threshold": 5500}
        emulator.advance(10 * 24 * 3600)
        assert len(emulator.charges) == 2
        accounts[1].topup_config |= {"amount": 0, "threshold": 0}
        accounts[1].start_topup(1234)
        emulator.advance(24 * 3600)
        accounts[0].balance = accounts[1].balance
        assert ask(emulator, "one") == ask(emulator, "two")
