"""The executor that the clients use: it records charges in the journal, if there is one."""

from __future__ import annotations

import logging

from .._core.answer import Answer
from .._core.retry import Verdict
from .._io.call import Call
from .._io.exchange import without_frames
from .._io.executor import Executor
from .._io.recent import Outcome
from ..errors import TopupOutcomeUnknownError

_log = logging.getLogger("cfaigw_billing")


class KeyedExecutor(Executor):
    """An executor that charges once for each key, if the client has a journal."""

    async def charge(self, call: Call) -> Outcome:
        """Charge at most once for the key. A call without a key gets a random one."""
        journal = self.config.journal
        if journal is not None:
            from .keyed import KeyedCharge  # imported only with a journal

            return await KeyedCharge(self, journal, call, self._charge).run()
        if call.params.idempotency_key is None:
            return await self._charge(call)
        raise ValueError(
            "`idempotency_key` needs a journal: give the client one, such as "
            "`journal=SQLiteJournal('topups.sqlite3')` from `cfaigw_billing.journal`; nothing was "
            "sent"
        )

    async def _charge(self, call: Call) -> Outcome:
        """Send a charge. Report an unknown outcome if it may have been charged."""

        def unknown(reason: str) -> TopupOutcomeUnknownError:
            sent_at = call.request.sent_at or self.clock.now()
            return TopupOutcomeUnknownError(
                reason,
                request=call.request,
                account_id=self.account_id(call.params),
                amount=call.params.amount,
                sent_at=self.service_clock.corrected(sent_at, self.clock),
                is_by_the_service=self.service_clock.is_known(self.clock),
            )

        try:
            outcome, verdict = await self._send(call)
        except Exception as fault:
            if call.request.may_have_arrived:
                raise unknown(f"{type(fault).__name__}: {fault}") from without_frames(fault)
            call.reset_for_retry()
            raise
        except BaseException as interrupt:  # a cancellation: raise the same one
            if call.request.may_have_arrived:
                error = unknown(f"interrupted by {type(interrupt).__name__}")
                interrupt.add_note(str(error))
                interrupt.__cause__ = error
                _log.warning("%s", error)  # the caller may never see the error of a cancelled task
            else:
                call.reset_for_retry()
            raise
        if verdict is not Verdict.OUTCOME_UNKNOWN:
            return outcome
        cause = outcome.error() if isinstance(outcome, Answer) else outcome
        error = unknown(str(cause))
        error.__cause__ = cause
        if cause is not None:
            error.cf_ray, error.errors = cause.cf_ray, cause.errors
        return error

    async def close(self) -> None:
        """Close the connections and the journal. A copy of a client leaves the journal open."""
        await super().close()
        if self.config.journal is not None and not self.is_copy:
            await self.config.journal.close()
