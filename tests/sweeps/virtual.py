"""Virtual time: an event loop whose time jumps to the next timer."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar

from cfaigw_billing._io.clock import Clock
from cfaigw_billing.testing import Emulator

T = TypeVar("T")


class Jumping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:  # the loop has something to do: no look at what only threads tell of
            return []
        events = super().select(0)
        if not events:
            if timeout is None or self.now > 100_000:
                raise AssertionError("stuck: nothing will ever happen again")
            self.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


class EmulatorClock(Clock):
    """The clock of an emulator with a fixed time: a sleep moves it ahead, and takes no time."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def now(self) -> datetime:
        return self._emulator.now

    def monotonic(self) -> float:
        return self._emulator.now.timestamp()

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        await asyncio.sleep(0)  # others may sleep, too, and until the same moment
        self._emulator.advance(max(0.0, until - self.monotonic()))


class VirtualClock(Clock):
    """The time of the running loop, and chance that repeats itself."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def jitter(self) -> float:
        return self._random.random()


def virtually(main: Coroutine[Any, Any, T]) -> T:
    """Do the same as `asyncio.run`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
