"""The pace: in virtual time, over threads and forks, and against an emulator that enforces it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from bisect import bisect_left
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any, cast

import pytest
from transports import faked
from virtual import VirtualClock, VirtualLoop, virtually

from cfaigw_billing import AsyncCloudflare, Cloudflare, RateLimitError
from cfaigw_billing._io.clock import Clock
from cfaigw_billing._io.limiter import Limiter
from cfaigw_billing._io.pace import Pace, RateLimitedError, pace_of
from cfaigw_billing.testing import AddressLimit, Emulator, Fault

if TYPE_CHECKING:
    from conftest import Run

INTERVAL = 1 / 150
BURST = 25


async def gone(
    pace: Pace, clock: Clock, interval: float = INTERVAL, deadline: float = inf
) -> float:
    """When a call may go."""
    with pace.lock:
        taken = pace.take(clock.monotonic(), interval)
    if not taken:
        await pace.turn(clock, interval, deadline)
    return clock.monotonic()


def most(times: list[float]) -> int:
    """The most that any second holds."""
    times = sorted(times)
    return max(index - bisect_left(times, at - 1 + 1e-6) + 1 for index, at in enumerate(times))


# In virtual time.


def test_after_a_burst_calls_go_one_by_one_in_the_order_in_which_they_came() -> None:
    async def main() -> tuple[list[float], list[int]]:
        pace, clock, order = Pace(), VirtualClock(0), list[int]()

        async def one(index: int) -> float:
            at = await gone(pace, clock)
            order.append(index)
            return at

        return await asyncio.gather(*map(one, range(600))), order

    times, order = virtually(main())
    assert order == list(range(600))
    assert times[:BURST] == [0.0] * BURST
    assert times[-1] == pytest.approx((600 - BURST) / 150, abs=0.01)
    assert max(later - at for at, later in pairwise(times)) < 2 * INTERVAL
    assert most(times) <= 176  # a timer that fires early by its rounding may add one


def test_a_call_that_comes_late_does_not_overtake_those_in_line() -> None:
    async def main() -> list[str]:
        pace, clock, order = Pace(), VirtualClock(0), list[str]()

        async def one(name: str, after: float) -> None:
            await asyncio.sleep(after)
            await gone(pace, clock)
            order.append(name)

        early = [one("early", 0) for _ in range(60)]
        await asyncio.gather(*early, one("late", 60 / 150 / 2))
        return order

    assert virtually(main()) == ["early"] * 60 + ["late"]


@pytest.mark.parametrize("leave", ["first", "every second", "last"])
def test_those_that_are_cancelled_give_their_places_on(leave: str) -> None:
    """Half of the 200 in line leave; the others go as if those had never been there."""

    async def main() -> tuple[list[float], float]:
        pace, clock = Pace(), VirtualClock(0)
        tasks = [asyncio.create_task(gone(pace, clock)) for _ in range(BURST + 200)]
        await asyncio.sleep(0)
        line = tasks[BURST:]
        leaving = {"first": line[:100], "every second": line[::2], "last": line[100:]}[leave]
        for task in leaving:
            task.cancel()
        await asyncio.wait(leaving)
        times = [await task for task in tasks if task not in set(leaving)]
        return times, await gone(pace, clock)

    times, after = virtually(main())
    assert len(times) == BURST + 100
    assert times[-1] == pytest.approx(100 / 150, abs=0.02)
    assert after == pytest.approx(101 / 150, abs=0.03)


def test_a_turn_that_came_just_before_a_cancellation_is_given_back() -> None:
    async def main() -> float:
        pace, clock = Pace(), VirtualClock(0)
        await asyncio.gather(*(gone(pace, clock) for _ in range(BURST)))
        first, second = (asyncio.create_task(gone(pace, clock)) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(INTERVAL)
        first.cancel()
        return await second

    assert virtually(main()) < 2 * INTERVAL


def test_turns_that_came_while_an_event_loop_stood_still_are_not_used_together() -> None:
    async def main() -> list[float]:
        pace, clock = Pace(), VirtualClock(0)
        tasks = [asyncio.create_task(gone(pace, clock)) for _ in range(BURST + 100)]
        await asyncio.sleep(0)
        with pace.lock:
            for milliseconds in range(1000):  # as the timers of another loop do
                pace._serve(milliseconds / 1000)
        assert not pace._line
        cast("VirtualLoop", asyncio.get_running_loop()).jumping.now = 1.0
        return await asyncio.gather(*tasks)

    times = virtually(main())
    assert times[:BURST] == [0.0] * BURST
    assert most(times[BURST:]) == 100
    assert sum(at < 1.01 for at in times[BURST:]) <= BURST + 2
    assert times[-1] == pytest.approx(1 + 75 / 150, abs=0.02)


def test_after_a_rest_there_is_one_burst_and_not_more() -> None:
    async def main() -> list[float]:
        pace, clock = Pace(), VirtualClock(0)
        await asyncio.gather(*(gone(pace, clock) for _ in range(100)))
        await asyncio.sleep(1000)
        return await asyncio.gather(*(gone(pace, clock) for _ in range(100)))

    times = virtually(main())
    assert times.count(times[0]) == BURST


@pytest.mark.parametrize("rate", [0.5, 1, 5, 7, 150, 1000])
def test_no_second_holds_more_than_the_pace_and_its_sixth(rate: float) -> None:
    async def main() -> list[float]:
        pace, clock = Pace(), VirtualClock(0)
        calls = (gone(pace, clock, 1 / rate) for _ in range(int(3 * rate) + 2))
        return await asyncio.gather(*calls)

    assert most(virtually(main())) <= max(rate * 7 / 6, 1) + 1


@pytest.mark.parametrize("rate", [0.5, 1, 20])
def test_a_client_with_a_slower_pace_keeps_to_it_and_slows_down_no_other(rate: float) -> None:
    async def main() -> tuple[list[float], list[float]]:
        pace, clock = Pace(), VirtualClock(0)

        async def client(rate: float) -> list[float]:
            times: list[float] = []
            while clock.monotonic() < 20:
                times.append(await gone(pace, clock, 1 / rate))
            return times

        return await asyncio.gather(client(150), client(rate))

    fast, slow = virtually(main())
    assert most(slow) <= max(rate * 7 / 6, 1) + 1
    assert len(slow) == pytest.approx(20 * rate, abs=5)
    assert most([*fast, *slow]) <= 176
    assert len(fast) >= 20 * (150 - rate)
    assert max(later - at for at, later in pairwise(fast)) < 3 * INTERVAL


def test_a_slower_call_that_is_cancelled_takes_no_turn() -> None:
    """Both a call that waits for its own pace, and one that waits behind others."""

    async def main() -> float:
        pace, clock = Pace(), VirtualClock(0)
        fast = [asyncio.create_task(gone(pace, clock)) for _ in range(BURST + 10)]
        await asyncio.sleep(0)
        slow = [asyncio.create_task(gone(pace, clock, 1.0)) for _ in range(2)]
        await asyncio.sleep(INTERVAL / 2)
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        await asyncio.gather(*fast)
        return await gone(pace, clock, 1.0)

    assert virtually(main()) < 13 * INTERVAL


def test_an_event_loop_that_is_always_late_has_its_turns_too() -> None:
    async def main() -> int:
        pace, clock = Pace(), VirtualClock(0)
        loop = cast("VirtualLoop", asyncio.get_running_loop())

        async def work() -> None:
            while True:
                loop.jumping.now += 0.1
                await asyncio.sleep(0)

        busy = asyncio.create_task(work())
        calls = [asyncio.create_task(gone(pace, clock)) for _ in range(BURST + 10)]
        gone_by_then, _ = await asyncio.wait(calls, timeout=60)
        busy.cancel()
        return len(gone_by_then)

    assert virtually(main()) == BURST + 10


def test_after_an_event_loop_stood_still_each_call_looks_at_the_line_only_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[object] = []
    look = Pace._look

    def counted(self: Pace, *args: Any) -> None:
        looks.append(args)
        look(self, *args)

    monkeypatch.setattr(Pace, "_look", counted)

    async def main() -> None:
        pace, clock = Pace(), VirtualClock(0)
        calls = [asyncio.create_task(gone(pace, clock)) for _ in range(500)]
        await asyncio.sleep(0)
        cast("VirtualLoop", asyncio.get_running_loop()).jumping.now += 3
        await asyncio.gather(*calls)

    virtually(main())
    assert len(looks) < 3 * 500


def test_without_a_pace_no_call_waits_in_line() -> None:
    async def main() -> list[float]:
        pace, clock = Pace(), VirtualClock(0)
        others = [asyncio.create_task(gone(pace, clock)) for _ in range(500)]
        times = await asyncio.gather(*(gone(pace, clock, 0.0) for _ in range(500)))
        await asyncio.gather(*others)
        return times

    assert set(virtually(main())) == {0.0}


def test_a_turn_after_the_deadline_fails_at_once_and_takes_nothing() -> None:
    async def main() -> None:
        pace, clock = Pace(), VirtualClock(0)
        await asyncio.gather(*(gone(pace, clock) for _ in range(BURST)))
        waiting = [asyncio.create_task(gone(pace, clock)) for _ in range(75)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimitedError, match=r"0\.5 s.*max_requests_per_second") as caught:
            await gone(pace, clock, deadline=0.4)
        assert caught.value.wait == pytest.approx(76 / 150)
        assert clock.monotonic() == 0
        await asyncio.gather(*waiting)
        assert await gone(pace, clock, deadline=1) == pytest.approx(76 / 150, abs=0.01)

    virtually(main())


def test_a_429_that_comes_while_calls_are_in_line_stops_them() -> None:
    """Their turns are given back: after the block they are paced like any others."""

    async def main() -> list[float]:
        limiter, clock = Limiter(), VirtualClock(0)

        async def one() -> float:
            at = await limiter.enter(
                clock, reserve=None, patience=60, deadline=60, interval=INTERVAL
            )
            await asyncio.sleep(0.01)
            limiter.leave(clock.monotonic(), at, None if at else {}, 10.0 if not at else None)
            return at

        return await asyncio.gather(*(one() for _ in range(300)))

    times = virtually(main())
    assert not [at for at in times if 0.02 < at < 10]
    assert most(times) <= 176


def test_single_calls_do_not_wait_behind_a_sweep() -> None:
    """They take turns with it, and it uses all that they leave."""

    async def main() -> tuple[list[float], list[float]]:
        limiter, clock, line = Limiter(), VirtualClock(0), asyncio.Lock()

        async def one(reserve: float | None, line: asyncio.Lock | None) -> float:
            began = clock.monotonic()
            if not limiter.admit(began, reserve, INTERVAL):
                await limiter.enter(
                    clock,
                    reserve=reserve,
                    patience=60,
                    deadline=60,
                    interval=INTERVAL,
                    pace_lock=line,
                )
            at = clock.monotonic()
            limiter.leave(at, at, {}, None)
            return at - began

        await one(None, None)  # so that the limit is not unknown
        sweep = [asyncio.create_task(one(0.1, line)) for _ in range(600)]
        single: list[float] = []
        for _ in range(100):
            await asyncio.sleep(3 * INTERVAL)
            single.append(await one(None, None))
        return single, await asyncio.gather(*sweep)

    single, sweep = virtually(main())
    assert max(single) < 3 * INTERVAL
    assert max(sweep) == pytest.approx((700 - BURST) / 150, abs=0.05)


# Threads, loops and processes.


def test_clients_of_one_base_url_share_a_pace_whatever_their_credentials() -> None:
    async def main() -> None:
        client = AsyncCloudflare(api_token="a", base_url="https://one.test")
        copy = client.with_options(api_token="b", max_requests_per_second=3)
        other = AsyncCloudflare(api_token="a", base_url="https://other.test")
        with Cloudflare(api_token="c", base_url="https://one.test") as blocking:
            paces = [
                each._executor.logins.fallback.limiter._pace for each in (client, copy, other)
            ] + [blocking._executor.inner.logins.fallback.limiter._pace]
        assert [pace is paces[0] for pace in paces] == [True, True, False, True]
        assert (
            copy._executor.logins.fallback.limiter is not client._executor.logins.fallback.limiter
        )

    asyncio.run(main())


def test_paces_that_are_not_used_are_dropped() -> None:
    kept = pace_of("https://kept.test")
    recent = weakref.ref(pace_of("https://recent.test"))
    gc.collect()
    assert recent() is not None, "a program may make a client for each call"
    for index in range(20):
        pace_of(f"https://{index}.test")
    gc.collect()
    assert recent() is None
    assert pace_of("https://kept.test") is kept


def test_calls_in_several_threads_share_the_pace() -> None:
    pace, clock, times = Pace(), Clock(), list[float]()

    async def calls() -> None:
        times.extend(await asyncio.gather(*(gone(pace, clock) for _ in range(40))))

    threads = [threading.Thread(target=asyncio.run, args=(calls(),)) for _ in range(4)]
    began = clock.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(times) == 160
    assert max(times) - began > 0.99 * (160 - BURST) / 150


@pytest.mark.parametrize("closed", [False, True])
def test_an_event_loop_that_stands_still_holds_up_no_other(closed: bool) -> None:
    """As in a notebook, or after an interrupted `run_until_complete`."""
    pace, clock, loop = Pace(), Clock(), asyncio.new_event_loop()

    async def begin() -> list[asyncio.Task[float]]:
        tasks = [asyncio.create_task(gone(pace, clock)) for _ in range(BURST + 10)]
        await asyncio.sleep(0)
        return tasks

    async def main() -> list[float]:
        async with asyncio.timeout(20):
            return await asyncio.gather(*(gone(pace, clock) for _ in range(50)))

    left = loop.run_until_complete(begin())
    if closed:
        loop.close()
    assert len(asyncio.run(main())) == 50
    if not closed:
        assert len(loop.run_until_complete(asyncio.gather(*left))) == len(left)
        loop.close()
    assert not pace._line


FORKED = """
import asyncio, os, sys
from cfaigw_billing._io.clock import Clock
from cfaigw_billing._io.pace import pace_of

pace, clock = pace_of("https://api.test"), Clock()

async def fork():
    for _ in range(25):
        assert pace.take(clock.monotonic(), 1 / 150)
    waiting = [asyncio.create_task(pace.turn(clock, 10.0, 1e18)) for _ in range(9)]
    await asyncio.sleep(0)
    with pace.lock:
        return os.fork()

async def once():
    async with asyncio.timeout(60):
        await pace.turn(clock, 1 / 150, 1e18)

child = asyncio.run(fork())
if not child:
    asyncio.run(once())
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) - 7)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_does_not_stand_in_its_parents_line() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=True, timeout=60)  # noqa: S603


# Over the wire.


def test_two_clients_together_stay_inside_the_limit_of_an_address() -> None:
    """A sync and an async one: no refusal, never more than 200 in a second.

    Ten at a time each. More could be on their way while the emulator has no processor, and come
    together with the 175 of the next second.
    """
    limit = AddressLimit(per_second=200)
    with Emulator(address_limit=limit) as emulator:
        names = [f"{index}" for index in range(300)]
        for name in names:
            emulator.add_account(name)

        def sweep() -> None:
            with emulator.client() as client:
                billing = client.ai_gateway.billing
                answers.append(billing.credit_balances(names, concurrency=10))

        async def main() -> None:
            async with emulator.async_client() as client:
                billing = client.ai_gateway.billing
                answers.append(await billing.credit_balances(names, concurrency=10))

        answers: list[Any] = []
        thread = threading.Thread(target=sweep)
        thread.start()
        asyncio.run(main())
        thread.join()
        assert [list(each) for each in answers] == [names, names]
        assert len(emulator.requests) == 600
    assert limit.refused == 0
    assert limit.most <= 200


async def test_a_single_call_goes_before_most_of_a_sweep_that_has_begun(
    billing_emulator: Emulator,
) -> None:
    names = [f"{index}" for index in range(200)]
    for name in names:
        billing_emulator.add_account(name)
    async with AsyncCloudflare(**at(billing_emulator)) as client:
        billing = client.ai_gateway.billing
        # So few that their order is about that of their turns, whatever the emulator reads first.
        sweep = asyncio.create_task(billing.credit_balances(names, concurrency=20))
        while len(billing_emulator.requests) < BURST + 2:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.001)
        await billing.topup.limits(account_id="0")
        await sweep
    paths = [request.path for request in billing_emulator.requests]
    place = next(index for index, path in enumerate(paths) if path.endswith("/limits"))
    assert place < 100


def test_without_a_pace_the_address_is_refused(ask: Run, billing_emulator: Emulator) -> None:
    billing_emulator.address_limit = limit = AddressLimit(per_second=1)
    names = [f"{index}" for index in range(20)]

    def calls(client: Any) -> Any:
        return client.ai_gateway.billing.credit_balances(names)

    ask(calls, max_retries=0, max_requests_per_second=None)
    assert limit.refused > 0


def test_the_limit_of_an_address_is_for_any_second_and_for_each_address() -> None:
    limit = AddressLimit(per_second=3)
    times = (0.0, 0.5, 0.9, 0.99, 1.0, 2.5)
    assert [limit.take("a", at) for at in times] == [True, True, True, False, False, True]
    assert limit.take("b", 2.5)
    assert (limit.most, limit.refused) == (4, 2)


SLOW = {"max_requests_per_second": 0.01, "total_timeout": 5, "account_id": "a"}


def test_what_would_go_after_its_total_timeout_fails_at_once_and_is_not_sent(
    run_sync: Run, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("a")

    def calls(client: Cloudflare) -> None:
        client.ai_gateway.billing.credit_balance()
        with pytest.raises(RateLimitError, match=r"not sent.*max_requests_per_second") as caught:
            client.ai_gateway.billing.topup.create(amount=1000)
        assert caught.value.retry_after is not None
        assert 90 < caught.value.retry_after <= 100

    run_sync(calls, **at(billing_emulator), **SLOW)
    assert len(billing_emulator.requests) == 1
    assert billing_emulator.charges == []


def test_a_repeat_waits_for_a_turn_too(run_sync: Run, billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault(status=503))

    def call(client: Cloudflare) -> None:
        with pytest.raises(RateLimitError, match="max_requests_per_second") as caught:
            client.ai_gateway.billing.credit_balance()
        assert caught.value.retries_taken == 0

    run_sync(call, **at(billing_emulator), **SLOW)
    assert len(billing_emulator.requests) == 1


def test_waiting_for_a_turn_is_not_waiting_for_the_service() -> None:
    """`max_retry_wait` does not bound it, and a sweep waits outside the time of its calls."""

    async def main() -> float:
        client, _ = faked(max_retry_wait=0, max_requests_per_second=20)
        client._executor.clock = clock = VirtualClock(0)
        ask = client.ai_gateway.billing.credit_balance
        await asyncio.gather(*(ask(account_id="a") for _ in range(10)))
        brief = client.with_options(total_timeout=1.0)
        names = [f"{index}" for index in range(30)]
        found = await brief.ai_gateway.billing.credit_balances(names)
        assert list(found) == names, found.failed
        return clock.monotonic()

    assert virtually(main()) > 1.5


async def test_a_charge_that_is_cancelled_in_line_was_not_sent(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    options = at(billing_emulator, max_requests_per_second=0.01, account_id="a")
    async with AsyncCloudflare(**options) as client:
        await client.ai_gateway.billing.credit_balance()
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await client.ai_gateway.billing.topup.create(amount=1000)
        cancelled = caught.value.__cause__
        assert cancelled is not None
        assert cancelled.__cause__ is None, "its outcome is known"
    assert len(billing_emulator.requests) == 1


def test_the_emulators_own_clients_have_a_pace_only_beside_its_limit() -> None:
    with Emulator() as emulator:
        rates: list[float | None] = []
        for limit in (None, AddressLimit()):
            emulator.address_limit = limit
            with emulator.client() as client:
                rates.append(client._executor.inner.config.max_requests_per_second)
        assert rates == [None, 150]


def at(emulator: Emulator, **options: Any) -> dict[str, Any]:
    return {"base_url": emulator.base_url, "api_token": emulator.api_token, **options}
