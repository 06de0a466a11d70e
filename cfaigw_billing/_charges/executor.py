"""The executor of the clients: charges go by way of the journal, if there is one."""

from __future__ import annotations

from .._io.call import Call
from .._io.executor import Executor
from .._io.recent import Outcome


class KeyedExecutor(Executor):
    """An executor that charges once for each key, where the client has a journal."""

    async def charge(self, call: Call) -> Outcome:
        """Charge at most once for the key; without one, record the charge under a random key."""
        journal = self.config.journal
        if journal is not None:
            from .keyed import Keyed  # a client without a journal does not need it

            return await Keyed(self, journal, call, super().charge).run()
        if call.params.idempotency_key is None:
            return await super().charge(call)
        raise ValueError(
            "`idempotency_key` needs a journal to be kept in: give the client one, such as "
            "`journal=SQLiteJournal('topups.sqlite3')` from `cfaigw_billing.journal`; nothing was "
            "sent"
        )

    async def close(self) -> None:
        """Close the connections, and the journal, which a copy of a client leaves open."""
        await super().close()
        if self.config.journal is not None and not self.is_copy:
            await self.config.journal.close()
