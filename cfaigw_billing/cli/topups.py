"""The command that charges a card."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..errors import (
    CloudflareError,
    TopupFailedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from ..types import Money, TopupCreateParams, TopupCreateResponse
from ._errors import (
    ENDINGS,
    ExitCode,
    checked_arguments,
    command,
    fail,
    ignore_endings,
    say,
    show_error,
)
from ._inputs import (
    account,
    as_json,
    moment_text,
    whole_cents,
    yes,
)
from ._output import Form, show, show_json, show_line
from ._session import agree, card_name, check_consent, price_of, session
from .outcomes import (
    found_record,
    look_at_invoices,
    patience,
    status_of,
    timeout_option,
    verdict,
    wait_option,
)

if TYPE_CHECKING:
    from .. import Cloudflare
    from .._core.reconciliation import TopupReconciliation


@click.command()
@account
@click.option(
    "--amount",
    metavar="DOLLARS",
    callback=whole_cents(least=Money.dollars(10)),
    required=True,
    help="The credit to buy; a fee of 5 % and any tax are charged on top.",
)
@click.option("--payment-method", metavar="pm_…", help="The card; without it, the default card.")
@wait_option
@timeout_option
@yes
@as_json
def topup(
    account: str,
    amount: Money,
    payment_method: str | None,
    wait: bool,
    timeout: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Buy credit with a card; asks before it charges.

    The charge is sent once and never again. If its answer is lost, the command looks whether the
    card was charged, and ends with exit code 4 either way.

    With --json, stdout gets one object at the end if a charge was sent, whatever became of it. Its
    outcome is "charged", "unconfirmed" (the payer must confirm the payment) or "unknown".
    """
    timeout = patience(wait, timeout)
    with checked_arguments():
        params = TopupCreateParams(
            account_id=account, amount=int(amount.cents), payment_method_id=payment_method
        )
    check_consent(yes)
    with endings_as_interrupts(), session(max_charge=params.amount) as client:
        balance = client.ai_gateway.billing.credit_balance(account_id=account)
        card = payment_method or card_name(balance)
        plan = f"Charge {card} of account {account} for {price_of(amount)}"
        agree(plan, f"The balance is {balance.balance_money}.", yes=yes)
        with Report(account, amount, as_json).shown() as report:
            created = charge(client, params, card, report)
            with once_charged(report):
                if created.client_secret is not None:
                    fail(
                        f"the payer must confirm the payment in the Cloudflare dashboard (3-D "
                        f"Secure); until then the top-up {created.payment_intent_id} is pending",
                        ExitCode.UNKNOWN,
                    )
                if wait:
                    wait_for_credit(client, report, timeout)


class Report:
    """The known facts of a charge: lines for a person, or one object of JSON at the end."""

    def __init__(self, account: str, amount: Money, as_json: bool) -> None:
        self.account = account
        self.amount = amount
        self.as_json = as_json
        self.sent_at = datetime.now(UTC)
        self.outcome: str | None = None
        """`None` as long as nothing has been charged."""
        self.payment_intent_id: str | None = None
        self.status: str | None = None
        self.found: TopupReconciliation | None = None

    @contextmanager
    def shown(self) -> Generator[Report]:
        """Print the JSON at the end, if there is something to tell."""
        try:
            yield self
        finally:
            if self.as_json and self.outcome is not None:
                with once_charged(self):
                    show_json(self.record())

    def record(self) -> dict[str, object]:
        """Return the facts, under the names of the SDK."""
        return {
            "account_id": self.account,
            "amount": int(self.amount.cents),
            "amount_usd": float(self.amount.major),
            "sent_at": moment_text(self.sent_at),
            "outcome": self.outcome,
            "payment_intent_id": self.payment_intent_id,
            "status": self.status,
            "reconciliation": None if self.found is None else found_record(self.found),
        }

    def next_step(self) -> str:
        """Return the command that finds out more."""
        if self.payment_intent_id and self.status in (None, "pending"):
            account = "--account", self.account
            again = command("topup-status", self.payment_intent_id, *account, "--wait")
            return f"Ask again: {again}"
        if self.outcome == "unknown" and not (self.found and self.found.invoices):
            facts = "--amount", f"{self.amount.major:.2f}", "--sent-at", moment_text(self.sent_at)
            return f"Ask again: {command('reconcile', '--account', self.account, *facts)}"
        return look_at_invoices(self.account)


def charge(
    client: Cloudflare, params: TopupCreateParams, card: str, report: Report
) -> TopupCreateResponse:
    """Send a charge once. If its outcome is unknown, reconcile it and end the command."""
    lost: BaseException | None
    report.sent_at = datetime.now(UTC)
    try:
        created = client.send(params)
        report.payment_intent_id = created.payment_intent_id
        report.outcome = "charged" if created.client_secret is None else "unconfirmed"
        if created.client_secret is None:
            charged = " ".join(filter(None, (created.brand, created.last4))) or card
            tell = say if report.as_json else show_line
            tell(f"Charged {charged} for {report.amount} of credit: {created.payment_intent_id}.")
    except TopupOutcomeUnknownError as error:
        lost = error
    except CloudflareError:  # the service refused, or nothing was sent
        raise
    except BaseException as end:  # Ctrl-C, or stdout takes no more, or whatever else
        lost = end.__cause__
    else:
        return created
    report.outcome = report.outcome or "unknown"
    with suppress(BaseException):  # neither the impatient nor a closed stderr change the exit code
        look_for(client, lost, report)
    ignore_endings()  # nor what comes while the client is closed
    raise click.exceptions.Exit(ExitCode.UNKNOWN)


@contextmanager
def endings_as_interrupts() -> Generator[None]:
    """Let signals that end the process raise as Ctrl-C does, so that it says what it was doing."""
    previous = {ending: signal.getsignal(ending) for ending in ENDINGS}
    for ending, handler in previous.items():
        if handler is not signal.SIG_IGN:  # which `nohup` asks for
            signal.signal(ending, signal.default_int_handler)
    try:
        yield
    finally:
        for ending, handler in previous.items():
            signal.signal(ending, handler)


def look_for(client: Cloudflare, error: BaseException | None, report: Report) -> None:
    """Say on stderr what can be found out about a charge whose answer was lost."""
    if not isinstance(error, TopupOutcomeUnknownError):
        # What ended it came at the edge of the call, and cannot say on which side.
        show_error("stopped: the card may have been charged")
        say(report.next_step())
        return
    report.sent_at = error.sent_at
    show_error(error)
    try:
        report.found = client.ai_gateway.billing.topup.reconcile(error)
    except (CloudflareError, ValueError) as failure:
        show_error(f"it could not be looked for: {failure}")
        say(report.next_step())
        return
    report.payment_intent_id = report.found.payment_intent_id
    say(verdict(report.found))
    if report.found.outcome != "charged":
        say(report.next_step())


@contextmanager
def once_charged(report: Report) -> Generator[None]:
    """End in exit code 4 if something fails after a charge: else people would charge again."""
    try:
        yield
    except (KeyboardInterrupt, click.exceptions.Exit):
        say(report.next_step())
        raise
    except Exception as error:
        show_error(error)
        say(report.next_step())
    except SystemExit:  # what Rich raises where nobody reads stdout
        pass
    else:
        return
    raise click.exceptions.Exit(ExitCode.UNKNOWN)


def wait_for_credit(client: Cloudflare, report: Report, timeout: float) -> None:
    """Wait for the credit of a top-up, and show the new balance."""
    billing, account = client.ai_gateway.billing, report.account
    try:
        answer = billing.topup.wait(
            account_id=account, payment_intent_id=report.payment_intent_id or "", timeout=timeout
        )
    except (TopupFailedError, TopupPendingError) as error:
        report.status = status_of(error)
        raise
    report.status = answer.status
    if not report.as_json:
        show(billing.credit_balance(account_id=account), Form.TABLE, account)
