"""The queue in which calls wait for the rate limit of their credentials and the pace of the URL."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from math import inf
from weakref import WeakValueDictionary

from attrs import define
from multidict import CIMultiDict

from .._core.config import authenticating
from .._core.ratelimit import Budget, RateLimit
from .clock import Clock
from .fork import forget_in_child
from .pace import Pace, RateLimitedError

_LOOK_AGAIN = 1.0
"""The longest time between two checks of the budget, in seconds."""
_ROUNDING = 0.001
"""Seconds by which sums of times may be inexact: a wait of `max_retry_wait` is not too long."""


class Limiter:
    """Admits the calls of a client and its copies, from any event loop or thread."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.budget: Budget = Budget()
        self._pace = pace or Pace()
        self._queue: deque[asyncio.Future[None]] = deque()
        forget_in_child(self)

    def forget(self) -> None:
        """Drop the calls of the parent process."""
        self.budget.in_flight = 0
        self._queue.clear()

    def state(self, now: float) -> RateLimit:
        """Return the state of the limit."""
        with self._pace.lock:
            return self.budget.state(now)

    def admit(self, now: float, reserve: float | None, interval: float) -> bool:
        """Return whether a call may go now. If so, it is counted, and must `leave`."""
        with self._pace.lock:
            if self.budget.wait(now, reserve) > 0 or not self._pace.take(now, interval):
                return False
            self.budget.in_flight += 1
            return True

    async def enter(
        self,
        clock: Clock,
        *,
        reserve: float | None,
        patience: float,
        deadline: float,
        interval: float = 0.0,
        total: float = inf,
        pace_lock: asyncio.Lock | None = None,
        without_slot: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> float:
        """Wait until the call is admitted; return that time. The call must then `leave`.

        Args:
            clock: The clock.
            reserve: For a call of a sweep, the part of the quota to leave to others, from 0 to 1;
                `None` for a single call.
            patience: The longest wait for a reset, in seconds.
            deadline: The time of `clock` at which the wait for the rate limit ends. The wait for
                the pace extends it.
            interval: The seconds between two requests at the pace of the client; 0: no pace.
            total: The time at which all waiting ends.
            pace_lock: For a call of a sweep, the lock to hold during the wait for the pace (see
                `Batch.pace_lock`).
            without_slot: Wraps each wait for the rate limit.

        Raises:
            RateLimitedError: The wait would be too long. Raised as soon as that is known.
        """
        has_turn, longest = False, 0.0
        while True:
            now = clock.monotonic()
            with self._pace.lock:
                wait = self.budget.wait(now, reserve)
                if wait == 0 and (has_turn or self._pace.take(now, interval)):
                    self.budget.in_flight += 1
                    return now
                if has_turn:
                    self._pace.give_back(interval)
            has_turn = wait == 0
            if has_turn:
                await self._turn(clock, interval, total, pace_lock)
                deadline = min(deadline + clock.monotonic() - now, total)
            elif wait == inf and now < deadline:
                async with without_slot():
                    await self._until_an_answer_comes(deadline - now)
            elif wait > patience + _ROUNDING or now + wait > deadline + _ROUNDING:
                self._wake_one()  # the next in the queue may fail for the same reason
                when = "while others wait for answers" if wait == inf else f"for {wait:.1f} s more"
                raise RateLimitedError(
                    wait,
                    f"the rate limit does not allow it {when}, longer than it may wait "
                    f"(`max_retry_wait`, `total_timeout`)",
                )
            else:
                longest = max(longest, wait)  # a short last wait still spreads like the whole wait
                late = clock.jitter() * self.budget.spread(longest)
                async with without_slot():
                    await clock.sleep(min(wait + late, max(wait, deadline - now)))

    def leave(
        self,
        now: float,
        sent_at: float,
        headers: Mapping[str, str] | None,
        blocked_for: float | None,
    ) -> None:
        """Record the end of an admitted call.

        Args:
            now: The current time.
            sent_at: The time that `enter` returned.
            headers: The headers of the answer; `None` if none came.
            blocked_for: For how many seconds a 429 refuses every call; `None` if it does not say.
        """
        with self._pace.lock:
            self.budget.answered(now, sent_at, headers)
            if blocked_for is not None:
                self.budget.blocked(now, blocked_for)
        if self._queue:
            # One for the call that ended, one because the answer may allow one call more.
            self._wake_one()
            self._wake_one()

    async def _turn(
        self, clock: Clock, interval: float, total: float, pace_lock: asyncio.Lock | None
    ) -> None:
        try:
            async with pace_lock or nullcontext():
                await self._pace.turn(clock, interval, total)
        except BaseException:
            self._wake_one()  # another call may go instead
            raise

    async def _until_an_answer_comes(self, seconds: float) -> None:
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            # Check again after a while: if the client is used by several threads, an answer may
            # have come between the check of the budget and this line.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, _LOOK_AGAIN)):
                    await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._wake_one()  # another call may go instead
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


class Limiters:
    """The limiters of a client and its copies: one for each set of credentials."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._limiters: WeakValueDictionary[object, Limiter] = WeakValueDictionary()

    def of(self, headers: Mapping[str, str]) -> Limiter:
        """Return the limiter of the credentials in these headers."""
        key = authenticating(headers)
        with self._pace.lock:  # else two threads could make two limiters
            limiter = self._limiters.get(key)
            if limiter is None:
                self._limiters[key] = limiter = Limiter(self._pace)
        return limiter


@define(eq=False)
class Login:
    """One set of credentials."""

    headers: CIMultiDict[str]
    """The headers of each request. Do not change them: requests share them."""
    limiter: Limiter
    """The queue for the rate limit and the pace."""
    accepted: bool = False
    """Whether the service has accepted a call."""
    refused: bool = False
    """Whether the service has refused the credentials, and never accepted them."""
