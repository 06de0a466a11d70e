"""The queue in which calls wait for the rate limit: the budget of `_core`, with a clock."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from math import inf, isfinite

import anyio

from .._core.ratelimit import Budget, RateLimit
from .._wire.messages import HTTPRequest, HTTPResponse
from ..errors import RateLimitError
from .clock import Clock
from .fork import forget_in_child

_LOOK_AGAIN = 1.0
"""Seconds."""
_ROUNDING = 0.001
"""Seconds: sums of times are not exact, and a wait of just `max_retry_wait` is a wait."""


class RateLimitedError(Exception):
    """A call would have to wait longer than it may; nothing was sent."""

    def __init__(self, wait: float) -> None:
        when = "while others wait for answers" if wait == inf else f"for another {wait:.1f} s"
        super().__init__(
            f"the rate limit has no room for it {when}, longer than it may wait "
            f"(`max_retry_wait`, `total_timeout`)"
        )
        self.wait = wait

    def about(self, request: HTTPRequest) -> RateLimitError:
        """Return the error that the caller gets."""
        result = RateLimitError(
            f"{request.method} {request.path}: not sent: {self}",
            request=request,
            response=HTTPResponse(status_code=429, headers={}, body=b""),
            retries_taken=max(request.attempts - 1, 0),
        )
        result.retry_after = self.wait if isfinite(self.wait) else None
        return result


class Limiter:
    """Lets the calls of a client and of its copies through, from whatever event loop or thread."""

    def __init__(self) -> None:
        self.budget: Budget = Budget()
        self._queue: deque[asyncio.Future[None]] = deque()
        self._lock = threading.Lock()
        forget_in_child(self)

    def forget(self) -> None:
        """Drop the calls of another process, which never leave here."""
        self.budget.in_flight = 0
        self._queue.clear()
        self._lock = threading.Lock()

    def state(self, now: float) -> RateLimit:
        """Return the state of the limit."""
        with self._lock:
            return self.budget.state(now)

    def admit(self, now: float, reserve: float | None) -> bool:
        """Give a place at once, if there is one. Whoever has it must `leave`."""
        with self._lock:
            if self.budget.wait(now, reserve) > 0:
                return False
            self.budget.sent()
            return True

    async def enter(
        self, clock: Clock, *, reserve: float | None, patience: float, deadline: float
    ) -> float:
        """Wait for a place; the time at which it was given. Whoever has entered must `leave`.

        Args:
            clock: The time.
            reserve: For a call of a sweep, the part of the quota to leave to others, from 0 to 1;
                `None` for a single call.
            patience: The longest wait for a reset, in seconds.
            deadline: The time of `clock` at which all waiting ends.

        Raises:
            RateLimitedError: At once where the wait is known to be too long.
        """
        while not self.admit(now := clock.monotonic(), reserve):
            with self._lock:
                wait = self.budget.wait(now, reserve)
            if wait == inf and now < deadline:
                await self._until_an_answer_comes(deadline - now)
            elif wait > patience + _ROUNDING or now + wait > deadline + _ROUNDING:
                self._wake_one()  # the next in the queue has to learn it too
                raise RateLimitedError(wait)
            else:
                late = clock.jitter() * self.budget.spread(wait)
                await clock.sleep(min(wait + late, max(wait, deadline - now)))
        return now

    def leave(
        self, now: float, sent_at: float, headers: Mapping[str, str] | None, parked: float | None
    ) -> None:
        """Give the place back.

        Args:
            now: The time.
            sent_at: What `enter` answered.
            headers: Those of the answer, or `None` if none came.
            parked: For how long a 429 refuses every call, in seconds, if it says so.
        """
        with self._lock:
            self.budget.answered(now, sent_at, headers)
            if parked is not None:
                self.budget.blocked(now, parked)
        if self._queue:
            # One for the place that is free, one for what the answer may have told of more room.
            self._wake_one()
            self._wake_one()

    async def _until_an_answer_comes(self, seconds: float) -> None:
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            # Looked at again for clients that are used from several threads, where an answer may
            # come between the look at the budget and this line.
            with anyio.move_on_after(min(seconds, _LOOK_AGAIN)):
                await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._wake_one()  # it was this one's turn, and now it is another's
            raise

    def _wake_one(self) -> None:
        while self._queue:
            try:
                place = self._queue.popleft()
            except IndexError:  # another thread was faster
                return
            loop = place.get_loop()
            if not place.done() and not loop.is_closed():
                loop.call_soon_threadsafe(_set, place)
                return


def _set(place: asyncio.Future[None]) -> None:
    if not place.done():
        place.set_result(None)
