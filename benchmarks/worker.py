"""A contender in a process of its own, of which CPU time and memory are its own.

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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks import contenders
from benchmarks.contenders import Calls

ROOT = Path(__file__).parent.parent
SPEEDUPS = ("orjson", "uvloop", "aiodns", "brotli", "brotlicffi", "backports.zstd")
"""What the extra `speedups` installs."""
WITHOUT_SPEEDUPS = f"import sys; sys.modules.update(dict.fromkeys({SPEEDUPS}))\n"
"""A program that begins so has not got it: to import any of it fails."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process is to measure."""

    measure: str
    """The function of this module."""
    contender: str
    """The function of `contenders`."""
    base_url: str
    calls: int
    concurrency: int = 1
    usage: bool = False
    """Ask for a year of usage, not for the balance."""
    new: bool = False
    """Ask other accounts in each turn; else the same ones again."""
    speedups: bool = False
    """Let it import what the extra installs, and run on uvloop."""


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

    def turn(self) -> float:
        """Let it measure once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a contender failed, see above")
        return float(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()


# In the process.


async def concurrent(job: Job) -> None:
    """The CPU seconds of one of many calls, `concurrency` at a time."""
    async with getattr(contenders, job.contender)(job.base_url) as calls:
        call = _chosen(calls, job)
        await _at_once(call, job.calls, job.concurrency)  # fills what is cached
        for turn, _ in enumerate(sys.stdin, 1):
            await _at_once(call, job.concurrency, job.concurrency)  # connections may have ended
            gc.collect()
            start = time.process_time()
            await _at_once(call, job.calls, job.concurrency, turn * job.calls if job.new else 0)
            print((time.process_time() - start) / job.calls, flush=True)


async def clients(job: Job) -> None:
    """The CPU seconds of a client that is made, used once and closed."""

    async def use(clients: int) -> None:
        for account in _accounts(clients):
            async with getattr(contenders, job.contender)(job.base_url) as calls:
                await calls.balance(account)

    await use(1)  # imports
    for _ in sys.stdin:
        gc.collect()
        start = time.process_time()
        await use(job.calls)
        print((time.process_time() - start) / job.calls, flush=True)


async def sweep(job: Job) -> None:
    """The most megabytes that a stream of the balances of `calls` accounts takes."""
    from cfaigw_billing import AsyncCloudflare
    from cfaigw_billing.types import BillingCreditBalanceParams

    sys.stdin.readline()
    requests = (BillingCreditBalanceParams(account_id=a) for a in _accounts(job.calls))
    async with (
        AsyncCloudflare(
            api_token=contenders.TOKEN,
            base_url=job.base_url,
            max_requests_per_second=contenders.PACE,
        ) as client,
        client.send_many(requests, concurrency=job.concurrency) as outcomes,
    ):
        async for outcome in outcomes:
            assert outcome.response is not None
    print(_peak_memory(), flush=True)


def blocking(job: Job) -> None:
    """The CPU seconds, of all threads, of one of many calls, one after another."""
    with getattr(contenders, job.contender)(job.base_url) as call:
        for _ in sys.stdin:
            for account in _accounts(job.calls // 5):
                call(account)
            gc.collect()
            start = time.process_time()
            for account in _accounts(job.calls):
                call(account)
            print((time.process_time() - start) / job.calls, flush=True)


def _chosen(calls: Calls, job: Job) -> Callable[[str], Awaitable[object]]:
    return calls.usage if job.usage else calls.balance


def _accounts(number: int, first: int = 0) -> Iterator[str]:
    """As many different accounts."""
    return (f"{account:032x}" for account in range(first, first + number))


async def _at_once(
    call: Callable[[str], Awaitable[object]], calls: int, concurrency: int, first: int = 0
) -> None:
    accounts = _accounts(calls, first)

    async def ask() -> None:
        for account in accounts:
            await call(account)

    await asyncio.gather(*(ask() for _ in range(concurrency)))


def _peak_memory() -> float:
    """The most megabytes that this program has held.

    Not `ru_maxrss` where there is another way: on Linux it begins with what the parent held.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:"))


MEASURES: dict[str, Callable[[Job], Coroutine[Any, Any, None] | None]] = {
    measure.__name__: measure for measure in (concurrent, clients, sweep, blocking)
}


def main() -> None:
    """Measure what the command line says."""
    job = Job(**json.loads(sys.argv[1]))
    run: Callable[..., None] = asyncio.run
    if job.speedups:
        import uvloop

        run = uvloop.run
    else:
        exec(WITHOUT_SPEEDUPS)
    measuring = MEASURES[job.measure](job)
    if measuring is not None:
        run(measuring)


if __name__ == "__main__":
    main()
