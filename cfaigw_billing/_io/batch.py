"""A sweep, as the executor sees it: calls that end together, and wait for the rate limit."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from anyio import CancelScope


class NotSentError(Exception):
    """The sweep that a call is part of has ended before the call was sent."""


@define(eq=False)
class Batch:
    """The calls of a sweep: what they have in common, and whether any more are sent."""

    reserve: float
    """The part of the rate limit to leave to others, from 0 to 1."""
    ended: bool = False
    """Whether nothing more is sent; what has been sent comes to its end."""
    blocked: bool = False
    """Whether it has ended because the service refused every call again after a full wait."""
    line: asyncio.Lock = field(factory=asyncio.Lock)
    """Lets one call at a time wait for its turn at the pace: single calls of the program then wait
    behind that one, and not behind all that the sweep has begun."""
    _waiting: dict[CancelScope, None] = field(factory=dict["CancelScope", None])
    _in_flight: int = 0
    _refusals: int = 0
    """How often in a row the service has refused all calls, and none since."""
    _parked_until: float = -inf

    def end(self) -> None:
        """Send nothing more, and end the waits for that."""
        self.ended = True
        for scope in self._waiting:
            scope.cancel()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Around a wait of a call that has not been sent: the end of the batch ends it."""
        from anyio import CancelScope  # a program of single calls does without anyio

        if self.ended:
            raise NotSentError
        with CancelScope() as scope:
            self._waiting[scope] = None
            try:
                yield
            finally:
                del self._waiting[scope]
        if scope.cancelled_caught:
            raise NotSentError

    def call_began(self) -> None:
        """A call is sent."""
        self._in_flight += 1

    def call_ended(self, now: float, sent_at: float, status: int | None, blocked: float) -> None:
        """A call has ended.

        Args:
            now: The time.
            sent_at: When it was sent.
            status: That of the answer, or `None` if none came.
            blocked: For how many seconds a 429 keeps all calls waiting; 0 if nothing says so.
        """
        self._in_flight -= 1
        if blocked > 0:
            self._refusals += sent_at >= self._parked_until  # else it tells of the same block
            self._parked_until = max(self._parked_until, now + blocked)
        elif status not in (None, 429):
            self._refusals = 0
        if self._refusals > 1 and not self._in_flight:
            self.blocked = True
            self.end()


@define(eq=False)
class Turn:
    """The part of one call in a sweep."""

    batch: Batch
    sent: bool = False
    """Whether it has been sent, and was not just told to come again."""

    def begin(self) -> None:
        """The call is sent now."""
        if self.batch.ended:
            raise NotSentError
        self.sent = True
        self.batch.call_began()

    def end(self, now: float, sent_at: float, status: int | None, blocked: float) -> None:
        """The call has ended, if it has begun; see `Batch.call_ended`."""
        if self.sent:
            self.batch.call_ended(now, sent_at, status, blocked)
