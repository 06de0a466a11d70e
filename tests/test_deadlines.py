"""Time limits that share a timer end their own task, once, and leave nothing behind."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Any

import pytest

from cfaigw_billing._io.deadlines import Deadlines


async def hang(deadlines: Deadlines, seconds: float) -> None:
    with deadlines.within(seconds):
        await asyncio.Event().wait()


async def test_what_takes_longer_ends_with_a_timeout_at_the_next_full_second() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    start = loop.time()
    hanging = asyncio.create_task(hang(deadlines, 0.01))
    await asyncio.sleep(0)
    [(_, timer)] = deadlines._due.values()
    assert timer.when() == ceil(timer.when()) < loop.time() + 0.01 + 1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hanging, 30)
    assert loop.time() - start >= 0.01
    assert not deadlines._due
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await asyncio.sleep(0)  # no cancellation is left over


async def test_limits_of_one_second_share_a_timer_that_goes_with_the_last() -> None:
    loop: Any = asyncio.get_running_loop()
    deadlines, now = Deadlines(), loop.time()
    loop.time = lambda: now  # stands still
    tasks = [asyncio.create_task(hang(deadlines, 3600)) for _ in range(50)]
    await asyncio.sleep(0)
    assert len(deadlines._due) == 1
    timers = [timer for _, timer in deadlines._due.values()]
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert not deadlines._due
    assert all(timer.cancelled() for timer in timers)


async def test_what_is_over_in_time_is_left_alone() -> None:
    deadlines = Deadlines()
    with deadlines.within(0.01):
        [(_, timer)] = deadlines._due.values()
    assert timer.cancelled()
    assert not deadlines._due


async def test_an_error_that_meets_the_deadline_stays_that_error() -> None:
    deadlines = Deadlines()

    async def fail() -> None:
        with deadlines.within(0.01):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ZeroDivisionError from None

    with pytest.raises(ZeroDivisionError):
        await fail()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_cancellation_that_meets_the_deadline_stays_a_cancellation() -> None:
    deadlines = Deadlines()

    async def late() -> None:
        with deadlines.within(0.01):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                met.set()
                await asyncio.Event().wait()

    met = asyncio.Event()
    task = asyncio.create_task(late())
    await met.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
