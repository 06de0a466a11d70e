"""When the next look at each account is due. A look is one check of an account.

The schedule has its own time. It runs with the clock, but stops when a look is due, until that look
begins. So if the rate limit is too small for all looks, the schedule's time runs slower and all
intervals stretch equally. The schedule does not need to know the limit.

This is pure arithmetic: no clock, no sleep, no event loop.
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
from ..options import check_span

SHORTEST = 60.0
"""The shortest interval between two looks at an account, in seconds."""
LIST_EVERY = 3600.0
"""The interval at which the list of accounts is read, in seconds."""
USAGE_EVERY = 6 * 3600.0
USAGE_AT_MOST_EVERY = 3600.0
"""The usual and the shortest interval at which usage is read, in seconds; its rows are hours."""
NOISE = 100.0
"""A rise of the balance up to so many cents does not count as a top-up."""
_FAST = 3.0
"""A balance falls fast if it falls so many times as fast as forecast."""
_ROUNDING = 0.001
"""Seconds."""

THE_LIST = ""
"""Stands for the list of accounts in a schedule."""


@frozen(kw_only=True)
class Look:
    """The result of one look at an account, or at the list of accounts."""

    account_id: str | None
    """The account; `None`: the list of accounts."""
    name: str | None = None
    """The name of the account, if the list was read."""
    at: datetime
    """When the last answer came, an aware UTC `datetime`."""
    balance: BillingCreditBalanceResponse | None = None
    """The balance; `None` if the look failed or was at the list."""
    error: Exception | None = None
    """Why the look failed; `None` if it succeeded."""
    usage: BillingUsageHistoryResponse | None = None
    """The usage of the last eight weeks by hour, if this look read it."""
    days: BillingUsageHistoryResponse | None = None
    """The whole usage by day, if this look read it."""
    runway: Runway | None = None
    """The newest forecast. If there is `usage`, this look made it."""
    accounts: Collection[str] = ()
    """For a look at the list: the accounts to watch from now on."""


class Schedule:
    """The accounts, ordered by when the next look is due. Times are in seconds."""

    def __init__(self, interval: float, now: float) -> None:
        self.time = 0.0
        """The schedule's own time."""
        self._interval = interval
        self._clock = now
        self._due: dict[str, float | None] = {}
        """When each account is due; `None` during a look."""
        self._heap: list[tuple[float, float, str]] = []
        """The same in order. An entry that does not match `_due` is out of date."""
        self._in_step: set[str] = set()
        """New accounts that were all due at once; they move to their phases after the look."""

    def __contains__(self, account_id: str) -> bool:
        return account_id in self._due

    @property
    def accounts(self) -> AbstractSet[str]:
        """The accounts."""
        return self._due.keys() - {THE_LIST}

    def keep(self, account_ids: Collection[str], capacity: float) -> None:
        """Keep these accounts, add those that are new and drop all others.

        New accounts are due at once if there is room for all of them; else each at its phase.
        """
        for gone in self.accounts - set(account_ids):
            del self._due[gone]
        new = set(account_ids) - self._due.keys()
        spread = 0.0 if len(new) <= capacity else self._interval
        for name in new:
            self.add(name, spread * phase(name))
        self._in_step &= self._due.keys()
        if not spread:
            self._in_step |= new

    def take(self, now: float) -> str | None:
        """Return the account that is due, if any. Its look begins now."""
        self._advance(now)
        if self.wait() > 0:
            return None
        account_id = heappop(self._heap)[2]
        self._due[account_id] = None
        return account_id

    def wait(self) -> float:
        """Return the seconds until a look is due: 0 if one is due now, `inf` if none is planned."""
        wait = self._first() - self.time
        return wait if wait > _ROUNDING else 0.0

    def put_back(self, account_id: str, gap: float) -> None:
        """End a look. The next one is due after `gap` seconds, unless the account was dropped.

        Accounts that were first looked at together move to their phases.
        """
        if account_id in self._in_step:
            self._in_step.remove(account_id)
            gap = min(gap, max(phase(account_id) * self._interval, SHORTEST))
        if account_id in self._due:
            self.add(account_id, gap)

    def add(self, account_id: str, gap: float) -> None:
        """Plan a look after `gap` seconds."""
        self._due[account_id] = due = self.time + gap
        heappush(self._heap, (due, phase(account_id), account_id))

    def _advance(self, now: float) -> None:
        passed, self._clock = now - self._clock, now
        self.time = max(self.time, min(self.time + passed, self._first()))

    def _first(self) -> float:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else inf


def check_interval(name: str, value: object) -> None:
    """Raise if `value` is not a `timedelta` from a minute to a day."""
    bounds = timedelta(seconds=SHORTEST), timedelta(days=1)
    check_span(name, value, bounds, "from 1 minute to 1 day")


def phase(account_id: str) -> float:
    """Return the fixed place of an account within an interval, from 0 to 1."""
    digest = blake2b(account_id.encode(errors="surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


@frozen(kw_only=True)
class Known:
    """The state of an account after the looks so far."""

    at: datetime
    balance: float
    """In cents."""
    runway: Runway | None = None
    asked_at: float = -inf
    """When usage was last read, by the schedule's time."""

    def wants_usage(self, at: datetime, balance: float, time: float) -> bool:
        """Return whether to read the usage again, after a look at the balance."""
        change = balance - self.balance
        if self.runway is None or change > NOISE or time - self.asked_at >= USAGE_EVERY:
            return True
        days = (at - self.at) / timedelta(days=1)
        fast = -change > _FAST * self.runway.spending_per_day * days + NOISE
        return fast and time - self.asked_at >= USAGE_AT_MOST_EVERY


@frozen(kw_only=True)
class Aims:
    """How often to look, and the limits to notice in time."""

    interval: float
    """The longest interval between two looks at an account, in seconds."""
    levels: Iterable[float] = ()
    """Balances to notice, in cents."""
    runway: timedelta | None = None
    """The time before `empties_after` to notice."""

    def gap(self, before: Known | None, known: Known) -> float:
        """Return the seconds until the next look: a quarter of the time to the first limit."""
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
    """Return the spending in cents per second: the usual or the observed, whichever is faster."""
    usual = known.runway.spending_per_day / 86_400 if known.runway else 0.0
    if before is None or known.at <= before.at:
        return usual
    seen = (before.balance - known.balance) / (known.at - before.at).total_seconds()
    return max(usual, seen)
