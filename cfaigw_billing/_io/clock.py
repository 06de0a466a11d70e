"""Time and chance, in one place so that tests can put others in theirs; and the service's time."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

from .._wire.messages import parse_date


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
        await asyncio.sleep(seconds)


_AGREE = timedelta(seconds=2)
"""Clocks no further apart than this agree: `Date` has whole seconds, and an answer takes time."""
_WAS_SET = timedelta(seconds=5)
"""A clock that is further than this from where it should be has been set, or the machine slept."""


class ServiceClock:
    """The service's clock, as its answers show it.

    Next to nothing is done when an answer comes. Its `Date` is read where a charge is lost or
    looked for, and only there.
    """

    def __init__(self) -> None:
        self._heard: tuple[str, datetime, float] | None = None

    def heard(self, date: str | None, clock: Clock) -> None:
        """Keep the `Date` of an answer that has just come, if it is a new one."""
        if date is not None and (self._heard is None or date != self._heard[0]):
            self._heard = date, clock.now(), clock.monotonic()

    def now(self, clock: Clock) -> datetime:
        """The moment by the service's clock, however that of the machine was set; else by that."""
        if self._heard is not None:
            date, _, monotonic = self._heard
            told = parse_date(date)
            if told is not None:
                return told + timedelta(seconds=clock.monotonic() - monotonic)
        return clock.now()

    def corrected(self, moment: datetime, clock: Clock) -> datetime:
        """A recent moment by the machine's clock, as it is by the service's, if that is known."""
        ahead = self._ahead(clock)
        try:
            return moment if ahead is None or abs(ahead) <= _AGREE else moment - ahead
        except OverflowError:  # a date from the edge of the calendar tells nothing
            return moment

    def is_known(self, clock: Clock) -> bool:
        """Whether an answer has told it, and the machine's clock has not been set since."""
        return self._ahead(clock) is not None

    def _ahead(self, clock: Clock) -> timedelta | None:
        """How far the machine's clock is ahead, if that is known."""
        if self._heard is None:
            return None
        date, now, monotonic = self._heard
        told = parse_date(date)
        passed = timedelta(seconds=clock.monotonic() - monotonic)
        if told is None or abs(clock.now() - now - passed) > _WAS_SET:
            return None
        return now - told
