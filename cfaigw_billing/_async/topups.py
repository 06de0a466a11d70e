"""Wait for a top-up, and find out whether a lost charge was made, with several calls."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import uuid4

import anyio

from .. import types
from .._charges.settling import look_for, recover_one
from .._core.journal import OPEN
from .._core.options import check_seconds
from .._core.reconciliation import (
    TopupReconciliation,
    TopupRecovery,
    charge_of_error,
    charge_of_facts,
    check_absent,
    check_age,
    invoice_ids,
)
from .._io.executor import Executor
from ..errors import JournalError, TopupConfirmationError, TopupFailedError, TopupPendingError
from ..types import Money

_log = logging.getLogger("cfaigw_billing")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
"""The longest pause between two status requests, in seconds; each is 1.5 times the last one."""

FAILED = frozenset(
    {"failed", "failure", "payment_failed", "declined", "denied", "rejected", "aborted", "expired"}
    | {"canceled", "cancelled", "void", "voided", "uncollectible", "refunded", "reversed"}
)
"""The statuses after which no credit comes. Only `completed` and `pending` are documented."""


async def reconcile(
    executor: Executor,
    error: BaseException | None,
    *,
    account_id: str | None,
    amount: int | Money | None,
    sent_at: datetime | None,
    exclude: Iterable[str],
) -> TopupReconciliation:
    """Search the manual invoices for a charge whose answer was lost."""
    others = invoice_ids(exclude)
    if error is None:
        charge = charge_of_facts(account_id, amount, sent_at)
    else:
        check_absent(account_id=account_id, amount=amount, sent_at=sent_at)
        charge = charge_of_error(error, executor.asks)
    evidence = await look_for(executor, charge)
    return evidence.judged(others)


class _Facts(TypedDict):
    """The attributes of the errors after a charge."""

    account_id: str
    amount: int | None
    idempotency_key: str | None


async def wait(
    executor: Executor,
    *,
    account_id: str | None,
    payment_intent_id: str,
    timeout: float | None,
    amount: int | None = None,
    idempotency_key: str | None = None,
) -> types.TopupStatusResponse:
    """Wait until a top-up has completed or failed."""
    check_seconds("timeout", timeout)
    params = types.TopupStatusParams(account_id=account_id, payment_intent_id=payment_intent_id)
    account_id = executor.account_id(params)
    facts = _Facts(account_id=account_id, amount=amount, idempotency_key=idempotency_key)
    pause = FIRST_PAUSE
    try:
        with anyio.fail_after(timeout):
            while not _has_ended(answer := await _status(executor, params)):
                await executor.clock.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
            executor.recent.changed(account_id)  # its balance has just changed
    except TimeoutError:
        raise TopupPendingError(payment_intent_id, **facts) from None
    except BaseException as error:
        error.add_note(f"payment_intent_id: {payment_intent_id}")
        if not isinstance(error, Exception):  # the caller may not see a cancellation's error
            _log.warning("the wait for top-up %s was ended by %r", payment_intent_id, error)
        raise
    if answer.status != "completed":
        raise TopupFailedError(answer.status, payment_intent_id, **facts)
    return answer


async def _status(executor: Executor, params: types.TopupStatusParams) -> types.TopupStatusResponse:
    """Return the status; raise if the answer is about another top-up."""
    answer = await executor.execute(params, {})
    status = answer.parse()
    if status.payment_intent_id != params.payment_intent_id:
        raise answer.mismatch(
            f"result.payment_intent_id: expected {params.payment_intent_id!r}, "
            f"got {status.payment_intent_id!r:.80}"
        )
    return status


def _has_ended(answer: types.TopupStatusResponse) -> bool:
    return answer.status == "completed" or answer.status.lower() in FAILED


async def create_and_wait(
    executor: Executor,
    *,
    account_id: str | None,
    amount: int | Money,
    payment_method_id: str | None,
    idempotency_key: str | None,
    timeout: float | None,
) -> types.TopupStatusResponse:
    """Charge a card for credit and wait for the credit."""
    check_seconds("timeout", timeout)  # before there is a charge
    if idempotency_key is None and executor.config.journal is not None:
        idempotency_key = uuid4().hex  # so that the errors after the charge carry it too
    params = types.TopupCreateParams(
        account_id=account_id,
        amount=amount,
        payment_method_id=payment_method_id,
        idempotency_key=idempotency_key,
    )
    account_id, cents = executor.account_id(params), params.amount
    created = await executor.send(params, {})
    payment_intent_id = created.payment_intent_id
    if created.client_secret is not None:
        raise TopupConfirmationError(
            payment_intent_id,
            created.client_secret,
            account_id=account_id,
            amount=cents,
            idempotency_key=idempotency_key,
        )
    facts = _Facts(account_id=account_id, amount=cents, idempotency_key=idempotency_key)
    try:
        return await wait(executor, payment_intent_id=payment_intent_id, timeout=timeout, **facts)
    except (TopupPendingError, TopupFailedError):
        raise
    except Exception as error:  # a status request failed, not the charge
        raise TopupPendingError(payment_intent_id, **facts) from error
    except BaseException as interrupt:
        if interrupt.__cause__ is None:
            interrupt.__cause__ = TopupPendingError(payment_intent_id, **facts)
        raise


async def recover(executor: Executor, *, older_than: timedelta) -> list[TopupRecovery]:
    """Settle the open entries of the journal."""
    check_age(older_than)
    journal = executor.config.journal
    if journal is None:
        raise ValueError("`recover` needs a client with a `journal`")
    try:
        entries = [each for each in await journal.entries() if each.state in OPEN]
    except JournalError:
        raise
    except Exception as error:
        raise JournalError(str(error)) from error
    mine = [entry for entry in entries if entry.base_url == executor.config.base_url]
    return [await recover_one(executor, journal, entry, older_than) for entry in mine]
