"""A contender in a process of its own.

Nothing that another one imports or leaves behind weighs on it; its CPU time and memory are its own.

The process lives through all rounds, warm, and measures once for every line that it is sent.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

from benchmarks import contenders

ROOT = Path(__file__).parent.parent
EXTRAS = ("orjson", "uvloop", "aiodns", "brotli", "brotlicffi", "backports.zstd")
"""What the `speedups` extra installs; out of reach where it is not what is measured."""

Figures = dict[str, float]
"""Seconds or megabytes, by what they are of."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process is to measure."""

    measure: str
    """The function of this module."""
    contender: str
    """The function of `contenders`."""
    base_url: str
    calls: int = 1_000
    concurrency: int = 1
    usage: bool = False
    """Ask for a year of usage, not for the balance."""
    extras: bool = False
    """Let it import what the `speedups` extra installs."""
    uvloop: bool = False

    @property
    def warm_up(self) -> int:
        """The calls before those that count, in every round: connections may have timed out."""
        return max(self.calls // 5, self.concurrency)


class Worker:
    """The process, seen from the one that starts it."""

    def __init__(self, job: Job) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(asdict(job))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self) -> Figures:
        """Let it measure once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a contender failed, see above")
        figures: Figures = json.loads(line)
        return figures

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()


# In the process.


def concurrent(job: Job) -> None:
    """Time for one of many calls, of which `concurrency` are under way at a time."""

    async def main() -> None:
        async with getattr(contenders, job.contender)(job.base_url) as calls:
            call = calls.usage if job.usage else calls.balance
            for _ in _turns():  # blocks the loop, on which nothing happens between turns
                await _at_once(call, job.warm_up, job.concurrency)
                with _timing(job.calls):
                    await _at_once(call, job.calls, job.concurrency)

    _run(job, main())


def blocking(job: Job) -> None:
    """Time for one of many calls, one after another."""
    with getattr(contenders, job.contender)(job.base_url) as call:
        for _ in _turns():
            for account in _accounts(job.warm_up):
                call(account)
            with _timing(job.calls):
                for account in _accounts(job.calls):
                    call(account)


def sweep(job: Job) -> None:
    """The most memory that a sweep of `calls` accounts takes."""
    for _ in _turns():
        _run(job, getattr(contenders, job.contender)(job.base_url, _accounts(job.calls)))
        _report(memory=_peak_memory())


def making(job: Job) -> None:
    """Time to make and close one of many clients, and how memory grows after the first tenth."""

    async def make(clients: int) -> None:
        for _ in range(clients):
            await getattr(contenders, job.contender)(job.base_url)

    async def main() -> None:
        for _ in _turns():
            await make(job.calls // 10)
            gc.collect()
            before, start = _peak_memory(), time.perf_counter()
            await make(job.calls - job.calls // 10)
            wall = (time.perf_counter() - start) / (job.calls - job.calls // 10)
            _report(wall=wall, growth=_peak_memory() - before)

    _run(job, main())


def _turns() -> Iterator[str]:
    return iter(sys.stdin.readline, "")


def _accounts(number: int) -> Iterator[str]:
    """As many accounts, each another: what caches addresses gains nothing here."""
    return (f"{account:032x}" for account in range(number))


async def _at_once(call: Callable[[str], Awaitable[object]], calls: int, concurrency: int) -> None:
    accounts = _accounts(calls)

    async def ask() -> None:
        for account in accounts:
            await call(account)

    await asyncio.gather(*(ask() for _ in range(concurrency)))


@contextmanager
def _timing(calls: int) -> Iterator[None]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    _report(cpu=cpu / calls, wall=wall / calls)


def _peak_memory() -> float:
    """The most megabytes that this program has held.

    Not `ru_maxrss` where there is another way: on Linux it begins with what the parent held.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    words = status.split()
    return next(int(size) for name, size in pairwise(words) if name == "VmHWM:") / 2**10


def _report(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


def _run(job: Job, main: Coroutine[object, object, None]) -> None:
    if job.uvloop:
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)


MEASURES = {
    "concurrent": concurrent,
    "blocking": blocking,
    "sweep": sweep,
    "making": making,
}


def main() -> None:
    """Measure what the command line says."""
    job = Job(**json.loads(sys.argv[1]))
    if not job.extras:
        sys.modules.update(dict.fromkeys(EXTRAS))  # type: ignore[arg-type]  # their import fails
    MEASURES[job.measure](job)


if __name__ == "__main__":
    main()
