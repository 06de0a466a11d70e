"""A journal of top-ups in your own database: each key is charged once, even after a crash.

    from cfaigw_billing import AsyncCloudflare
    from cfaigw_billing.journal import SQLiteJournal

    async with AsyncCloudflare(journal=SQLiteJournal("topups.sqlite3")) as client:
        topup = client.ai_gateway.billing.topup
        await topup.create(account_id="…", amount=5000, idempotency_key="order-4711")
        await topup.recover()  # settle what an earlier process left open

`SQLiteJournal` needs no other package and works for the processes of one machine. `PostgresJournal`
works for many machines and needs the extra `postgres`. Any object with the methods of `Journal`
works too. An `Entry` holds the known facts of a top-up, and no secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core.journal import Entry, Journal, State
from .._lazy import attribute

if TYPE_CHECKING:
    from .postgres import PostgresJournal
    from .sqlite import SQLiteJournal

__all__ = ["Entry", "Journal", "PostgresJournal", "SQLiteJournal", "State"]

_MODULES = {"PostgresJournal": ".postgres", "SQLiteJournal": ".sqlite"}


if not TYPE_CHECKING:  # for a type checker, a name that is not there is an error

    def __getattr__(name: str) -> object:
        return attribute(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return __all__
