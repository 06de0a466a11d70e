"""Charge once for each key: claim the key in the journal, send, and record the result.

Each step is stored before the next one begins. After a crash, the next call with the same key
finds the last state that was stored:

1. `claimed`, stored first. Nothing was sent. The next call waits until the lease ends, takes over
   the key, and sends.
2. `sent`, stored when the connection is open, before the first byte. The card may have been
   charged. The next call looks for an invoice, and never sends.
3. The result: `charged` with the answer, `not_charged`, or `unknown`.

If the result cannot be stored, the caller still gets the answer, and an error is logged. The entry
stays `sent`, and the next call finds the charge by its invoice.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from attrs import evolve

from .. import types
from .._core.answer import Answer
from .._core.journal import LEASE, Entry, Journal, Step, check_same, decide
from .._core.options import seconds_of
from .._io.call import Call
from .._io.executor import Executor
from .._io.recent import Outcome
from .._wire import strict_json
from .._wire.messages import HTTPRequest, HTTPResponse, masked
from .._wire.secrets import Mask, Secret
from ..errors import CloudflareError, JournalError, TopupConfirmationError, TopupOutcomeUnknownError
from .lease import Lease, uninterrupted
from .settling import settle

_log = logging.getLogger("cfaigw_billing")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between two reads of an entry while another sender holds it."""


class KeyedCharge:
    """One call with a key."""

    def __init__(
        self,
        executor: Executor,
        journal: Journal,
        call: Call,
        charge: Callable[[Call], Awaitable[Outcome]],
    ) -> None:
        self._executor = executor
        self._charge = charge
        self._journal = journal
        self._call = call
        self._key: str = call.params.idempotency_key or uuid4().hex
        call.request.idempotency_key = self._key
        now = executor.clock.now()
        self._claim = Entry(
            key=self._key,
            base_url=executor.config.base_url,
            account_id=executor.account_id(call.params),
            amount=call.params.amount,
            payment_method_id=call.params.payment_method_id,
            created_at=now,
            holder=uuid4().hex,
            lease_until=now + LEASE,
        )

    async def run(self) -> Outcome:
        clock, pause, reconciled = self._executor.clock, FIRST_PAUSE, False
        patience = clock.monotonic() + seconds_of(self._call.timeout)
        until = min(patience, self._call.deadline)
        while True:
            entry = await self._find()
            if entry is not None:
                check_same(entry, self._claim)
            step = decide(entry, clock.now())
            if step is Step.SEND:
                lease = await self._take(entry)
                if lease is not None:
                    return await self._send(lease)
            elif step is Step.ANSWER:
                return await self._recorded(cast("Entry", entry))
            elif step is Step.RECONCILE:
                if reconciled:
                    return self._unknown(entry, "the search for its invoice left it open")
                reconciled = True
                doubt = await self._settle(cast("Entry", entry))
                if doubt is not None:
                    return doubt
            elif clock.monotonic() >= until:
                return self._unknown(entry, "another sender has not finished in time")
            else:
                await clock.sleep(min(pause, max(until - clock.monotonic(), 0.0)))
                pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _settle(self, entry: Entry) -> TopupOutcomeUnknownError | None:
        """Search for the invoice of the charge; return an error if the outcome stays unknown."""
        try:
            settled = await settle(self._executor, self._journal, entry)
        except (CloudflareError, ValueError) as error:
            doubt = self._unknown(entry, f"the search for its invoice failed: {error}")
            doubt.__cause__ = error
            return doubt
        except Exception as error:
            raise self._not_sent(error) from error
        if decide(settled.entry, self._executor.clock.now()) is not Step.RECONCILE:
            return None
        return self._unknown(settled.entry, _FOUND[settled.reconciliation.outcome])

    async def _find(self) -> Entry | None:
        try:
            return await self._journal.find(self._key)
        except Exception as error:
            raise self._not_sent(error) from error

    async def _take(self, entry: Entry | None) -> Lease | None:
        """Claim the key; return `None` if another sender was faster."""
        now = self._executor.clock.now()
        claim = evolve(self._claim, lease_until=now + LEASE)
        if entry is None:
            storing = self._journal.insert(claim)
        else:
            claim = evolve(
                claim,
                created_at=entry.created_at,
                attempt=entry.attempt + 1,
                version=entry.version + 1,
            )
            storing = self._journal.replace(entry, claim)
        executor = self._executor
        lease = Lease(self._journal, claim, executor.clock, executor.service_clock)
        try:
            return lease if await uninterrupted(storing) else None
        except asyncio.CancelledError:
            await lease.record(state="not_charged", lease_until=now)
            raise
        except Exception as error:
            raise self._not_sent(error) from error

    async def _send(self, lease: Lease) -> Outcome:
        """Send the charge, and record the result."""
        call = self._call
        call.request.before_sending = lease.mark_sent
        lease.start_renewing()
        try:
            outcome = await self._charge(call)
        except GeneratorExit:  # the event loop is closed: nothing can be awaited
            raise
        except BaseException as error:
            state = "unknown" if call.request.may_have_arrived else "not_charged"
            try:
                await lease.record(state=state, lease_until=self._executor.clock.now())
            except asyncio.CancelledError:
                if not isinstance(error, asyncio.CancelledError):
                    raise
            raise
        result = _result_of(outcome)
        try:
            await lease.record(**result, lease_until=self._executor.clock.now())
        except asyncio.CancelledError as interrupt:
            self._explain(interrupt, outcome, result)
            raise
        return outcome

    def _explain(
        self, interrupt: BaseException, outcome: Outcome, result: Mapping[str, Any]
    ) -> None:
        """Add the charge to an interrupt that came while its result was being recorded."""
        if result["state"] == "not_charged":
            return
        if not isinstance(outcome, TopupOutcomeUnknownError):
            charged = f"interrupted after its answer, {result['payment_intent_id']}"
            outcome = self._unknown(None, charged)
        interrupt.add_note(str(outcome))
        interrupt.__cause__ = outcome
        _log.warning("%s", outcome)  # the caller may never see the error of a cancelled task

    async def _recorded(self, entry: Entry) -> Outcome:
        """Return the recorded answer, in an envelope like the service's."""
        if entry.needs_confirmation:
            await self._check_confirmed(entry)
        body = b'{"success":true,"errors":[],"messages":[],"result":%s}'
        response = HTTPResponse(
            status_code=200,
            headers={"Content-Type": "application/json", "Idempotent-Replayed": "true"},
            body=body % (entry.answer or "null").encode(),
        )
        return Answer(self._call.operation, self._call.request, response, 0)

    async def _check_confirmed(self, entry: Entry) -> None:
        """Raise if the payer has not confirmed yet: only the first answer had the secret."""
        payment_intent_id = entry.payment_intent_id or ""
        params = types.TopupStatusParams(
            account_id=entry.account_id, payment_intent_id=payment_intent_id
        )
        if (await self._executor.send(params, {})).status != "completed":
            raise TopupConfirmationError(
                payment_intent_id,
                None,
                account_id=entry.account_id,
                amount=entry.amount,
                idempotency_key=entry.key,
            )

    def _unknown(self, entry: Entry | None, reason: str) -> TopupOutcomeUnknownError:
        sent_at: datetime = self._claim.created_at
        if entry is not None:
            sent_at = entry.sent_at or entry.created_at
        return TopupOutcomeUnknownError(
            reason,
            request=self._call.request,
            account_id=self._claim.account_id,
            amount=self._claim.amount,
            sent_at=sent_at,
        )

    def _not_sent(self, error: Exception) -> JournalError:
        return JournalError(f"{error}; nothing was sent", idempotency_key=self._key)


_FOUND = {
    "charged": "another key has the only invoice that fits",
    "not_found_yet": "it has no invoice yet",
    "ambiguous": "there are invoices that may belong to it or to other charges",
}


def _result_of(outcome: Outcome) -> dict[str, Any]:
    """Return the fields to record when a charge has ended."""
    if isinstance(outcome, TopupOutcomeUnknownError):
        return {"state": "unknown"}
    if not isinstance(outcome, Answer) or outcome.failure() is not None:
        return {"state": "not_charged"}
    envelope = cast("dict[str, Any]", strict_json.loads(outcome.http_response.body))
    result: dict[str, Any] = envelope["result"]
    return {
        "state": "charged",
        "payment_intent_id": result["payment_intent_id"],
        "answer": json.dumps(_without_secrets(result, outcome.http_request)),
        "needs_confirmation": result.get("client_secret") is not None,
    }


def _without_secrets(result: dict[str, Any], request: HTTPRequest) -> object:
    """Return the answer without the secret of the payment, in any field."""
    kept = dict(result)
    secret = kept.pop("client_secret", None)
    more = {"client_secret": Secret(secret)} if isinstance(secret, str) else {}
    return masked(kept, Mask({**request.headers, **more}))
