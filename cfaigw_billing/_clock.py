"""Time and chance, in one place so that tests can put others in theirs."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

import anyio


class Clock:
    """The machine's own."""

    def now(self) -> datetime:
        """The moment, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def jitter(self) -> float:
        """A random number from 0 to 1."""
        return random.random()

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for so long."""
        await anyio.sleep(seconds)
