"""Counts what calls cost, each time in a fresh process: `python tests/counting.py` prints it.

The ceilings are in test_cost.py.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

OPTIONAL = ("orjson", "uvloop", "aiodns", "brotli", "brotlicffi", "backports.zstd")
"""Packages that are used if they are there: hidden, so that they make no difference."""
CALLS = 50

if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(OPTIONAL))  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]  # their import fails

from cfaigw_billing import AsyncCloudflare, Cloudflare  # noqa: E402
from cfaigw_billing.testing import Emulator, RequestLimit  # noqa: E402


class Count:
    """The calls, of Python's functions and of C's, that this thread makes within the block."""

    def __enter__(self) -> Count:
        self.calls = 0
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _event(self, frame: object, event: str, argument: object) -> None:
        self.calls += event in ("call", "c_call")


async def grow(ask: Callable[[], Awaitable[object]]) -> int:
    """The blocks of memory that 500 calls leave behind, after 500 that fill the caches."""
    blocks: list[int] = []
    for _ in range(2):
        for _ in range(500):
            await ask()
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    return blocks[1] - blocks[0]


async def count_async(options: dict[str, Any]) -> dict[str, float]:
    async with AsyncCloudflare(**options) as client:
        ask = client.ai_gateway.billing.credit_balance
        growth = await grow(ask)
        with Count() as count:
            for _ in range(CALLS):
                await ask()
    return {"async": count.calls / CALLS, "growth": growth}


def count_sync(options: dict[str, Any]) -> dict[str, float]:
    with Cloudflare(**options) as client:
        ask = client.ai_gateway.billing.credit_balance
        for _ in range(CALLS):
            ask()
        with Count() as count:
            for _ in range(CALLS):
                ask()
    return {"sync": count.calls / CALLS}


def main(base_url: str, api_token: str) -> None:
    """Print the counts."""
    options: dict[str, Any] = {"base_url": base_url, "api_token": api_token, "account_id": "a"}
    options["max_requests_per_second"] = 10**6  # a pace is kept, and no call waits for its turn
    print(json.dumps(asyncio.run(count_async(options)) | count_sync(options)))  # noqa: T201


# Modules: a program without its own modules.

FIRST_CALL = """
import sys
sys.modules.update(dict.fromkeys({optional}))
begin = set(sys.modules)
import cfaigw_billing
imported = set(sys.modules)
with cfaigw_billing.Cloudflare(base_url={base_url!r}, api_token={api_token!r}) as client:
    client.ai_gateway.billing.credit_balance(account_id="a")
print(len(imported - begin), *set(sys.modules) - begin)
"""


# In the process that asks for it.


@frozen
class Counted:
    """The counts."""

    figures: dict[str, float]
    """Calls and modules, by what they are for."""
    loaded: set[str]
    """The modules that a client and its first call load."""


def count() -> Counted:
    """Count everything, in fresh processes, against an emulator in this one."""
    limit = RequestLimit(quota=10**6)  # every answer tells of it, as those of the service do
    with Emulator(limit=limit) as emulator:
        emulator.add_account("a", balance=640.19)
        service = {"base_url": emulator.base_url, "api_token": emulator.api_token}
        imported, *loaded = run("-c", FIRST_CALL.format(optional=OPTIONAL, **service)).split()
        figures = json.loads(run(__file__, *service.values()))
    return Counted({**figures, "import": int(imported), "first": len(loaded)}, {*loaded})


def run(*command: str) -> str:
    return subprocess.check_output([sys.executable, *command], text=True, timeout=60)  # noqa: S603


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        print(count().figures)  # noqa: T201
