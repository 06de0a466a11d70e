"""The journal in PostgreSQL: what a server may do to it, and what it shows of its address."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from attrs import evolve

from cfaigw_billing import JournalError, PaymentRequiredError
from cfaigw_billing.journal import PostgresJournal
from cfaigw_billing.testing import EmulatedAccount, Emulator

from .test_decisions import ENTRY
from .test_keys import create, posts

psycopg = pytest.importorskip("psycopg")


@pytest.fixture
def server(database: str) -> Any:
    """A connection of one who may end those of others."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def drop_others(server: Any) -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize("state", ["claimed", "sent", "charged"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_that_drops_at_any_write(
    state: str,
    moment: str,
    database: str,
    server: Any,
    billing_emulator: Emulator,
    account: EmulatedAccount,
) -> None:
    """Dropped after it, it may have been stored: it is, and is not taken for another's."""
    journal = PostgresJournal(database)
    execute = journal._on_connection

    def dropping(statement: str, values: Any) -> Any:
        if state not in values:
            return execute(statement, values)
        journal._on_connection = execute  # type: ignore[method-assign]
        if moment == "after":
            execute(statement, values)
        drop_others(server)
        return execute(statement, values)

    journal._on_connection = dropping  # type: ignore[method-assign]
    with billing_emulator.client(journal=journal) as client:
        created = create()(client)
    rows = server.execute("SELECT state, payment_intent_id FROM cfaigw_billing_topups").fetchall()
    assert rows == [("charged", created.payment_intent_id)]
    assert len(billing_emulator.charges) == posts(billing_emulator) == 1


def test_a_server_that_is_not_there(
    billing_emulator: Emulator, account: EmulatedAccount, caplog: pytest.LogCaptureFixture
) -> None:
    journal = PostgresJournal("host=127.0.0.1 port=9 password=hush", connect_timeout=2)
    with (
        billing_emulator.client(journal=journal) as client,
        pytest.raises(JournalError, match="nothing was sent") as caught,
    ):
        create()(client)
    assert posts(billing_emulator) == 0
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r} {journal!r} {caplog.text}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("conninfo", ["hush", "host=a hush", 5])
def test_what_is_no_connection_string_is_refused_and_not_shown(conninfo: Any) -> None:
    with pytest.raises(ValueError, match="`conninfo` must be a connection string") as caught:
        PostgresJournal(conninfo)
    assert "hush" not in str(caught.value)


def test_a_server_that_goes_away_in_the_middle_hides_no_answer(
    database: str,
    server: Any,
    billing_emulator: Emulator,
    account: EmulatedAccount,
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = PostgresJournal(database)
    execute = journal._on_connection

    def refuse(statement: str, values: Any) -> Any:
        if "charged" in values:
            raise psycopg.OperationalError("the server is gone")
        return execute(statement, values)

    journal._on_connection = refuse  # type: ignore[method-assign]
    with billing_emulator.client(journal=journal) as client:
        created = create()(client)
    assert created.payment_intent_id == billing_emulator.charges[0].payment_intent_id
    assert "could not be recorded" in caplog.text
    assert server.execute("SELECT state FROM cfaigw_billing_topups").fetchall() == [("sent",)]


def test_a_newer_schema_is_refused(
    database: str, server: Any, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    asyncio.run(PostgresJournal(database).find("k"))
    server.execute("INSERT INTO cfaigw_billing_journal VALUES (2)")
    with (
        billing_emulator.client(journal=PostgresJournal(database)) as client,
        pytest.raises(JournalError, match="version 2 of the schema"),
    ):
        create()(client)
    assert posts(billing_emulator) == 0


async def test_times_come_back_in_utc_whatever_the_database_says(
    database: str, server: Any
) -> None:
    name = server.info.dbname
    server.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'")
    server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    journal = PostgresJournal(database)
    entry = evolve(ENTRY, sent_at=ENTRY.created_at)
    await journal.insert(entry)
    found = await journal.find(entry.key)
    assert repr(found) == repr(entry)
    (connection,) = journal._connections
    assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    await journal.close()


def test_a_database_without_an_encoding(
    postgres: str, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE bare ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' "
            "TEMPLATE template0"
        )
    journal = PostgresJournal(postgres.replace("/postgres?", "/bare?"))
    with billing_emulator.client(journal=journal) as client:
        assert create("ünï")(client) == create("ünï")(client)
    assert posts(billing_emulator) == 1


async def test_writers_wait_for_each_other_whatever_the_database_says(
    database: str, server: Any
) -> None:
    name = server.info.dbname
    server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    journals = [PostgresJournal(database) for _ in range(8)]
    for number in range(5):
        old = evolve(ENTRY, key=f"{number}")
        stored = await asyncio.gather(*(journal.insert(old) for journal in journals))
        assert any(stored)
        news = [evolve(old, holder=f"{n}", version=2) for n in range(len(journals))]
        both = zip(journals, news, strict=True)
        stored = await asyncio.gather(*(journal.replace(old, new) for journal, new in both))
        assert sum(stored) == 1
    for journal in journals:
        await journal.close()


def test_a_row_that_another_program_has_locked(
    database: str, billing_emulator: Emulator, account: EmulatedAccount
) -> None:
    account.declines = True
    journal = PostgresJournal(database, connect_timeout=2)
    with billing_emulator.client(journal=journal) as client:
        with pytest.raises(PaymentRequiredError):
            create()(client)
        with psycopg.connect(database) as other:
            other.execute("SELECT * FROM cfaigw_billing_topups FOR UPDATE")
            with pytest.raises(JournalError, match=r"(?s)lock timeout.*nothing was sent"):
                create()(client)
    assert posts(billing_emulator) == 1


def test_nothing_is_prepared(database: str) -> None:
    """A pooler may have each statement on another connection to the server."""
    journal = PostgresJournal(database)
    for _ in range(8):
        asyncio.run(journal.find("k"))
    (connection,) = journal._connections
    assert connection.execute("SELECT name FROM pg_prepared_statements").fetchall() == []
    asyncio.run(journal.close())


def test_without_psycopg_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import cfaigw_billing.journal as journal\n"
        "journal.SQLiteJournal\n"
        "try:\n    journal.PostgresJournal\n"
        "except ImportError as error:\n    print(error)"
    )
    said = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "PostgresJournal needs psycopg: pip install 'cfaigw_billing[postgres]'\n"
