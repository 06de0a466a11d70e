"""Time limits that end when something has happened, however slow the machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

from cfaigw_billing import Cloudflare
from cfaigw_billing._io import portal as portals

AHEAD = 3600.0
"""Seconds; more than any time limit that a test sets."""


async def leap(*moments: Callable[[], object]) -> None:
    """Wait until each is true, one after the other.

    Each time, the running loop's time leaps: every time limit that has begun is over.
    """
    loop: Any = asyncio.get_running_loop()
    time, ahead = loop.time, 0.0
    for until in moments:
        while not until():  # noqa: ASYNC110  # mostly another thread makes it true
            await asyncio.sleep(0.002)
        ahead += AHEAD
        loop.time = partial(_later, time, ahead)


def _later(time: Callable[[], float], ahead: float) -> float:
    return time() + ahead


def impatient(call: Callable[[Any], Any], *moments: Callable[[], object]) -> Callable[[Any], Any]:
    """`call(client)` on either client, whose time-outs end as soon as each of these is true."""

    def called(client: Any) -> Any:
        if not isinstance(client, Cloudflare):
            return _impatient(call(client), *moments)
        portal: Any = client._executor.portal
        with patch.object(portals, "_HAS_UVLOOP", False):  # whose time cannot leap
            portal.call(partial(_begin, *moments))
        return call(client)

    return called


async def _begin(*moments: Callable[[], object]) -> None:
    loop: Any = asyncio.get_running_loop()
    loop.leaping = asyncio.create_task(leap(*moments))  # which keeps it alive


async def _impatient(call: Any, *moments: Callable[[], object]) -> Any:
    leaping = asyncio.create_task(leap(*moments))
    try:
        return await call
    finally:
        leaping.cancel()
