"""A program that charges for many keys, and whose processes die on the way.

    python worker.py base_url token journal '[{"step": ["key", "key", …], "step": …}, …]'

It forks a process for each share of the keys, which all are at work at once, and there one for each
attempt. One that works at a key for the first time dies (SIGKILL) when
it reaches the step that the key is listed under; `random`, at any moment; `never`, not. The next
process goes on, until there is an answer or an error for each key, which is printed. Each key has
an account of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import aiohttp

from cfaigw_billing import AsyncCloudflare, CloudflareError, JournalError
from cfaigw_billing._charges import keyed, lease
from cfaigw_billing.journal import Entry, PostgresJournal, SQLiteJournal

STEPS = ("claim", "claimed", "mark", "marked", "sending", "answered", "record", "recorded")
"""The points at which a process dies: around each write, and around the exchange."""
_WRITES = {
    "claimed": ("claim", "claimed"),
    "sent": ("mark", "marked"),
    "charged": ("record", "recorded"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doom:
    """The step at which this process dies."""

    step = ""

    def reach(self, step: str | None) -> None:
        if step == self.step:
            die()


def deadly(journal: Any, doom: Doom) -> Any:
    """Have the process die before or after a write of the journal."""

    def around(write: Callable[..., Any]) -> Callable[..., Any]:
        async def written(*entries: Entry) -> bool:
            # If a lease ends before the charge is sent, "not_charged" is stored: that is no step.
            before, after = _WRITES.get(entries[-1].state, (None, None))
            doom.reach(before)
            stored: bool = await write(*entries)
            doom.reach(after)
            return stored

        return written

    journal.insert, journal.replace = around(journal.insert), around(journal.replace)
    return journal


async def charge(arguments: Sequence[str], left: dict[str, str], say: int) -> None:
    base_url, token, address = arguments
    doom = Doom()
    cls: Any = PostgresJournal if address.startswith("postgres") else SQLiteJournal

    async def sending(*_: Any) -> None:
        doom.reach("sending")

    async def answered(*_: Any) -> None:
        doom.reach("answered")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_chunk_sent.append(sending)
    tracing.on_request_end.append(answered)
    async with AsyncCloudflare(
        base_url=base_url,
        api_token=token,
        journal=deadly(cls(address), doom),
        trace_configs=[tracing],
    ) as client:
        for key, step in left.items():
            os.write(say, f"begin {key}\n".encode())
            doom.step = step
            os.write(say, f"{await outcome(client, key)}\n".encode())


async def outcome(client: AsyncCloudflare, key: str) -> str:
    """Charge for the key, and return the result."""
    while True:
        try:
            created = await client.ai_gateway.billing.topup.create(
                account_id=key, amount=5000, idempotency_key=key, timeout=20
            )
        except JournalError as error:
            # On a slow machine the lease of a living sender may end before it has sent.
            if "nothing was sent" not in str(error):
                raise
        except CloudflareError as error:
            return f"failed {key} {type(error).__name__}"
        else:
            return f"charged {key} {created.payment_intent_id}"


def attempt(left: dict[str, str], arguments: Sequence[str], moment: float | None) -> list[str]:
    """Work in another process, and return its output."""
    hear, say = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            if moment is not None:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)  # as SIGKILL: Python runs no more
                signal.setitimer(signal.ITIMER_REAL, moment)
            asyncio.run(charge(arguments, left, say))
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(hear) as pipe:
        lines = pipe.read().splitlines()
    os.waitpid(pid, 0)
    return lines


def work(arguments: Sequence[str], share: dict[str, list[str]], seed: int) -> None:
    """Charge for the keys of a share, until there is an answer or an error for each."""
    chance = random.Random(seed)
    left = {key: step for step, keys in share.items() for key in keys}
    while left:
        moment = chance.uniform(0.0, 0.12) if "random" in list(left.values())[:1] else None
        for line in attempt(left, arguments, moment):
            word, key, *_ = line.split()
            if word == "begin":
                left[key] = "never"  # once is enough
            else:
                del left[key]
                os.write(1, f"{line}\n".encode())  # at once: others write there too


def shorten_leases() -> None:
    """Let the leases of the dead end soon, in this process and those that it forks."""
    for module in (keyed, lease):
        vars(module)["LEASE"] = timedelta(seconds=0.2)
    lease.RENEWAL_INTERVAL = 0.05


def main() -> None:
    *arguments, text = sys.argv[1:]
    shares: list[dict[str, list[str]]] = json.loads(text)
    if any(share.keys() - {"never"} for share in shares):
        shorten_leases()
    started = list[int]()
    for seed, share in enumerate(shares):
        pid = os.fork()
        if not pid:
            work(arguments, share, seed)
            os._exit(0)
        started.append(pid)
    sys.exit(any(os.waitpid(pid, 0)[1] for pid in started))


if __name__ == "__main__":
    main()
