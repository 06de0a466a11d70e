"""`usage_histories`: the usage of many accounts as one table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from matplotlib import pyplot
from virtual import EmulatorClock

from cfaigw_billing import (
    APIResponseValidationError,
    AsyncCloudflare,
    AuthenticationError,
    Money,
    NotFoundError,
    UsageHistories,
)
from cfaigw_billing._show.progress import Progress
from cfaigw_billing.testing import Emulator, Fault, RequestLimit
from cfaigw_billing.types import BillingUsageHistoryResponse, History

if TYPE_CHECKING:
    from conftest import Run

HOUR = 3_600_000
NINE = datetime(2026, 1, 31, 9, tzinfo=UTC)
START = int(NINE.timestamp() * 1000)
USAGE = "/ai-gateway/billing/usage-history"


class Sweep(Protocol):
    """`usage_histories` of either client, run to its end, by the hour."""

    def __call__(
        self, account_ids: Any = None, *, progress: Progress = False, **options: Any
    ) -> UsageHistories: ...


@pytest.fixture
def sweep(run: Run, billing_emulator: Emulator) -> Sweep:
    where = {"base_url": billing_emulator.base_url, "api_token": billing_emulator.api_token}

    def sweep(account_ids: Any = None, **options: Any) -> UsageHistories:
        given = {"value_grouping_window": "hour"} | options

        def call(client: Any) -> Any:
            return client.ai_gateway.billing.usage_histories(account_ids, **given)

        found = run(call, **where)
        assert isinstance(found, UsageHistories)
        return found

    return sweep


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    """Account a uses $1.00 and $0.50, b nothing, c $6.40, and x fails."""
    used: dict[str, dict[int, float]] = {
        "a": {START: 100.0, START + HOUR: 50.0},
        "b": {},
        "c": {START: 640.19},
        "x": {},
    }
    for name, usage in used.items():
        billing_emulator.add_account(name, name=f"The account {name}").usage.update(usage)
    billing_emulator.inject(Fault(status=404), times=None, path=f"/x{USAGE}")
    return billing_emulator


@pytest.fixture
def result(sweep: Sweep, emulator: Emulator) -> UsageHistories:
    return sweep()


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


# Requests.


def test_every_account_is_asked_with_the_same_window(sweep: Sweep, emulator: Emulator) -> None:
    found = sweep(["c", "a", "c"], value_grouping_window="day", start_time=NINE, end_time=START + 1)
    assert list(found) == ["c", "a"]
    assert found.names == {}
    asked = {"value_grouping_window": "day", "start_time": str(START), "end_time": str(START + 1)}
    assert [dict(request.query) for request in emulator.requests] == [asked, asked]


REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "a window": (None, {"value_grouping_window": "week"}, ValueError, "value_grouping_window"),
    "a naive time": (None, {"start_time": datetime(2026, 1, 1)}, ValueError, "start_time"),
    "an end before the start": ([], {"start_time": 2e12, "end_time": 1e12}, ValueError, "end_time"),
    "one id": ("a", {}, TypeError, "account_ids"),
    "an id that is none": (["a", "a/b"], {}, ValueError, "account_id"),
    "no concurrency": (["a"], {"concurrency": 0}, ValueError, "concurrency"),
    "all in reserve": (["a"], {"reserve": 1}, ValueError, "reserve"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    case: str, sweep: Sweep, billing_emulator: Emulator
) -> None:
    account_ids, options, kind, name = REFUSED[case]
    with pytest.raises(kind, match=name):
        sweep(account_ids, **options)
    assert billing_emulator.requests == []


async def test_it_stays_inside_the_rate_limit() -> None:
    limit = RequestLimit(quota=10, window=300)
    async with Emulator(at=datetime(2026, 3, 4, tzinfo=UTC), limit=limit) as emulator:
        names = [f"{number:02}" for number in range(25)]
        for name in names:
            emulator.add_account(name)
        async with AsyncCloudflare(
            base_url=emulator.base_url, api_token=emulator.api_token
        ) as client:
            client._executor.clock = EmulatorClock(emulator)
            found = await client.ai_gateway.billing.usage_histories(
                names, value_grouping_window="day"
            )
    assert list(found) == names
    assert limit.refused <= 1


def test_progress_counts_the_accounts(sweep: Sweep, emulator: Emulator) -> None:
    seen: list[tuple[int, int | None]] = []
    sweep(["a", "b", "c", "x"], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# Results.


def test_each_account_has_its_usage_or_its_error(result: UsageHistories) -> None:
    assert list(result) == ["a", "b", "c"]
    assert [row.aggregated_value for row in result["a"].history] == [100, 50]
    assert result["b"].history == ()
    assert result.names["c"] == "The account c"
    with pytest.raises(NotFoundError, match="/x/"):
        result["x"]


def test_the_totals_are_exact_and_the_largest_is_first(result: UsageHistories) -> None:
    assert list(result.totals.items()) == [
        ("c", Money(cents="640.19")),
        ("a", Money(cents=150)),
        ("b", Money(cents=0)),
    ]
    assert result.total == Money(cents="790.19")
    assert UsageHistories({}, {}).total == Money(cents=0)
    result.totals.clear()
    assert result.total == Money(cents="790.19"), "the totals are the caller's own"


def test_the_records_of_all_accounts_make_one_table(result: UsageHistories) -> None:
    records = result.to_records()
    assert [(row["account_id"], row["aggregated_value"]) for row in records] == [
        ("a", 100),
        ("a", 50),
        ("c", 640.19),
    ]
    assert records[-1] == {
        "account_id": "c",
        "account_name": "The account c",
        "id": f"mtrusg_hour_{START}",
        "aggregated_value": 640.19,
        "aggregated_value_usd": "6.4019",
        "start_time": NINE.isoformat(),
        "end_time": NINE.replace(hour=10).isoformat(),
    }


def test_the_data_frame_is_that_of_one_account_with_columns_for_the_account(
    result: UsageHistories,
) -> None:
    frame = result.to_pandas()
    assert [*frame] == ["account_id", "account_name", *result["a"].to_pandas().columns[1:]]
    assert frame.groupby("account_id").aggregated_value.sum().to_dict() == {"a": 150, "c": 640.19}
    assert frame.index.name == "start_time"
    empty = UsageHistories({}, {"x": ValueError("no")}).to_pandas()
    assert [*empty] == [*frame]
    assert empty.index.dtype == frame.index.dtype
    assert (empty.dtypes["aggregated_value"], len(empty)) == ("float64", 0)


def test_the_table_shows_those_that_failed_and_then_the_largest(result: UsageHistories) -> None:
    table = result._table(2)
    assert table.title == "4 accounts: $7.90 used in all, 1 failed"
    assert [column.heading for column in table.columns] == [
        "Account",
        "Name",
        "Used",
        "",
        "Rows",
        "Newest row (UTC)",
    ]
    assert [tuple(row) for row in table.rows] == [
        ("x", "The account x", "", "FAILED", "", ""),
        ("c", "The account c", "$6.40", "", "1", "2026-01-31 09:00"),
        ("a", "The account a", "$1.50", "", "2", "2026-01-31 10:00"),
    ]
    assert table.notes[-1] == "and 1 more, none of them larger"
    assert "The account x failed: 404" in table.notes[0]
    assert "$6.40" in result._repr_html_()
    assert repr(result) == "<UsageHistories: 3 accounts, 1 failed, $7.90>"


def usage(cents: float) -> BillingUsageHistoryResponse:
    row = History(id="u", aggregated_value=cents, start_time=START, end_time=START + HOUR)
    return BillingUsageHistoryResponse(history=(row,))


def test_a_little_usage_is_not_shown_as_none() -> None:
    [row] = UsageHistories({"a": usage(0.25)}, {})._table(None).rows
    assert "$0.0025" in row


def test_the_plot_shows_the_largest_in_dollars() -> None:
    few: Any = UsageHistories({"a": usage(100), "b": usage(250)}, {}, {"b": "$x$"}).plot()
    assert [bar.get_width() for bar in few.patches] == [2.5, 1]
    assert [label.get_text() for label in few.get_yticklabels()] == ["$x$", "a"]
    assert few.get_lines() == [], "there is no threshold"
    assert (few.get_title(), few.get_xlabel()) == ("Accounts by usage", "Usage in US dollars")
    many: Any = UsageHistories({f"{n:03}": usage(n) for n in range(200)}, {}).plot()
    assert many.get_title() == "The 30 largest of 200 accounts by usage"
    assert many.patches[0].get_width() == 1.99
    empty: Any = UsageHistories({}, {}).plot()
    empty.figure.canvas.draw()


# The end of a sweep.


def test_what_ends_the_sweep_carries_the_usage_so_far(sweep: Sweep, emulator: Emulator) -> None:
    def stop(done: int, _: int | None) -> None:
        if done == 2:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        sweep(["a", "b", "c"], concurrency=1, progress=stop)
    partial: UsageHistories = getattr(caught.value, "partial")  # noqa: B009  # it was put there
    assert isinstance(partial, UsageHistories)
    assert [*partial, *partial.missing] == ["a", "b", "c"]
    assert partial.missing
    with pytest.raises(KeyError, match="c was not asked"):
        partial["c"]


def test_wrong_credentials_end_it_at_once(sweep: Sweep, emulator: Emulator) -> None:
    emulator.inject(Fault(status=401, code=10000), times=None)
    with pytest.raises(AuthenticationError) as caught:
        sweep(["a", "b", "c"])
    assert caught.value.partial.missing == ("a", "b", "c")
    assert len(emulator.requests) == 1


def test_an_answer_that_is_none_stays_with_its_account(sweep: Sweep, emulator: Emulator) -> None:
    emulator.inject(Fault(body=b'{"success": true, "result": {}}'), path=f"/a{USAGE}")
    found = sweep(["a", "c"])
    assert list(found) == ["c"]
    with pytest.raises(APIResponseValidationError, match="history"):
        found["a"]
