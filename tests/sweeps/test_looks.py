"""When accounts are looked at: the schedule on numbers alone, and the looks in virtual time."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from virtual import virtually
from virtual_service import BEGAN, VirtualAccount, VirtualService, client_of, moment

from cfaigw_billing import AuthenticationError, InternalServerError
from cfaigw_billing._async.looks import AT_ONCE, Looks
from cfaigw_billing._core.watch.schedule import (
    LIST_EVERY,
    USAGE_EVERY,
    Aims,
    Known,
    Look,
    Schedule,
    phase,
)
from cfaigw_billing.types import Runway, RunwayHistory

INTERVAL = 900.0
NAMES = [f"{number:032x}" for number in range(100)]

# The schedule.


def test_accounts_are_due_one_interval_after_another() -> None:
    schedule = Schedule(INTERVAL, 50.0)
    schedule.keep(["a"], inf)
    assert schedule.take(50.0) == "a"
    assert schedule.take(51.0) is None
    schedule.put_back("a", 2000.0)  # never later than its phase, after the first look
    first = schedule.wait()
    assert 60 <= first <= INTERVAL
    assert schedule.take(51.0 + first - 1) is None
    assert schedule.take(51.0 + first) == "a"
    schedule.put_back("a", 100.0)
    assert schedule.wait() == 100


def test_accounts_that_were_looked_at_together_go_on_at_their_phases() -> None:
    schedule = Schedule(INTERVAL, 0.0)
    schedule.keep(NAMES, len(NAMES))
    taken = [schedule.take(0.0) for _ in NAMES]
    assert sorted(map(str, taken)) == NAMES
    for name in NAMES:
        schedule.put_back(name, INTERVAL)
    due = sorted(_due_times(schedule))
    assert due[0] >= 60
    assert due[-1] <= INTERVAL
    assert max(later - sooner for sooner, later in pairwise(due)) < 100
    assert [phase(name) for name in NAMES[:2]] == [phase(name) for name in NAMES[:2]]


def _due_times(schedule: Schedule) -> Iterable[float]:
    now = 0.0
    while (wait := schedule.wait()) < inf:
        now += wait
        if schedule.take(now) is not None:
            yield now


def test_accounts_for_which_there_is_no_room_are_spread_from_the_beginning() -> None:
    schedule = Schedule(INTERVAL, 0.0)
    schedule.keep(NAMES, len(NAMES) - 1)
    due = list(_due_times(schedule))
    assert len(due) == len(NAMES)
    assert due == pytest.approx(sorted(INTERVAL * phase(name) for name in NAMES), abs=0.1)


def test_all_intervals_stretch_alike_while_looks_begin_late() -> None:
    """Looks begin three times as slowly as they are due; near and far ones are three times late."""
    schedule, now = Schedule(INTERVAL, 0.0), 0.0
    gaps = {"near": 60.0} | dict.fromkeys(NAMES[:60], INTERVAL)
    rate = sum(1 / gap for gap in gaps.values())
    schedule.keep(list(gaps), 0)
    seen: dict[str, list[float]] = {name: [] for name in gaps}
    for _ in range(2000):
        now += 3 / rate
        if (name := schedule.take(now)) is not None:
            seen[name].append(now)
            schedule.put_back(name, gaps[name])
    for name, times in seen.items():
        stretched = [(later - sooner) / gaps[name] for sooner, later in pairwise(times[1:])]
        assert sum(stretched) / len(stretched) == pytest.approx(3, rel=0.15)


def test_accounts_come_and_go() -> None:
    schedule = Schedule(INTERVAL, 0.0)
    schedule.keep(["a", "b"], inf)
    taken = schedule.take(0.0)
    schedule.keep(["c"], inf)
    assert schedule.accounts == {"c"}
    schedule.put_back(str(taken), 60.0)  # it went while it was looked at
    assert schedule.take(1.0) == "c"
    assert schedule.wait() == inf


def runway(**changes: Any) -> Runway:
    given: dict[str, Any] = {"outcome": "forecast", "as_of": BEGAN, "balance": 5000.0}
    given |= {"spending_per_day": 24_000.0, "topup": "off", "history": RunwayHistory()}
    return Runway(**(given | changes))


def known(balance: float, at: float = 0.0, **changes: Any) -> Known:
    return Known(at=moment(at), balance=balance, **changes)


def test_the_next_look_comes_after_a_quarter_of_the_time_to_a_threshold() -> None:
    aims = Aims(interval=INTERVAL, levels=(0.0, 1000.0), runway=timedelta(days=3))
    spends = runway()  # 1,000 cents an hour
    assert aims.gap(None, known(1500, runway=spends)) == 0.5 * 3600 / 4
    assert aims.gap(None, known(500, runway=spends)) == 0.5 * 3600 / 4, "the next one is 0"
    assert aims.gap(None, known(1001, runway=spends)) == 60
    assert aims.gap(None, known(-5, runway=spends)) == INTERVAL
    assert aims.gap(None, known(50_000, runway=spends)) == INTERVAL
    assert aims.gap(None, known(1500)) == INTERVAL, "nothing is known of its spending"
    assert aims.gap(known(2500, -3600), known(1500)) == 0.5 * 3600 / 4, "it was seen to spend"
    empties = runway(spending_per_day=1.0, empties_after=moment(3 * 86_400 + 1200))
    assert aims.gap(None, known(50_000, runway=empties)) == 300
    assert aims.gap(None, known(50_000, 1300, runway=empties)) == INTERVAL, "that is over"


def test_usage_is_asked_for_again_after_six_hours_a_rise_and_a_fast_fall() -> None:
    spends = runway(spending_per_day=2400.0)  # 100 cents an hour
    before = known(5000, runway=spends, asked_at=0.0)
    hour, later = moment(3600), USAGE_EVERY - 1
    assert not before.wants_usage(hour, 4900, later)
    assert before.wants_usage(hour, 4900, USAGE_EVERY)
    assert before.wants_usage(hour, 5101, 60)
    assert not before.wants_usage(hour, 5099, 60), "within noise"
    assert before.wants_usage(hour, 4500, later)
    assert not before.wants_usage(hour, 4500, 3599), "no new row can be there"
    assert known(5000).wants_usage(hour, 5000, 0), "it was never answered"


# Looks, in virtual time.


def looked(
    service: VirtualService,
    seconds: float,
    account_ids: Iterable[str] | None = None,
    *,
    levels: tuple[float, ...] = (),
    usage: bool = False,
    reserve: float = 0.5,
    once: bool = False,
) -> list[Look]:
    """The looks of so many seconds."""

    async def main() -> list[Look]:
        found: list[Look] = []
        async with client_of(service) as client:
            aims = Aims(interval=INTERVAL, levels=levels)
            looks = Looks(account_ids, aims=aims, reserve=reserve, usage=usage, once=once)
            await looks.enter(client._executor)
            try:
                async with asyncio.timeout(seconds):
                    while (look := await looks.next()) is not None:
                        found.append(look)
            except TimeoutError:
                pass
            finally:
                await looks.leave()
            assert len(asyncio.all_tasks()) == 1
        return found

    return virtually(main())


def of(*names: str, **changes: Any) -> dict[str, VirtualAccount]:
    return {name: VirtualAccount(**changes) for name in names}


def test_each_account_is_looked_at_at_once_and_then_once_an_interval() -> None:
    service = VirtualService(accounts=of(*NAMES))
    looks = looked(service, 4 * INTERVAL)
    assert looks[0].accounts == set(NAMES)
    assert (looks[1].name, looks[1].error) == ("Acme", None)
    assert {len(times) for times in service.asked.values()} == {5}
    for times in service.asked.values():
        assert times[0] < 5
        assert all(later - sooner <= INTERVAL + 5 for sooner, later in pairwise(times))


def test_given_accounts_are_looked_at_and_nothing_is_listed() -> None:
    service = VirtualService(accounts=of(*NAMES))
    looks = looked(service, 2 * INTERVAL, NAMES[:3])
    assert looks[0].accounts == set(NAMES[:3])
    assert service.asked.keys() == set(NAMES[:3])
    assert service.listed == []


def test_usage_is_asked_at_first_sight_and_every_six_hours() -> None:
    service = VirtualService(accounts=of("a", per_hour=10), hours=200)
    looks = looked(service, 13 * 3600, ["a"], usage=True)
    assert [round(time / 3600, 1) for time in service.usage_asked["a"]] == pytest.approx(
        [0, 6, 12], abs=0.6
    )
    forecasts = [look.runway for look in looks[1:]]
    assert all(
        found and found.spending_per_day == pytest.approx(240, rel=0.05) for found in forecasts
    )
    assert sum(look.usage is not None for look in looks) == 3


@pytest.mark.parametrize("days_ahead", [-100, 100])
def test_a_wrong_clock_of_the_machine_changes_nothing(days_ahead: int) -> None:
    service = VirtualService(accounts=of("a", per_hour=100.0), hours=24 * 20)

    async def main() -> tuple[Look, Look]:
        client = client_of(service)
        executor: Any = client._executor
        true_now = executor.clock.now
        executor.clock.now = lambda: true_now() + timedelta(days=days_ahead)
        looks = Looks(None, aims=Aims(interval=INTERVAL), reserve=0.5, usage=True, once=True)
        await looks.enter(executor)
        listed, seen = await looks.next(), await looks.next()
        await looks.leave()
        assert listed is not None
        assert seen is not None
        return listed, seen

    for look in (found := virtually(main())):
        assert abs(look.at - BEGAN) < timedelta(seconds=5)
    forecast = found[1].runway
    assert forecast is not None
    assert forecast.outcome == "forecast"
    assert abs(forecast.as_of - BEGAN) < timedelta(seconds=5)


def test_new_accounts_appear_and_vanished_ones_go() -> None:
    service = VirtualService(accounts=of("a", "b"))

    def meanwhile(now: float) -> None:
        if now > 1000 and "a" in service.accounts:
            del service.accounts["a"]
            service.accounts["c"] = VirtualAccount()

    service.meanwhile = meanwhile
    service.accounts |= of(*NAMES)
    lists = [look.accounts for look in looked(service, 2 * LIST_EVERY + 9) if not look.account_id]
    assert [{"a", "b", "c"} & set(accounts) for accounts in lists] == [
        {"a", "b"},
        {"b", "c"},
        {"b", "c"},
    ]
    assert max(service.asked["c"]) > 2 * LIST_EVERY - 1000


def test_one_round_looks_at_everything_once_and_ends() -> None:
    service = VirtualService(accounts=of(*[f"{number:032x}" for number in range(700)]))
    looks = looked(service, 10_000, usage=True, once=True)
    assert len(looks) == 701
    assert {len(times) for times in [*service.asked.values(), *service.usage_asked.values()]} == {1}
    assert service.limit.refused == 0


def test_an_account_that_fails_is_looked_at_again_like_any_other() -> None:
    service = VirtualService(accounts=of("a") | of("b", status=403))
    looks = looked(service, 3 * INTERVAL)
    failed = [look for look in looks if look.account_id == "b"]
    assert len(failed) == 4
    assert {type(look.error).__name__ for look in failed} == {"PermissionDeniedError"}


def test_credentials_that_are_refused_at_first_are_raised_after_one_call() -> None:
    service = VirtualService(accounts=of(*NAMES), status=401)
    for account_ids in (None, NAMES):
        service.sent = 0
        with pytest.raises(AuthenticationError):
            looked(service, 100, account_ids)
        assert service.sent == 1


def test_a_list_that_fails_at_first_is_raised_and_later_is_a_look() -> None:
    service = VirtualService(accounts=of("a"), list_status=500)
    with pytest.raises(InternalServerError):
        looked(service, 100)
    service = VirtualService(accounts=of("a"))

    def meanwhile(now: float) -> None:
        service.list_status = 500 if 100 < now < LIST_EVERY + 100 else 200

    service.meanwhile = meanwhile
    lists = [look for look in looked(service, 2 * LIST_EVERY + 9) if look.account_id is None]
    assert [type(look.error) for look in lists] == [type(None), InternalServerError, type(None)]
    assert [look.accounts for look in lists] == [{"a"}] * 3


def test_a_list_that_fails_after_an_empty_one_is_a_look() -> None:
    service = VirtualService()

    def meanwhile(now: float) -> None:
        service.list_status = 200 if now < LIST_EVERY / 2 else 500

    service.meanwhile = meanwhile
    listed, failed = looked(service, 1.5 * LIST_EVERY)[:2]
    assert listed.error is None
    assert isinstance(failed.error, InternalServerError)


def test_looks_that_were_ended_from_outside_do_not_end_quietly() -> None:
    """A watch that seems to have come to its end would be silent from then on."""

    async def main() -> None:
        looks = Looks(["a"], aims=Aims(interval=INTERVAL), reserve=0.5, usage=False)
        await looks.enter(client_of(VirtualService(accounts=of("a")))._executor)
        await looks.next()
        await looks.next()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with pytest.raises(RuntimeError, match="ended from outside"):
            await looks.next()
        await looks.leave()

    virtually(main())


def test_looks_that_are_left_end_for_another_task_that_reads_them() -> None:
    async def main() -> None:
        looks = Looks(["a"], aims=Aims(interval=INTERVAL), reserve=0.5, usage=False)
        await looks.enter(client_of(VirtualService(accounts=of("a")))._executor)
        await looks.next()
        await looks.next()
        reader = asyncio.create_task(looks.next())
        await asyncio.sleep(1)
        await looks.leave()
        assert await reader is None

    virtually(main())


def test_looks_that_nobody_reads_hold_up_the_others() -> None:
    service = VirtualService(accounts=of(*NAMES))

    async def main() -> None:
        async with client_of(service) as client:
            looks = Looks(None, aims=Aims(interval=INTERVAL), reserve=0.1, usage=False)
            await looks.enter(client._executor)
            await asyncio.sleep(3 * INTERVAL)
            assert sum(map(len, service.asked.values())) == AT_ONCE - 1  # and the list
            await looks.leave()
            with pytest.raises(RuntimeError, match="inside the block"):
                await looks.next()
            with pytest.raises(RuntimeError, match="once"):
                await looks.enter(client._executor)

    virtually(main())


WRONG: list[tuple[Any, type[Exception], str]] = [
    ("abc", TypeError, "`account_ids` must be an iterable of str, not str"),
    (5, TypeError, "`account_ids` must be an iterable of str, not int"),
    ([1], TypeError, "must hold str, not int"),
    (["a/b"], ValueError, "account_id"),
    ([], ValueError, "at least one account"),
]


@pytest.mark.parametrize(("account_ids", "error", "message"), WRONG)
def test_wrong_accounts_are_refused(account_ids: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Looks(account_ids, aims=Aims(interval=INTERVAL), reserve=0.1, usage=False)


def test_10_000_accounts_stay_inside_half_of_the_rate_limit() -> None:
    """With usage at first sight, in 600 requests a window; an interval is 87 minutes then."""
    names = [f"{number:032x}" for number in range(10_000)]
    service = VirtualService(accounts=of(*names))
    began, seconds = 10_400, 16_000  # the first pass asks twice as much
    looked(service, seconds, usage=True)
    assert service.limit.refused == 0
    assert max(service.per_window.values()) <= 600
    assert service.sent > 0.97 * seconds * 2, "it uses its part"
    assert len(service.asked) == len(names)
    stretched = (10_000 / INTERVAL + 10_000 / USAGE_EVERY) / 2 * INTERVAL
    for times in service.asked.values():
        assert times[0] < began
        ends = [*times, float(seconds)]
        assert all(later - sooner < 2 * stretched for sooner, later in pairwise(ends))


def test_24_hours_leave_memory_flat() -> None:
    service, sizes = VirtualService(accounts=of(*NAMES[:10])), list[int]()

    def meanwhile(now: float) -> None:
        hour = int(now // 3600)
        service.accounts.pop(f"gone-{hour - 1}", None)
        service.accounts.setdefault(f"gone-{hour}", VirtualAccount())
        for recorded in (service.asked, service.usage_asked, service.per_window):
            recorded.clear()
        service.listed.clear()
        if hour > len(sizes):
            gc.collect()
            sizes.append(sys.getallocatedblocks())

    async def main() -> None:
        async with client_of(service) as client:
            looks = Looks(None, aims=Aims(interval=INTERVAL), reserve=0.1, usage=True)
            await looks.enter(client._executor)
            with suppress(TimeoutError):
                async with asyncio.timeout(24 * 3600):
                    while await looks.next():
                        pass
            await looks.leave()

    service.meanwhile = meanwhile
    virtually(main())
    assert len(sizes) >= 22
    # Blocks of memory; what is kept of an account that has gone would be more in an hour.
    assert abs(sizes[-1] - sizes[12]) < 150
