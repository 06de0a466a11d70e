"""The service's rate limit, and how a client stays inside it together with other clients.

**Facts.** The service counts the requests of a token in fixed windows (1,200 in 5 minutes), over
all machines. After too many requests it blocks *every* call for up to 5 minutes. Each response
reports the count: `Ratelimit: "default";r=50;t=30` (50 requests left, reset in 30 s) and
`Ratelimit-Policy: "default";q=1200;w=300`. A 429 has `Retry-After`.

**Rules.** The server's count is the only state that processes share.

- A client that is alone sends a single call if the remaining requests cover it and all calls in
  flight.
- A client is not alone if the count falls by more than its own calls. It then counts as not alone
  for a hundred windows. It leaves the last seven calls of a window to others, and keeps only a
  part of the remaining requests in flight; near the end, one call. So each of up to eight clients
  has at most one call in flight that was sent on an old count, and the seven calls that it leaves
  cover the other seven clients.
- A count gets out of date: others may have sent 200 calls in each second since (the service
  accepts no more from one address). When it is too old, one call goes first to refresh it.
- A sweep keeps only a part of this client's share of the remaining requests in flight, after a
  reserve for others. While many requests remain, this does not limit it. As the count falls, it
  sends one call at a time. At the reserve, it waits for the reset.
- The share is the part of this window's requests that this client sent. So clients that start
  together divide a window, and a client that is alone has all of it.
- After a reset, waiting calls start spread over a part of the window. A 429 stops all calls.
- Before the first response, a sweep sends only a few calls. After a block, one call goes first.
- Each named limit is counted separately, and the tightest decides.
- Responses may arrive out of order. A response belongs to the previous window if its call was sent
  before the current window was first seen and it reports a clearly earlier reset. Every other
  response is believed, even if it contradicts the expected count.

A 429 is still possible if the quota is too small (n clients need 8 * (n - 1), because at most an
eighth is left to others); if more than eight clients use up the window; if a new client starts with
many calls when few requests remain; or if a response takes longer than others need for the rest.

Rejected: a token bucket (the service's window is fixed: the bucket wastes the allowed burst, or
exceeds the limit when others use the same count); dividing the window evenly among its seconds
(every short sweep becomes slow); a lock or file shared by processes (machines share the token too).

This module only calculates with numbers that are passed in: no clock, no sleep, no event loop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from math import inf

from attrs import define, field, frozen
from multidict import istr

from .._wire.messages import listed

FIRST_CALLS = 8
"""How many calls of a sweep may be in flight while the limit is not known."""
LONGEST_RESET_WAIT = 600.0
"""The longest wait of a sweep for a reset, in seconds; the service's windows last 300 seconds."""
_PRIOR = 10.0
"""The weight of the previous window's share in the current share, in requests."""
_PART = 0.25
"""The part of its share that a client keeps in flight; the rest is for new clients."""
_LEAST_PART = 1 / 32
"""The least part of the remaining requests that single calls may have in flight."""
_LAST_CALLS = 7.0
"""How many calls of a window are left to others: one for each of seven other clients."""
_LAST_PART = 1 / 8
"""The largest part of the quota that is left to others."""
_OTHERS_PER_SECOND = 200.0
"""How many calls others may send per second: the service accepts no more from one address."""
_REMEMBERED = 100
"""For how many windows a client that has seen others still expects them."""
_SPREAD = 0.04
"""The part of a window over which calls start after its reset."""
_LONGEST_SPREAD = 5.0
"""In seconds."""
_LONGEST_BELIEVED = 900.0
"""The longest wait that a response can impose, in seconds; then a call tries again."""
_MOST_LIMITS = 8
"""The largest number of named limits that are counted."""

# Headers.

_ITEM = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<token>[^;,\s"]+))(?P<parameters>[^,]*)')
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
_PARAMETER = re.compile(rf";\s*([a-z]+)\s*=\s*{_NUMBER}\s*(?=;|$)")
_LIMITS, _POLICIES = istr("Ratelimit"), istr("Ratelimit-Policy")
_ONE_LIMIT = re.compile(rf'"([^"]*)";r={_NUMBER};t={_NUMBER}')


@lru_cache(maxsize=64)  # the policy is the same in every answer
def parse(header: str) -> Mapping[str, Mapping[str, float]]:
    """Return the named items of a `Ratelimit` or `Ratelimit-Policy` header, without the rest."""
    return {
        item["quoted"] or item["token"] or "": {
            name: float(value) for name, value in _PARAMETER.findall(item["parameters"].strip())
        }
        for item in _ITEM.finditer(header[:1000])
    }


def limits(header: str) -> list[tuple[str, float, float]]:
    """Return the limits of a `Ratelimit` header: names, requests left, seconds until the reset."""
    if one := _ONE_LIMIT.fullmatch(header):  # the usual form, parsed faster
        return [(one[1], float(one[2]), float(one[3]))]
    found = parse(header).items()
    return [(name, item["r"], item["t"]) for name, item in found if {"r", "t"} <= item.keys()]


# The state of a client.


@frozen(kw_only=True)
class RateLimit:
    """The state of the service's rate limit, as the last answers reported it."""

    remaining: int | None
    """The requests left in this window, for all who use the credentials; `None`: not known."""
    quota: int | None
    """The requests of a whole window; `None`: not known."""
    window: float | None
    """The length of a window, in seconds; `None`: not known."""
    resets_in: float
    """Seconds until the window or a block ends; 0 if neither is known."""
    blocked: bool
    """Whether the service refuses every call until then."""


UNKNOWN = RateLimit(remaining=None, quota=None, window=None, resets_in=0.0, blocked=False)
"""The state before the first response."""


@define(eq=False)
class Window:
    """The state of one named limit, according to the responses so far."""

    remaining: float | None = None
    """The requests left; `None`: not known."""
    resets_at: float = -inf
    quota: float | None = None
    length: float | None = None
    policy: str = ""
    """The header that `quota` and `length` come from."""
    unreported: int = 0
    """How many calls ended without a response about this limit; the service may count them."""
    _since: float = -inf
    """When the window was first seen."""
    _expected: bool = False
    """Whether the window is only expected, and no response has confirmed it yet."""
    _own: int = 0
    """How many calls of this client were answered in this window."""
    _share: float = 1.0
    _windows_alone: int = _REMEMBERED
    """How many windows this client used since it last saw others."""
    _counted_at: float = -inf
    """When the call was sent whose response set `remaining`."""

    def wait(self, in_flight: int, now: float, reserve: float | None) -> float:
        """Return the seconds until a call may go: 0: now; `inf`: after the next response."""
        if self.remaining is None:
            return 0.0
        kept, part, unseen = 0.0, 1.0, 0.0
        if reserve is not None or self._windows_alone < _REMEMBERED:
            quota, part = self.quota or 0.0, self._share * _PART
            if self._windows_alone < _REMEMBERED:
                kept = min(_LAST_CALLS, quota * _LAST_PART // 1)
            if reserve is not None:
                kept = max(kept, min(reserve * quota, quota - 1))  # leaves at least one usable
            else:
                part, unseen = max(part, _LEAST_PART), _OTHERS_PER_SECOND * (now - self._counted_at)
        left = self.remaining - kept
        if left < 1:
            return self.resets_at - now if self.resets_at > now else inf
        return 0.0 if in_flight < 1 or in_flight + 1 <= part * (left - unseen) else inf

    def update(
        self, left: float, resets_at: float, now: float, sent_at: float, in_flight: int
    ) -> None:
        """Update the state from a response, while `in_flight` other calls are in flight."""
        alike = abs(resets_at - self.resets_at) <= (self.length or 4.0) / 4
        if alike and not self._expected:
            # Within a window the count only falls. The service rounds seconds up, so the earliest
            # reported end is the most exact.
            if self.remaining is None or left < self.remaining:
                self.remaining = left
            if resets_at < self.resets_at:
                self.resets_at = resets_at
        elif not alike and resets_at < self.resets_at and sent_at < self._since:
            return
        else:
            self._end()
            self.remaining, self.resets_at, self._since = left, resets_at, now
            self._expected = False
        if sent_at > self._counted_at:
            self._counted_at = sent_at
        self._own += 1
        used = max((self.quota or 0.0) - self.remaining, self._own)
        self._share = (self._own + _PRIOR * self._share) / (used + _PRIOR)
        if used > self._own + self.unreported + in_flight:
            self._windows_alone = 0

    def start_next(self, now: float) -> bool:
        """Start the next window with the full quota; return false if quota or length is unknown."""
        if self.remaining is None:
            return True
        if not self.quota or not self.length:
            self.forget()
            return False
        self._end()
        self.remaining, self._expected = self.quota, True
        self._since = self.resets_at + self.length * ((now - self.resets_at) // self.length)
        self.resets_at, self._counted_at = self._since + self.length, self._since
        return True

    def forget(self) -> None:
        """Set the count to unknown."""
        self.remaining, self.resets_at, self._since = None, -inf, -inf

    def _end(self) -> None:
        """Reset the counters of the ended window."""
        self._windows_alone += self._own > 0
        self._own = self.unreported = 0


@define(eq=False)
class Budget:
    """All limits of a client. Times are seconds of a monotonic clock."""

    in_flight: int = 0
    """How many calls have been sent and not been answered yet."""
    blocked_until: float = -inf
    _windows: dict[str, Window] = field(factory=dict[str, Window])
    _answered: bool = False
    _after_block: bool = False
    """Whether there was a block, and no response since."""

    def state(self, now: float) -> RateLimit:
        """Return the tightest of the limits."""
        for window in self._windows.values():
            if now >= window.resets_at:
                self._answered &= window.start_next(now)
        tightest = min(
            self._windows.values(),
            key=lambda window: inf if window.remaining is None else window.remaining,
            default=Window(),
        )
        return RateLimit(
            remaining=None if tightest.remaining is None else int(tightest.remaining),
            quota=None if tightest.quota is None else int(tightest.quota),
            window=tightest.length,
            resets_in=max(tightest.resets_at, self.blocked_until, now) - now,
            blocked=now < self.blocked_until,
        )

    def wait(self, now: float, reserve: float | None) -> float:
        """Return the seconds until a call may go: 0: now; `inf`: after the next response.

        Args:
            now: The current time.
            reserve: For a call of a sweep, the part of the quota to leave to others, from 0 to 1;
                `None` for a single call.
        """
        if now < self.blocked_until:
            return self.blocked_until - now
        until_reset, until_answer, unknown = 0.0, False, True
        for window in self._windows.values():
            if now >= window.resets_at:
                self._answered &= window.start_next(now)
            unknown = unknown and window.remaining is None
            wait = window.wait(self.in_flight, now, reserve)
            if wait == inf:
                until_answer = True
            elif wait > until_reset:
                until_reset = wait
        if unknown and not self._answered:
            first = inf if reserve is None else FIRST_CALLS
            until_answer = self.in_flight >= (1 if self._after_block else first)
        return until_reset or (inf if until_answer else 0.0)

    def spread(self, waited: float) -> float:
        """Return the seconds over which to spread the start of calls that waited so long."""
        longest = max((window.length or 0.0 for window in self._windows.values()), default=0.0)
        return min(_SPREAD * max(longest, waited), _LONGEST_SPREAD)

    def answered(self, now: float, sent_at: float, headers: Mapping[str, str] | None) -> None:
        """Record the end of a call; `headers` of its response, `None` if it got none."""
        self.in_flight -= 1
        reported = None
        if headers is not None:
            for window in self._windows.values():
                if now >= window.resets_at:
                    window.start_next(now)
            self._answered, self._after_block = True, False
            reported = listed(headers, _LIMITS)
        if headers is None or reported is None:
            for window in self._windows.values():
                window.unreported += 1
            return
        policy = listed(headers, _POLICIES) or ""
        for name, left, resets_in in limits(reported):
            if name not in self._windows:
                if len(self._windows) >= _MOST_LIMITS:
                    continue
                self._windows[name] = Window()
            window = self._windows[name]
            if window.policy != policy:
                _take_policy(window, name, policy)
            resets_at = now + (resets_in if resets_in < _LONGEST_BELIEVED else _LONGEST_BELIEVED)
            window.update(left, resets_at, now, sent_at, self.in_flight)

    def blocked(self, now: float, seconds: float) -> None:
        """Record a 429: send no call for so many seconds."""
        self.blocked_until = max(self.blocked_until, now + min(seconds, _LONGEST_BELIEVED))
        # The counts after the block are unknown: one call goes first to learn them.
        for window in self._windows.values():
            window.forget()
        self._answered, self._after_block = False, True


def _take_policy(window: Window, name: str, header: str) -> None:
    """Read the policy of this limit; if the header has only one policy, read that."""
    policies = parse(header)
    if len(policies) == 1:
        (policy,) = policies.values()
    else:
        policy = policies.get(name, {})
    if policy.get("q", 0.0) >= 1:
        window.quota = policy["q"]
    if policy.get("w", 0.0) > 0:
        window.length = policy["w"]
    window.policy = header
