"""A journal in memory, which can be told to fail; and the settings that the tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from cfaigw_billing.journal import Entry, State


class MemoryJournal:
    """A journal in a dictionary. `before` and `after` see each write, and may raise or wait."""

    def __init__(self, rows: dict[str, Entry] | None = None) -> None:
        self.rows: dict[str, Entry] = {} if rows is None else rows
        self.writes: list[Entry] = []
        self.closed = 0
        self.before: Callable[[Entry], Any] = lambda _: None
        self.after: Callable[[Entry], Any] = lambda _: None

    async def find(self, key: str) -> Entry | None:
        await asyncio.sleep(0)
        return self.rows.get(key)

    async def insert(self, entry: Entry) -> bool:
        return await self._write(None, entry)

    async def replace(self, old: Entry, new: Entry) -> bool:
        return await self._write(old, new)

    async def entries(
        self, *, state: State | None = None, account_id: str | None = None
    ) -> Sequence[Entry]:
        rows = sorted(self.rows.values(), key=lambda row: (row.created_at, row.key))
        return [
            row
            for row in rows
            if state in (None, row.state) and account_id in (None, row.account_id)
        ]

    async def close(self) -> None:
        self.closed += 1

    async def _write(self, old: Entry | None, new: Entry) -> bool:
        await _done(self.before(new))
        stored = self._store(old, new)
        self.writes += [new] * stored
        await _done(self.after(new))
        return stored

    def _store(self, old: Entry | None, new: Entry) -> bool:
        found = self.rows.get(new.key)
        if (found and found.version) != (old and old.version) or self._is_taken(new):
            return False
        self.rows[new.key] = new
        return True

    def _is_taken(self, new: Entry) -> bool:
        invoice = new.base_url, new.payment_intent_id
        return invoice[1] is not None and any(
            (row.base_url, row.payment_intent_id) == invoice and row.key != new.key
            for row in self.rows.values()
        )


async def _done(result: Any) -> None:
    if result is not None:
        await result
