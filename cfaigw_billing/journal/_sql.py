"""The journal in SQL: what SQLite and PostgreSQL have in common.

One connection a process, used by one thread at a time. Each method is one statement, and so one
transaction, run in a worker thread: no event loop waits for a disk, and any number of loops and
threads may share a journal. `ON CONFLICT`, `version` and the unique invoice leave all decisions to
the database.

A connection must not cross a fork: SQLite's locks and PostgreSQL's socket would be those of both
processes. So it is closed before a fork, and each side opens another.
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from attrs import fields

from .._core.journal import Entry, State
from ..errors import JournalError

T = TypeVar("T")

TABLE = "cfaigw_billing_topups"
COLUMNS = tuple(field.name for field in fields(Entry))
_LIST = ", ".join(COLUMNS)
_FIND = f"SELECT {_LIST} FROM {TABLE} WHERE key = ?"  # noqa: S608  # our own names
_INSERT = (
    f"INSERT INTO {TABLE} ({_LIST}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (key) DO NOTHING"
)
_REPLACE = (
    f"UPDATE {TABLE} SET {', '.join(f'{name} = ?' for name in COLUMNS)} "  # noqa: S608
    f"WHERE key = ? AND version = ?"
)
_ENTRIES = (
    f"SELECT {_LIST} FROM {TABLE} "  # noqa: S608
    f"WHERE state = coalesce(?, state) AND account_id = coalesce(?, account_id) "
    f"ORDER BY created_at, key"
)


class SQLJournal(ABC):
    """A journal on a connection of Python's database interface (DB-API)."""

    _errors: type[Exception]
    """What the driver raises."""
    _taken: type[Exception]
    """What it raises where a unique value is there already."""

    def __init__(self) -> None:
        self._connections: list[Any] = []  # the one, or none: the finalizer holds the list
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._connections)
        _journals.add(self)

    async def find(self, key: str) -> Entry | None:
        """Return the entry of a key."""
        rows, _ = await self._run(_FIND, key)
        return _entry(rows[0]) if rows else None

    async def insert(self, entry: Entry) -> bool:
        """Store a new entry. Return whether it was stored: not if its key has one already."""
        return await self._write(entry, _INSERT, *self._values(entry))

    async def replace(self, old: Entry, new: Entry) -> bool:
        """Store `new` in the place of `old`, and return whether it was stored.

        Not if the stored entry has another `version` than `old`, and not if another key of the same
        `base_url` has the `payment_intent_id` of `new`.
        """
        return await self._write(new, _REPLACE, *self._values(new), old.key, old.version)

    async def entries(
        self, *, state: State | None = None, account_id: str | None = None
    ) -> Sequence[Entry]:
        """Return the entries, oldest first: all of them, of one state, of one account."""
        rows, _ = await self._run(_ENTRIES, state, account_id)
        return [_entry(row) for row in rows]

    async def close(self) -> None:
        """Close the connection. The next use opens another."""
        await _in_thread(self._close)

    async def _write(self, entry: Entry, statement: str, *values: object) -> bool:
        try:
            _, changed = await self._run(statement, *values)
        except JournalError as error:
            if isinstance(error.__cause__, self._taken):
                return False
            raise
        # A connection that was lost may have been lost after it had stored the entry.
        return changed == 1 or await self.find(entry.key) == entry

    async def _run(self, statement: str, *values: object) -> tuple[list[Any], int]:
        return await _in_thread(lambda: self._execute(statement, values))

    def _execute(self, statement: str, values: Sequence[object]) -> tuple[list[Any], int]:
        with self._lock:
            try:
                return self._on_connection(statement, values)
            except (self._errors, OSError) as error:
                raise JournalError(f"the journal {self} failed: {error}") from error

    def _on_connection(self, statement: str, values: Sequence[object]) -> tuple[list[Any], int]:
        """Run a statement; once more, on a new connection, if the connection has been lost."""
        was_open = bool(self._connections)
        if not was_open:
            self._connections.append(self._connect())
        self._check_place()
        try:
            cursor = self._connections[0].execute(self._spelled(statement), values)
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount
        except self._errors as error:
            if not self._is_lost(error):
                raise
            _close(self._connections)
            if not was_open:
                raise
        return self._on_connection(statement, values)

    def _close(self) -> None:
        with self._lock:
            _close(self._connections)

    # How a database differs from others:

    @abstractmethod
    def _connect(self) -> Any:
        """Open a connection that commits each statement, to a table of the newest version."""

    def _check_place(self) -> None:  # noqa: B027  # one may have but one place
        """Raise if the connection leads to another place than a new one would."""

    def _is_lost(self, error: Exception) -> bool:  # noqa: ARG002
        """Whether an error says that the connection is gone."""
        return False

    def _spelled(self, statement: str) -> str:
        """The statement with the parameters as the driver wants them."""
        return statement

    def _values(self, entry: Entry) -> list[object]:
        return [getattr(entry, name) for name in COLUMNS]

    # Forks.

    def _before_fork(self) -> None:
        self._lock.acquire()
        _close(self._connections)

    def _after_fork(self) -> None:
        self._lock.release()


def _entry(row: Sequence[Any]) -> Entry:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ("created_at", "lease_until", "sent_at", "sent_by_service", "not_found_at"):
        if isinstance(values[name], str):
            values[name] = datetime.fromisoformat(values[name])
    values["needs_confirmation"] = bool(values["needs_confirmation"])
    return Entry(**values)


def _close(connections: list[Any]) -> None:
    while connections:
        connections.pop().close()


async def _in_thread(function: Callable[[], T]) -> T:
    # With a limiter of its own: a journal that waits for a lock takes no thread of the program's.
    return await anyio.to_thread.run_sync(function, limiter=anyio.CapacityLimiter(1))


_journals: weakref.WeakSet[SQLJournal] = weakref.WeakSet()
_forked: list[SQLJournal] = []


def _before_fork() -> None:
    _forked.extend(_journals)
    for journal in _forked:
        journal._before_fork()  # pyright: ignore[reportPrivateUsage]


def _after_fork() -> None:
    while _forked:
        _forked.pop()._after_fork()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
