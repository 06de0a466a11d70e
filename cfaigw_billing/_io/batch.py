"""The calls of a sweep: they share a part of the rate limit, and can be stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from math import inf

import anyio
from attrs import define, field


class NotSentError(Exception):
    """The sweep ended before this call was sent."""


@define(eq=False)
class Batch:
    """The common state of the calls of a sweep."""

    reserve: float
    """The part of the rate limit to leave to others, from 0 to 1."""
    ended: bool = False
    """Whether nothing more is sent. Calls that have been sent go on to their end."""
    blocked: bool = False
    """Whether it ended because the service refused every call, even after the full wait."""
    line: asyncio.Lock = field(factory=asyncio.Lock)
    """Lets only one call of the sweep wait for its turn at the pace. So other calls of the program
    wait behind that one, not behind the whole sweep."""
    _waiting: dict[anyio.CancelScope, None] = field(factory=dict[anyio.CancelScope, None])
    _in_flight: int = 0
    _refusals: int = 0
    """How many times in a row the service has refused all calls."""
    _parked_until: float = -inf

    def end(self) -> None:
        """Send nothing more, and cancel the calls that wait to be sent."""
        self.ended = True
        for scope in self._waiting:
            scope.cancel()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Wrap the wait of a call that has not been sent: `end` cancels the wait."""
        if self.ended:
            raise NotSentError
        with anyio.CancelScope() as scope:
            self._waiting[scope] = None
            try:
                yield
            finally:
                del self._waiting[scope]
        if scope.cancelled_caught:
            raise NotSentError

    def call_began(self) -> None:
        """Count a call that is sent now."""
        self._in_flight += 1

    def call_ended(self, now: float, sent_at: float, status: int | None, blocked: float) -> None:
        """Count a call that has ended.

        Args:
            now: The time.
            sent_at: When it was sent.
            status: The status of the answer; `None` if none came.
            blocked: For how many seconds a 429 blocks all calls; 0 if it does not.
        """
        self._in_flight -= 1
        if blocked > 0:
            self._refusals += sent_at >= self._parked_until  # else it is the same block
            self._parked_until = max(self._parked_until, now + blocked)
        elif status not in (None, 429):
            self._refusals = 0
        if self._refusals > 1 and not self._in_flight:
            self.blocked = True
            self.end()


@define(eq=False)
class Turn:
    """One call of a sweep."""

    batch: Batch
    sent: bool = False
    """Whether it has been sent and is not to be sent again."""

    def begin(self) -> None:
        """Mark the call as sent."""
        if self.batch.ended:
            raise NotSentError
        self.sent = True
        self.batch.call_began()

    def end(self, now: float, sent_at: float, status: int | None, blocked: float) -> None:
        """Mark the call as ended, if it was sent; see `Batch.call_ended`."""
        if self.sent:
            self.batch.call_ended(now, sent_at, status, blocked)
