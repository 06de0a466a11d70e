"""Forecast when the credit runs out, by replaying the past.

Four steps:

1. **Clock.** Spending follows the hour of the day and the weekend. So time is counted in paced
   hours: an hour that usually has twice the average spending is two of them.
2. **Level.** The spending per paced hour; recent hours count more. It comes only from usage, so
   top-ups do not change it. The balance is only the starting point.
3. **Replay.** At every sixth hour of the past, the same rule is applied to credit for the same
   number of paced hours. How long that credit lasted is one duration. A few invented durations
   stand for cases that the history has not shown yet.
4. **Dates.** The 10, 50 and 90 % quantiles of the durations, back from paced hours to wall time.

Each duration grows with the credit, so a larger balance never gives an earlier date.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import ceil, floor, fsum, inf
from operator import attrgetter
from sys import float_info

from attrs import frozen

from ..types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingUsageHistoryParams,
    BillingUsageHistoryResponse,
    Runway,
    RunwayHistory,
    TopupConfig,
)
from ..types.runway import RunwayOutcome, RunwayTopup

HOUR, MINUTE = 3_600_000, 60_000
"""In milliseconds."""
UNIT = 2.0**64
"""In cents. In this unit, sums of the largest amounts stay finite, and division by it is exact."""
LEAST = 1e-9
"""Cents. Less in an hour counts as none: ratios of the smallest floats are not numbers."""
WEEK = 168
"""In hours."""
LONGEST = 366 * 24
"""How many hours of the past are used, at most."""
SHORTEST = timedelta(days=4)
"""The shortest history to ask for: a forecast needs three days of it."""
IDLE = 28 * 24
"""After so many hours without spending, no forecast is made."""
NEW = 72
"""The hours of history that a forecast needs; also those before and after each replay."""

FLAT = 2
"""The hours of average spending added to each cell of the clock: few hours prove no pattern."""
HALF_LIFE = 120, 336
"""The shortest and the longest half-life of spending, in hours."""
ENOUGH = 40
"""The hours with spending that a half-life should hold."""
STEP = 6
"""The hours from one replay to the next; closer ones would add little."""
INVENTED = [1 / 3] * 6 + [1.0] * 18 + [3.0] * 6
"""The invented durations, as multiples of the expected one. They count more with fewer replays."""
WIDER = 0.2
"""How fast the interval widens with the length of the forecast, relative to the history."""
FOREVER = 1e9
"""In paced hours: longer than any history, and still good to calculate with."""

_FIELDS = attrgetter("start_time", "end_time", "aggregated_value")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CELLS = [hour % 24 + 24 * (hour // 24 in (2, 3)) for hour in range(WEEK)]
"""The cell of each hour of a week, hour of the day and weekend or not; 1970 began on a Thursday."""


def check_history(history: timedelta) -> None:
    """Raise if the history is too short or too long for a forecast."""
    if not isinstance(history, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"`history` must be a timedelta, not {type(history).__name__}")
    if not SHORTEST <= history <= timedelta(hours=LONGEST):
        raise ValueError(
            f"`history` must be at least {SHORTEST.days} and at most {LONGEST // 24} days, "
            f"got {history}"
        )


def runway_requests(
    account_id: str | None, history: timedelta, now: datetime
) -> tuple[BillingCreditBalanceParams, BillingUsageHistoryParams]:
    """Return the calls that `forecast_runway` needs; the usage begins with a whole hour."""
    start = (now - history).replace(minute=0, second=0, microsecond=0)
    return (
        BillingCreditBalanceParams(account_id=account_id),
        BillingUsageHistoryParams(
            account_id=account_id, value_grouping_window="hour", start_time=start
        ),
    )


def forecast_runway(
    balance: BillingCreditBalanceResponse, usage: BillingUsageHistoryResponse, *, now: datetime
) -> Runway:
    """Forecast when the credit runs out, from two answers; it sends nothing.

    Only usage counts as spending, so top-ups do not change it. After the first row, an hour without
    a row is an hour without spending.

    Args:
        balance: The answer of `billing.credit_balance`.
        usage: The answer of `billing.usage_history` with `value_grouping_window="hour"`; eight
            weeks are enough; at most one year is used.
        now: When the answers came, an aware `datetime`.

    Raises:
        ValueError: If `now` is naive, a row of `usage` is longer than an hour, or the answers are
            about different accounts.
        TypeError: If `now` is not a `datetime`.
    """
    accounts = [each.account_id for each in (balance, usage) if each.account_id is not None]
    if len(set(accounts)) > 1:
        raise ValueError(
            "`balance` and `usage` must be about the same account: {!r}, {!r}".format(*accounts)
        )
    moment = _milliseconds(now)
    past = _Past.of(usage, moment)
    config = balance.topup_config or TopupConfig()
    outcome, topup = _outcome(balance, past), topup_state(config)
    pace = _Pace.of(past) if past.age >= NEW and past.quiet < IDLE else None
    after = at = before = charges = None
    if outcome == "forecast" and pace is not None:
        after, at, before = pace.dates(balance.balance / UNIT)
        if topup == "on":
            charges = pace.dates((balance.balance - (config.threshold or 0)) / UNIT)[1]
    per_day = 24 * UNIT * (past.mean if pace is None else pace.level)
    return Runway(
        account_id=balance.account_id,
        outcome=outcome,
        as_of=now.astimezone(UTC),
        balance=balance.balance,
        spending_per_day=_without_noise(per_day),
        empties_at=at,
        empties_after=after,
        empties_before=before,
        topup=topup,
        topup_at=charges,
        history=past.history,
    )


def _without_noise(cents: float) -> float:
    """Round to 12 digits: 240.0, not 239.99999999999991."""
    return float(f"{min(cents, float_info.max):.12g}")


def _milliseconds(now: datetime) -> float:
    if not isinstance(now, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"`now` must be a datetime, not {type(now).__name__}")
    if now.utcoffset() is None:
        raise ValueError(f"`now` must be an aware datetime (with a tzinfo), got {now!r}")
    return (now - _EPOCH) / timedelta(milliseconds=1)


def _outcome(balance: BillingCreditBalanceResponse, past: _Past) -> RunwayOutcome:
    if balance.balance <= 0:
        return "empty"
    if past.quiet >= IDLE:
        return "idle"
    return "too_new" if past.age < NEW else "forecast"


def topup_state(config: TopupConfig) -> RunwayTopup:
    """Return the state of an automatic top-up."""
    if not (config.amount and config.threshold):
        return "off"
    # The service does not say whether a later charge went through, so any failure counts.
    troubles = config.disabled_reason, config.error, config.last_failed_at
    return "failed" if any(troubles) else "on"


@frozen
class _Past:
    """The spending by hour, from the first hour with spending to the current one."""

    moment: float
    """Unix milliseconds."""
    first: int
    """The first hour, counted from 1970."""
    spent: list[float]
    """In `UNIT`, by hour; the last is the current hour. Empty if nothing was spent."""
    history: RunwayHistory
    """The same facts, for the result."""

    @classmethod
    def of(cls, usage: BillingUsageHistoryResponse, moment: float) -> _Past:
        """Add up the rows by hour. Rows after `moment` are skipped."""
        hour = int(moment // HOUR)
        # Sorted, so that the sums are the same in whatever order the rows came.
        rows = sorted(map(_FIELDS, usage.history))
        oldest, ahead = ((place * HOUR,) for place in (hour - LONGEST, hour + 1))
        rows = rows[bisect_left(rows, oldest) : bisect_left(rows, ahead)]
        first = int(rows[0][0] // HOUR) if rows else hour + 1
        sums = [0.0] * (hour + 1 - first)
        for start, end, value in rows:
            if end - start > HOUR:
                raise ValueError(
                    '`usage` must have rows of an hour (`value_grouping_window="hour"`), got one '
                    f"from {start} to {end} (milliseconds)"
                )
            sums[int(start // HOUR) - first] += value / UNIT
        spent = [total if total * UNIT > LEAST else 0.0 for total in sums]
        unused = next((place for place, total in enumerate(spent) if total), len(spent))
        first, spent = first + unused, spent[unused:]
        began = _date(first * HOUR, floor) if spent else None
        history = RunwayHistory(first=began, hours=len(spent), rows=_active(spent))
        return cls(moment, first, spent, history)

    @property
    def part(self) -> float:
        """The part of the current hour that has passed."""
        return self.moment % HOUR / HOUR

    @property
    def age(self) -> float:
        """The hours since the start of the first one."""
        return self.moment / HOUR - self.first

    @property
    def quiet(self) -> float:
        """The hours since the last hour with spending; infinite if no hour has any."""
        return next((h for h, value in enumerate(reversed(self.spent)) if value), inf)

    @property
    def mean(self) -> float:
        """The spending per hour."""
        return fsum(self.spent) / max(self.age, 1.0) if self.spent and self.quiet < IDLE else 0.0


@frozen
class _Pace:
    """The clock, the level, and the past as the replays see it."""

    past: _Past
    weights: list[float]
    """The paced hours of each hour of a week, from the first hour of the past on; 1 on average."""
    level: float
    """The spending per paced hour, now."""
    levels: list[float]
    """The level at each hour of the past, as the rule would have computed it then."""
    spent: list[float]
    """The spending from the first hour to the start of each hour."""
    paced: list[float]
    """The paced hours from the first hour to the start of each hour."""

    @classmethod
    def of(cls, past: _Past) -> _Pace:
        """Find the clock and the levels."""
        *whole, newest, unfinished = past.spent
        weights = _clock(whole, past.first)
        days = (weights * (len(whole) // WEEK + 1))[: len(whole)]
        active = max(_active(whole) / len(whole), 1e-3)
        half_life = min(max(HALF_LIFE[0], ENOUGH / active), HALF_LIFE[1])
        kept = 0.5 ** (1 / half_life)
        spending, time = 0.0, float_info.min
        levels: list[float] = []
        for value, weight in zip(whole, days, strict=True):
            levels.append(spending / time)
            spending = spending * kept + value
            time = time * kept + weight
        # The newest whole hour may still grow, so it counts only if it raises the level.
        place = len(whole)
        more = spending * kept + newest, time * kept + weights[place % WEEK]
        if more[0] * time > spending * more[1]:
            spending, time = more
        level = (spending + unfinished) / (time + past.part * weights[(place + 1) % WEEK])
        spent, paced = accumulate(whole, initial=0.0), accumulate(days, initial=0.0)
        return cls(past, weights, level, levels, list(spent), list(paced))

    def dates(self, credit: float) -> tuple[datetime | None, datetime | None, datetime | None]:
        """Return the dates before which the credit is gone in 10, 50 and 90 % of the cases."""
        expected = min(max(credit, 0.0) / self.level, FOREVER) if self.level else FOREVER
        found = sorted(self._durations(expected))
        tenth = len(found) // 10
        soon, median, late = found[tenth], found[len(found) // 2], found[-1 - tenth]
        return (
            self._date(soon / self._wider(soon), floor),
            self._date(median, floor),
            self._date(late * self._wider(late), ceil),
        )

    def _durations(self, expected: float) -> Iterator[float]:
        """Return how many paced hours credit lasted in the past if `expected` were forecast."""
        spent, paced, end = self.spent, self.paced, len(self.levels)
        for start in range(NEW, end - NEW, STEP):
            credit = self.levels[start] * expected
            total = spent[start] + credit  # what has been spent when it is gone
            hour = bisect_right(spent, total) - 1
            if hour < end:  # within this hour, evenly
                part = (total - spent[hour]) / (spent[hour + 1] - spent[hour])
                yield paced[hour] + part * (paced[hour + 1] - paced[hour]) - paced[start]
            elif spent[end] > spent[start]:  # later than now: extrapolate
                times = credit / (spent[end] - spent[start])
                yield min((paced[end] - paced[start]) * times, FOREVER)
            else:
                yield FOREVER
        yield from (expected * multiple for multiple in INVENTED)

    def _wider(self, duration: float) -> float:
        factor: float = (1 + duration / len(self.levels)) ** WIDER
        return factor

    def _date(self, duration: float, rounded: Callable[[float], int]) -> datetime | None:
        """Return the time after so many paced hours from now; `None` if it is too far ahead."""
        place = len(self.levels) + 1  # the unfinished hour
        weeks, left = divmod(duration + self.past.part * self.weights[place % WEEK], WEEK)
        hours = weeks * WEEK - self.past.part
        while left >= (weight := self.weights[place % WEEK]):
            left, hours, place = left - weight, hours + 1, place + 1
        hours += left / weight
        if hours > self.past.history.reach / timedelta(hours=1):
            return None
        return _date(self.past.moment + hours * HOUR, rounded)


def _active(spent: list[float]) -> int:
    """Return the number of hours with spending."""
    return len(spent) - spent.count(0.0)


def _clock(spent: list[float], first: int) -> list[float]:
    """Return the paced hours of each hour of a week, from the hour `first` on; 1 on average."""
    average = fsum(spent) / len(spent)
    sums, counts = [FLAT * average] * 48, [FLAT] * 48
    cells = [_CELLS[(first + place) % WEEK] for place in range(WEEK)]
    for place, cell in enumerate(cells):
        found = spent[place::WEEK]
        sums[cell] += sum(found)
        counts[cell] += len(found)
    weights = [sums[cell] / counts[cell] for cell in cells]
    scale = WEEK / fsum(weights)
    return [weight * scale for weight in weights]


def _date(milliseconds: float, rounded: Callable[[float], int]) -> datetime | None:
    """Return the time in whole minutes; `None` if it is after the year 9999."""
    try:
        return _EPOCH + timedelta(minutes=rounded(milliseconds / MINUTE))
    except OverflowError:
        return None
