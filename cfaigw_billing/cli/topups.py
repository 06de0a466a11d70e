"""The command that charges a card."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click
from attrs import evolve

from .._core.journal import check_same
from ..errors import (
    CloudflareError,
    JournalError,
    TopupFailedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from ..types import Money, TopupCreateParams
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
    tokens,
    whole_cents,
    yes,
)
from ._output import Form, show, show_json, show_line
from ._session import agree, card_name, check_consent, price_of, session
from .journals import journal_option, journal_words, open_journal, wait_for
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
    from .._core.journal import Entry, Journal
    from .._core.reconciliation import TopupReconciliation


@click.command()
@account
@tokens
@click.option(
    "--amount",
    metavar="DOLLARS",
    callback=whole_cents(least=Money.dollars(10)),
    required=True,
    help="The credit to buy; a fee of 5 % and any tax are charged on top.",
)
@click.option("--payment-method", metavar="pm_…", help="The card; without it, the default card.")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Charge once for this key, however often the command is run: the number of an order.",
)
@journal_option(must_exist=False)
@click.option("--no-journal", is_flag=True, help="Record the top-up nowhere.")
@wait_option
@timeout_option
@yes
@as_json
def topup(
    account: str,
    amount: Money,
    payment_method: str | None,
    idempotency_key: str | None,
    path: Path | None,
    no_journal: bool,
    wait: bool,
    timeout: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Buy credit with a card; asks before it charges.

    The charge is recorded in a journal, sent once and never again. If its answer is lost, the
    command looks whether the card was charged, and ends with exit code 4 either way; `recover`
    settles it later. The same --idempotency-key again charges nothing if it was charged before.

    With --json, stdout gets one object at the end if a charge was sent, whatever became of it. Its
    outcome is "charged", "unconfirmed" (the payer must confirm the payment) or "unknown".
    """
    timeout = patience(wait, timeout)
    if no_journal and (path or idempotency_key is not None):
        fail("--no-journal excludes --journal and --idempotency-key", ExitCode.USAGE)
    key = None if no_journal else uuid4().hex if idempotency_key is None else idempotency_key
    with checked_arguments():
        params = TopupCreateParams(
            account_id=account,
            amount=int(amount.cents),
            payment_method_id=payment_method,
            idempotency_key=key,
        )
    check_consent(yes)
    report = Report(account, amount, as_json, key, path)
    with (
        usable_journal(path, key) as journal,
        endings_as_interrupts(),
        session(max_charge=params.amount, journal=journal) as client,
    ):
        entry = earlier(client, journal, params)
        if entry is None or entry.state != "charged":
            balance = client.ai_gateway.billing.credit_balance(account_id=account)
            card = payment_method or card_name(balance)
            plan = f"Charge {card} of account {account} for {price_of(amount)}"
            agree(plan, f"The balance is {balance.balance_money}.", yes=yes)
            with report.shown():
                charge(client, params, card, report, journal)
                settle(client, report, wait, timeout)
        else:
            with report.shown():
                repeat(client, entry, report)
                settle(client, report, wait, timeout)


def settle(client: Cloudflare, report: Report, wait: bool, timeout: float) -> None:
    """Say what is left to do after a charge, and wait for its credit if that is asked for."""
    with once_charged(report):
        if report.outcome == "unconfirmed":
            fail(
                f"the payer must confirm the payment in the Cloudflare dashboard (3-D "
                f"Secure); until then the top-up {report.payment_intent_id} is pending",
                ExitCode.UNKNOWN,
            )
        if wait:
            wait_for_credit(client, report, timeout)


@contextmanager
def usable_journal(path: Path | None, key: str | None) -> Generator[Journal | None]:
    """The journal, before anybody is asked for consent; `None` if the charge has no key."""
    if key is None:
        yield None
        return
    try:
        journal = open_journal(path)
        wait_for(journal.find(key))
        yield journal
    except JournalError as error:
        show_error(error)
        say("Nothing was charged. With --no-journal, a top-up goes without a record.")
        raise click.exceptions.Exit(ExitCode.FAILED) from None


def earlier(client: Cloudflare, journal: Journal | None, params: TopupCreateParams) -> Entry | None:
    """The entry of the key, if it was used before; a usage error if that was for something else."""
    entry = find(journal, params)
    if entry is not None:
        wanted = evolve(
            entry,
            base_url=client._executor.config.base_url,  # pyright: ignore[reportPrivateUsage]
            account_id=params.account_id or "",
            amount=params.amount,
            payment_method_id=params.payment_method_id,
        )
        with checked_arguments():
            check_same(entry, wanted)
    return entry


def find(journal: Journal | None, params: TopupCreateParams) -> Entry | None:
    """What the journal has of the key."""
    if journal is None or params.idempotency_key is None:
        return None
    return wait_for(journal.find(params.idempotency_key))


class Report:
    """The known facts of a charge: lines for a person, or one object of JSON at the end."""

    def __init__(
        self, account: str, amount: Money, as_json: bool, key: str | None, path: Path | None
    ) -> None:
        self.account = account
        self.amount = amount
        self.as_json = as_json
        self.key = key
        """Its key in the journal; `None`: there is no journal."""
        self.path = path
        self.sent_at: datetime = datetime.now(UTC)
        self.outcome: str | None = None
        """`None` as long as nothing has been charged."""
        self.payment_intent_id: str | None = None
        self.status: str | None = None
        self.found: TopupReconciliation | None = None

    @contextmanager
    def shown(self) -> Generator[None]:
        """Print the JSON at the end, if there is something to tell."""
        try:
            yield
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
            "idempotency_key": self.key,
            "sent_at": moment_text(self.sent_at),
            "outcome": self.outcome,
            "payment_intent_id": self.payment_intent_id,
            "status": self.status,
            "reconciliation": None if self.found is None else found_record(self.found),
        }

    def tell(self, line: str) -> None:
        """Print a line: to stderr, if stdout is for JSON."""
        (say if self.as_json else show_line)(line)

    def next_step(self) -> str:
        """Return the command that finds out more."""
        if self.payment_intent_id and self.status in (None, "pending"):
            account = "--account", self.account
            again = command("topup-status", self.payment_intent_id, *account, "--wait")
            return f"Ask again: {again}"
        if self.outcome == "unknown" and not (self.found and self.found.invoices):
            if self.key is not None:
                return f"Ask again: {command('recover', *journal_words(self.path))}"
            facts = "--amount", f"{self.amount.major:.2f}", "--sent-at", moment_text(self.sent_at)
            return f"Ask again: {command('reconcile', '--account', self.account, *facts)}"
        return look_at_invoices(self.account)


def charge(
    client: Cloudflare,
    params: TopupCreateParams,
    card: str,
    report: Report,
    journal: Journal | None,
) -> None:
    """Send a charge once. If its outcome is unknown, reconcile it and end the command."""
    lost: BaseException | None
    report.sent_at = datetime.now(UTC)
    try:
        created = client.send(params)
        report.payment_intent_id = created.payment_intent_id
        report.outcome = "charged" if created.client_secret is None else "unconfirmed"
        if created.client_secret is None:
            charged = " ".join(filter(None, (created.brand, created.last4))) or card
            report.tell(
                f"Charged {charged} for {report.amount} of credit: {created.payment_intent_id}."
            )
    except TopupOutcomeUnknownError as error:
        lost = error
    except CloudflareError as error:  # the service refused, or nothing was sent
        entry = find(journal, params)
        if entry is None or entry.state not in ("sent", "unknown", "charged"):
            raise
        lost = error  # by this command; another one has sent a charge for the same key
    except BaseException as end:  # Ctrl-C, or stdout takes no more, or whatever else
        lost = end.__cause__
    else:
        return
    report.outcome = report.outcome or "unknown"
    with suppress(BaseException):  # neither the impatient nor a closed stderr change the exit code
        look_for(client, lost, report)
    ignore_endings()  # nor what comes while the client is closed
    raise click.exceptions.Exit(ExitCode.UNKNOWN)


def repeat(client: Cloudflare, entry: Entry, report: Report) -> None:
    """Tell what was charged for the same key before."""
    report.payment_intent_id = entry.payment_intent_id
    report.sent_at = entry.sent_at or entry.created_at
    report.outcome = "unconfirmed" if entry.needs_confirmation else "charged"
    with once_charged(report):
        if entry.needs_confirmation:
            answer = client.ai_gateway.billing.topup.status(
                account_id=report.account, payment_intent_id=report.payment_intent_id or ""
            )
            if answer.status != "completed":
                return
            report.outcome = "charged"
        credit = f"{report.amount} of credit: {report.payment_intent_id}"
        report.tell(f"Charged before, for {credit}. Nothing was sent.")


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
        report.found = look_once(client, error, report)
    except (CloudflareError, ValueError) as failure:
        show_error(f"it could not be looked for: {failure}")
        say(report.next_step())
        return
    report.payment_intent_id = report.found.payment_intent_id
    say(verdict(report.found))
    if report.found.outcome != "charged":
        say(report.next_step())


def look_once(
    client: Cloudflare, error: TopupOutcomeUnknownError, report: Report
) -> TopupReconciliation:
    """Look for a charge whose answer was lost; the journal records what is found."""
    ask = client.ai_gateway.billing.topup
    for each in ask.recover() if report.key is not None else ():
        if each.entry.key == report.key and each.reconciliation is not None:
            return each.reconciliation
    return ask.reconcile(error)


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
