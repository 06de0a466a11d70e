"""Spending by a profile, as the clock moves. Moments are in Unix seconds, amounts in cents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import attrs

Profile = Callable[[datetime], float] | Sequence[float]
"""The cents of an hour: by its start (aware, UTC), or 24 amounts by the hour of the day (UTC)."""

HOUR = 3600


@attrs.define
class Spending:
    """What an account spends by itself."""

    profile: Profile
    at: float
    """Until when it has been spent."""

    def __attrs_post_init__(self) -> None:
        if not callable(self.profile) and len(self.profile) != 24:
            raise ValueError(
                f"`profile` must be a function, or 24 amounts by the hour of the day (UTC), "
                f"not {len(self.profile)} of them"
            )

    def until(self, moment: float) -> Iterator[tuple[float, float]]:
        """The moments from which it spends until then, an hour at most, and the cents.

        In whole seconds, so that looking often does not lose what is rounded away.
        """
        while (start := self.at) < moment // 1:
            hour = start // HOUR * HOUR
            self.at = min(hour + HOUR, moment // 1)
            cents = self._cents(datetime.fromtimestamp(hour, UTC)) * (self.at - start) / HOUR
            if cents:
                yield start, cents

    def _cents(self, hour: datetime) -> float:
        return self.profile(hour) if callable(self.profile) else self.profile[hour.hour]
