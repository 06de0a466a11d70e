"""The rows: what is measured, beside what, and the aim."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from statistics import median

from benchmarks import contenders
from benchmarks.worker import ROOT, WITHOUT_SPEEDUPS, Job, Worker

NAIVE = "aiohttp by hand"
OFFICIAL = "official SDK"
OFFICIAL_AIOHTTP = "official SDK on aiohttp"
IMPORT_OFFICIAL = "`import cloudflare`"
NEEDS = {
    OFFICIAL: "cloudflare",
    IMPORT_OFFICIAL: "cloudflare",
    OFFICIAL_AIOHTTP: "httpx_aiohttp",
}
"""The package that has to be installed for a contender, which is left out otherwise."""


@dataclass(frozen=True)
class Program:
    """A program that is run anew in every round."""

    code: str
    """With `{base_url}` and `{token}`."""


@dataclass(frozen=True)
class Row:
    """One thing that is measured, of this package and of what stands beside it."""

    title: str
    ours: Job | Program
    beside: Mapping[str, Job | Program]
    aims: Mapping[str, float]
    """By what stands beside it: the ratio that ours should not exceed; none is for information."""
    rounds: int
    unit: str = "s"
    """Of the figures: seconds of CPU, or megabytes."""
    baseline: Program | None = None
    """What is not counted of a program."""


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    beside: str
    aim: float | None
    ratios: tuple[float, ...] = ()
    """Ours to the other's in every round; none where the other is not installed."""
    figures: str = ""
    """The medians that the ratios are of, or what is missing."""


def _rows() -> dict[str, Row]:
    def job(measure: str, contender: str, calls: int, **more: int) -> Job:
        return Job(
            measure=measure,
            contender=contender,
            base_url="",
            calls=calls,
            **more,  # type: ignore[arg-type]  # a mixture
        )

    balance = partial(job, "concurrent", calls=200, concurrency=50)
    fast = partial(balance, speedups=True)
    usage = partial(job, "concurrent", calls=2, usage=True)
    sync = partial(job, "blocking", calls=200)
    clients = partial(job, "clients", calls=1_000)
    return {
        "balance": Row(
            "one balance, 50 calls at a time, of 200 accounts again and again",
            balance("ours"),
            {
                NAIVE: balance("naive"),
                OFFICIAL_AIOHTTP: balance("official_aiohttp"),
                OFFICIAL: balance("official"),
            },
            {NAIVE: 1.0, OFFICIAL_AIOHTTP: 0.18, OFFICIAL: 0.07},
            rounds=15,
        ),
        "new": Row(
            "the same, of accounts that were never asked before",
            balance("ours", new=True),
            {NAIVE: balance("naive", new=True)},
            {NAIVE: 1.0},
            rounds=15,
        ),
        "uvloop": Row(
            "the first with the extra `speedups`, both on uvloop",
            fast("ours"),
            {NAIVE: fast("naive")},
            {NAIVE: 1.0},
            rounds=31,
        ),
        "alone": Row(
            "one balance, one call at a time",
            replace(balance("ours"), concurrency=1),
            {NAIVE: replace(balance("naive"), concurrency=1)},
            {NAIVE: 1.0},
            rounds=31,
        ),
        "sync": Row(
            "one balance by the sync client, all threads",
            sync("ours_sync"),
            {f"{NAIVE}, in an anyio portal": sync("naive_portal"), OFFICIAL: sync("official_sync")},
            {f"{NAIVE}, in an anyio portal": 1.0},
            rounds=11,
        ),
        "usage": Row(
            "a year of hourly usage, 8,760 rows",
            usage("ours"),
            {NAIVE: usage("naive"), OFFICIAL: usage("official")},
            {NAIVE: 1.5},
            rounds=9,
        ),
        "orjson": Row(
            "the same with the extra `speedups`, both on uvloop",
            usage("ours", speedups=True),
            {NAIVE: usage("naive", speedups=True)},
            {},
            rounds=11,
        ),
        "import": Row(
            "`from cfaigw_billing import AsyncCloudflare`",
            Program("from cfaigw_billing import AsyncCloudflare"),
            {
                "`import aiohttp`": Program("import aiohttp"),
                IMPORT_OFFICIAL: Program("import cloudflare"),
            },
            {"`import aiohttp`": 1.15},
            rounds=11,
            baseline=Program(""),
        ),
        "start": Row(
            "a process with one balance by the sync client",
            Program(contenders.OURS),
            {NAIVE: Program(contenders.NAIVE), OFFICIAL: Program(contenders.OFFICIAL)},
            {NAIVE: 1.15},
            rounds=11,
        ),
        "command": Row(
            "`cfaigw-billing balance --json`, the whole process",
            Program(contenders.COMMAND),
            {OFFICIAL: Program(contenders.OFFICIAL_JSON)},
            {OFFICIAL: 0.75},
            rounds=9,
        ),
        "clients": Row(
            "one of 1,000 clients, made, used once and closed",
            clients("ours"),
            {NAIVE: clients("naive")},
            {NAIVE: 1.1},
            rounds=5,
        ),
        "memory": Row(
            "peak memory, the balances of 10,000 accounts streamed",
            job("sweep", "", 10_000, concurrency=50),
            {"those of 1,000 accounts": job("sweep", "", 1_000, concurrency=50)},
            {"those of 1,000 accounts": 1.1},
            rounds=3,
            unit="MB",
        ),
    }


ROWS = _rows()


def measure(row: Row, base_url: str, *, quick: bool) -> list[Result]:
    """Let all measure, one after another, in every round. `quick` is little of everything, once."""
    if getattr(row.ours, "speedups", False) and find_spec("uvloop") is None:
        missing = "needs the extra `speedups`"
        return [Result(name, row.aims.get(name), figures=missing) for name in row.beside]
    there = {name: each for name, each in row.beside.items() if _installed(name)}
    measured: list[list[float]] = []
    with ExitStack() as processes:
        turns = [
            processes.enter_context(_turns(each, row.baseline, base_url, quick=quick))
            for each in (row.ours, *there.values())
        ]
        for _ in range(1 if quick else row.rounds):
            measured.append([turn() for turn in turns])
    ours, *others = zip(*measured, strict=True)
    results = {
        name: Result(
            name,
            row.aims.get(name),
            tuple(mine / other for mine, other in zip(ours, figures, strict=True)),
            f"{_shown(median(ours), row.unit)} : {_shown(median(figures), row.unit)}",
        )
        for name, figures in zip(there, others, strict=True)
    }
    return [
        results.get(name, Result(name, row.aims.get(name), figures=f"needs {NEEDS.get(name)}"))
        for name in row.beside
    ]


@contextmanager
def _turns(
    each: Job | Program, baseline: Program | None, base_url: str, *, quick: bool
) -> Iterator[Callable[[], float]]:
    """What measures once."""
    if isinstance(each, Program):
        less = 0.0 if baseline is None else min(_cpu(baseline, base_url) for _ in range(5))
        yield lambda: _cpu(each, base_url) - less
        return
    job = replace(each, base_url=base_url, calls=max(each.calls // (20 if quick else 1), 1))
    if job.measure == "sweep":  # no process gives memory back

        def once() -> float:
            with Worker(job) as worker:
                return worker.turn()

        yield once
        return
    with Worker(job) as worker:
        yield worker.turn


def _cpu(program: Program, base_url: str) -> float:
    """The CPU seconds of a process that runs the program."""
    code = program.code.format(base_url=base_url, token=contenders.TOKEN)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", WITHOUT_SPEEDUPS + code]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _installed(contender: str) -> bool:
    return contender not in NEEDS or find_spec(NEEDS[contender]) is not None


def _shown(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.1f} {unit}"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"
