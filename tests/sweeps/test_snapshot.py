"""The samples of a snapshot, in both formats of a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import exposition, parser
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as om_exposition
from prometheus_client.openmetrics import parser as om_parser

from cfaigw_billing import RateLimit
from cfaigw_billing._core.watch.schedule import Look
from cfaigw_billing._core.watch.snapshot import KEPT, AccountState, Snapshot
from cfaigw_billing._show.exposition import Family, registered
from cfaigw_billing.types import (
    BillingCreditBalanceResponse,
    BillingUsageHistoryResponse,
    History,
    Runway,
    RunwayHistory,
    TopupConfig,
)

A, B = "a" * 32, "b" * 32
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LIMIT = RateLimit(remaining=900, quota=1200, window=300.0, resets_in=60.0, blocked=False)
UNKNOWN = RateLimit(remaining=None, quota=None, window=None, resets_in=0.0, blocked=False)
TOPUP = TopupConfig(amount=5000, threshold=1000)
Samples = dict[str, dict[str, float]]


def balance(cents: float, config: TopupConfig | None = TOPUP) -> BillingCreditBalanceResponse:
    return BillingCreditBalanceResponse(
        balance=cents, has_default_payment_method=True, topup_config=config
    )


def runway(at: datetime | None = NOW + timedelta(days=9)) -> Runway:
    return Runway(
        outcome="forecast",
        as_of=NOW,
        balance=640.19,
        spending_per_day=60,
        empties_at=at,
        empties_after=at and at - timedelta(days=2),
        topup="on",
        history=RunwayHistory(),
    )


def seen(
    cents: float = 640.19,
    before: AccountState | None = None,
    *,
    config: TopupConfig | None = TOPUP,
    used: float | None = None,
    forecast: Runway | None = None,
) -> AccountState:
    """The state after a look that succeeded; `used` is the sum of all days, in cents."""
    look = Look(
        account_id=A,
        name="Shop",
        at=NOW,
        balance=balance(cents, config),
        runway=forecast,
        days=None if used is None else days(used / 2, used - used / 2),
    )
    return (before or AccountState(seen_at=NOW)).after(look)


def days(*cents: float) -> BillingUsageHistoryResponse:
    rows = [
        History(id=f"{n}", aggregated_value=value, start_time=n * 864e5, end_time=(n + 1) * 864e5)
        for n, value in enumerate(cents)
    ]
    return BillingUsageHistoryResponse(history=tuple(rows))


def failed(state: AccountState, times: int) -> AccountState:
    look = Look(account_id=A, at=NOW + timedelta(minutes=5), error=RuntimeError("secret"))
    for _ in range(times):
        state = state.after(look)
    return state


def samples(state: Snapshot | AccountState, limit: RateLimit = UNKNOWN) -> dict[str, float]:
    """The values of account A, and those without labels, by the names of their samples."""
    snapshot = Snapshot({A: state}) if isinstance(state, AccountState) else state
    registry, _ = registered(lambda: snapshot.families({None: limit}))
    return {
        sample.name: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.labels.get("account_id", A) == A
    }


# Values.


def test_amounts_are_dollars_and_moments_are_seconds() -> None:
    state = seen(640.19, used=12345.6789, forecast=runway())
    assert samples(state, LIMIT) == {
        "cfaigw_account_info": 1,
        "cfaigw_account_last_success_timestamp_seconds": NOW.timestamp(),
        "cfaigw_account_up": 1,
        "cfaigw_api_requests_quota": 1200,
        "cfaigw_api_requests_remaining": 900,
        "cfaigw_automatic_topup_amount_usd": 50,
        "cfaigw_automatic_topup_enabled": 1,
        "cfaigw_automatic_topup_failed": 0,
        "cfaigw_automatic_topup_threshold_usd": 10,
        "cfaigw_balance_usd": 6.4019,
        "cfaigw_empties_earliest_timestamp_seconds": NOW.timestamp() + 7 * 86400,
        "cfaigw_empties_timestamp_seconds": NOW.timestamp() + 9 * 86400,
        "cfaigw_refresh_duration_seconds": 0,
        "cfaigw_usage_usd_total": 123.456789,
    }


def test_what_is_not_known_is_absent_and_not_0() -> None:
    unset = samples(seen(config=TopupConfig(amount=0, threshold=0), forecast=runway(None)))
    assert "cfaigw_automatic_topup_amount_usd" not in unset
    assert "cfaigw_automatic_topup_threshold_usd" not in unset
    assert "cfaigw_empties_timestamp_seconds" not in unset
    assert "cfaigw_usage_usd_total" not in unset
    assert "cfaigw_api_requests_remaining" not in unset
    assert (unset["cfaigw_automatic_topup_enabled"], unset["cfaigw_automatic_topup_failed"]) == (
        0,
        0,
    )
    assert "cfaigw_automatic_topup_enabled" not in samples(seen(config=None))
    assert samples(Snapshot()) == {}


@pytest.mark.parametrize(
    "trouble", [{"disabled_reason": "declined"}, {"error": "declined"}, {"last_failed_at": 1e12}]
)
def test_an_automatic_topup_that_failed_shows(trouble: dict[str, Any]) -> None:
    found = samples(seen(config=TopupConfig(amount=5000, threshold=1000, **trouble)))
    assert found["cfaigw_automatic_topup_failed"] == 1
    assert found["cfaigw_automatic_topup_threshold_usd"] == 10


def test_the_refresh_lasts_from_the_first_account_to_the_last() -> None:
    late = AccountState(seen_at=NOW + timedelta(seconds=90))
    assert samples(Snapshot({A: seen(), B: late}))["cfaigw_refresh_duration_seconds"] == 90


# Accounts that fail, and accounts that vanish.


def test_a_failed_account_is_down_at_once_and_keeps_its_values_for_three_refreshes() -> None:
    state = seen(640.19, used=10, forecast=runway())
    up = samples(state)
    for times in range(1, KEPT + 1):
        assert samples(failed(state, times)) == {**up, "cfaigw_account_up": 0}
    assert samples(failed(state, KEPT + 1)) == {
        "cfaigw_account_info": 1,
        "cfaigw_account_last_success_timestamp_seconds": NOW.timestamp(),
        "cfaigw_account_up": 0,
        "cfaigw_refresh_duration_seconds": 0,
    }


def test_an_account_that_never_answered_is_down_without_values() -> None:
    state = failed(AccountState(seen_at=NOW, name="Shop"), 1)
    assert samples(state).keys() == {
        "cfaigw_account_info",
        "cfaigw_account_up",
        "cfaigw_refresh_duration_seconds",
    }


def test_an_account_that_answers_again_is_up_and_its_failures_count_anew() -> None:
    state = seen(700, failed(seen(640.19, used=10), KEPT + 1))
    assert samples(state)["cfaigw_account_up"] == 1
    assert samples(state)["cfaigw_balance_usd"] == 7
    assert samples(state)["cfaigw_usage_usd_total"] == 0.1
    assert "cfaigw_balance_usd" in samples(failed(state, KEPT))


def test_an_account_that_vanished_leaves_nothing() -> None:
    both = Snapshot({A: seen(), B: seen()})
    after = both.after(Look(account_id=None, at=NOW, accounts=[B, "c"]))
    assert after.accounts.keys() == {B}
    assert samples(after) == {"cfaigw_refresh_duration_seconds": 0}
    assert both.accounts.keys() == {A, B}, "a scrape may still be reading it"


def test_it_is_complete_when_each_account_has_been_looked_at() -> None:
    listed = Snapshot().after(Look(account_id=None, at=NOW, accounts=[A, B]))
    failing = listed.after(Look(account_id=A, at=NOW, error=RuntimeError()))
    assert not failing.is_complete
    assert failing.after(Look(account_id=B, at=NOW, balance=balance(1))).is_complete


# Usage never falls.


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=12))
def test_usage_never_falls(sums: list[float | None]) -> None:
    state: AccountState | None = None
    shown: list[float] = []
    for cents in sums:
        state = seen(1, state, used=cents)
        shown += [v for k, v in samples(state).items() if k == "cfaigw_usage_usd_total"]
    assert shown == sorted(shown)


def test_usage_of_nothing_is_0_and_begins_to_count_there() -> None:
    assert samples(seen(used=0))["cfaigw_usage_usd_total"] == 0


def test_noise_in_the_sum_of_the_service_is_no_fall_after_a_restart() -> None:
    before, after = (seen(used=cents) for cents in (0.1 + 0.2, 0.3))
    assert samples(before) == samples(after)


# The formats.

FORMATS: list[tuple[Callable[[Any], bytes], Callable[[str], Iterable[Metric]]]] = [
    (exposition.generate_latest, parser.text_string_to_metric_families),
    (
        om_exposition.generate_latest,  # pyright: ignore[reportUnknownMemberType]
        om_parser.text_string_to_metric_families,  # pyright: ignore[reportUnknownMemberType]
    ),
]
NASTY = 'Say "hi"\\\n{a="b"} 1 # EOF \ud800 €'


@pytest.mark.parametrize(("write", "read"), FORMATS, ids=["text", "OpenMetrics"])
def test_both_parsers_read_every_family(
    write: Callable[[Any], bytes], read: Callable[[str], Iterable[Metric]]
) -> None:
    snapshot = Snapshot(
        {
            A: seen(-1234.56, used=2e-6, forecast=runway()),
            B: failed(AccountState(seen_at=NOW, name=NASTY), 1),
        }
    )
    registry, _ = registered(lambda: snapshot.families({None: LIMIT}))
    found = [s for metric in read(write(registry).decode()) for s in metric.samples]
    values = {s.name: s.value for s in found if s.labels.get("account_id", A) == A}
    assert values == samples(snapshot, LIMIT)
    labels = {name for sample in found for name in sample.labels if sample.name.endswith("_info")}
    assert labels == {"account_id", "name"}
    assert {n for s in found for n in s.labels if not s.name.endswith("_info")} == {"account_id"}
    (name,) = (
        s.labels["name"] for s in found if s.labels.get("account_id") == B and len(s.labels) > 1
    )
    assert name == NASTY.replace("\ud800", "?")


def test_every_family_says_what_it_is_and_its_unit() -> None:
    registry, _ = registered(lambda: Snapshot().families({}))
    families = list(registry.collect())
    assert len(families) == 14
    for family in families:
        assert family.documentation.endswith(".")
        assert family.unit == next((u for u in ("usd", "seconds") if family.name.endswith(u)), "")
    assert {family.name: family.type for family in families if family.type != "gauge"} == {
        "cfaigw_account": "info",
        "cfaigw_usage_usd": "counter",
    }


def test_the_names_are_known_before_there_is_a_sample() -> None:
    registry, collector = registered(lambda: [Family("cfaigw_x", "A family.", [])])
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(collector)
