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
from ._session import ask_consent, card_name, check_consent, price_of, session
from .journals import journal_option, journal_words, open_journal, then_settle, wait_for
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
    help="Charge only once for this key, such as an order number, however often you run this.",
)
@journal_option(must_exist=False)
@click.option("--no-journal", is_flag=True, help="Do not record the top-up.")
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

    The charge is recorded in a journal and sent only once. If its answer is lost, the command
    checks whether the card was charged, and always ends with exit code 4; `recover` settles it
    later. A key that was charged before is not charged again.

    With --json, stdout gets one object at the end if a charge was sent. Its outcome is "charged",
    "unconfirmed" (the payer must confirm the payment) or "unknown".
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
            ask_consent(plan, f"The balance is {balance.balance_money}.", yes=yes)
            with report.shown():
                charge(client, params, card, report, journal)
                settle(client, report, wait, timeout)
        else:
            with report.shown():
                repeat(client, entry, report)
                settle(client, report, wait, timeout)


def settle(client: Cloudflare, report: Report, wait: bool, timeout: float) -> None:
    """After a charge: wait for the credit if asked, and end if the payer must confirm."""
    with once_charged(report):
        if report.outcome == "unconfirmed":
            fail(
                f"the payer must confirm the payment in the Cloudflare dashboard (3-D "
                f"Secure); the top-up {report.payment_intent_id} is pending until then",
                ExitCode.UNKNOWN,
            )
        if wait:
            wait_for_credit(client, report, timeout)


@contextmanager
def usable_journal(path: Path | None, key: str | None) -> Generator[Journal | None]:
    """Open and check the journal before asking for consent; `None` if the charge has no key."""
    if key is None:
        yield None
        return
    try:
        journal = open_journal(path)
        wait_for(journal.find(key))
        yield journal
    except JournalError as error:
        show_error(error)
        say("Nothing was charged. Use --no-journal to top up without a record.")
        raise click.exceptions.Exit(ExitCode.FAILED) from None


def earlier(client: Cloudflare, journal: Journal | None, params: TopupCreateParams) -> Entry | None:
    """Return the entry of the key, if any; end the command if it is for another top-up."""
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
    """Return the entry of the key, if any."""
    if journal is None or params.idempotency_key is None:
        return None
    return wait_for(journal.find(params.idempotency_key))


class Report:
    """Reports a charge: in lines for a person, or as one JSON object at the end."""

    def __init__(
        self, account: str, amount: Money, as_json: bool, key: str | None, path: Path | None
    ) -> None:
        self.account = account
        self.amount = amount
        self.as_json = as_json
        self.key = key
        """The key in the journal; `None`: no journal."""
        self.path = path
        self.sent_at: datetime = datetime.now(UTC)
        self.outcome: str | None = None
        """`None` until something was sent."""
        self.payment_intent_id: str | None = None
        self.status: str | None = None
        self.found: TopupReconciliation | None = None

    @contextmanager
    def shown(self) -> Generator[None]:
        """Print the JSON at the end, if a charge was sent."""
        try:
            yield
        finally:
            if self.as_json and self.outcome is not None:
                with once_charged(self):
                    show_json(self.record())

    def record(self) -> dict[str, object]:
        """Return the facts, with the names of the SDK."""
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

    def print_line(self, line: str) -> None:
        """Print a line; to stderr if stdout is for JSON."""
        (say if self.as_json else show_line)(line)

    def next_step(self) -> str:
        """Return the command to run next."""
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

    def show_next_step(self) -> None:
        """Print the command to run next."""
        say(self.next_step())
        if (
            self.outcome == "unknown"
            and self.key is not None
            and self.found
            and self.found.invoices
        ):
            say(then_settle(self.key, self.path))


def charge(
    client: Cloudflare,
    params: TopupCreateParams,
    card: str,
    report: Report,
    journal: Journal | None,
) -> None:
    """Send a charge once. If the outcome is unknown, search for it and end the command."""
    lost: BaseException | None
    report.sent_at = datetime.now(UTC)
    try:
        created = client.send(params)
        report.payment_intent_id = created.payment_intent_id
        report.outcome = "charged" if created.client_secret is None else "unconfirmed"
        if created.client_secret is None:
            charged = " ".join(filter(None, (created.brand, created.last4))) or card
            report.print_line(
                f"Charged {charged} for {report.amount} of credit: {created.payment_intent_id}."
            )
    except TopupOutcomeUnknownError as error:
        lost = error
    except CloudflareError as error:  # the service refused, or nothing was sent
        entry = find(journal, params)
        if entry is None or entry.state not in ("sent", "unknown", "charged"):
            raise
        lost = error  # another command has sent a charge for the same key
    except BaseException as end:  # Ctrl-C, a closed stdout, anything
        lost = end.__cause__
    else:
        return
    report.outcome = report.outcome or "unknown"
    with suppress(BaseException):  # another Ctrl-C or a closed stderr must not change the exit code
        look_for(client, lost, report)
    ignore_endings()  # a signal while the client closes must not change it either
    raise click.exceptions.Exit(ExitCode.UNKNOWN)


def repeat(client: Cloudflare, entry: Entry, report: Report) -> None:
    """Report the earlier charge for the same key."""
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
        report.print_line(f"Charged before, for {credit}. Nothing was sent.")


@contextmanager
def endings_as_interrupts() -> Generator[None]:
    """Turn signals that end the process into `KeyboardInterrupt`, so that it can still report.

    A signal that is ignored at the end stays ignored: see `ignore_endings`.
    """
    previous = {ending: signal.getsignal(ending) for ending in ENDINGS}
    for ending, handler in previous.items():
        if handler is not signal.SIG_IGN:  # set by `nohup`
            signal.signal(ending, signal.default_int_handler)
    try:
        yield
    finally:
        for ending, handler in previous.items():
            if signal.getsignal(ending) is not signal.SIG_IGN:
                signal.signal(ending, handler)


def look_for(client: Cloudflare, error: BaseException | None, report: Report) -> None:
    """Look for a charge whose answer was lost, and print the result on stderr."""
    if not isinstance(error, TopupOutcomeUnknownError):
        # The call was interrupted at its beginning or its end; it is not known which.
        show_error("stopped: the card may have been charged")
        report.show_next_step()
        return
    report.sent_at = error.sent_at
    show_error(error)
    try:
        report.found = look_once(client, error, report)
    except (CloudflareError, ValueError) as failure:
        show_error(f"the search for its invoice failed: {failure}")
        report.show_next_step()
        return
    report.payment_intent_id = report.found.payment_intent_id
    say(verdict(report.found))
    if report.found.outcome != "charged":
        report.show_next_step()


def look_once(
    client: Cloudflare, error: TopupOutcomeUnknownError, report: Report
) -> TopupReconciliation:
    """Look for a charge whose answer was lost, and record the result in the journal."""
    ask = client.ai_gateway.billing.topup
    for each in ask.recover() if report.key is not None else ():
        if each.entry.key == report.key and each.reconciliation is not None:
            return each.reconciliation
    return ask.reconcile(error)


@contextmanager
def once_charged(report: Report) -> Generator[None]:
    """End with exit code 4 if something fails after a charge, to warn against a second charge."""
    try:
        yield
    except (KeyboardInterrupt, click.exceptions.Exit):
        report.show_next_step()
        raise
    except Exception as error:
        show_error(error)
        report.show_next_step()
    except SystemExit:  # Rich raises it if stdout is closed
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
