"""Automatic spending as the clock moves. Times are in Unix seconds, amounts in cents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import attrs

Profile = Callable[[datetime], float] | Sequence[float]
"""The cents per hour: by its start (aware, UTC), or 24 amounts by the hour of the day (UTC)."""

HOUR = 3600


@attrs.define
class Spending:
    """The automatic spending of an account."""

    profile: Profile
    at: float
    """The time up to which the spending was taken."""

    def __attrs_post_init__(self) -> None:
        if not callable(self.profile) and len(self.profile) != 24:
            raise ValueError(
                f"`profile` must be a function, or 24 amounts by the hour of the day (UTC), "
                f"not {len(self.profile)} amounts"
            )

    def until(self, moment: float) -> Iterator[tuple[float, float]]:
        """Take the spending up to `moment`: yield start times, at most an hour apart, and cents.

        It advances by whole seconds, so that frequent calls do not lose cents by rounding.
        """
        while (start := self.at) < moment // 1:
            hour = start // HOUR * HOUR
            self.at = min(hour + HOUR, moment // 1)
            cents = self._cents(datetime.fromtimestamp(hour, UTC)) * (self.at - start) / HOUR
            if cents:
                yield start, cents

    def _cents(self, hour: datetime) -> float:
        return self.profile(hour) if callable(self.profile) else self.profile[hour.hour]
