"""Charges that no vanished browser and no shutdown breaks off half-way.

Copy it beside your app; `fastapi_app.py` and `aiohttp_app.py` show its use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from cfaigw_billing import TopupOutcomeUnknownError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Charges:
    """The charges in flight. They belong to the app, not to the request that asked for them.

    Leaving the `async with` block waits for them. Leave it before the client is closed.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, charge: Coroutine[Any, Any, T]) -> T:
        """Await `charge`, which goes on to its end even if this is cancelled."""
        task = asyncio.create_task(_logged(charge))
        self._tasks.add(task)  # the event loop alone would let go of it
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)


async def _logged(charge: Coroutine[Any, Any, T]) -> T:
    """The log may be all that is left, when nobody waits for the answer any more.

    Keep the error itself, which pickles, or its `account_id`, `amount` and `sent_at` in a row of
    your own: `topup.reconcile` takes either, later.
    """
    try:
        made = await charge
    except TopupOutcomeUnknownError as error:
        log.error("%s", error)  # noqa: TRY400  # the line says it all
        raise
    log.info("charged: %r", made)
    return made
