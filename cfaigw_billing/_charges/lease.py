"""Hold a key for one sender: renew the lease while it sends, then record the result."""

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
from .._io.deadlines import wait_through
from ..errors import JournalError

T = TypeVar("T")

_log = logging.getLogger("cfaigw_billing")

RENEWAL_INTERVAL = LEASE.total_seconds() / 3
"""The interval of renewals of the lease, in seconds."""
LONGEST_RECORDING = 30.0
"""The longest wait for a journal, in seconds. Then the caller gets the answer without a record."""


class Lease:
    """One attempt at a key. It changes the entry only while the entry has its `holder`."""

    def __init__(
        self, journal: Journal, entry: Entry, clock: Clock, service_clock: ServiceClock
    ) -> None:
        self.entry = entry
        """The entry as last stored or read."""
        self._journal = journal
        self._clock = clock
        self._service_clock = service_clock
        self._one_at_a_time = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None

    async def mark_sent(self) -> None:
        """Store the state `sent`, just before the charge is sent.

        Raises: `JournalError` if it cannot be stored, if another sender has taken over the key, or
            if storing took longer than the lease, so that another sender may have taken it over.
            Then nothing must be sent.
        """
        began, monotonic = self._clock.now(), self._clock.monotonic()
        try:
            # An earlier search was for another attempt: it says nothing about this one.
            is_ours = await self._store(
                state="sent",
                sent_at=began,
                sent_by_service=self._service_time(began),
                not_found_at=None,
            )
        except Exception as error:
            raise self._error(f"{error}; nothing was sent") from error
        passed = max(
            (self._clock.now() - began).total_seconds(), self._clock.monotonic() - monotonic
        )
        if not is_ours or passed > LEASE.total_seconds():
            raise self._error("another sender has taken over this key; nothing was sent")

    async def record(self, **end: Any) -> None:
        """Store the result of the attempt, even if interrupted. A failure is only logged."""
        try:
            await uninterrupted(self._record(**end), LONGEST_RECORDING)
        except Exception as error:
            words = ", ".join(f"{name}={value}" for name, value in end.items() if name != "answer")
            _log.error(
                "the result of the top-up with key %s could not be recorded (%s): %r",
                self.entry.key,
                words,
                error,
            )

    async def _record(self, **end: Any) -> None:
        await self._stop_renewing()
        if end["state"] == "unknown" and self.entry.sent_at and not self.entry.sent_by_service:
            end["sent_by_service"] = self._service_time(self.entry.sent_at)
        while not await self._store(**end):
            if not await self._take_back(end.get("payment_intent_id")):
                if end["state"] != "not_charged":
                    _log.error("another sender has key %s; not recorded: %s", self.entry.key, end)
                return

    async def _take_back(self, payment_intent_id: str | None) -> bool:
        """Take this charge's invoice back from a key that it was attributed to by mistake."""
        if payment_intent_id is None:
            return False
        for other in await self._journal.entries(state="charged", account_id=self.entry.account_id):
            if (other.payment_intent_id, other.base_url) == (
                payment_intent_id,
                self.entry.base_url,
            ):
                _log.warning("invoice %s does not belong to key %s", payment_intent_id, other.key)
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
        """Store changes and renew the lease. Return whether this sender still has the entry."""
        async with self._one_at_a_time:
            # Read and try again: an interrupted write may have been stored.
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
                    return False  # another process has settled it
                self.entry = found
            return False

    def _service_time(self, moment: datetime) -> datetime | None:
        """Return the time by the service's clock; `None` if that is not known."""
        clock = self._service_clock
        return clock.corrected(moment, self._clock) if clock.is_known(self._clock) else None

    def start_renewing(self) -> None:
        """Renew the lease regularly from now on."""
        self._renewal = asyncio.create_task(self._renew_regularly())

    async def _renew_regularly(self) -> None:
        while True:
            await anyio.sleep(RENEWAL_INTERVAL)
            with suppress(Exception):  # the next renewal may succeed
                if not await self._store():
                    return

    async def _stop_renewing(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    def _error(self, reason: str) -> JournalError:
        return JournalError(reason, idempotency_key=self.entry.key)


async def uninterrupted(work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
    """Await work that must not be cancelled. Raise an interrupt only when the work has ended.

    Raises: `TimeoutError` if it has not ended after `seconds`. It goes on in the background.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_retrieve_error)
    interrupt = await wait_through(task, seconds)
    if interrupt is not None:
        raise interrupt
    if not task.done():
        raise TimeoutError(f"it has not ended in {seconds:g} seconds")
    return task.result()


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    """Read the error, so that asyncio does not log it as never retrieved."""
    if not task.cancelled():
        task.exception()
