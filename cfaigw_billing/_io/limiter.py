"""The queue in which calls wait for their place: in the rate limit, and in the pace.

The budget of the rate limit is that of the credentials; the pace is that of the base URL.
"""

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
"""Seconds."""
_ROUNDING = 0.001
"""Seconds: sums of times are not exact, and a wait of just `max_retry_wait` is a wait."""


class Limiter:
    """Lets the calls of a client and of its copies through, from whatever event loop or thread."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.budget: Budget = Budget()
        self._pace = pace or Pace()
        self._queue: deque[asyncio.Future[None]] = deque()
        forget_in_child(self)

    def forget(self) -> None:
        """Drop the calls of another process, which never leave here."""
        self.budget.in_flight = 0
        self._queue.clear()

    def state(self, now: float) -> RateLimit:
        """Return the state of the limit."""
        with self._pace.lock:
            return self.budget.state(now)

    def admit(self, now: float, reserve: float | None, interval: float) -> bool:
        """Give a place at once, if there is one. A call that has it must `leave`."""
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
        line: asyncio.Lock | None = None,
        aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> float:
        """Wait for a place; return the time at which it was given. The call must then `leave`.

        Args:
            clock: The time.
            reserve: For a call of a sweep, the part of the quota to leave to others, from 0 to 1;
                `None` for a single call.
            patience: The longest wait for a reset, in seconds.
            deadline: The time of `clock` at which waiting for the rate limit ends; waiting for a
                turn at the pace puts it off.
            interval: The seconds between two requests at the pace of the client; 0: no pace.
            total: The time at which all waiting ends.
            line: For a call of a sweep, what to hold while it waits for a turn (see `Batch.line`).
            aside: Around each wait for the rate limit.

        Raises:
            RateLimitedError: At once where the wait is known to be too long.
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
                await self._turn(clock, interval, total, line)
                deadline = min(deadline + clock.monotonic() - now, total)
            elif wait == inf and now < deadline:
                async with aside():
                    await self._until_an_answer_comes(deadline - now)
            elif wait > patience + _ROUNDING or now + wait > deadline + _ROUNDING:
                self._wake_one()  # the next in the queue has to learn it too
                when = "while others wait for answers" if wait == inf else f"for {wait:.1f} s more"
                raise RateLimitedError(
                    wait,
                    f"the rate limit has no room for it {when}, longer than it may wait "
                    f"(`max_retry_wait`, `total_timeout`)",
                )
            else:
                longest = max(longest, wait)  # the last bit of a wait is no reason to come together
                late = clock.jitter() * self.budget.spread(longest)
                async with aside():
                    await clock.sleep(min(wait + late, max(wait, deadline - now)))

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
        with self._pace.lock:
            self.budget.answered(now, sent_at, headers)
            if parked is not None:
                self.budget.blocked(now, parked)
        if self._queue:
            # One for the place that is free, one for what the answer may have told of more room.
            self._wake_one()
            self._wake_one()

    async def _turn(
        self, clock: Clock, interval: float, total: float, line: asyncio.Lock | None
    ) -> None:
        try:
            async with line or nullcontext():
                await self._pace.turn(clock, interval, total)
        except BaseException:
            self._wake_one()  # the room that there was for this call is another's now
            raise

    async def _until_an_answer_comes(self, seconds: float) -> None:
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            # Looked at again for clients that are used from several threads, where an answer may
            # come between the look at the budget and this line.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, _LOOK_AGAIN)):
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
