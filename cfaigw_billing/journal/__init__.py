"""A journal of top-ups on your own database: each is charged once for its key, whatever crashes.

    from cfaigw_billing import AsyncCloudflare
    from cfaigw_billing.journal import SQLiteJournal

    async with AsyncCloudflare(journal=SQLiteJournal("topups.sqlite3")) as client:
        topup = client.ai_gateway.billing.topup
        await topup.create(account_id="…", amount=5000, idempotency_key="order-4711")
        await topup.recover()  # settle what an earlier process left open

`SQLiteJournal` needs nothing else, and serves the processes of one machine. `PostgresJournal`
serves many machines; it needs the extra `postgres`. Whatever has the methods of `Journal` serves as
well. An `Entry` says what is known of a top-up, and holds no secret.
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


def __getattr__(name: str) -> object:
    return attribute(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return __all__
