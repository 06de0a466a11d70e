"""The rate limit: the headers, the budget on numbers alone, and sweeps in simulated time."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime
from math import inf
from typing import Any

import attrs
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from virtual import VirtualClock, virtually

from cfaigw_billing._core.ratelimit import FIRST_CALLS, Budget, RateLimit, parse
from cfaigw_billing._core.retry import retry_after
from cfaigw_billing._io.clock import Clock
from cfaigw_billing._io.limiter import Limiter
from cfaigw_billing._io.pace import RateLimitedError

Headers = dict[str, str]

# The headers.

PARSED: dict[str, dict[str, dict[str, float]]] = {
    '"default";r=50;t=30': {"default": {"r": 50, "t": 30}},
    '"default";q=1200;w=300': {"default": {"q": 1200, "w": 300}},
    "default; r=50 ;t = 30": {"default": {"r": 50, "t": 30}},
    '"a";r=1;t=2, "b";r=3;t=4': {"a": {"r": 1, "t": 2}, "b": {"r": 3, "t": 4}},
    '"a, b";r=1;t=2': {"a, b": {"r": 1, "t": 2}},
    '"default";r=1;t=0.125': {"default": {"r": 1, "t": 0.125}},
    '"default";r=1;pk=:YWJj:;t=2': {"default": {"r": 1, "t": 2}},
    '"default";r=-1;t=x': {"default": {}},
    "50, 60;w=1": {"50": {}, "60": {"w": 1}},
    "": {},
    " ;;;,,, ": {},
    '"': {},
}


@pytest.mark.parametrize("header", PARSED)
def test_the_headers_are_read_and_what_is_unknown_is_left_out(header: str) -> None:
    assert parse(header) == PARSED[header]


@pytest.mark.parametrize(
    "header",
    ['"a";r=1;t=2,' * 100_000, ";" * 10**6, '"' * 10**6, "r=1" * 10**6, "a;" + "b=1;" * 10**6],
)
def test_of_a_huge_header_only_the_beginning_is_read(header: str) -> None:
    assert parse(header) == parse(header[:1000])


# The budget. Times are in seconds from 0, and a window of 1,200 ends at 300.


def count(
    left: float, resets_in: float, quota: float | None = 1200, window: float = 300
) -> Headers:
    headers = {"Ratelimit": f'"default";r={left:g};t={resets_in:g}'}
    if quota is not None:
        headers["Ratelimit-Policy"] = f'"default";q={quota:g};w={window:g}'
    return headers


def told(
    headers: Headers | None,
    at: float = 0.0,
    budget: Budget | None = None,
    *,
    sent_at: float | None = None,
) -> Budget:
    """A budget after one more answer."""
    budget = budget or Budget()
    budget.in_flight += 1
    budget.answered(at, at if sent_at is None else sent_at, headers)
    return budget


def places(budget: Budget, now: float, reserve: float | None) -> int:
    """How many calls it lets through at once."""
    before = budget.in_flight
    while budget.wait(now, reserve) == 0 and budget.in_flight < before + 2000:
        budget.in_flight += 1
    taken = budget.in_flight - before
    budget.in_flight = before
    return taken


def test_nothing_is_known_before_the_first_answer() -> None:
    budget = Budget()
    assert budget.state(0) == RateLimit(
        remaining=None, quota=None, window=None, resets_in=0, blocked=False
    )
    assert places(budget, 0, 0.1) == FIRST_CALLS


def test_the_state_is_what_the_last_answer_told() -> None:
    assert told(count(50, 30)).state(10) == RateLimit(
        remaining=50, quota=1200, window=300, resets_in=20, blocked=False
    )


def test_calls_run_freely_while_there_is_room_then_slow_down_and_stop_at_the_reserve() -> None:
    """The less is left, the fewer at once; and exactly the reserve is never touched."""
    seen = [places(told(count(left, 100)), 1, 0.1) for left in (1199, 600, 300, 160, 130, 122, 121)]
    assert seen[0] > 200
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 1
    assert [places(told(count(left, 100)), 1, 0.1) for left in (120, 50, 0)] == [0, 0, 0]


def test_at_the_reserve_everybody_waits_for_the_reset_and_then_goes_on() -> None:
    budget = told(count(120, 100))
    assert budget.wait(40, 0.1) == 60
    assert budget.wait(40, 0.0) == 0, "a call that keeps no reserve may use it"
    assert budget.wait(100, 0.1) == 0
    assert budget.state(100).remaining == 1200


def test_a_window_nobody_used_is_passed_over() -> None:
    budget = told(count(0, 100))
    assert budget.state(100 + 5 * 300 + 10) == RateLimit(
        remaining=1200, quota=1200, window=300, resets_in=290, blocked=False
    )


NEVER_STUCK: dict[str, Headers | None] = {
    "a quota of 1": count(1, 10, quota=1, window=10),
    "a quota of 1, used": count(0, 10, quota=1, window=10),
    "a quota of 2": count(0, 10, quota=2, window=10),
    "no policy": count(0, 10, quota=None),
    "a policy of another name": count(0, 10) | {"Ratelimit-Policy": '"other";q=5'},
    "a policy without a window": count(0, 10) | {"Ratelimit-Policy": '"default";q=5'},
    "a count without a reset": {"Ratelimit": '"default";r=0'},
    "a reset at once": count(0, 0),
    "no headers": {},
    "no answer": None,
    "an empty header": {"Ratelimit": "", "Ratelimit-Policy": ""},
    "a window of 0": count(0, 10, window=0),
    "a number beyond floats": {"Ratelimit": f'"a";r={"9" * 400};t=1'},
    "a reset beyond floats": {"Ratelimit": f'"a";r=0;t={"9" * 400}'},
}


@pytest.mark.parametrize("headers", NEVER_STUCK)
@pytest.mark.parametrize("reserve", [0.0, 0.1, 0.9])
def test_a_call_that_is_alone_gets_its_turn_in_time(headers: str, reserve: float) -> None:
    """Whatever the service says: with nothing in flight, no call waits for an answer to come."""
    budget, now = told(NEVER_STUCK[headers]), 0.0
    for _ in range(5):
        if (wait := budget.wait(now, reserve)) == 0:
            break
        assert wait < inf
        now += wait
    assert budget.wait(now, reserve) == 0
    budget.state(now)
    told(NEVER_STUCK[headers], now, budget).state(now)


def test_headers_that_vanish_and_come_back_are_followed() -> None:
    budget = told(count(0, 10))
    told({}, 1, budget)
    assert budget.wait(1, 0.1) == 9, "an answer that says nothing changes nothing"
    told(count(900, 300), 12, budget)
    assert budget.state(12).remaining == 900


def test_answers_out_of_order_leave_the_lowest_count() -> None:
    budget = Budget()
    for left in (700, 702, 699, 701):
        told(count(left, 100), 0, budget)
    assert budget.state(0).remaining == 699


def test_an_answer_from_the_window_before_is_no_news() -> None:
    budget = told(count(200, 10), 0)
    told(count(1150, 299), 11, budget)
    told(count(3, 0), 11.5, budget, sent_at=9.9)
    assert (budget.state(12).remaining, budget.state(12).resets_in) == (1150, 298)


def test_seconds_that_are_rounded_up_are_known_the_better_the_more_answers_tell_them() -> None:
    """The end of the window, 99.5, is reported as 100, then, at 0.6, as 99 more."""
    budget = told(count(900, 100), 0)
    told(count(899, 99), 0.6, budget)
    assert budget.state(0.6).resets_in == 99


def test_of_several_limits_the_one_that_is_used_up_counts() -> None:
    headers = {
        "Ratelimit": '"burst";r=90;t=1, "default";r=0;t=200',
        "Ratelimit-Policy": '"burst";q=100;w=1, "default";q=1200;w=300',
    }
    assert told(headers).wait(0, 0.0) == 200


def test_the_server_is_right_where_the_reckoning_was_wrong() -> None:
    """Windows may begin with their first request, and machines are suspended: what a call says
    that was sent in the present window counts, though its reset comes earlier than expected.
    """
    budget = told(count(100, 300, 100, 300))
    for now, left in ((620, 50), (630, 20), (650, 5), (670, 0)):
        told(count(left, 700 - now, 100, 300), now, budget)
        assert (budget.state(now).remaining, budget.state(now).resets_in) == (left, 700 - now)
    assert budget.wait(671, None) == 29


def test_one_absurd_answer_is_forgotten_with_the_next() -> None:
    budget = told(count(600, 200))
    told(count(500, 5000), 1, budget)
    told(count(400, 198), 2, budget)
    assert (budget.state(2).remaining, budget.state(2).resets_in) == (400, 198)


def test_what_asks_for_days_is_not_believed_for_longer_than_minutes() -> None:
    budget = told({"Ratelimit": '"default";r=0;t=99999999999'})
    assert budget.wait(0, None) == 900
    budget.blocked(0, 1e9)
    assert budget.wait(0, None) == 900
    assert budget.wait(900, None) == 0


def test_several_limits_are_counted_apart() -> None:
    headers = {
        "Ratelimit": '"small";r=5;t=10, "large";r=1;t=200',
        "Ratelimit-Policy": '"small";q=10;w=10, "large";q=100;w=300',
    }
    budget = told(headers)
    budget.in_flight += 1
    told({"Ratelimit": '"small";r=4;t=9'}, 1, budget)
    assert budget.state(20).remaining == 1, "the small one has begun anew, the large one has not"
    assert places(budget, 20, None) == 0, "one call is in flight"


def test_what_others_take_is_seen_and_the_rest_divided() -> None:
    """Alone it has all places; the faster the count falls beyond its own requests, the fewer."""
    alone, shared, budget = Budget(), Budget(), Budget()
    for index in range(1, 101):
        told(count(1200 - index, 300), 0, alone)
        told(count(1200 - 2 * index, 300), 0, shared)
        told(count(1200 - 8 * index, 300), 0, budget)
    by_room = {
        places(each, 0, 0.0) / left for each, left in ((alone, 1100), (shared, 1000), (budget, 400))
    }
    most, half, least = sorted(by_room, reverse=True)
    assert half < most * 0.75
    assert least < most * 0.4


LINES: dict[str, list[tuple[str, str]]] = {
    "one line": [
        ("Ratelimit", '"burst";r=90;t=1, "default";r=0;t=200'),
        ("Ratelimit-Policy", '"burst";q=100;w=1, "default";q=1200;w=300'),
    ],
    "several lines": [
        ("Ratelimit", '"burst";r=90;t=1'),
        ("Ratelimit-Policy", '"burst";q=100;w=1'),
        ("ratelimit", '"default";r=0;t=200'),
        ("ratelimit-policy", '"default";q=1200;w=300'),
    ],
}


@pytest.mark.parametrize("lines", LINES)
def test_several_lines_are_one_list(lines: str) -> None:
    budget = Budget()
    budget.in_flight += 1
    budget.answered(0, 0, CIMultiDictProxy(CIMultiDict(LINES[lines])))
    assert budget.wait(0, None) == 200
    assert budget.state(0) == RateLimit(
        remaining=0, quota=1200, window=300, resets_in=200, blocked=False
    )


def test_the_only_policy_counts_under_whatever_name() -> None:
    headers = count(300, 100) | {"Ratelimit-Policy": '"burst";q=1200;w=300'}
    budget = told(headers)
    assert (budget.state(0).quota, budget.state(0).window) == (1200, 300)
    assert budget.wait(0, 0.25) == 100, "a quarter of the quota is kept"
    assert budget.wait(0, 0.2) == 0


def test_a_429_parks_everybody() -> None:
    budget = told(count(900, 100))
    budget.blocked(0, 30)
    assert [budget.wait(0, reserve) for reserve in (0.0, 0.1)] == [30, 30]
    assert budget.state(10) == RateLimit(
        remaining=None, quota=1200, window=300, resets_in=20, blocked=True
    )
    budget.blocked(1, 5)
    assert budget.wait(1, 0.0) == 29, "a shorter block does not end a longer one"
    assert [places(budget, 30, reserve) for reserve in (0.1, None)] == [1, 1], "one finds out"
    told(count(900, 300), 31, budget)
    assert places(budget, 31, None) > 1


def test_a_single_call_that_is_alone_may_use_all_of_its_window() -> None:
    """However many answers overtake each other, and though some calls get none."""
    budget, left = Budget(), 1200
    for _ in range(20):
        for _ in range(50):
            budget.in_flight += 1
        counts = [count(left - n, 100) for n in range(1, 51)]
        left -= 50
        for headers in [*counts[:1:-1], None, {}]:
            budget.answered(0, 0, headers)
        assert places(budget, 99, None) == left


def beside_others(left: float, **more: Any) -> Budget:
    """A budget that has learnt that others use the count too."""
    return told(count(left - 1, 100, **more), 0, told(count(left, 100, **more)))


def test_beside_others_the_last_calls_are_theirs_and_those_before_go_one_at_a_time() -> None:
    seen = {left: places(beside_others(left + 1), 0, None) for left in (1100, 300, 60, 8, 7)}
    assert seen[1100] > seen[300] > seen[60] == seen[8] == 1
    assert seen[7] == 0
    assert beside_others(8).wait(0, None) == 100
    assert beside_others(8).wait(0, 0.0) == 100, "a sweep that keeps no reserve keeps these"
    assert beside_others(5, quota=30).wait(0, None) == 0, "of a small quota, an eighth"
    assert beside_others(4, quota=30).wait(0, None) == 100


def test_beside_others_one_call_asks_anew_where_the_count_is_old() -> None:
    """A burst that trusts what was told long ago would meet a count that others have used up."""
    budget = beside_others(1000)
    assert places(budget, 0.1, None) > 10
    assert places(budget, 10, None) == 1
    told(count(900, 90), 10.1, budget, sent_at=10.0)
    assert places(budget, 10.1, None) > 10


def test_others_are_forgotten_after_a_hundred_windows_without_them() -> None:
    budget, now = beside_others(900), 0.0
    for windows, alone in ((95, False), (10, True)):
        for _ in range(windows):
            now += 300
            told(count(1199, 300), now, budget)
        assert (places(budget, now, None) == 1199) == alone


# The queue in front of it.


def entering(
    limiter: Limiter, clock: Clock | None = None, *, reserve: float = 0, patience: float = inf
) -> Coroutine[Any, Any, float]:
    clock = clock or Clock()
    return limiter.enter(clock, reserve=reserve, patience=patience, deadline=inf)


async def test_a_cancelled_wait_leaves_no_trace() -> None:
    limiter = Limiter()
    for _ in range(FIRST_CALLS):
        await entering(limiter)
    waiting = [asyncio.create_task(entering(limiter)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:19]:
        task.cancel()
    await asyncio.wait(waiting[:19])
    limiter.leave(0, 0, None, None)
    await asyncio.wait_for(waiting[19], 30)
    assert limiter.budget.in_flight == FIRST_CALLS


async def test_who_is_not_patient_enough_is_told_at_once_also_in_the_queue() -> None:
    """When an answer reports that nothing is left, all of them fail at once, not one per second."""
    limiter, clock = Limiter(), Clock()
    for _ in range(FIRST_CALLS):
        await entering(limiter)
    calls = (entering(limiter, patience=5) for _ in range(10))
    waiting = asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0)
    limiter.leave(clock.monotonic(), clock.monotonic(), count(0, 100), None)
    ended = await asyncio.wait_for(waiting, 5)
    assert all(isinstance(error, RateLimitedError) for error in ended)


# Whole sweeps in virtual time.


@attrs.define
class Service:
    """The service's limit in fixed windows, over lines that take their time."""

    quota: int
    window: float
    random: random.Random
    latency: tuple[float, float] = (0.05, 0.15)
    whole_seconds: bool = False
    """Whether times are reported in whole seconds, rounded up."""
    by_first_request: bool = False
    """Whether a window begins with the first request in it, and not by the clock."""
    refused: int = 0
    arrived: Counter[int] = attrs.field(factory=Counter[int])
    """How many requests came in each 10 ms, the first seconds left out."""
    _phase: float = 0.0
    _opened: float = -inf
    _used: int = 0
    _blocked_until: float = -inf

    def __attrs_post_init__(self) -> None:
        self._phase = self.random.uniform(0, self.window)

    async def answer(self, clock: Clock, slower: float = 1) -> tuple[bool, Headers]:
        await clock.sleep(self.random.uniform(*self.latency) / 2 * slower)
        answer = self._count(clock.monotonic())
        await clock.sleep(self.random.uniform(*self.latency) / 2 * slower)
        return answer

    def _count(self, now: float) -> tuple[bool, Headers]:
        if now >= self._opened + self.window:
            since = 0 if self.by_first_request else (now + self._phase) % self.window
            self._opened, self._used = now - since, 0
        if now >= 10:
            self.arrived[int(now * 100)] += 1
        self._used += 1
        resets_in = self._opened + self.window - now
        if self._used > self.quota and now >= self._blocked_until:
            self._blocked_until = now + resets_in
        told = math.ceil(resets_in) if self.whole_seconds else round(resets_in, 3)
        headers = count(max(self.quota - self._used, 0), 0, self.quota, self.window)
        headers["Ratelimit"] = headers["Ratelimit"].replace("t=0", f"t={told}")
        if now < self._blocked_until:
            self.refused += 1
            return False, headers | {"Retry-After": str(told)}
        return True, headers

    def ideal(self, calls: int, reserve: float) -> float:
        """Seconds that so many calls take where only the quota, less the reserve, is in the way."""
        windows = math.ceil(calls / math.floor(self.quota * (1 - reserve)))
        first = 0.0 if self.by_first_request else self._phase
        return (windows - 1) * self.window - first if windows > 1 else 0.0


async def ask(
    service: Service, limiter: Limiter, clock: Clock, reserve: float | None, slower: float = 1
) -> bool:
    """Make one call as the executor does; whether it was answered, and not refused."""
    sent_at = await limiter.enter(clock, reserve=reserve, patience=inf, deadline=inf)
    accepted, headers = await service.answer(clock, slower)
    parked = None if accepted else retry_after(headers, datetime.now(UTC))
    limiter.leave(clock.monotonic(), sent_at, headers, parked)
    return accepted


async def sweep(
    service: Service, limiter: Limiter, clock: Clock, calls: int, *, reserve: float = 0.1
) -> int:
    """Make so many calls, 50 at a time, as the executor does; how many were answered."""
    left, answered = calls, 0

    async def work() -> None:
        nonlocal left, answered
        while left:
            left -= 1
            while not await ask(service, limiter, clock, reserve):
                pass
            answered += 1

    await asyncio.gather(*(work() for _ in range(50)))
    return answered


async def several(service: Service, clients: int, calls: int) -> tuple[int, float]:
    """Sweep with several clients that know nothing of each other; the calls done, and the time."""
    clocks = [VirtualClock(seed) for seed in range(clients)]
    done = await asyncio.gather(
        *(sweep(service, Limiter(), clock, calls // clients) for clock in clocks)
    )
    return sum(done), clocks[0].monotonic()


@pytest.mark.parametrize("clients", [1, 3, 8])
@pytest.mark.parametrize(("quota", "window"), [(1200, 300.0), (120, 1.0)])
def test_sweeps_share_the_quota_and_use_all_of_it(quota: int, window: float, clients: int) -> None:
    """Every call done, hardly a 429, and no more than a quarter over the ideal time."""
    service = Service(quota, window, random.Random(clients), whole_seconds=window > 10)
    calls = 3000 // clients * clients
    done, took = virtually(several(service, clients, calls))
    assert done == calls
    assert service.refused <= (1 if clients == 1 else calls * 0.02)
    assert took < service.ideal(calls, 0.1) * 1.25


@pytest.mark.parametrize("clients", [1, 8])
def test_a_window_does_not_open_with_a_herd(clients: int) -> None:
    """Up to 400 callers wait for a reset, on lines that are equally long: woken all at once, 8
    clients would send some 270 requests together. No 10 ms see more than 25 of the 1,200.
    """
    service = Service(1200, 300.0, random.Random(3), latency=(0.08, 0.08))
    virtually(several(service, clients, 3000))
    assert service.arrived.total() > 1000
    assert max(service.arrived.values()) <= 25


@pytest.mark.parametrize("pause", [100.0, 299.0, 305.0, 360.0, 650.0])
def test_windows_that_begin_with_their_first_request_are_kept_too(pause: float) -> None:
    """Nobody says that windows follow each other without a gap: a client that paused over a reset
    must believe the new window's own answers rather than its reckoning.
    """
    service = Service(1200, 300.0, random.Random(4), whole_seconds=True, by_first_request=True)

    async def main() -> tuple[int, float]:
        clock = VirtualClock(0)
        limiter = Limiter()
        first = await sweep(service, limiter, clock, 500)
        await clock.sleep(pause)
        begun = clock.monotonic()
        return first + await sweep(service, limiter, clock, 3000), clock.monotonic() - begun

    done, took = virtually(main())
    assert done == 3500
    assert service.refused <= 1
    assert took < 1.25 * 900


def test_a_program_that_paces_nothing_takes_its_part_and_the_sweep_waits() -> None:
    """Another user of the token, who looks at no header, may have the reserve and more."""
    service = Service(1200, 300.0, random.Random(5), whole_seconds=True)

    async def other(clock: Clock) -> None:
        while True:
            await service.answer(clock)
            await clock.sleep(0.5)

    async def main() -> int:
        clock = VirtualClock(0)
        task = asyncio.create_task(other(clock))
        try:
            return await sweep(service, Limiter(), clock, 3000, reserve=0.5)
        finally:
            task.cancel()

    assert virtually(main()) == 3000
    assert service.refused == 0


# Several processes, each with a client that knows nothing of the others.


@attrs.frozen
class Process:
    """The work of a client: a number of tasks, each with one call after the other."""

    tasks: int = 1
    pause: float = 0.0
    """The mean of the seconds between two calls of a task, or between two bursts."""
    together: bool = False
    """Whether the tasks make their calls together, in bursts."""
    reserve: float | None = None
    """The reserve of a sweep; `None`: single calls."""
    slower: float = 1.0
    """How many times as long the line is."""

    async def run(self, service: Service, seed: int, until: float) -> int:
        """How many calls were answered."""
        limiter, clock, chance = Limiter(), VirtualClock(seed), random.Random(seed)

        async def one() -> bool:
            return await ask(service, limiter, clock, self.reserve, self.slower)

        async def pause() -> None:
            await clock.sleep(chance.expovariate(1 / self.pause) if self.pause else 0)

        async def task() -> int:
            answered = 0
            while clock.monotonic() < until:
                answered += await one()
                await pause()
            return answered

        async def bursts() -> int:
            answered = 0
            while clock.monotonic() < until:
                answered += sum(await asyncio.gather(*(one() for _ in range(self.tasks))))
                await pause()
            return answered

        first = await one()  # a new client knows nothing of the count
        loops = [bursts()] if self.together else [task() for _ in range(self.tasks)]
        return first + sum(await asyncio.gather(*loops))


SWEEP, BURSTS = Process(50, reserve=0.1), Process(6, 1.0, together=True)
PROCESSES: dict[str, list[Process]] = {
    "two that never rest": 2 * [Process(2)],
    "three that never rest": 3 * [Process(5)],
    "eight that never rest": 8 * [Process(2)],
    "eight of many tasks": 8 * [Process(20)],
    "eight with pauses": 8 * [Process(4, 0.5)],
    "eight with bursts": 8 * [BURSTS],
    "one that never rests beside seven": [Process(10), *7 * [Process(2, 2.0)]],
    "one that never rests beside bursts": [Process(10), *7 * [BURSTS]],
    "a sweep beside seven": [SWEEP, *7 * [Process(2, 1.0)]],
    "sweeps, single calls and bursts": [*3 * [SWEEP], *3 * [Process(5)], *2 * [BURSTS]],
    "lines of unequal lengths": [Process(3, slower=0.3 * 1.4**n) for n in range(8)],
}


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize(("quota", "window", "windows"), [(60, 3.0, 100), (1200, 300.0, 6)])
def test_processes_that_know_nothing_of_each_other_get_no_429(
    quota: int, window: float, windows: int, processes: str
) -> None:
    """At most one in a hundred windows, and they use nearly all of each.

    A quota of 60 is too small for so many tasks to begin at once, before they have seen each other.
    """
    service = Service(quota, window, random.Random(7), whole_seconds=window > 10)
    until = windows * window

    async def refused_at_first() -> int:
        await VirtualClock(0).sleep(2 * window)
        return service.refused

    async def main() -> list[int]:
        clients = enumerate(PROCESSES[processes])
        runs = (client.run(service, seed, until) for seed, client in clients)
        return await asyncio.gather(refused_at_first(), *runs)

    at_first, *answered = virtually(main())
    assert at_first == 0 or quota == 60
    assert service.refused - at_first <= windows / 100
    assert sum(answered) > (0.85 if at_first == 0 else 0.83) * quota * windows


@pytest.mark.parametrize(("quota", "others"), [(8, 1), (24, 3), (40, 5)])
def test_a_small_quota_is_enough_for_fewer_processes(quota: int, others: int) -> None:
    service = Service(quota, 5.0, random.Random(2))

    async def main() -> None:
        runs = (Process().run(service, seed, 500) for seed in range(1 + others))
        await asyncio.gather(*runs)

    virtually(main())
    assert service.refused <= 1


@pytest.mark.parametrize("tasks", [2, 20])
def test_a_process_that_is_alone_uses_all_of_each_window(tasks: int) -> None:
    service = Service(60, 3.0, random.Random(tasks))
    assert virtually(Process(tasks).run(service, 0, 300)) > 0.97 * 60 * 100
    assert service.refused == 0
