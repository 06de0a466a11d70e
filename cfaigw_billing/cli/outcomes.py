"""Commands that find out whether a top-up was charged, and whether its credit has arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..errors import TopupFailedError, TopupPendingError
from ..types import Money, TopupStatusResponse
from ._errors import ExitCode, checked_arguments, command, fail, say
from ._inputs import account_option, as_json, moment, moment_text, tokens, whole_cents
from ._output import Form, show, show_json, show_line
from ._session import session

if TYPE_CHECKING:
    from .._core.reconciliation import TopupReconciliation

PATIENCE = 300
"""How many seconds `--wait` waits by default."""

wait_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--wait", is_flag=True, help="Wait until the credit has arrived."
)
timeout_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--timeout",
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    help=f"The longest time to --wait; default: {PATIENCE} s.",
)


def patience(wait: bool, timeout: int | None) -> int:
    """Return the longest wait in seconds."""
    if timeout is not None and not wait:
        fail("--timeout needs --wait", ExitCode.USAGE)
    return PATIENCE if timeout is None else timeout


def status_of(error: TopupFailedError | TopupPendingError) -> str:
    """Return the status of a top-up after waiting for its credit has failed."""
    return error.status if isinstance(error, TopupFailedError) else "pending"


@click.command()
@click.argument("payment_intent_id", metavar="ID")
@account_option
@tokens
@wait_option
@timeout_option
@as_json
def topup_status(
    payment_intent_id: str, account: str, wait: bool, timeout: int | None, as_json: bool
) -> ExitCode:
    """Show the status of the top-up ID (in_…).

    Exit codes: 0 its credit has arrived; 6 it is pending, so ask again later; 4 it has failed, so
    look at its invoice before you charge again; 1 the status could not be read.
    """
    timeout = patience(wait, timeout)
    with session() as client, checked_arguments():
        ask = client.ai_gateway.billing.topup
        asked: dict[str, Any] = {"account_id": account, "payment_intent_id": payment_intent_id}
        try:
            answer = ask.wait(**asked, timeout=timeout) if wait else ask.status(**asked)
        except (TopupFailedError, TopupPendingError) as error:
            answer = TopupStatusResponse(
                account_id=account, payment_intent_id=payment_intent_id, status=status_of(error)
            )
    if as_json:
        show(answer, Form.JSON, account)
    else:
        show_line(f"The top-up {payment_intent_id} is {answer.status}.")
    return code_of(answer.status)


def code_of(status: str) -> ExitCode:
    """Return the exit code for the status of a top-up."""
    from .._async.topups import FAILED

    if status == "completed":
        return ExitCode.OK
    return ExitCode.UNKNOWN if status.lower() in FAILED else ExitCode.NOT_YET


@click.command()
@account_option
@tokens
@click.option(
    "--amount",
    metavar="DOLLARS",
    callback=whole_cents(least=Money.dollars(10)),
    required=True,
    help="The requested credit.",
)
@click.option(
    "--sent-at",
    metavar="TIME",
    callback=moment,
    required=True,
    help="When the top-up was sent, such as 2026-01-31T12:00:00Z.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="in_…",
    help="An invoice that belongs to another top-up; may be repeated.",
)
@as_json
def reconcile(
    account: str, amount: Money, sent_at: datetime, exclude: Sequence[str], as_json: bool
) -> ExitCode:
    """Find out whether a top-up was charged, after its answer was lost.

    Charges nothing.

    Exit codes: 0 it was charged; 6 it has no invoice yet, so ask again for some minutes before you
    conclude "not charged"; 4 some invoices may belong to it, and a person must decide; 1 the
    service refused or did not answer.
    """
    with session() as client, checked_arguments():
        found = client.ai_gateway.billing.topup.reconcile(
            account_id=account, amount=int(amount.cents), sent_at=sent_at, exclude=exclude
        )
    if as_json:
        show_json(found_record(found))
    else:
        show_line(f"The top-up of {amount}, sent at {moment_text(sent_at)}:")
        show_line(verdict(found))
    if found.outcome == "ambiguous":
        say(look_at_invoices(account))
    codes = {"charged": ExitCode.OK, "not_found_yet": ExitCode.NOT_YET}
    return codes.get(found.outcome, ExitCode.UNKNOWN)


def verdict(found: TopupReconciliation) -> str:
    """Return the conclusion in sentences."""
    invoices = ", ".join(invoice.id or "one without an id" for invoice in found.invoices)
    conclusion = {
        "charged": f"The card was charged: invoice {invoices}.",
        "not_found_yet": "It has no invoice yet. The invoice may take some minutes to appear: ask "
        "again before you make another top-up.",
        "ambiguous": f"These invoices may belong to it, and a person must decide: {invoices}.",
    }[found.outcome]
    if found.balance is None:
        return f"{conclusion} The balance could not be read: {found.balance_error}"
    return f"{conclusion} The balance is {found.balance.balance_money}."


def look_at_invoices(account: str) -> str:
    """Return the command that shows the invoices."""
    return f"Look: {command('invoices', account, '--type', 'manual')}"


def found_record(found: TopupReconciliation) -> dict[str, object]:
    """Return the conclusion and the evidence, with the names of the SDK."""
    balance = found.balance
    return {
        "outcome": found.outcome,
        "payment_intent_id": found.payment_intent_id,
        "invoices": [invoice.to_records()[0] for invoice in found.invoices],
        "balance": None if balance is None else balance.balance,
        "balance_usd": None if balance is None else float(balance.balance_money.major),
    }
