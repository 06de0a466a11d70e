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


async def leap(until: Callable[[], object]) -> None:
    """Wait until it is true. Then the running loop's time leaps: every time limit is over."""
    loop: Any = asyncio.get_running_loop()
    time = loop.time
    while not until():  # noqa: ASYNC110  # mostly another thread makes it true
        await asyncio.sleep(0.002)
    loop.time = lambda: time() + AHEAD


def impatient(call: Callable[[Any], Any], until: Callable[[], object]) -> Callable[[Any], Any]:
    """`call(client)` on either client, whose time-out ends as soon as `until()` is true."""

    def called(client: Any) -> Any:
        if not isinstance(client, Cloudflare):
            return _impatient(call(client), until)
        portal: Any = client._executor.portal
        with patch.object(portals, "_HAS_UVLOOP", False):  # whose time cannot leap
            portal.call(partial(_begin, until))
        return call(client)

    return called


async def _begin(until: Callable[[], object]) -> None:
    loop: Any = asyncio.get_running_loop()
    loop.leaping = asyncio.create_task(leap(until))  # which keeps it alive


async def _impatient(call: Any, until: Callable[[], object]) -> Any:
    leaping = asyncio.create_task(leap(until))
    try:
        return await call
    finally:
        leaping.cancel()
