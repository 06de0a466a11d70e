"""The journal in a file, with Python's own `sqlite3`."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from datetime import datetime
from typing import Any

from .._core.journal import Entry
from .._core.options import check_seconds
from ..errors import JournalError
from ._sql import TABLE, SQLJournal

MIGRATIONS = (
    f"""
    CREATE TABLE {TABLE} (
        key TEXT PRIMARY KEY,
        base_url TEXT NOT NULL,
        account_id TEXT NOT NULL,
        amount INTEGER NOT NULL,
        payment_method_id TEXT,
        created_at TEXT NOT NULL,
        state TEXT NOT NULL
            CHECK (state IN ('claimed', 'sent', 'unknown', 'charged', 'not_charged')),
        attempt INTEGER NOT NULL,
        holder TEXT NOT NULL,
        lease_until TEXT NOT NULL,
        sent_at TEXT,
        sent_by_service TEXT,
        not_found_at TEXT,
        payment_intent_id TEXT,
        answer TEXT,
        needs_confirmation INTEGER NOT NULL,
        version INTEGER NOT NULL,
        UNIQUE (base_url, payment_intent_id)
    );
    CREATE INDEX {TABLE}_of_account ON {TABLE} (account_id);
    """,
)
"""The migrations of the schema; `PRAGMA user_version` holds the number of the last one applied.

The columns are the fields of `Entry`. Amounts are in cents, times in ISO 8601 and UTC.
"""

_making = threading.Lock()


class SQLiteJournal(SQLJournal):
    """A journal in a file on a local disk, for all the processes of one machine.

    A missing file is created, readable only for its owner (mode 0600). It uses write-ahead logging,
    and each write is on the disk when the method returns. Do not put it on a network file system:
    locks do not work there. Copy it only with SQLite's backup: if a process that uses the journal
    opens and closes the file in another way, it loses its locks.

    Args:
        path: The file. Its folder must exist. A relative path starts at the current folder.
        timeout: Seconds to wait for another process's lock before the journal fails.

    Raises: `JournalError` from every method if the file cannot be used, if it was moved or replaced
        since it was opened, or if it was written by a newer version of this package.
    """

    _errors = sqlite3.Error
    _taken = sqlite3.IntegrityError

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 10.0) -> None:
        name = os.fspath(path)
        if not name or ":memory:" in name:
            raise ValueError("`path` must be a file: memory does not survive a crash")
        self._path = os.path.abspath(name)  # the current folder may change later
        check_seconds("timeout", timeout)
        self._timeout = timeout
        super().__init__()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    def _connect(self) -> sqlite3.Connection:
        self._make_file()
        connection = sqlite3.connect(
            self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        try:
            self._set_up(connection)
            self._file = os.stat(self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_file(self) -> None:
        """Create the file if it is missing: SQLite would make it readable for others.

        When a process closes a file, it loses all its locks on it, in other journals and threads
        too. Then another process could delete the write-ahead log that they write to. So this
        opens the file only to create it, when nothing can have locked it yet.
        """
        with _making, suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _set_up(self, connection: sqlite3.Connection) -> None:
        self._use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: past the disk's cache
        if _version(connection) == len(MIGRATIONS):
            return
        connection.execute("BEGIN IMMEDIATE")  # only one process migrates at a time
        with closing(connection.cursor()) as cursor:
            try:
                for migration in self._missing(MIGRATIONS, _version(connection)):
                    for statement in filter(str.strip, migration.split(";")):
                        cursor.execute(statement)
                cursor.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def _use_write_ahead_log(self, connection: sqlite3.Connection) -> None:
        """Switch to write-ahead logging. SQLite does not wait for the lock here, so this does."""
        until = time.monotonic() + self._timeout
        while True:
            try:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)
                continue
            if mode != "wal":
                raise sqlite3.OperationalError(f"write-ahead log not available: got {mode!r}")
            return

    def _check_place(self) -> None:
        if not os.path.samestat(self._file, os.stat(self._path)):
            raise JournalError(
                f"the file of the journal {self} has been replaced: other processes use a new one"
            )

    def _values(self, entry: Entry) -> list[object]:
        return [
            value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
            for value in super()._values(entry)
        ]


def _version(connection: sqlite3.Connection) -> int:
    row: Any = connection.execute("PRAGMA user_version").fetchone()
    return int(row[0])
