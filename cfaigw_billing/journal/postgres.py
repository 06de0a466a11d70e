"""The journal in PostgreSQL, with psycopg 3 (the extra `postgres`)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .._wire.secrets import Secret
from ._sql import TABLE, SQLJournal

try:
    import psycopg
    from psycopg.conninfo import make_conninfo
except ImportError as _error:
    raise ImportError(
        "PostgresJournal needs psycopg: pip install 'cfaigw_billing[postgres]'"
    ) from _error

VERSIONS = "cfaigw_billing_journal"
MIGRATIONS = (
    f"""
    CREATE TABLE {TABLE} (
        key text PRIMARY KEY,
        base_url text NOT NULL,
        account_id text NOT NULL,
        amount bigint NOT NULL,
        payment_method_id text,
        created_at timestamptz NOT NULL,
        state text NOT NULL
            CHECK (state IN ('claimed', 'sent', 'unknown', 'charged', 'not_charged')),
        attempt integer NOT NULL,
        holder text NOT NULL,
        lease_until timestamptz NOT NULL,
        sent_at timestamptz,
        sent_by_service timestamptz,
        not_found_at timestamptz,
        payment_intent_id text,
        answer text,
        needs_confirmation boolean NOT NULL,
        version integer NOT NULL,
        UNIQUE (base_url, payment_intent_id)
    );
    CREATE INDEX {TABLE}_of_account ON {TABLE} (account_id);
    """,
)
"""The migrations of the schema; the table `VERSIONS` holds the number of the last one applied.

The columns are the fields of `Entry`. Amounts are in cents.
"""
_SETTINGS = (
    "SET synchronous_commit = on",  # a commit is durable
    "SET timezone = 'UTC'",
    "SET client_encoding = 'UTF8'",  # else a database without an encoding answers bytes
    # After waiting for another writer, a statement sees the new row, and does not fail.
    "SET default_transaction_isolation = 'read committed'",
)
"""Settings that the journal needs, whatever the database or the user has set."""
_LOCK = 0x6366_6169_6777  # "cfaigw": only one process migrates at a time


class PostgresJournal(SQLJournal):
    """A journal in a PostgreSQL database, for any number of machines.

    It creates two tables in the first schema of the `search_path`, if they are missing:
    `cfaigw_billing_topups`, and `cfaigw_billing_journal` with the version of the schema.

    Args:
        conninfo: The database in `libpq` form: `postgresql://…` or `host=… dbname=…`. It may hold
            a password, and is never shown.
        connect_timeout: Seconds to wait for a connection, and for another program's lock.

    Raises: `JournalError` from every method if the database cannot be used, or if the tables were
        written by a newer version of this package.
    """

    _errors = psycopg.Error
    _taken = psycopg.errors.UniqueViolation

    def __init__(self, conninfo: str, *, connect_timeout: int = 10) -> None:
        try:
            self._conninfo = Secret(make_conninfo(conninfo, connect_timeout=connect_timeout))
        except (psycopg.Error, AttributeError):  # which may show a part of it
            raise ValueError(
                "`conninfo` must be a connection string, such as 'postgresql://…' or 'dbname=…'"
            ) from None
        self._lock_timeout = connect_timeout
        super().__init__()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def _connect(self) -> psycopg.Connection[Any]:
        # No prepared statements: a pooler may run each statement on another server connection.
        connection: psycopg.Connection[Any] = psycopg.connect(
            self._conninfo, autocommit=True, prepare_threshold=None
        )
        try:
            for setting in _SETTINGS:
                connection.execute(setting)
            connection.execute(
                "SELECT set_config('lock_timeout', %s, false)", [f"{max(self._lock_timeout, 0)}s"]
            )
            with connection.transaction():
                self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(f"CREATE TABLE IF NOT EXISTS {VERSIONS} (version integer NOT NULL)")
        row = connection.execute(f"SELECT max(version) FROM {VERSIONS}").fetchone()  # noqa: S608
        version = 0 if row is None or row[0] is None else int(row[0])
        for number, migration in enumerate(self._missing(MIGRATIONS, version), version + 1):
            connection.execute(migration)
            connection.execute(f"INSERT INTO {VERSIONS} VALUES (%s)", [number])  # noqa: S608

    def _is_lost(self, error: Exception) -> bool:
        with suppress(IndexError):
            return isinstance(error, psycopg.OperationalError) and bool(self._connections[0].closed)
        return False

    def _spelled(self, statement: str) -> str:
        return statement.replace("?", "%s")
