"""The journal in a file: how durable, how private, and what befalls files."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from cfaigw_billing import JournalError
from cfaigw_billing.journal import Entry, SQLiteJournal
from cfaigw_billing.testing import EmulatedAccount, Emulator

from .test_decisions import ENTRY
from .test_keys import create, posts

posix = pytest.mark.skipif(sys.platform == "win32", reason="no such modes and limits here")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "topups.sqlite3"


def run(journal: SQLiteJournal, emulator: Emulator, call: Any = None) -> Any:
    with emulator.client(journal=journal) as client:
        return (call or create())(client)


def rows(path: Path) -> list[Any]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT key, state FROM cfaigw_billing_topups").fetchall()
    connection.close()
    return found


# Durability.


async def test_each_write_is_on_the_disk_when_it_returns(path: Path) -> None:
    journal = SQLiteJournal(path)
    await journal.insert(ENTRY)
    (connection,) = journal._connections
    settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in SETTINGS]
    assert dict(zip(SETTINGS, settings, strict=True)) == SETTINGS
    assert not connection.in_transaction
    await journal.close()


SETTINGS = {"journal_mode": "wal", "synchronous": 2, "user_version": 1}
"""2 is FULL."""


@posix
async def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    journal = SQLiteJournal(path)
    previous = os.umask(0)
    try:
        await journal.insert(ENTRY)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(previous)
        await journal.close()
    assert modes.keys() == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("path", ["", ":memory:", "file::memory:?cache=shared"])
def test_what_is_in_memory_is_no_journal(path: str) -> None:
    with pytest.raises(ValueError, match="`path` must be a file"):
        SQLiteJournal(path)


@pytest.mark.parametrize(("timeout", "kind"), [(0, ValueError), ("1", TypeError)])
def test_the_timeout_is_a_number_of_seconds(timeout: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="`timeout`"):
        SQLiteJournal("topups", timeout=timeout)


# The schema.


async def test_a_newer_schema_is_refused(
    path: Path, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    journal = SQLiteJournal(path)
    await journal.insert(ENTRY)
    await journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(JournalError, match=r"version 2 of the schema.* 1 at most.* nothing was"):
        run(SQLiteJournal(path), billing_emulator)
    assert posts(billing_emulator) == 0


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cfaigw_billing.journal import sqlite

    migrations = sqlite.MIGRATIONS
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*migrations, "CREATE TABLE b (x); NONSENSE;"))
    with pytest.raises(JournalError, match="NONSENSE"):
        asyncio.run(SQLiteJournal(path).find("k"))
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*migrations, "CREATE TABLE b (x);"))
    journal = SQLiteJournal(path)
    asyncio.run(journal.insert(ENTRY))
    assert journal._connections[0].execute("PRAGMA user_version").fetchone() == (2,)
    asyncio.run(journal.close())


def test_many_journals_that_are_new_at_once_make_one_table(path: Path) -> None:
    journals = [SQLiteJournal(path) for _ in range(16)]
    failed: list[BaseException] = []

    def use(journal: SQLiteJournal) -> None:
        try:
            asyncio.run(journal.insert(ENTRY))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=use, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for journal in journals:
        asyncio.run(journal.close())
    assert failed == []
    assert len(rows(path)) == 1


# Files.


def test_a_mistyped_state_does_not_look_as_if_nothing_were_open(path: Path) -> None:
    wrong: Any = "open"
    with pytest.raises(ValueError, match=r"`state` must be one of claimed, sent, unknown, charged"):
        asyncio.run(SQLiteJournal(path).entries(state=wrong))


def test_a_folder_that_is_not_there(
    path: Path, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    with pytest.raises(JournalError, match=r"No such file .* nothing was sent"):
        run(SQLiteJournal(path / "below" / "topups"), billing_emulator)
    assert posts(billing_emulator) == 0


@pytest.mark.parametrize("content", [b"this is no database at all" * 99, b"SQLite format 3\0 ..."])
def test_a_file_of_something_else(
    content: bytes, path: Path, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"not a database.*nothing was sent"):
        run(SQLiteJournal(path), billing_emulator)
    assert path.read_bytes() == content
    assert posts(billing_emulator) == 0


def test_a_corrupt_file(path: Path, billing_emulator: Emulator, account: EmulatedAccount) -> None:
    run(SQLiteJournal(path), billing_emulator)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)  # all but the first page
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"malformed.*nothing was sent"):
        run(SQLiteJournal(path), billing_emulator, create("order-2"))
    assert posts(billing_emulator) == 1


def test_a_file_that_cannot_be_written(
    path: Path, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    journal = SQLiteJournal(path)
    run(journal, billing_emulator)
    asyncio.run(journal.find("order-1"))
    journal._connections[0].execute("PRAGMA query_only = ON")  # root may write every file
    with pytest.raises(JournalError, match=r"readonly.*nothing was sent"):
        run(journal, billing_emulator, create("order-2"))
    assert posts(billing_emulator) == 1


def test_a_file_that_another_has_locked(
    path: Path, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    run(SQLiteJournal(path), billing_emulator)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # Entries can be read meanwhile.
    assert run(SQLiteJournal(path), billing_emulator).payment_intent_id == "in_emulated000001"
    with pytest.raises(JournalError, match=r"locked.*nothing was sent"):
        run(SQLiteJournal(path, timeout=0.05), billing_emulator, create("order-2"))
    other.execute("ROLLBACK")
    other.close()
    assert posts(billing_emulator) == 1


def test_a_lock_in_the_middle_of_a_charge_hides_no_answer(
    path: Path,
    billing_emulator: Emulator,
    account: EmulatedAccount,
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = SQLiteJournal(path, timeout=0.05)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    stored = journal._execute

    def lock_after_the_mark(statement: str, values: Any) -> Any:
        done = stored(statement, values)
        if "sent" in values:
            other.execute("BEGIN IMMEDIATE")
        return done

    journal._execute = lock_after_the_mark  # type: ignore[method-assign]
    answer = run(journal, billing_emulator)
    assert answer.payment_intent_id == billing_emulator.charges[0].payment_intent_id
    assert "could not be recorded" in caplog.text
    other.execute("ROLLBACK")
    other.close()
    assert rows(path) == [("order-1", "sent")]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process can grow beyond what a journal has at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@posix
def test_a_full_disk(
    path: Path,
    billing_emulator: Emulator,
    account: EmulatedAccount,
    full_disk: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever it is full: nothing is sent, or the answer comes. Never both, never neither."""
    caplog.set_level(logging.CRITICAL, "aiohttp")
    answered: set[str] = set()
    unsent = 0
    journal = SQLiteJournal(path)
    with billing_emulator.client(journal=journal) as client:
        for number in range(60):
            try:
                answered.add(create(f"order-{number}" + "x" * 200)(client).payment_intent_id)
            except JournalError:
                unsent += 1
    assert answered == {charge.payment_intent_id for charge in billing_emulator.charges}
    assert len(answered) + unsent == 60
    assert unsent > 0
    assert len(answered) > 0


def in_another_process(path: Path) -> str:
    """The keys of a journal as another process sees them; it opens the file, and closes it."""
    script = (
        "import asyncio, sys\n"
        "from cfaigw_billing.journal import SQLiteJournal\n"
        "async def main():\n"
        "    journal = SQLiteJournal(sys.argv[1])\n"
        "    print(*[entry.key for entry in await journal.entries()])\n"
        "    await journal.close()\n"
        "asyncio.run(main())"
    )
    return subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_a_second_journal_on_the_file_takes_no_lock_from_the_first(path: Path) -> None:
    """Else another process takes away the log that the first one goes on writing to."""
    first, second = SQLiteJournal(path), SQLiteJournal(path)
    asyncio.run(first.insert(ENTRY))
    asyncio.run(second.find(ENTRY.key))
    assert in_another_process(path) == ENTRY.key
    assert asyncio.run(first.insert(evolve(ENTRY, key="order-2")))
    assert in_another_process(path) == f"{ENTRY.key} order-2"
    asyncio.run(first.close())
    asyncio.run(second.close())


def test_a_file_stays_the_same_where_the_program_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = SQLiteJournal("topups")
    monkeypatch.chdir("/")
    asyncio.run(journal.insert(ENTRY))
    asyncio.run(journal.close())
    assert (tmp_path / "topups").exists()


@pytest.mark.parametrize(
    ("is_replaced", "words"), [(False, "No such file"), (True, "has been replaced")]
)
def test_a_file_that_is_moved_away(
    is_replaced: bool,
    words: str,
    path: Path,
    billing_emulator: Emulator,
    account: EmulatedAccount,
) -> None:
    """Later entries would not be visible to other processes."""
    journal = SQLiteJournal(path)
    with billing_emulator.client(journal=journal) as client:
        create()(client)
        for file in list(path.parent.iterdir()):  # the logs too
            file.rename(file.with_name(f"old-{file.name}"))
        if is_replaced:
            in_another_process(path)
        with pytest.raises(JournalError, match=f"{words}.*nothing was sent"):
            create("order-2")(client)
    assert posts(billing_emulator) == 1


# Loops, threads, forks.


def test_one_journal_serves_loops_and_threads_at_once(path: Path) -> None:
    journal = SQLiteJournal(path)
    stored: list[bool] = []

    async def insert(thread: int) -> None:
        entries = [evolve(ENTRY, holder=f"{thread}.{n}") for n in range(5)]
        stored.extend(await asyncio.gather(*map(journal.insert, entries)))

    threads = [threading.Thread(target=asyncio.run, args=(insert(n),)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(journal.close())
    assert sorted(stored) == [False] * 24 + [True]


async def test_a_journal_that_waits_blocks_no_loop(path: Path) -> None:
    journal = SQLiteJournal(path, timeout=5)
    await journal.insert(ENTRY)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(journal.replace(ENTRY, ENTRY))
    for _ in range(20):  # the loop runs
        await asyncio.sleep(0.001)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert await waiting
    await journal.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_forked_child_has_a_connection_of_its_own(path: Path) -> None:
    """SQLite's locks would belong to both processes, and so to neither."""
    journal = SQLiteJournal(path)
    await journal.insert(ENTRY)
    assert journal._connections
    pid = os.fork()
    if not pid:
        kept = len(journal._connections)
        rows = journal._execute("SELECT count(*) FROM cfaigw_billing_topups", ())[0]
        os._exit(0 if (kept, rows) == (0, [(1,)]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0  # noqa: ASYNC222
    found: Entry | None = await journal.find(ENTRY.key)
    assert found == ENTRY
    await journal.close()
