"""The service's rate limits: those of the credentials, and those of an address."""

from __future__ import annotations

import math
from collections import defaultdict, deque

import attrs


@attrs.define(kw_only=True)
class RequestLimit:
    """So many requests in each window, for all who use the credentials.

    The real service allows 1,200 in 300 seconds and blocks for up to 300; a test wants fewer.

    Attributes:
        quota: The requests of a window.
        window: The length of a window, in seconds.
        block: How long every request is refused once there were too many, in seconds; `None`:
            until the window ends.
        refused: How many requests have been refused.
    """

    quota: int = 1200
    window: float = 300.0
    block: float | None = None
    refused: int = attrs.field(default=0, init=False)
    _used: int = attrs.field(default=0, init=False)
    _started: float = attrs.field(default=float("-inf"), init=False)
    _blocked_until: float = attrs.field(default=float("-inf"), init=False)

    def take(self, now: float) -> bool:
        """Count a request at `now`; false if it is refused."""
        if now >= self._started + self.window:
            self._started, self._used = now - now % self.window, 0
        self._used += 1
        if self._used > self.quota and now >= self._blocked_until:
            block = self._started + self.window - now if self.block is None else self.block
            self._blocked_until = now + block
        if now < self._blocked_until:
            self.refused += 1
            return False
        return True

    def headers(self, now: float) -> dict[str, str]:
        """Return the headers that every answer has about it."""
        left = max(self.quota - self._used, 0)
        resets_in = max(self._started + self.window - now, 0.0)
        headers = {
            "Ratelimit": f'"default";r={left};t={self._told(resets_in)}',
            "Ratelimit-Policy": f'"default";q={self.quota};w={self._told(self.window)}',
        }
        if now < self._blocked_until:
            headers["Retry-After"] = self._told(self._blocked_until - now)
        return headers

    def _told(self, seconds: float) -> str:
        """Whole seconds, rounded up, as the service tells them; finer where windows are short."""
        if self.window >= _LONG:
            return f"{math.ceil(seconds)}"
        return f"{seconds:.3f}".rstrip("0").rstrip(".")


_LONG = 10.0
"""Seconds."""


@attrs.define(kw_only=True)
class AddressLimit:
    """So many requests from one address in any second, whatever the credentials.

    The real service takes 200. Nothing documents what it does beyond that; this answers 429 without
    `Retry-After`. It goes by the real time, also where the emulator's clock stands still.

    Attributes:
        per_second: The requests that it takes.
        most: The most requests that have come from one address in any second.
        refused: How many requests have been refused.
    """

    per_second: int = 200
    most: int = attrs.field(default=0, init=False)
    refused: int = attrs.field(default=0, init=False)
    _came: defaultdict[str, deque[float]] = attrs.field(
        factory=lambda: defaultdict[str, deque[float]](deque), init=False
    )

    def take(self, address: str, now: float) -> bool:
        """Count a request at `now`; false if it is refused."""
        came = self._came[address]
        came.append(now)
        while came[0] <= now - 1:
            came.popleft()
        self.most = max(self.most, len(came))
        if len(came) > self.per_second:
            self.refused += 1
            return False
        return True
