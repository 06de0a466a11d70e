"""A key in the hands of one sender: signs of life while it sends, and the record of the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import anyio
from attrs import evolve

from .._core.journal import LEASE, OPEN, Entry, Journal
from .._io.clock import Clock, ServiceClock
from ..errors import JournalError

T = TypeVar("T")

_log = logging.getLogger("cfaigw_billing")

BEAT = LEASE.total_seconds() / 3
"""Seconds between two signs of life."""
LONGEST_RECORDING = 30.0
"""Seconds. Whatever a journal does, its caller gets the answer to a charge after so long."""


class Lease:
    """One attempt at a key. What it stores, it stores only while the entry is still its own."""

    def __init__(
        self, journal: Journal, entry: Entry, clock: Clock, service_clock: ServiceClock
    ) -> None:
        self.entry = entry
        """The entry, as this sender last stored or saw it."""
        self._journal = journal
        self._clock = clock
        self._service_clock = service_clock
        self._one_at_a_time = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None

    async def mark_sent(self) -> None:
        """Make it durable that the charge is sent. The next step sends it.

        Raises: `JournalError` if that cannot be stored, or if the key is in other hands by now, or
            if so much time has passed on it that it may be: nothing must be sent then.
        """
        began, monotonic = self._clock.now(), self._clock.monotonic()
        try:
            # What was looked for before was not this request: that look proves nothing any more.
            is_ours = await self._store(
                state="sent", sent_at=began, sent_by_service=self._told(began), not_found_at=None
            )
        except Exception as error:
            raise self._error(f"{error}; nothing was sent") from error
        passed = max(
            (self._clock.now() - began).total_seconds(), self._clock.monotonic() - monotonic
        )
        if not is_ours or passed > LEASE.total_seconds():
            raise self._error("another sender has taken over this key; nothing was sent")

    async def record(self, **end: Any) -> None:
        """Store the end of the attempt, whatever interrupts that. What fails is only logged."""
        try:
            await to_its_end(self._record(**end), LONGEST_RECORDING)
        except (Exception, TimeoutError) as error:
            words = ", ".join(f"{name}={value}" for name, value in end.items() if name != "answer")
            _log.error(  # the line says it all
                "the end of the top-up of key %s could not be recorded (%s): %r",
                self.entry.key,
                words,
                error,
            )

    async def _record(self, **end: Any) -> None:
        await self._stop_beating()
        if end["state"] == "unknown" and self.entry.sent_at and not self.entry.sent_by_service:
            end["sent_by_service"] = self._told(self.entry.sent_at)
        while not await self._store(**end):
            if not await self._take_back(end.get("payment_intent_id")):
                if end["state"] != "not_charged":
                    _log.error("key %s is in other hands; not recorded: %s", self.entry.key, end)
                return

    async def _take_back(self, payment_intent_id: str | None) -> bool:
        """Take the invoice of this charge back from a key that was only thought to have it."""
        if payment_intent_id is None:
            return False
        for other in await self._journal.entries(state="charged", account_id=self.entry.account_id):
            if (other.payment_intent_id, other.base_url) == (
                payment_intent_id,
                self.entry.base_url,
            ):
                _log.warning(
                    "the invoice %s is not that of the key %s", payment_intent_id, other.key
                )
                lost = evolve(
                    other,
                    state="unknown",
                    payment_intent_id=None,
                    answer=None,
                    version=other.version + 1,
                )
                return other.key != self.entry.key and await self._journal.replace(other, lost)
        return False

    async def _store(self, **changes: Any) -> bool:
        """Store changes and a new sign of life. Return whether that went into the own entry."""
        async with self._one_at_a_time:
            # Again, from what is stored: a write that was interrupted may have been stored.
            for _ in range(3):
                new = evolve(
                    self.entry,
                    **{"lease_until": self._clock.now() + LEASE, **changes},
                    version=self.entry.version + 1,
                )
                if await self._journal.replace(self.entry, new):
                    self.entry = new
                    return True
                found = await self._journal.find(self.entry.key)
                if found is None or found.holder != self.entry.holder:
                    return False
                if changes.get("state", "sent") == "sent" and found.state not in OPEN:
                    return False  # somebody has settled it
                self.entry = found
            return False

    def _told(self, moment: datetime) -> datetime | None:
        """The moment by the service's clock, if that is known."""
        clock = self._service_clock
        return clock.corrected(moment, self._clock) if clock.is_known(self._clock) else None

    def begin_beating(self) -> None:
        """Give signs of life from now on."""
        self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(BEAT)
            with suppress(Exception):  # the next may have more luck
                if not await self._store():
                    return

    async def _stop_beating(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])

    def _error(self, reason: str) -> JournalError:
        return JournalError(reason, idempotency_key=self.entry.key)


async def to_its_end(work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
    """Await what must not be broken off. An interrupt is raised when it has ended.

    Raises: `TimeoutError` if it has not ended in so many seconds; it goes on.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_seen)
    interrupt: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    until = None if seconds is None else loop.time() + seconds
    while not task.done():
        left = None if until is None else until - loop.time()
        if left is not None and left <= 0:
            break
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
    if not task.done():
        raise TimeoutError(f"it has not ended in {seconds:g} seconds")
    return task.result()


def _seen(task: asyncio.Task[Any]) -> None:
    """Look at its error: nobody else may, after an interrupt."""
    if not task.cancelled():
        task.exception()
