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
"""What leads from each version of the schema to the next; `PRAGMA user_version` counts them.

The columns are the fields of `Entry`. Amounts are in cents, times in ISO 8601 and UTC.
"""

_making = threading.Lock()


class SQLiteJournal(SQLJournal):
    """A journal in a file on a local disk, for all the processes of one machine.

    A file that does not exist is made, readable for its owner alone (mode 0600). It uses
    write-ahead logging, and each write is on the disk when it returns. Not for network file
    systems, whose locks do not hold. Copy it with SQLite's own backup: to open the file and close
    it in a process that uses it gives up its locks.

    Args:
        path: The file. Its folder must exist. A relative path begins at the current folder.
        timeout: Seconds to wait for the lock of another process before the journal fails.

    Raises: `JournalError` from every method if the file cannot be used, if it was moved or replaced
        since it was opened, or if a newer version of this package has written it.
    """

    _errors = sqlite3.Error
    _taken = sqlite3.IntegrityError

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 10.0) -> None:
        name = os.fspath(path)
        if not name or ":memory:" in name:
            raise ValueError("`path` must be a file: what is in memory does not outlive a crash")
        self._path = os.path.abspath(name)  # wherever the program goes later
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
        """Make the file if there is none: SQLite would make it readable for others.

        To close a file gives up all locks that this process has on it, those of other journals and
        threads too. Without them another process would take away the write-ahead log that these
        write to. So only the one that makes the file opens it here, before the first lock.
        """
        with _making, suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _set_up(self, connection: sqlite3.Connection) -> None:
        self._use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: to the disk, and not to its cache
        if _version(connection) == len(MIGRATIONS):
            return
        connection.execute("BEGIN IMMEDIATE")  # of several processes, one migrates
        with closing(connection.cursor()) as cursor:
            try:
                for migration in MIGRATIONS[self._checked_version(connection) :]:
                    for statement in filter(str.strip, migration.split(";")):
                        cursor.execute(statement)
                cursor.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def _use_write_ahead_log(self, connection: sqlite3.Connection) -> None:
        """Switch to it; that does not wait for a lock by itself."""
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
                raise sqlite3.OperationalError(f"no write-ahead log here, but {mode!r}")
            return

    def _checked_version(self, connection: sqlite3.Connection) -> int:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise JournalError(
                f"the journal {self} has version {version} of the schema, and this package knows "
                f"{len(MIGRATIONS)} at most: use a newer one"
            )
        return version

    def _check_place(self) -> None:
        if not os.path.samestat(self._file, os.stat(self._path)):
            raise JournalError(
                f"the file of the journal {self} has been replaced: other processes use another"
            )

    def _values(self, entry: Entry) -> list[object]:
        return [
            value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
            for value in super()._values(entry)
        ]


def _version(connection: sqlite3.Connection) -> int:
    row: Any = connection.execute("PRAGMA user_version").fetchone()
    return int(row[0])
