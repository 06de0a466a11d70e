"""The pace of a process: how many requests all its clients of one base URL send in a second.

The service takes 200 requests a second from one address and documents nothing of what happens
beyond that. So a client keeps to `max_requests_per_second`, together with all other clients of this
process that have the same base URL, whatever their credentials, threads and event loops.

- It is a token bucket. One number is all its state: until when the requests so far have used up the
  time. Each request uses up the time that the pace of its own client gives it (1/150 s), so clients
  with different paces share one bucket: none exceeds its own pace, and all of them together do not
  exceed the fastest one's.
- A burst is what the pace allows in a sixth of a second: 25 requests at 150 a second, so at most
  175 in any second. The rest up to 200 is room for requests that the network holds up and then
  delivers together.
- Calls wait in one line, first come, first served. Each sets a timer of its event loop for when its
  turn should come; whichever timer fires serves the line from its head. So the timer of a call that
  was cancelled serves the next one, and an event loop that stands still holds up no other.
- A turn that is not used, or not in time, is given back.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from math import inf, isfinite
from weakref import WeakValueDictionary

from attrs import frozen

from .._wire.messages import HTTPRequest, HTTPResponse
from ..errors import RateLimitError
from .clock import Clock
from .fork import forget_in_child

BURST = 1 / 6
"""Seconds of the pace that may be used at once."""
_ROUNDING = 0.001
"""Seconds: a timer may fire so much early."""


class RateLimitedError(Exception):
    """A call would have to wait longer than it may; nothing was sent."""

    def __init__(self, wait: float, reason: str) -> None:
        super().__init__(reason)
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


@frozen(eq=False)
class _Place:
    """A place in the line."""

    interval: float
    came: asyncio.Future[float]
    """When its turn came, once it has."""

    def call(self, now: float) -> bool:
        """Tell its call that its turn has come; false if the call's event loop has been closed."""
        try:
            self.came.get_loop().call_soon_threadsafe(self._go, now)
        except RuntimeError:
            return False
        return True

    def _go(self, now: float) -> None:
        if not self.came.done():
            self.came.set_result(now)


class Pace:
    """The bucket, and the line in front of it."""

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        """To be held around `take` and `give_back`; limiters guard their own state with it too."""
        self._used_until = -inf
        self._line: OrderedDict[_Place, None] = OrderedDict()
        self._promised = 0.0
        """The sum of the intervals of all that are in line."""
        forget_in_child(self)

    def forget(self) -> None:
        """Drop the calls of another process. What it has sent still counts."""
        self.lock = threading.Lock()
        self._line.clear()
        self._promised = 0.0

    def take(self, now: float, interval: float) -> bool:
        """Take a turn if there is one at once.

        Args:
            now: The time.
            interval: The seconds between two requests at the pace of the client; 0: no pace.
        """
        if interval:  # in this one step, because every call takes it
            used = self._used_until
            if self._line or (used > now and used + interval > now + BURST):
                return False
            self._used_until = (used if used > now else now) + interval
        return True

    def give_back(self, interval: float) -> None:
        """Give back a turn that was not used."""
        self._used_until -= interval

    async def turn(self, clock: Clock, interval: float, deadline: float) -> None:
        """Wait in line for a turn, and take it.

        Raises:
            RateLimitedError: At once where the turn would come after the `deadline`.
        """
        while True:
            place = self._join(clock, interval, deadline)
            try:
                came = await place.came
            except BaseException:
                with self.lock:
                    if place in self._line:
                        self._leave(place)
                    else:
                        self.give_back(interval)
                    self._serve(clock.monotonic())
                raise
            if clock.monotonic() - came <= BURST:
                return
            # This event loop stood still, and now all its calls whose turns came would go at once.
            with self.lock:
                self.give_back(interval)

    def _join(self, clock: Clock, interval: float, deadline: float) -> _Place:
        """Take a place at the end of the line, and look at the line when its turn should come."""
        loop = asyncio.get_running_loop()
        place = _Place(interval, loop.create_future())
        now = clock.monotonic()
        with self.lock:
            wait = self._wait(now, interval, self._promised)
            if now + wait > deadline:
                raise RateLimitedError(
                    wait,
                    f"its turn comes in {wait:.1f} s, after the end of its time "
                    f"(`max_requests_per_second`, `total_timeout`)",
                )
            self._line[place] = None
            self._promised += interval
        loop.call_later(wait, self._look, place, clock)
        return place

    def _look(self, place: _Place, clock: Clock) -> None:
        """Serve the line, and look again later if that did not reach the place."""
        now = clock.monotonic()
        with self.lock:
            self._serve(now)
            if place not in self._line:
                return
            wait = self._wait(now, next(iter(self._line)).interval)
        place.came.get_loop().call_later(max(wait, _ROUNDING), self._look, place, clock)

    def _serve(self, now: float) -> None:
        """Give their turns to those at the head of the line whose time has come."""
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
        """Return the seconds until there is a turn, behind others that use up so many seconds."""
        ahead = max(self._used_until - now, 0.0) + before
        return max(ahead - max(BURST - interval, 0.0), 0.0)


class _Paces:
    """The paces of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_url: WeakValueDictionary[str, Pace] = WeakValueDictionary()
        self._recent: deque[Pace] = deque(maxlen=8)
        """Those asked for last outlive their clients: a program may make one for each call."""
        forget_in_child(self)

    def forget(self) -> None:
        """Drop the lock, which a thread of another process may hold."""
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
