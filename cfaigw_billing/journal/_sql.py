"""The base class of the SQL journals.

Each process has one connection, used by one thread at a time. Each method runs one statement, which
is one transaction, in a worker thread. So it does not block the event loop, and any number of loops
and threads may share a journal. The database makes all decisions, by `ON CONFLICT`, `version` and
the unique invoice.

Two processes must not share a connection after a fork: they would share SQLite's locks or
PostgreSQL's socket. So the connection is closed before a fork, and each process opens a new one.
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args

import anyio
import anyio.to_thread
from attrs import fields

from .._core.journal import Entry, State
from ..errors import JournalError

T = TypeVar("T")

_STATES: tuple[str, ...] = get_args(State)
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
    """The driver's base error."""
    _taken: type[Exception]
    """The driver's error for a unique value that exists already."""

    def __init__(self) -> None:
        self._connections: list[Any] = []  # at most one; a list, so that the finalizer can hold it
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._connections)
        _journals.add(self)

    async def find(self, key: str) -> Entry | None:
        """Return the entry of a key."""
        rows, _ = await self._run(_FIND, key)
        return _entry(rows[0]) if rows else None

    async def insert(self, entry: Entry) -> bool:
        """Store a new entry. Return false if its key has an entry already."""
        return await self._write(entry, _INSERT, *self._values(entry))

    async def replace(self, old: Entry, new: Entry) -> bool:
        """Replace `old` by `new`; return whether it was replaced.

        Return false if the stored entry has another `version` than `old`, or if another key with
        the same `base_url` has the `payment_intent_id` of `new`.
        """
        return await self._write(new, _REPLACE, *self._values(new), old.key, old.version)

    async def entries(
        self, *, state: State | None = None, account_id: str | None = None
    ) -> Sequence[Entry]:
        """Return the entries, oldest first; if given, only those of a state or an account."""
        if state not in (None, *_STATES):  # else it would look as if there were none
            raise ValueError(f"`state` must be one of {', '.join(_STATES)}; got {state!r}")
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
        # If the connection was lost, the first try may have stored the entry.
        return changed == 1 or await self.find(entry.key) == entry

    async def _run(self, statement: str, *values: object) -> tuple[list[Any], int]:
        return await _in_thread(lambda: self._execute(statement, values))

    def _execute(self, statement: str, values: Sequence[object]) -> tuple[list[Any], int]:
        with self._lock:
            try:
                return self._on_connection(statement, values)
            except (self._errors, OSError) as error:
                # In one line: messages of PostgreSQL have several.
                reason = getattr(error, "strerror", None) or " ".join(str(error).split())
                raise JournalError(f"the journal {self} failed: {reason}") from error

    def _on_connection(self, statement: str, values: Sequence[object]) -> tuple[list[Any], int]:
        """Run a statement. If the connection is lost, try once more on a new one."""
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

    def _missing(self, migrations: Sequence[T], version: int) -> Sequence[T]:
        """Return the migrations after a version; raise if this package does not know it."""
        if version > len(migrations):
            raise JournalError(
                f"the journal {self} has version {version} of the schema, and this package knows "
                f"{len(migrations)} at most: use a newer one"
            )
        return migrations[version:]

    # What depends on the database:

    @abstractmethod
    def _connect(self) -> Any:
        """Open a connection in autocommit mode, and migrate the schema."""

    def _check_place(self) -> None:  # noqa: B027  # only a file can be replaced
        """Raise if the database has been replaced since the connection was opened."""

    def _is_lost(self, error: Exception) -> bool:  # noqa: ARG002
        """Return whether the error means that the connection is lost."""
        return False

    def _spelled(self, statement: str) -> str:
        """Return the statement with the driver's placeholders."""
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
    # Its own limiter: a journal that waits for a lock must not use up the program's threads.
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


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
