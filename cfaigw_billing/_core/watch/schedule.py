"""When the next look at each account is due.

The schedule has a time of its own. It runs with the clock, but waits for the look that is due next
to begin. So when the rate limit has too little room for all looks, that time runs slower, and all
intervals stretch alike; nothing has to be known of the limit for that.

It is arithmetic on numbers that are passed in: no clock, no sleep, no event loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from hashlib import blake2b
from heapq import heappop, heappush
from math import inf

from attrs import frozen

from ...types import BillingCreditBalanceResponse, BillingUsageHistoryResponse, Runway

SHORTEST = 60.0
"""Seconds between two looks at an account, at least."""
LIST_EVERY = 3600.0
"""Seconds between two looks at the list of accounts."""
USAGE_EVERY = 6 * 3600.0
USAGE_AT_MOST_EVERY = 3600.0
"""Seconds between two looks at the usage of an account; its rows are hours."""
NOISE = 100.0
"""Cents. A smaller rise of a balance is no top-up."""
_FAST = 3.0
"""A fall of the balance is fast if it is so many times what was forecast."""
_ROUNDING = 0.001
"""Seconds."""

THE_LIST = ""
"""Stands for the list of accounts among the accounts of a schedule."""


@frozen(kw_only=True)
class Look:
    """What one look at an account has shown, or one at the list of accounts."""

    account_id: str | None
    """The account; `None`: the list of accounts."""
    name: str | None = None
    """The name of the account, where the list told it."""
    at: datetime
    """When the last answer came, an aware UTC `datetime`."""
    balance: BillingCreditBalanceResponse | None = None
    """The balance; `None` if the look failed, and of the list."""
    error: Exception | None = None
    """Why the look failed; `None` if it did not."""
    usage: BillingUsageHistoryResponse | None = None
    """The usage of the last eight weeks by hour, if this look asked for it and it was answered."""
    days: BillingUsageHistoryResponse | None = None
    """The whole usage by day, if this look asked for it and it was answered."""
    runway: Runway | None = None
    """The newest forecast; it comes from this look if there is `usage`."""
    accounts: Collection[str] = ()
    """Of the list: the accounts that are watched from now on."""


class Schedule:
    """The accounts in the order in which looks at them are due. Times are in seconds."""

    def __init__(self, interval: float, now: float) -> None:
        self.time = 0.0
        """The schedule's own time."""
        self._interval = interval
        self._clock = now
        self._due: dict[str, float | None] = {}
        """When each account is due; `None` while it is being looked at."""
        self._heap: list[tuple[float, float, str]] = []
        """The same in order; entries that are not in `_due` are out of date."""
        self._in_step: set[str] = set()
        """Those that were due at once when they were new, and still are."""

    def __contains__(self, account_id: str) -> bool:
        return account_id in self._due

    @property
    def accounts(self) -> AbstractSet[str]:
        """The accounts."""
        return self._due.keys() - {THE_LIST}

    def keep(self, account_ids: Collection[str], room: float) -> None:
        """Have these accounts and no others.

        New ones are due at once if there is room for so many now, or else each at its phase.
        """
        for gone in self.accounts - set(account_ids):
            del self._due[gone]
        new = set(account_ids) - self._due.keys()
        spread = 0.0 if len(new) <= room else self._interval
        for name in new:
            self.add(name, spread * phase(name))
        self._in_step &= self._due.keys()
        if not spread:
            self._in_step |= new

    def take(self, now: float) -> str | None:
        """Return the account that is due, if there is one; the look at it begins."""
        self._advance(now)
        if self.wait() > 0:
            return None
        account_id = heappop(self._heap)[2]
        self._due[account_id] = None
        return account_id

    def wait(self) -> float:
        """Return the seconds until a look is due: 0 now, `inf` if there is none to come."""
        wait = self._first() - self.time
        return wait if wait > _ROUNDING else 0.0

    def put_back(self, account_id: str, gap: float) -> None:
        """Take the end of a look; the next is due after so many seconds, if the account remains.

        Accounts that were first looked at together go on at their phases.
        """
        if account_id in self._in_step:
            self._in_step.remove(account_id)
            gap = min(gap, max(phase(account_id) * self._interval, SHORTEST))
        if account_id in self._due:
            self.add(account_id, gap)

    def add(self, account_id: str, gap: float) -> None:
        """Look at it after so many seconds."""
        self._due[account_id] = due = self.time + gap
        heappush(self._heap, (due, phase(account_id), account_id))

    def _advance(self, now: float) -> None:
        passed, self._clock = now - self._clock, now
        self.time = max(self.time, min(self.time + passed, self._first()))

    def _first(self) -> float:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else inf


def phase(account_id: str) -> float:
    """Return the place of an account within an interval, from 0 to 1; always the same."""
    digest = blake2b(account_id.encode(errors="surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


@frozen(kw_only=True)
class Known:
    """What is known of an account from the looks so far."""

    at: datetime
    balance: float
    """In cents."""
    runway: Runway | None = None
    asked_at: float = -inf
    """The schedule's time at which usage was asked for last."""

    def wants_usage(self, at: datetime, balance: float, time: float) -> bool:
        """Whether to ask for the usage again, after a look at the balance."""
        change = balance - self.balance
        if self.runway is None or change > NOISE or time - self.asked_at >= USAGE_EVERY:
            return True
        days = (at - self.at) / timedelta(days=1)
        fast = -change > _FAST * self.runway.spending_per_day * days + NOISE
        return fast and time - self.asked_at >= USAGE_AT_MOST_EVERY


@frozen(kw_only=True)
class Aims:
    """What the looks must not come too late for."""

    interval: float
    """Seconds between two looks at an account, at most."""
    levels: Iterable[float] = ()
    """Balances, in cents."""
    runway: timedelta | None = None
    """How long before `empties_after`."""

    def gap(self, before: Known | None, known: Known) -> float:
        """Return the seconds until the next look: a quarter of the time to what comes first."""
        times = [self.interval * 4]
        spending = _spending(before, known)
        if spending > 0:
            ahead = (known.balance - level for level in self.levels)
            times += [credit / spending for credit in ahead if credit > 0]
        if self.runway is not None and known.runway and known.runway.empties_after:
            left = (known.runway.empties_after - known.at - self.runway).total_seconds()
            times += [left] if left > 0 else []
        return max(min(times) / 4, min(SHORTEST, self.interval))


def _spending(before: Known | None, known: Known) -> float:
    """Return the spending in cents a second: the faster one of what is usual and what was seen."""
    usual = known.runway.spending_per_day / 86_400 if known.runway else 0.0
    if before is None or known.at <= before.at:
        return usual
    seen = (before.balance - known.balance) / (known.at - before.at).total_seconds()
    return max(usual, seen)
