"""The machine's clock and random numbers, which tests replace; and the service's clock."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

from .._wire.messages import parse_date


class Clock:
    """The clock and random numbers of this machine."""

    def now(self) -> datetime:
        """Return the current time, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""
        return random.random()

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds."""
        await asyncio.sleep(seconds)


_AGREE = timedelta(seconds=2)
"""Clocks that differ by at most this agree: `Date` has whole seconds, and an answer takes time."""
_WAS_SET = timedelta(seconds=5)
"""If a clock has moved by more than this, it has been set, or the machine slept."""


class ServiceClock:
    """The service's clock, from the `Date` of its responses.

    `Date` is only parsed when the time is needed, for a lost charge, not for each response.
    """

    def __init__(self) -> None:
        self._last_date: tuple[str, datetime, float] | None = None

    def store_date(self, date: str | None, clock: Clock) -> None:
        """Store the `Date` of a response that has just arrived, unless it is the same as before."""
        if date is not None and (self._last_date is None or date != self._last_date[0]):
            self._last_date = date, clock.now(), clock.monotonic()

    def now(self, clock: Clock) -> datetime:
        """Return the time of the service's clock if known, else of the machine's clock.

        Setting the machine's clock does not change a known service time.
        """
        if self._last_date is not None:
            date, _, monotonic = self._last_date
            service_time = parse_date(date)
            if service_time is not None:
                return service_time + timedelta(seconds=clock.monotonic() - monotonic)
        return clock.now()

    def corrected(self, moment: datetime, clock: Clock) -> datetime:
        """Convert a recent time of the machine's clock to the service's clock, if that is known."""
        ahead = self._ahead(clock)
        try:
            return moment if ahead is None or abs(ahead) <= _AGREE else moment - ahead
        except OverflowError:  # the date is too extreme to be right
            return moment

    def is_known(self, clock: Clock) -> bool:
        """Return whether a response had it, and the machine's clock has not been set since."""
        return self._ahead(clock) is not None

    def _ahead(self, clock: Clock) -> timedelta | None:
        """Return how far the machine's clock is ahead; `None` if not known."""
        if self._last_date is None:
            return None
        date, now, monotonic = self._last_date
        service_time = parse_date(date)
        passed = timedelta(seconds=clock.monotonic() - monotonic)
        if service_time is None or abs(clock.now() - now - passed) > _WAS_SET:
            return None
        return now - service_time
