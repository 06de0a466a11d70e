"""Pacing: how a client stays inside the service's rate limit, beside others who use the same token.

What is known. The service counts requests per token in fixed windows (1,200 in 5 minutes), over
all machines that use it, and exceeding the count blocks *every* call for up to 5 minutes. Each
answer says where the count stands: `Ratelimit: "default";r=50;t=30` (50 left, 30 s until the window
resets) and `Ratelimit-Policy: "default";q=1200;w=300`. A 429 says `Retry-After`.

The rule. The server's count is the truth; nothing is shared between processes but that count.

- A single call is let through while there is room for it and for those in flight.
- A call of a sweep is let through while fewer are in flight than a part of this client's share of
  what is left, less a reserve for the others. With much left that is no limit at all; as the count
  runs out it becomes one call at a time, and at the reserve the sweep waits for the reset.
- The share is how much of what was used in this window was used by this client: the count falls
  faster than one's own requests explain by what the others take. Clients that start together so
  divide a window between them, and one that is alone has all of it.
- Calls wake spread over a part of the window after its reset, and 429s park everybody at once: the
  others do not find out for themselves.
- Until the first answer has told the limit, a sweep lets only a few calls through.
- Of several named limits each is counted for itself, and the tightest decides.
- Answers overtake each other. One whose call was sent before the present window was first seen, and
  that tells of an earlier reset, is of the window before; every other one is right, even where it
  contradicts what was reckoned.

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

FIRST_CALLS = 8
"""Calls that may be in flight while nothing is known of the limit."""
_PRIOR = 10.0
"""The weight, in requests, of the previous window's share in this one's."""
_AT_ONCE = 0.25
"""The part of its share of the remaining count that may be in flight: others may still appear."""
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
    _share: float = 1.0

    def wait(self, in_flight: int, now: float, reserve: float | None) -> float:
        """Seconds until a call may be let through: 0 at once, `inf` after an answer comes."""
        if self.remaining is None:
            return 0.0
        quota = self.quota or 0.0
        kept = min((reserve or 0.0) * quota, max(quota - 1, 0.0))  # one is always usable
        left = self.remaining - kept
        if left < 1:
            return self.resets_at - now if self.resets_at > now else inf
        at_once = left if reserve is None else self._share * left * _AT_ONCE
        return 0.0 if in_flight < max(1.0, at_once) else inf

    def told(self, now: float, sent_at: float, left: float, resets_in: float) -> None:
        """Take what an answer says."""
        resets_at = now + resets_in
        if self.remaining is not None and not self._reckoned and self._is_alike(resets_at):
            # Within a window the count only falls; its end is known best by the earliest that any
            # answer told, because seconds are rounded up.
            self.remaining = min(self.remaining, left)
            self.resets_at = min(self.resets_at, resets_at)
        elif self.remaining is not None and resets_at < self.resets_at and sent_at < self._since:
            return
        else:
            self.remaining, self.resets_at, self._since, self._own = left, resets_at, now, 0
            self._reckoned = False
        self._own += 1
        used = max((self.quota or 0.0) - self.remaining, self._own)
        self._share = (self._own + _PRIOR * self._share) / (used + _PRIOR)

    def turn(self, now: float) -> bool:
        """Begin the next window if this one has ended: its count starts at the quota again.

        False if nothing is known of a next one.
        """
        if self.remaining is None or now < self.resets_at:
            return True
        if not self.quota or not self.length:
            self.forget()
            return False
        self.remaining, self._reckoned, self._own = self.quota, True, 0
        self._since = self.resets_at + self.length * ((now - self.resets_at) // self.length)
        self.resets_at = self._since + self.length
        return True

    def forget(self) -> None:
        """Go back to not knowing where the count stands."""
        self.remaining, self.resets_at, self._since = None, -inf, -inf

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
        if unknown and reserve is not None and not self._answered:
            until_answer = self.in_flight >= FIRST_CALLS
        return until_reset or (inf if until_answer else 0.0)

    def spread(self, waited: float) -> float:
        """Over how many seconds those who have waited so long should wake."""
        longest = max((window.length or 0.0 for window in self._windows.values()), default=0.0)
        return min(_SPREAD * max(longest, waited), _LONGEST_SPREAD)

    def sent(self) -> None:
        """A call has been let through."""
        self.in_flight += 1

    def answered(self, now: float, sent_at: float, headers: Mapping[str, str] | None) -> None:
        """A call has ended; `headers` are those of its answer, or `None` where none came."""
        self.in_flight -= 1
        if headers is None:
            return
        self._turn(now)
        self._answered = True
        told = headers.get("Ratelimit")
        if told is None:
            return
        policies = parse(headers.get("Ratelimit-Policy", ""))
        for name, count in parse(told).items():
            if "r" in count and "t" in count:
                policy = policies.get(name) or _only(policies)
                self._told(name, now, sent_at, count["r"], count["t"], policy)

    def blocked(self, now: float, seconds: float) -> None:
        """The service has answered 429 and wants no call for so long."""
        self.blocked_until = max(self.blocked_until, now + min(seconds, _LONGEST_BELIEVED))
        # The counts after the block are unknown: a few calls go first to learn them.
        for window in self._windows.values():
            window.forget()
        self._answered = False

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
        window.told(now, sent_at, left, resets_in)

    def _turn(self, now: float) -> None:
        for window in self._windows.values():
            self._answered &= window.turn(now)


def _only(policy: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """The policy of an answer that names just one."""
    return next(iter(policy.values())) if len(policy) == 1 else {}
