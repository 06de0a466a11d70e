"""The rows: who is measured, beside whom, and what the aim is.

Each function is a name on the command line, its first line the title of its part of the table.
Aims are ratios at most, unless they have a unit.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks import contenders
from benchmarks.disk import size
from benchmarks.measured import (
    NAIVE,
    NAIVE_UVLOOP,
    OFFICIAL,
    OFFICIAL_AIOHTTP,
    ORJSON,
    OURS,
    SPEEDUPS,
    Bench,
    Curve,
    Measured,
    Result,
    Section,
    Turn,
    fresh,
    installed,
)
from benchmarks.worker import EXTRAS, ROOT, Figures, Job

LIMITED = f"{OURS}, answers with Ratelimit"
PORTAL = "aiohttp by hand in an anyio portal"
CLIENT = f"{OURS}, its client imported"
AIOHTTP = "aiohttp"
SYNC = f"{OURS}, sync"
USED = f"{OURS}, and one call"
NAIVE_USED = f"{NAIVE}, and one call"


def balance(bench: Bench) -> Section:
    """CPU for one decoded balance call, 50 at a time."""

    def job(contender: str) -> Job:
        return bench.job("concurrent", contender, 200, concurrency=50)

    measured = bench.in_turns(
        {
            OURS: job("ours"),
            LIMITED: job("ours_limited"),
            NAIVE: job("naive"),
            OFFICIAL_AIOHTTP: job("official_aiohttp"),
            OFFICIAL: job("official"),
        },
        rounds=21,
    )
    return _section(
        balance,
        measured.ratio("cpu", NAIVE, 1.0),
        measured.ratio("cpu", OFFICIAL_AIOHTTP, 0.25),
        measured.ratio("cpu", OFFICIAL, 0.10),
        measured.ratio("cpu", OURS, of=LIMITED),
    )


def speedups(bench: Bench) -> Section:
    """The same with the `speedups` extra."""

    def job(contender: str, *, extras: bool = False, uvloop: bool = False) -> Job:
        more = {"extras": extras, "uvloop": uvloop}
        return bench.job("concurrent", contender, 200, concurrency=50, **more)

    measured = bench.in_turns(
        {
            OURS: job("ours"),
            ORJSON: job("ours", extras=True),
            SPEEDUPS: job("ours", extras=True, uvloop=True),
            NAIVE: job("naive"),
            NAIVE_UVLOOP: job("naive", extras=True, uvloop=True),
        },
        rounds=21,
    )
    return _section(
        speedups,
        measured.ratio("cpu", NAIVE, 0.75, of=SPEEDUPS),
        measured.ratio("cpu", NAIVE_UVLOOP, of=SPEEDUPS),
        measured.ratio("cpu", OURS, of=ORJSON),
    )


def sync(bench: Bench) -> Section:
    """One sync call, one after another: by the clock, and CPU of both threads."""
    measured = bench.in_turns(
        {
            OURS: bench.job("blocking", "ours_sync", 200),
            PORTAL: bench.job("blocking", "naive_portal", 200),
            OFFICIAL: bench.job("blocking", "official_sync", 200),
        },
        rounds=21,
    )
    return _section(
        sync,
        measured.ratio("wall", PORTAL, 1.05),
        measured.ratio("wall", OFFICIAL, 0.70),
        measured.ratio("cpu", PORTAL),
        measured.ratio("cpu", OFFICIAL),
    )


def usage(bench: Bench) -> Section:
    """CPU for a year of hourly usage, 8,760 rows: to attrs, to dicts, to pydantic models."""

    def job(contender: str, *, extras: bool = False) -> Job:
        return bench.job("concurrent", contender, 2, usage=True, extras=extras)

    measured = bench.in_turns(
        {
            OURS: job("ours"),
            ORJSON: job("ours", extras=True),
            NAIVE: job("naive"),
            OFFICIAL: job("official"),
        },
        rounds=11,
    )
    return _section(
        usage,
        measured.ratio("cpu", NAIVE, 2.0),
        measured.ratio("cpu", OFFICIAL, 0.08),
        measured.ratio("cpu", NAIVE, of=ORJSON),
    )


def imports(bench: Bench) -> Section:
    """Time to import, beyond starting Python."""
    measured = bench.in_turns(
        {
            OURS: _importing("import cfaigw_billing"),
            CLIENT: _importing("from cfaigw_billing import AsyncCloudflare"),
            AIOHTTP: _importing("import aiohttp"),
            OFFICIAL: _importing("import cloudflare"),
        }
    )
    return _section(
        imports,
        measured.ratio("wall", AIOHTTP, 0.5),
        measured.ratio("wall", AIOHTTP, of=CLIENT),
        measured.ratio("wall", OFFICIAL, of=CLIENT),
    )


def start(bench: Bench) -> Section:
    """From the start of the process to its end, with one balance by the sync client."""
    programs = {
        OURS: contenders.OUR_PROGRAM,
        NAIVE: contenders.NAIVE_PROGRAM,
        OFFICIAL: contenders.OFFICIAL_PROGRAM,
    }
    measured = bench.in_turns(
        {name: _running(program, bench.base_url) for name, program in programs.items()}
    )
    return _section(start, measured.ratio("wall", OFFICIAL, 0.6), measured.ratio("wall", NAIVE))


def sweep(bench: Bench) -> Section:
    """Peak memory of a sweep over many accounts, 50 calls at a time."""

    def sweeps(name: str, contender: str, *accounts: int) -> dict[str, Turn]:
        return {
            _over(bench, name, number): fresh(bench.job("sweep", contender, number))
            for number in accounts
        }

    streamed = bench.in_turns(sweeps(OURS, "ours_sweep", 1_000, 10_000))
    others = bench.in_turns(
        {
            **sweeps(OURS, "ours_sweep", 3_000, 30_000, 100_000),
            **sweeps(NAIVE, "naive_sweep", 1_000, 3_000, 10_000),
            **sweeps(OFFICIAL, "official_sweep", 1_000, 10_000),
        },
        rounds=1,
    )

    def growth(measured: Measured, name: str, aim: float | None = None) -> Result:
        few, many = (_over(bench, name, number) for number in (1_000, 10_000))
        return measured.growth(few, many, aim)

    return _section(
        sweep,
        growth(streamed, OURS, 5.0),
        growth(others, NAIVE),
        growth(others, OFFICIAL),
        curve=Curve(
            "Peak memory of a sweep, 50 calls at a time",
            "accounts",
            "MB",
            _series("memory", 1, streamed, others),
        ),
    )


def disk(_: Bench) -> Section:
    """Installed with all dependencies, in megabytes and files."""
    ours, files = size(OURS)
    if not installed(OFFICIAL):
        return _section(disk, Result(OURS, OFFICIAL, aim=0.15, figures="skipped: needs cloudflare"))
    theirs, their_files = size("cloudflare")
    return _section(
        disk,
        Result(OURS, OFFICIAL, ours / theirs, aim=0.15, figures=f"{ours:.1f} MB : {theirs:.1f} MB"),
        Result(OURS, OFFICIAL, files / their_files, figures=f"{files:,} files : {their_files:,}"),
    )


def client(bench: Bench) -> Section:
    """Making and closing one of 10,000 clients, and how memory grows from the 1,000th on."""
    measured = bench.in_turns(
        {
            OURS: fresh(bench.job("making", "ours_made", 10_000)),
            SYNC: fresh(bench.job("making", "ours_sync_made", 10_000)),
            OFFICIAL: fresh(bench.job("making", "official_made", 30)),
            USED: fresh(bench.job("making", "ours_used", 500)),
            NAIVE_USED: fresh(bench.job("making", "naive_used", 500)),
        }
    )
    return _section(
        client,
        measured.alone("wall", OURS, "s", 1e-3),
        measured.alone("wall", SYNC, "s", 1e-3),
        measured.alone("growth", OURS, "MB", 1.0),
        measured.alone("growth", SYNC, "MB", 1.0),
        measured.alone("wall", OFFICIAL, "s"),
        measured.ratio("wall", NAIVE_USED, of=USED),
    )


def concurrency(bench: Bench) -> Section:
    """CPU for one decoded balance call, by how many are under way at a time."""
    contenders = {
        OURS: "ours",
        NAIVE: "naive",
        OFFICIAL_AIOHTTP: "official_aiohttp",
        OFFICIAL: "official",
    }
    levels = {
        f"{name}, {level:,}": bench.job("concurrent", contender, max(200, level), concurrency=level)
        for level in (1, 10, 100, 1_000)
        for name, contender in contenders.items()
        # Opening 1,000 connections takes httpx's own transport the better part of a minute.
        if (name, level) != (OFFICIAL, 1_000)
    }
    series = _series("cpu", 1e6, bench.in_turns(levels, rounds=3))
    title = "CPU for one balance call"
    return _section(concurrency, curve=Curve(title, "calls at a time", "µs", series))


ROWS: dict[str, Callable[[Bench], Section]] = {
    "balance": balance,
    "speedups": speedups,
    "sync": sync,
    "usage": usage,
    "import": imports,
    "start": start,
    "sweep": sweep,
    "disk": disk,
    "client": client,
    "concurrency": concurrency,
}


def _section(
    row: Callable[[Bench], Section], *results: Result, curve: Curve | None = None
) -> Section:
    return Section((row.__doc__ or "").removesuffix("."), results, curve)


def _over(bench: Bench, name: str, accounts: int) -> str:
    return f"{name}, {bench.scaled(accounts):,}"


def _series(quantity: str, scale: float, *measured: Measured) -> dict[str, dict[int, float]]:
    """The medians of contenders that are called "name, number", as a curve for each name."""
    series: dict[str, dict[int, float]] = {}
    for each in measured:
        for contender in each.contenders:
            name, _, number = contender.rpartition(", ")
            series.setdefault(name, {})[int(number.replace(",", ""))] = (
                each.median(quantity, contender) * scale
            )
    return series


_WITHOUT_EXTRAS = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}))\n"


def _importing(statement: str) -> Turn:
    code = f"import time; s = time.perf_counter(); {statement}; print(time.perf_counter() - s)"
    command = [sys.executable, "-c", _WITHOUT_EXTRAS + code]
    return lambda: {"wall": float(subprocess.check_output(command, cwd=ROOT))}


def _running(program: str, base_url: str) -> Turn:
    code = _WITHOUT_EXTRAS + program.format(token=contenders.TOKEN, base_url=base_url)

    def run() -> Figures:
        begin = time.perf_counter()
        subprocess.check_output([sys.executable, "-c", code], cwd=ROOT)
        return {"wall": time.perf_counter() - begin}

    return run
