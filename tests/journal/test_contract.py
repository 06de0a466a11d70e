"""The journals keep the contract, and the kit notices one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from cfaigw_billing.journal import Entry, Journal
from cfaigw_billing.testing import check_journal

from .conftest import MakeJournal
from .stores import MemoryJournal


async def test_the_journals_keep_the_contract(make_journal: MakeJournal) -> None:
    await check_journal(make_journal)


async def test_a_journal_of_ones_own_keeps_it() -> None:
    rows: dict[str, Entry] = {}
    await check_journal(lambda: MemoryJournal(rows))


class _Forgetful(MemoryJournal):
    def __init__(self, _: dict[str, Entry]) -> None:
        super().__init__()


class _InsertsTwice(MemoryJournal):
    async def insert(self, entry: Entry) -> bool:
        self.rows[entry.key] = entry
        return True


class _ReplacesAnything(MemoryJournal):
    async def replace(self, old: Entry, new: Entry) -> bool:
        self.rows[new.key] = new
        return True


class _SharesInvoices(MemoryJournal):
    def _is_taken(self, new: Entry) -> bool:
        return False


class _InvoicesOfAllServices(MemoryJournal):
    def _is_taken(self, new: Entry) -> bool:
        ids = {row.payment_intent_id for row in self.rows.values() if row.key != new.key}
        return new.payment_intent_id is not None and new.payment_intent_id in ids


class _LosesMicroseconds(MemoryJournal):
    async def find(self, key: str) -> Entry | None:
        found = await super().find(key)
        return found and evolve(found, created_at=found.created_at.replace(microsecond=0))


class _IgnoresCase(MemoryJournal):
    async def find(self, key: str) -> Entry | None:
        return self.rows.get(key) or self.rows.get(key.lower())


class _ListsAll(MemoryJournal):
    async def entries(self, **_: Any) -> list[Entry]:
        return [*self.rows.values()]


class _ClosesForGood(MemoryJournal):
    async def find(self, key: str) -> Entry | None:
        return None if self.closed else await super().find(key)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_Forgetful, "comes back as it was stored"),
        (_InsertsTwice, "of several `insert` at once"),
        (_ReplacesAnything, "of several `replace` at once"),
        (_SharesInvoices, "of several `replace` at once"),
        (_InvoicesOfAllServices, "services may use the same id"),
        (_LosesMicroseconds, "comes back as it was stored"),
        (_IgnoresCase, "differ in their case"),
        (_ListsAll, "`entries` lists"),
        (_ClosesForGood, "opens again"),
    ],
)
async def test_the_kit_notices_a_journal_that_breaks_it(
    make: Callable[[dict[str, Entry]], Journal], words: str
) -> None:
    rows: dict[str, Entry] = {}
    with pytest.raises(AssertionError, match=words):
        await check_journal(lambda: make(rows))
