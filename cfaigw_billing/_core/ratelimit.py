"""Pacing: how a client stays inside the service's rate limit, beside others who use the same token.

What is known. The service counts requests per token in fixed windows (1,200 in 5 minutes), over
all machines that use it, and exceeding the count blocks *every* call for up to 5 minutes. Each
answer says where the count stands: `Ratelimit: "default";r=50;t=30` (50 left, 30 s until the window
resets) and `Ratelimit-Policy: "default";q=1200;w=300`. A 429 says `Retry-After`.

The rule. The server's count is the truth; nothing is shared between processes but that count.

- A single call of a client that is alone is let through while there is room for it and for those
  in flight.
- A client is not alone when the count falls by more than its own calls, and for a hundred windows
  after. It then leaves the last seven calls of a window unused, and has only a part of what is left
  in flight; near the end, one call. So each of up to eight clients has at most one call under way
  that was sent on an old count, and the seven calls make room for those of the other seven.
- A count grows old: others may have made 200 calls in each second since (the most that the service
  takes from one address). When it is too old, one call goes first and asks.
- Where this cannot prevent a 429: the quota is too small (n clients need 8 * (n - 1), because at
  most an eighth is left unused); more than eight clients use up the window; a new client begins
  with many calls when little is left; an answer takes longer than the others need to use up the
  rest.
- A call of a sweep is let through while fewer are in flight than a part of this client's share of
  what is left, less a reserve for the others. With much left that is no limit at all; as the count
  runs out it becomes one call at a time, and at the reserve the sweep waits for the reset.
- The share is how much of what was used in this window was used by this client: the count falls
  faster than one's own requests explain by what the others take. Clients that start together so
  divide a window between them, and one that is alone has all of it.
- Calls wake spread over a part of the window after its reset, and 429s park everybody at once: the
  others do not find out for themselves.
- Until the first answer has told the limit, a sweep lets only a few calls through. After a block
  one call finds out, be it of a sweep or a single one.
- Of several named limits each is counted for itself, and the tightest decides.
- Answers overtake each other. One whose call was sent before the present window was first seen, and
  that tells of a clearly earlier reset, is of the window before; every other one is right, even
  where it contradicts what was reckoned.

Rejected: a token bucket (the service's window is fixed; a bucket gives away the burst it allows, or
overruns it when others draw from the same count); dividing the window evenly among its seconds
(makes every short sweep slow); a lock or file shared by processes (machines share the token too).

Everything here is arithmetic on numbers that are passed in: no clock, no sleep, no event loop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from math import inf

from attrs import define, field, frozen

from .._wire.messages import listed

FIRST_CALLS = 8
"""Calls that may be in flight while nothing is known of the limit."""
_PRIOR = 10.0
"""The weight, in requests, of the previous window's share in this one's."""
_AT_ONCE = 0.25
"""The part of its share of the remaining count that may be in flight: others may still appear."""
_AT_ONCE_ANYWAY = 1 / 32
"""How much of what is left single calls may have in flight, however small the share."""
_LAST_CALLS = 7.0
"""How many calls of a window are left to the others, one for the last call of each of seven."""
_LAST_PART = 1 / 8
"""At most this part of the quota, where it is small."""
_PACE = 200.0
"""How many calls the others may make in a second, unseen: no address may make more."""
_REMEMBERED = 100
"""For how many windows a client that has seen others expects them, although they make no call."""
_SPREAD = 0.04
"""Over which part of a window calls wake after its reset."""
_LONGEST_SPREAD = 5.0
"""Seconds."""
LONGEST_PARK = 600.0
"""How long a call of a sweep waits for a reset, in seconds; the service's windows and blocks are of
at most 300."""
_LONGEST_BELIEVED = 900.0
"""Seconds. Whoever asks for days is not believed for longer, and is then asked again."""
_MOST_LIMITS = 8
"""Named limits that are kept apart, at most."""

_ITEM = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<token>[^;,\s"]+))(?P<parameters>[^,]*)')
_PARAMETER = re.compile(r";\s*([a-z]+)\s*=\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(?=;|$)")


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
    """Seconds until the window ends or a block is lifted; 0 where neither is known."""
    blocked: bool
    """Whether the service refuses every call until then."""


@lru_cache(maxsize=64)  # the policy is the same on every answer
def parse(header: str) -> Mapping[str, Mapping[str, float]]:
    """The named items of a `Ratelimit` or `Ratelimit-Policy` header; the rest is left out."""
    return {
        item["quoted"] or item["token"] or "": {
            name: float(value) for name, value in _PARAMETER.findall(item["parameters"].strip())
        }
        for item in _ITEM.finditer(header[:1000])
    }


@define(eq=False)
class Window:
    """One named limit, as the answers so far have told it."""

    remaining: float | None = None
    """`None` while nothing is known of it."""
    resets_at: float = -inf
    quota: float | None = None
    length: float | None = None
    _since: float = -inf
    """When it was first seen."""
    _reckoned: bool = False
    """Whether no answer has told of it yet: it is where the one before was said to end."""
    _own: int = 0
    """How many of this client's calls were answered in it."""
    _untold: int = 0
    """How many ended without an answer that tells of it; they may have been counted too."""
    _share: float = 1.0
    _quiet: int = _REMEMBERED
    """How many windows this client has used alone since it last saw others."""
    _told_at: float = -inf
    """When the call was sent that told `remaining`."""
    _kept: float = 0.0
    """How many calls are left to the others."""
    _pace: float = 0.0
    """How many calls they may make in a second, unseen."""
    _part: float = 1.0
    """How much of what is left single calls may have in flight."""

    def wait(self, in_flight: int, now: float, reserve: float | None) -> float:
        """Seconds until a call may be let through: 0 at once, `inf` after an answer comes."""
        if self.remaining is None:
            return 0.0
        kept, part, pace = self._kept, self._part, self._pace
        if reserve is not None:
            quota = self.quota or 0.0
            kept = max(kept, min(reserve * quota, quota - 1))  # one is always usable
            part, pace = self._share * _AT_ONCE, 0.0
        left = self.remaining - kept
        if left < 1:
            return self.resets_at - now if self.resets_at > now else inf
        at_once = part * (left - pace * (now - self._told_at))
        return 0.0 if in_flight < 1 or in_flight + 1 <= at_once else inf

    def told(
        self, now: float, sent_at: float, left: float, resets_in: float, in_flight: int
    ) -> None:
        """Take what an answer says, while so many other calls of this client are in flight."""
        resets_at = now + resets_in
        alike = self.remaining is not None and self._is_alike(resets_at)
        if self.remaining is not None and alike and not self._reckoned:
            # Within a window the count only falls; its end is known best by the earliest that any
            # answer told, because seconds are rounded up.
            self.remaining = min(self.remaining, left)
            self.resets_at = min(self.resets_at, resets_at)
        elif not alike and resets_at < self.resets_at and sent_at < self._since:
            return
        else:
            self._end()
            self.remaining, self.resets_at, self._since = left, resets_at, now
            self._reckoned = False
        self._told_at = max(self._told_at, sent_at)
        self._own += 1
        quota = self.quota or 0.0
        used = max(quota - self.remaining, self._own)
        self._share = (self._own + _PRIOR * self._share) / (used + _PRIOR)
        if used > self._own + self._untold + in_flight:
            self._quiet = 0
        if self._quiet >= _REMEMBERED:
            self._kept, self._pace, self._part = 0.0, 0.0, 1.0
        else:
            self._kept, self._pace = min(_LAST_CALLS, quota * _LAST_PART // 1), _PACE
            self._part = max(self._share * _AT_ONCE, _AT_ONCE_ANYWAY)

    def untold(self) -> None:
        """A call has ended without an answer that tells of it."""
        self._untold += 1

    def turn(self, now: float) -> bool:
        """Begin the next window if this one has ended: its count starts at the quota again.

        False if nothing is known of a next one.
        """
        if self.remaining is None or now < self.resets_at:
            return True
        if not self.quota or not self.length:
            self.forget()
            return False
        self._end()
        self.remaining, self._reckoned = self.quota, True
        self._since = self.resets_at + self.length * ((now - self.resets_at) // self.length)
        self.resets_at, self._told_at = self._since + self.length, self._since
        return True

    def forget(self) -> None:
        """Go back to not knowing where the count stands."""
        self.remaining, self.resets_at, self._since = None, -inf, -inf

    def _end(self) -> None:
        """Forget the calls of the window that has ended."""
        self._quiet += self._own > 0
        self._own = self._untold = 0

    def _is_alike(self, resets_at: float) -> bool:
        return abs(resets_at - self.resets_at) <= (self.length or 4.0) / 4


@define(eq=False)
class Budget:
    """The limits as a client knows them. Times are seconds of a monotonic clock."""

    in_flight: int = 0
    """The client's own calls that have been let through and not been answered."""
    blocked_until: float = -inf
    _windows: dict[str, Window] = field(factory=dict[str, Window])
    _answered: bool = False
    _after_block: bool = False
    """Whether no call has been answered since a block."""

    def state(self, now: float) -> RateLimit:
        """Return the tightest of the limits."""
        self._turn(now)
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
        """Seconds until a call may be let through: 0 at once, `inf` after an answer comes.

        Args:
            now: The time.
            reserve: For a call of a sweep, the part of the quota to leave to others, from 0 to 1;
                `None` for a single call.
        """
        if now < self.blocked_until:
            return self.blocked_until - now
        self._turn(now)
        until_reset, until_answer, unknown = 0.0, False, True
        for window in self._windows.values():
            wait = window.wait(self.in_flight, now, reserve)
            unknown = unknown and window.remaining is None
            until_answer = until_answer or wait == inf
            if until_reset < wait < inf:
                until_reset = wait
        if unknown and not self._answered:
            first = inf if reserve is None else FIRST_CALLS
            until_answer = self.in_flight >= (1 if self._after_block else first)
        return until_reset or (inf if until_answer else 0.0)

    def spread(self, waited: float) -> float:
        """Over how many seconds those who have waited so long should wake."""
        longest = max((window.length or 0.0 for window in self._windows.values()), default=0.0)
        return min(_SPREAD * max(longest, waited), _LONGEST_SPREAD)

    def sent(self) -> None:
        """A call has been let through."""
        self.in_flight += 1

    def answered(self, now: float, sent_at: float, headers: Mapping[str, str] | None) -> None:
        """A call has ended; `headers` are those of its answer, or `None` if none came."""
        self.in_flight -= 1
        told = None if headers is None else listed(headers, "Ratelimit")
        if headers is not None:
            self._turn(now)
            self._answered, self._after_block = True, False
        if headers is None or told is None:
            for window in self._windows.values():
                window.untold()
            return
        policies = parse(listed(headers, "Ratelimit-Policy") or "")
        for name, count in parse(told).items():
            if "r" in count and "t" in count:
                policy = policies.get(name) or _only(policies)
                self._told(name, now, sent_at, count["r"], count["t"], policy)

    def blocked(self, now: float, seconds: float) -> None:
        """The service has answered 429 and wants no call for so long."""
        self.blocked_until = max(self.blocked_until, now + min(seconds, _LONGEST_BELIEVED))
        # The counts after the block are unknown: one call goes first to learn them.
        for window in self._windows.values():
            window.forget()
        self._answered, self._after_block = False, True

    def _told(
        self,
        name: str,
        now: float,
        sent_at: float,
        left: float,
        resets_in: float,
        policy: Mapping[str, float],
    ) -> None:
        resets_in = min(resets_in, _LONGEST_BELIEVED)
        window = self._windows.get(name)
        if window is None:
            if len(self._windows) >= _MOST_LIMITS:
                return
            window = self._windows[name] = Window()
        if policy.get("q", 0.0) >= 1:
            window.quota = policy["q"]
        if policy.get("w", 0.0) > 0:
            window.length = policy["w"]
        window.told(now, sent_at, left, resets_in, self.in_flight)

    def _turn(self, now: float) -> None:
        for window in self._windows.values():
            self._answered &= window.turn(now)


def _only(policy: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """The policy of an answer that names just one."""
    return next(iter(policy.values())) if len(policy) == 1 else {}
