"""`runway` and `runways`: when the credit of one account and of many runs out."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from matplotlib import pyplot
from virtual import EmulatorClock

from cfaigw_billing import (
    APIResponseValidationError,
    AuthenticationError,
    NotFoundError,
    Runways,
    forecast_runway,
)
from cfaigw_billing.testing import Emulator, Fault, RequestLimit

NOW = datetime(2026, 11, 26, 9, 20, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
BALANCE, USAGE = "/ai-gateway/billing/credit-balance", "/ai-gateway/billing/usage-history"
OFFICE = [0.0] * 8 + [60.0] * 10 + [0.0] * 6
"""Six dollars between 8:00 and 18:00 (UTC)."""


class Ask(Protocol):
    """Gives what `call(billing)` answers, with either client of the emulator."""

    def __call__(self, call: Callable[[Any], Any], *, told: bool = False) -> Any: ...


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Account a lasts for ten days, b is empty, c spends nothing, d is new, and x fails."""
    balances = {"a": 6000.0, "b": -5.0, "c": 2500.0, "d": 300.0, "x": 100.0}
    with Emulator(at=NOW) as emulator:
        for name, balance in balances.items():
            emulator.add_account(name, name=f"The account {name}", balance=balance)
        for name, days in {"a": 70, "b": 56, "d": 2}.items():
            emulator.accounts[name].spend_hourly(OFFICE, days=days)
        emulator.inject(Fault(status=404), times=None, path=f"/x{USAGE}")
        yield emulator


@pytest.fixture(params=["async", "sync"])
def ask(request: pytest.FixtureRequest, emulator: Emulator) -> Ask:
    def ask(call: Callable[[Any], Any], *, told: bool = False) -> Any:
        if request.param == "sync":
            with emulator.client() as client:
                if told:  # the time, by an answer: then both calls are made at once
                    client.ai_gateway.billing.credit_balance(account_id="c")
                return call(client.ai_gateway.billing)
        return asyncio.run(main(call, told=told))

    async def main(call: Callable[[Any], Any], *, told: bool) -> Any:
        async with emulator.async_client() as client:
            if told:
                await client.ai_gateway.billing.credit_balance(account_id="c")
            return await call(client.ai_gateway.billing)

    return ask


@pytest.fixture
def result(emulator: Emulator) -> Runways:
    with emulator.client() as client:
        return client.ai_gateway.billing.runways()


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


# One account.


def test_it_is_the_forecast_of_two_answers(ask: Ask, emulator: Emulator) -> None:
    runway = ask(lambda billing: billing.runway(account_id="a"))
    balance, usage = sorted(emulator.requests, key=lambda request: request.path)
    assert (balance.path, usage.path) == (f"/accounts/a{BALANCE}", f"/accounts/a{USAGE}")
    start = NOW.replace(minute=0) - 56 * DAY
    milliseconds = str(int(start.timestamp() * 1000))
    assert dict(usage.query) == {"value_grouping_window": "hour", "start_time": milliseconds}
    assert abs(runway.as_of - NOW) < MINUTE, "it is the moment of the service"
    with emulator.client(account_id="a") as client:
        billing = client.ai_gateway.billing
        answers = (
            billing.credit_balance(),
            billing.usage_history(value_grouping_window="hour", start_time=start),
        )
    assert runway == forecast_runway(*answers, now=runway.as_of)
    assert (runway.outcome, runway.account_id) == ("forecast", "a")
    assert runway.time_left == runway.empties_after - runway.as_of
    assert 7 * DAY < runway.time_left < 10 * DAY


def test_a_shorter_history_may_be_asked_for(ask: Ask, emulator: Emulator) -> None:
    runway = ask(lambda billing: billing.runway(account_id="a", history=timedelta(days=7)))
    assert runway.history.hours == 7 * 24 + 1
    assert runway.history.first == NOW.replace(minute=0) - timedelta(days=7)


@pytest.mark.parametrize("path", [BALANCE, USAGE])
def test_an_error_of_either_call_is_raised_as_it_is(
    path: str, ask: Ask, emulator: Emulator
) -> None:
    other = {BALANCE: USAGE, USAGE: BALANCE}[path]
    emulator.inject(Fault(status=404), path=f"/a{path}")
    emulator.inject(Fault(silence="hang"), path=f"/a{other}")  # it is not waited for
    with pytest.raises(NotFoundError, match=path):
        ask(lambda billing: billing.runway(account_id="a"), told=True)


async def test_both_are_in_flight_at_once_and_end_with_a_cancellation(emulator: Emulator) -> None:
    async with emulator.async_client(account_id="a") as client:
        await client.ai_gateway.billing.credit_balance()  # which tells the time
        emulator.inject(Fault(silence="hang"), times=None)
        task = asyncio.create_task(client.ai_gateway.billing.runway())
        async with asyncio.timeout(10):
            while len(emulator.requests) < 3:  # noqa: ASYNC110  # a server tells nobody
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        emulator.clear_faults()
        assert (await client.ai_gateway.billing.runway()).outcome == "forecast"


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "too short": (timedelta(days=3), ValueError, "at least 4 and at most 366 days"),
    "too long": (timedelta(days=367), ValueError, "at least 4 and at most 366 days"),
    "days": (56, TypeError, "`history` must be a timedelta, not int"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_history_that_is_none_is_refused_before_anything_is_sent(
    case: str, ask: Ask, emulator: Emulator
) -> None:
    history, kind, says = REFUSED[case]
    with pytest.raises(kind, match=says):
        ask(lambda billing: billing.runway(account_id="a", history=history))
    with pytest.raises(kind, match=says):
        ask(lambda billing: billing.runways(["a"], history=history))
    assert emulator.requests == []


# Many.


def test_each_account_has_its_forecast_or_its_error(ask: Ask, emulator: Emulator) -> None:
    found = ask(lambda billing: billing.runways())
    assert isinstance(found, Runways)
    assert {name: runway.outcome for name, runway in found.items()} == {
        "a": "forecast",
        "b": "empty",
        "c": "idle",
        "d": "too_new",
    }
    assert found.names["a"] == "The account a"
    with pytest.raises(NotFoundError, match="/x/"):
        found["x"]


def test_within_has_the_soonest_first(result: Runways) -> None:
    assert list(result.within(30 * DAY)) == ["b", "a"]
    assert list(result.within(timedelta(0))) == ["b"]
    left = result["a"].time_left
    assert left is not None
    assert list(result.within(left)) == ["b"], "nearer than that"
    assert list(result.within(left + MINUTE)) == ["b", "a"]
    assert list(result.within(timedelta.max)) == ["b", "a"], "the others have no date"
    assert result["b"].empties_within(timedelta(0))
    assert not result["c"].empties_within(timedelta.max)
    mistake: Any = 3
    with pytest.raises(TypeError, match="`limit` must be a timedelta, not int"):
        result.within(mistake)
    with pytest.raises(TypeError, match="`soon` must be a timedelta, not int"):
        result.soon = mistake


def test_the_records_are_those_of_one_account_and_the_errors(result: Runways) -> None:
    records = result.to_records()
    assert json.loads(json.dumps(records)) == records
    by_account = {record["account_id"]: record for record in records}
    assert list(by_account) == ["a", "b", "c", "d", "x"]
    [alone] = result["a"].to_records()
    own = {"account_name": "The account a", "error": None}
    assert by_account["a"] == alone | own
    assert by_account["a"]["balance_usd"] == "60"
    assert "404" in str(by_account["x"]["error"])
    assert by_account["x"]["outcome"] is None
    assert all(list(record) == list(records[0]) for record in records)


def test_the_data_frame_has_moments_and_dollars(result: Runways) -> None:
    frame = result.to_pandas()
    assert frame.index.name == "account_id"
    assert str(frame.empties_after.dtype) == "datetime64[us, UTC]"
    assert frame.loc["a", "empties_after"] == result["a"].empties_after
    assert frame.loc["a", "balance_usd"] == 60.0
    assert list(Runways({}, {}).to_pandas().columns) == list(frame.columns)


def test_the_table_shows_those_that_failed_and_then_the_soonest(result: Runways) -> None:
    result.soon = timedelta(days=14)
    table = result._table(4)
    assert table.title == "5 accounts: 2 may be empty within 14 days, 1 failed"
    assert [row[0] for row in table.rows] == ["x", "b", "a", "c", "d"]
    cells = {row[0]: list(row[2:]) for row in table.rows}
    assert cells["b"][:4] == ["-$0.05", "$5.99", "empty", "SOON"]
    assert cells["a"][3] == "SOON"
    assert cells["c"] == ["$25.00", "$0.00", "idle", "", "", "off"]
    assert cells["d"][2:] == ["too new", "", "", "off"]
    assert "too new" in result._repr_html_()
    assert repr(result) == "<Runways: 4 accounts, 1 failed, 2 within 14 days>"


def test_a_date_that_holds_only_without_the_topup_says_so(emulator: Emulator) -> None:
    emulator.accounts["a"].topup_config |= {"amount": 2000, "threshold": 500}
    emulator.accounts["c"].topup_config |= {"amount": 2000, "threshold": 500}
    with emulator.client() as client:
        client.ai_gateway.billing.credit_balance(account_id="c")  # which tells the time
        found = client.ai_gateway.billing.runways(["a", "c"])
    assert [row[-1] for row in found._table(None).rows] == ["on: empty only if it fails", "on"]


def test_the_plot_shows_the_days_of_those_that_have_a_date(result: Runways) -> None:
    axes: Any = result.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "The account b",
        "The account a",
    ]
    left = result["a"].time_left
    assert left is not None
    assert axes.patches[1].get_width() == pytest.approx(left / DAY)
    assert axes.get_title() == "Runways"
    axes.figure.canvas.draw()
    many: Any = Runways({f"{n:03}": result["b"] for n in range(200)}, {}).plot()
    assert many.get_title() == "The 30 shortest of 200 runways"
    Runways({}, {}).plot()


async def test_it_stays_inside_the_rate_limit() -> None:
    limit = RequestLimit(quota=10, window=300)
    async with Emulator(at=NOW, limit=limit) as emulator:
        names = [f"{number:02}" for number in range(12)]
        for name in names:
            emulator.add_account(name, balance=100)
        async with emulator.async_client() as client:
            client._executor.clock = EmulatorClock(emulator)
            found = await client.ai_gateway.billing.runways(names)
    assert list(found) == names
    assert limit.refused <= 1
    assert len(emulator.requests) <= 2 * len(names) + 1


def test_what_ends_it_has_the_forecasts_so_far(ask: Ask, emulator: Emulator) -> None:
    def stop(done: int, total: int | None) -> None:
        assert total == 3
        if done == 2:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        ask(lambda billing: billing.runways(["a", "b", "c"], concurrency=1, progress=stop))
    partial: Runways = getattr(caught.value, "partial")  # noqa: B009  # it was put there
    assert isinstance(partial, Runways)
    assert [*partial, *partial.missing] == ["a", "b", "c"]
    emulator.inject(Fault(status=401, code=10000), times=None)
    with pytest.raises(AuthenticationError):
        ask(lambda billing: billing.runways(["a", "b"]))


def test_an_answer_that_is_none_stays_with_its_account(ask: Ask, emulator: Emulator) -> None:
    emulator.inject(Fault(body=b'{"success": true, "result": {}}'), path=f"/a{USAGE}")
    found = ask(lambda billing: billing.runways(["a", "b"]))
    assert list(found) == ["b"]
    with pytest.raises(APIResponseValidationError, match="history"):
        found["a"]


def test_they_pickle(result: Runways) -> None:
    copy = pickle.loads(pickle.dumps(result))  # noqa: S301
    assert dict(copy) == dict(result)
    assert copy.names == result.names
