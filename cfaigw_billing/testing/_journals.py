"""Check whether a journal does what clients need to charge a top-up only once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, get_args

from attrs import evolve

from .._core.journal import Entry, Journal, State

_NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
_STATES: tuple[State, ...] = get_args(State)
_RACERS = 8


async def check_journal(make: Callable[[], Journal]) -> None:
    """Check an implementation of `Journal`: if it passes, each key is charged only once.

        async def test_my_journal():
            await check_journal(lambda: MyJournal(empty_database))

    Args:
        make: Returns a new journal on the same store, which must be empty at first. It is called
            several times; each journal must see the entries of the others.

    Raises: `AssertionError` with what is wrong.
    """
    journals = [make() for _ in range(_RACERS)]
    try:
        for check in (_keeps, _inserts_once, _replaces_once, _settles_one_key, _lists):
            await check(journals)
        await _reopens(journals[0])
        await asyncio.to_thread(asyncio.run, _reopens(journals[0]))
    finally:
        for journal in journals:
            await journal.close()


async def _keeps(journals: Sequence[Journal]) -> None:
    """Check that another journal reads an entry as it was stored."""
    writer, reader = journals[:2]
    _expect(await reader.find("nobody") is None, "`find` answers `None` for an unknown key")
    full = _entry(
        "full",
        payment_method_id="pm_1",
        state="charged",
        attempt=3,
        sent_at=_NOW + timedelta(seconds=1),
        sent_by_service=_NOW + timedelta(seconds=3),
        not_found_at=_NOW + timedelta(seconds=2),
        payment_intent_id="in_full",
        answer='{"brand": "“Visa” \\u0000"}',
        needs_confirmation=True,
        version=7,
    )
    for entry in (full, _entry("bare"), _entry("%s ?:1 'x' \"y\" ünï😀"), _entry("k" * 255)):
        _expect(await writer.insert(entry), "`insert` stores a new key")
        _expect(await reader.find(entry.key) == entry, f"{entry} comes back as it was stored")
    _expect(await reader.find("FULL") is None, "keys that differ in their case are two keys")
    _expect(await reader.find("full ") is None, "keys that differ in a space are two keys")


async def _inserts_once(journals: Sequence[Journal]) -> None:
    """Check that only one of several concurrent inserts of a key succeeds."""
    for round_ in range(5):
        entries = [_entry(f"race {round_}", holder=f"{n}") for n in range(len(journals))]
        winner = await _one_of("insert", entries, [j.insert for j in journals])
        found = await journals[0].find(winner.key)
        _expect(found == winner, "the entry of the `insert` that returned True is stored")


async def _replaces_once(journals: Sequence[Journal]) -> None:
    """Check that only one of several concurrent replacements of a version succeeds."""
    old = _entry("replaced")
    await journals[0].insert(old)
    for _ in range(5):
        entries = [
            evolve(old, holder=f"{n}", state=_STATES[n % 2], version=old.version + 1)
            for n in range(len(journals))
        ]
        replace = [partial(journal.replace, old) for journal in journals]
        winner = await _one_of("replace", entries, replace)
        found = await journals[1].find(old.key)
        _expect(found == winner, "the entry of the `replace` that returned True is stored")
        stale = evolve(old, holder="late", version=old.version + 1)
        _expect(not await journals[2].replace(old, stale), "`replace` refuses an old version")
        old = winner
    absent = _entry("absent")
    _expect(not await journals[0].replace(absent, absent), "`replace` refuses an unknown key")
    _expect(await journals[0].find("absent") is None, "`replace` stores no unknown key")


async def _settles_one_key(journals: Sequence[Journal]) -> None:
    """Check that only one of several concurrent keys of a service can get an invoice."""
    olds = [_entry(f"invoice {n}") for n in range(len(journals))]
    for old in olds:
        await journals[0].insert(old)
    news = [evolve(old, state="charged", payment_intent_id="in_shared", version=2) for old in olds]
    replace = [partial(journal.replace, old) for journal, old in zip(journals, olds, strict=True)]
    winner = await _one_of("replace", news, replace)
    for old in olds:
        expected = winner if old.key == winner.key else old
        _expect(await journals[1].find(old.key) == expected, "a refused `replace` changes nothing")
    elsewhere = _entry("elsewhere", base_url="https://other.test")
    await journals[0].insert(elsewhere)
    taken = evolve(elsewhere, state="charged", payment_intent_id="in_shared", version=2)
    _expect(
        await journals[0].replace(elsewhere, taken), "services may use the same id for two invoices"
    )


async def _lists(journals: Sequence[Journal]) -> None:
    """Check that `entries` filters by state and account, oldest first."""
    first = _entry("z first", account_id="list", created_at=_NOW - timedelta(days=2))
    second = _entry("a second", account_id="list", created_at=_NOW - timedelta(days=1))
    unknown = _entry("unknown", account_id="list", state="unknown")
    for entry in (unknown, second, first):
        await journals[0].insert(entry)
    reader = journals[1]
    listed: list[tuple[Sequence[Entry], list[Entry]]] = [
        (await reader.entries(account_id="list"), [first, second, unknown]),
        (await reader.entries(account_id="list", state="claimed"), [first, second]),
        (await reader.entries(account_id="nobody"), []),
        (await reader.entries(state="unknown"), [unknown]),
    ]
    for found, expected in listed:
        _expect(list(found) == expected, f"`entries` lists {[e.key for e in expected]}: {found}")
    everything = await reader.entries()
    _expect(list(everything[:2]) == [first, second], "`entries` lists the oldest first")
    _expect(len(everything) > len(journals), "`entries` without arguments lists all of them")


async def _reopens(journal: Journal) -> None:
    """Check that a closed journal opens again, on any event loop."""
    await journal.close()
    await journal.close()
    _expect(await journal.find("bare") == _entry("bare"), "a closed journal opens again")


async def _one_of(
    name: str, entries: Sequence[Entry], store: Sequence[Callable[[Entry], Any]]
) -> Entry:
    """Store all entries concurrently, and return the one that was stored."""
    stored = await asyncio.gather(*(s(e) for s, e in zip(store, entries, strict=True)))
    winners = [entry for entry, is_stored in zip(entries, stored, strict=True) if is_stored]
    _expect(len(winners) == 1, f"of several `{name}` at once, one returns True, not {stored}")
    return winners[0]


def _entry(key: str, **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "base_url": "https://api.test",
        "account_id": "a",
        "amount": 5000,
        "created_at": _NOW,
        "holder": "h",
        "lease_until": _NOW + timedelta(seconds=30),
    }
    return Entry(key=key, **{**given, **fields})


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise AssertionError(what)
