"""The pace of a process: how many requests per second its clients of one base URL send together.

The service accepts 200 requests per second from one address; it is not documented what happens
above that. So all clients of this process with the same base URL share `max_requests_per_second`,
whatever their credentials, threads and event loops.

- It is a token bucket whose only state is a time: the pace is used up until then. Each request adds
  1/150 s, or less if the pace of its client is faster.
- Clients with a slower pace first pass another bucket, one for each such pace. So they keep to
  their pace, and do not slow down the others.
- A burst is a sixth of a second: 25 requests at 150 per second, so at most 175 in any second. The
  margin up to 200 is for requests that the network delays and then delivers together.
- Calls wait in one queue, first come, first served. Each sets a timer in its event loop for its
  turn. Every timer serves the queue from its head. So the timer of a cancelled call serves the next
  one, and a blocked event loop does not delay others.
- A turn that is not used in time is given back.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from math import inf, isfinite
from weakref import WeakValueDictionary

from attrs import frozen

from .._core.options import DEFAULT_MAX_REQUESTS_PER_SECOND
from .._wire.messages import HTTPRequest, HTTPResponse
from ..errors import RateLimitError
from .clock import Clock
from .fork import forget_in_child

BURST = 1 / 6
"""The seconds of the pace that may be used at once."""
_SHARED = 1 / DEFAULT_MAX_REQUESTS_PER_SECOND
"""The seconds that a request of a slower client uses of the shared bucket."""
_ROUNDING = 0.001
"""Seconds that a timer may fire early."""


class RateLimitedError(Exception):
    """A call would have to wait too long; nothing was sent."""

    def __init__(self, wait: float, reason: str) -> None:
        super().__init__(reason)
        self.wait = wait

    def about(self, request: HTTPRequest) -> RateLimitError:
        """Return the error for the caller."""
        result = RateLimitError(
            f"{request.method} {request.path}: not sent: {self}",
            request=request,
            response=HTTPResponse(status_code=429, headers={}, body=b""),
            retries_taken=max(request.attempts - 1, 0),
        )
        result.retry_after = self.wait if isfinite(self.wait) else None
        return result


NEVER_LIFTED = RateLimitedError(
    inf,
    "the service refused every call with these credentials, even after the full wait that it asked "
    "for",
)


@frozen(eq=False)
class _Place:
    """A place in the queue."""

    interval: float
    mark: float
    """The sum of the intervals of all calls that joined the queue before it."""
    came: asyncio.Future[float]
    """Resolves to the time at which its turn came."""

    def call(self, now: float) -> bool:
        """Wake the call for its turn; return false if its event loop is closed."""
        try:
            self.came.get_loop().call_soon_threadsafe(self._go, now)
        except RuntimeError:
            return False
        return True

    def _go(self, now: float) -> None:
        if not self.came.done():
            self.came.set_result(now)


class Pace:
    """The bucket, and its queue."""

    def __init__(self, longest: float = _SHARED) -> None:
        """Make a bucket. Intervals above `longest` seconds go through another bucket first."""
        self.lock: threading.Lock = threading.Lock()
        """Hold it around `take` and `give_back`. Limiters guard their own state with it too."""
        self._longest = longest
        self._slower: dict[float, Pace] = {}
        """The slower buckets, by interval. Lock order: this one's lock first, then theirs."""
        self._used_until = -inf
        self._line: OrderedDict[_Place, None] = OrderedDict()
        self._promised = 0.0
        """The sum of the intervals of all calls in the queue."""
        self._joined = 0.0
        """The sum of the intervals of all calls that ever joined the queue."""
        forget_in_child(self)

    def forget(self) -> None:
        """Drop the parent's waiting calls. The requests that it sent still count."""
        self.lock = threading.Lock()
        self._line.clear()
        self._promised = 0.0

    def take(self, now: float, interval: float) -> bool:
        """Take a turn if one is free now; return whether it was.

        Args:
            now: The current time.
            interval: The seconds between two requests at the pace of the client; 0: no pace.
        """
        if interval > self._longest:
            return self._take_behind(self._slow(interval), now, interval)
        if interval:  # written out for speed: every call comes here
            used = self._used_until
            if self._line or (used > now and used + interval > now + BURST):
                return False
            self._used_until = (used if used > now else now) + interval
        return True

    def give_back(self, interval: float) -> None:
        """Give back a turn that was not used."""
        if interval > self._longest:
            slower = self._slow(interval)
            with slower.lock:
                slower.give_back(interval)
        self._used_until -= min(interval, self._longest)

    async def turn(self, clock: Clock, interval: float, deadline: float) -> None:
        """Wait in the queue for a turn, and take it.

        Raises:
            RateLimitedError: The turn would come after the `deadline`. Raised at once.
        """
        if interval > self._longest:
            await self._turn_behind(self._slow(interval), clock, interval, deadline)
            return
        # After an event loop was blocked, its calls must not all use their old turns at once. So a
        # late turn is given back. The second turn counts even if late: some loops always are.
        for latest in (BURST, inf):
            place = self._join(clock, interval, deadline)
            try:
                came = await place.came
            except BaseException:
                with self.lock:
                    if place in self._line:
                        self._leave(place)
                    elif not place.came.get_loop().is_closed():
                        self.give_back(interval)
                    self._serve(clock.monotonic())
                raise
            if clock.monotonic() - came <= latest:
                return
            with self.lock:
                self.give_back(interval)

    def _slow(self, interval: float) -> Pace:
        """Return the bucket of clients with this interval."""
        return self._slower.get(interval) or self._slower.setdefault(interval, Pace(inf))

    def _take_behind(self, slower: Pace, now: float, interval: float) -> bool:
        with slower.lock:
            if not slower.take(now, interval):
                return False
            if not self.take(now, self._longest):
                slower.give_back(interval)
                return False
        return True

    async def _turn_behind(
        self, slower: Pace, clock: Clock, interval: float, deadline: float
    ) -> None:
        await slower.turn(clock, interval, deadline)
        with self.lock:
            taken = self.take(clock.monotonic(), self._longest)
        try:
            if not taken:
                await self.turn(clock, self._longest, deadline)
        except BaseException:
            with slower.lock:
                slower.give_back(interval)
            raise

    def _join(self, clock: Clock, interval: float, deadline: float) -> _Place:
        """Join the queue, and set a timer for the turn."""
        loop = asyncio.get_running_loop()
        now = clock.monotonic()
        with self.lock:
            wait = self._wait(now, interval, self._promised)
            if now + wait > deadline:
                raise RateLimitedError(
                    wait,
                    f"its turn comes in {wait:.1f} s, after its deadline "
                    f"(`max_requests_per_second`, `total_timeout`)",
                )
            place = _Place(interval, self._joined, loop.create_future())
            self._line[place] = None
            self._promised += interval
            self._joined += interval
        loop.call_later(wait, self._look, place, clock)
        return place

    def _look(self, place: _Place, clock: Clock) -> None:
        """Serve the queue. If the turn of `place` has not come, set a new timer."""
        now = clock.monotonic()
        with self.lock:
            self._serve(now)
            if place not in self._line:
                return
            before = place.mark - next(iter(self._line)).mark
            wait = self._wait(now, place.interval, before)
        place.came.get_loop().call_later(max(wait, _ROUNDING), self._look, place, clock)

    def _serve(self, now: float) -> None:
        """Give a turn to each call at the head of the queue that is due."""
        while self._line:
            place = next(iter(self._line))
            if self._wait(now, place.interval) > _ROUNDING:
                return
            self._leave(place)
            if place.call(now):
                self._used_until = max(self._used_until, now) + place.interval

    def _leave(self, place: _Place) -> None:
        del self._line[place]
        self._promised = self._promised - place.interval if self._line else 0.0

    def _wait(self, now: float, interval: float, before: float = 0.0) -> float:
        """Return the seconds until a turn is free, if calls before it use `before` seconds."""
        ahead = max(self._used_until - now, 0.0) + before
        return max(ahead - max(BURST - interval, 0.0), 0.0)


class _Paces:
    """The paces of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_url: WeakValueDictionary[str, Pace] = WeakValueDictionary()
        self._recent: deque[Pace] = deque(maxlen=8)
        """Keeps recent paces alive: a program may make a new client for each call."""
        forget_in_child(self)

    def forget(self) -> None:
        """Replace the lock: a thread of the parent may hold it."""
        self._lock = threading.Lock()

    def of(self, base_url: str) -> Pace:
        """Return the pace of a base URL."""
        with self._lock:
            pace = self._by_url.get(base_url)
            if pace is None:
                pace = self._by_url[base_url] = Pace()
            self._recent.append(pace)
            return pace


_paces = _Paces()
pace_of = _paces.of
