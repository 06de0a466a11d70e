"""The executor that the clients use: it records charges in the journal, if there is one."""

from __future__ import annotations

from .._io.call import Call
from .._io.executor import Executor
from .._io.recent import Outcome


class KeyedExecutor(Executor):
    """An executor that charges once for each key, if the client has a journal."""

    async def charge(self, call: Call) -> Outcome:
        """Charge at most once for the key. A call without a key gets a random one."""
        journal = self.config.journal
        if journal is not None:
            from .keyed import Keyed  # imported only with a journal

            return await Keyed(self, journal, call, super().charge).run()
        if call.params.idempotency_key is None:
            return await super().charge(call)
        raise ValueError(
            "`idempotency_key` needs a journal: give the client one, such as "
            "`journal=SQLiteJournal('topups.sqlite3')` from `cfaigw_billing.journal`; nothing was "
            "sent"
        )

    async def close(self) -> None:
        """Close the connections and the journal. A copy of a client leaves the journal open."""
        await super().close()
        if self.config.journal is not None and not self.is_copy:
            await self.config.journal.close()
