"""Taking turns, and what comes of it: ratios of medians, beside their aims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median

from benchmarks.worker import Figures, Job, Worker

OURS = "cfaigw_billing"
NAIVE = "aiohttp by hand"
OFFICIAL = "official SDK"
OFFICIAL_AIOHTTP = "official SDK on aiohttp"
ORJSON = f"{OURS} with orjson"
SPEEDUPS = f"{OURS} with orjson and uvloop"
NAIVE_UVLOOP = f"{NAIVE} on uvloop"

NEEDS = {
    OFFICIAL: ("cloudflare",),
    OFFICIAL_AIOHTTP: ("cloudflare", "httpx_aiohttp"),
    ORJSON: ("orjson",),
    SPEEDUPS: ("orjson", "uvloop"),
    NAIVE_UVLOOP: ("uvloop",),
}
"""What has to be installed for a contender, which is left out otherwise.

Behind a comma in the name of a contender stands what is particular about it in a row.
"""

Turn = Callable[[], Figures]
"""What measures once."""


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    contender: str
    beside: str = ""
    """What it is compared with; nothing where its figure stands alone."""
    measured: float | None = None
    """A ratio, seconds or megabytes; nothing where it could not be measured: see `figures`."""
    unit: str = "×"
    aim: float | None = None
    """What it should not exceed; none where it is for information."""
    spread: tuple[float, float] | None = None
    """The lowest and the highest of the rounds."""
    figures: str = ""
    """What the ratio is of."""

    @property
    def verdict(self) -> str:
        """Whether the aim is met."""
        if self.measured is None or self.aim is None:
            return ""
        return "met" if self.measured <= self.aim else "missed"


@dataclass(frozen=True)
class Curve:
    """How a figure grows with the work."""

    title: str
    x: str
    y: str
    series: Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Section:
    """What one name on the command line measures."""

    title: str
    results: tuple[Result, ...]
    curve: Curve | None = None


class Measured:
    """The figures of every round of every contender."""

    def __init__(self, rounds: Mapping[str, list[Figures]]) -> None:
        self._rounds = rounds

    @property
    def contenders(self) -> Iterable[str]:
        """Those that are installed."""
        return self._rounds

    def median(self, quantity: str, contender: str) -> float:
        """The middle of the rounds."""
        return median(self._all(quantity, contender))

    def ratio(self, quantity: str, beside: str, aim: float | None = None, of: str = OURS) -> Result:
        """How much of what `beside` takes the contender `of` takes."""
        if missing := self._missing(of, beside):
            return Result(of, beside, aim=aim, figures=missing)
        mine, other = self._all(quantity, of), self._all(quantity, beside)
        each = [a / b for a, b in zip(mine, other, strict=True)]
        return Result(
            of,
            beside,
            measured=median(mine) / median(other),
            aim=aim,
            spread=(min(each), max(each)),
            figures=f"{quantity} {in_seconds(median(mine))} : {in_seconds(median(other))}",
        )

    def alone(self, quantity: str, of: str, unit: str, aim: float | None = None) -> Result:
        """A figure as it is."""
        if missing := self._missing(of):
            return Result(of, unit=unit, aim=aim, figures=missing)
        each = self._all(quantity, of)
        spread = (min(each), max(each))
        return Result(of, "", median(each), unit, aim, spread, figures=quantity)

    def growth(self, few: str, many: str, aim: float | None = None) -> Result:
        """How many megabytes more the contender `many` takes than `few`."""
        if missing := self._missing(few, many):
            return Result(many, few, unit="MB", aim=aim, figures=missing)
        before, after = self._all("memory", few), self._all("memory", many)
        each = [b - a for a, b in zip(before, after, strict=True)]
        figures = f"{median(after):.1f} MB : {median(before):.1f} MB"
        spread = (min(each), max(each))
        return Result(many, few, median(each), "MB", aim, spread, figures)

    def _all(self, quantity: str, contender: str) -> list[float]:
        return [figures[quantity] for figures in self._rounds[contender]]

    def _missing(self, *contenders: str) -> str:
        lacking = [_needs(name) for name in contenders if name not in self._rounds]
        needed = dict.fromkeys(package for packages in lacking for package in packages)
        return f"skipped: needs {' and '.join(needed)}" if needed else ""


@dataclass(frozen=True)
class Bench:
    """Where and how much to measure."""

    base_url: str
    quick: bool = False
    """A smoke test: little of everything, once."""

    def scaled(self, calls: int) -> int:
        """So many calls, or what is enough for a smoke test."""
        return max(calls // 20, 1) if self.quick else calls

    def job(self, measure: str, contender: str, calls: int, **more: bool | int) -> Job:
        """What a process is to measure."""
        return Job(
            measure=measure,
            contender=contender,
            base_url=self.base_url,
            calls=self.scaled(calls),
            **more,  # type: ignore[arg-type]  # a mixture
        )

    def in_turns(self, contenders: Mapping[str, Job | Turn], rounds: int = 5) -> Measured:
        """Let every contender that is installed measure, one after another, in every round.

        A job is a process that lives through all rounds, anything else measures on its own.
        """
        there = {name: each for name, each in contenders.items() if installed(name)}
        measured: dict[str, list[Figures]] = {name: [] for name in there}
        with ExitStack() as processes:
            turns = {
                name: processes.enter_context(Worker(each)).turn if isinstance(each, Job) else each
                for name, each in there.items()
            }
            for _ in range(1 if self.quick else rounds):
                for name, turn in turns.items():
                    measured[name].append(turn())
        return Measured(measured)


def fresh(job: Job) -> Turn:
    """Measure in a new process each time: for memory, which no process gives back."""

    def once(job: Job) -> Figures:
        with Worker(job) as worker:
            return worker.turn()

    return partial(once, job)


def installed(contender: str) -> bool:
    """Whether there is all that it needs."""
    return all(map(find_spec, _needs(contender)))


def _needs(contender: str) -> tuple[str, ...]:
    return NEEDS.get(contender.partition(",")[0], ())


def in_seconds(value: float) -> str:
    """The time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"
