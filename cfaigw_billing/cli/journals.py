"""Commands that list the journal of top-ups, and settle its open entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from .._core.journal import OPEN, Entry, State
from .._show.table import Alert, Column, Table, counted
from ..errors import JournalError
from ..types import Money
from ._errors import ExitCode, checked_arguments, command, fail, one_line_errors, say, show_error
from ._inputs import duration, moment_text, tokens, with_form
from ._output import Form, show_csv, show_json, show_table
from ._session import session
from .outcomes import look_at_invoices

if TYPE_CHECKING:
    from .._core.reconciliation import TopupRecovery
    from ..journal import SQLiteJournal

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


# The journal of the command line.


def journal_option(*, must_exist: bool) -> Callable[[F], F]:
    """Return the option `--journal`; its value `None` is the default journal."""
    return click.option(
        "--journal",
        "path",
        metavar="PATH",
        # A mistyped path must not create an empty journal, in which nothing is open.
        type=click.Path(exists=must_exist, dir_okay=False, path_type=Path),
        help="The journal, an SQLite file; by default, one in your user's state folder.",
    )


def open_journal(path: Path | None) -> SQLiteJournal:
    """Return the journal at a path; `None`: the default journal, whose folder is created."""
    from ..journal import SQLiteJournal

    with checked_arguments():
        return SQLiteJournal(_default_path() if path is None else path)


def _default_path() -> Path:
    from platformdirs import user_state_path

    folder = user_state_path("cfaigw_billing")
    if not folder.is_absolute():  # a user without a home
        raise JournalError(
            f"the journal has no default folder here ({folder}): pass --journal FILE"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(
            f"the folder of the journal, {folder}, cannot be created: {error}"
        ) from error
    return folder / "topups.sqlite3"


def journal_words(path: Path | None) -> tuple[str, ...]:
    """Return the options that select this journal."""
    return () if path is None else ("--journal", str(path))


def wait_for(asked: Coroutine[Any, Any, T]) -> T:
    """Run a method of a journal, and return its result."""
    import asyncio  # not needed for `--help`

    return asyncio.run(asked)


# The commands.


@click.command()
@click.option(
    "--state", type=click.Choice(get_args(State)), help="Only top-ups in this state; default: all."
)
@journal_option(must_exist=True)
@with_form
def topups(state: State | None, path: Path | None, form: Form) -> None:
    """List the top-ups in the journal, the oldest first; times are UTC.

    Sends nothing. The states are: claimed (not sent yet), sent (in flight), unknown (its answer was
    lost, so it may have been charged: see `recover`), charged and not_charged.
    """
    with one_line_errors():
        journal = open_journal(path)
        entries = wait_for(journal.entries(state=state))
        wait_for(journal.close())
    if form is Form.JSON:
        show_json([entry_record(entry) for entry in entries])
    elif form is Form.CSV:
        show_csv([entry_record(entry) for entry in entries], [*_RECORD])
    else:
        show_table(entries_table(entries))


@click.command()
@click.option(
    "--older-than",
    metavar="TIME",
    callback=duration,
    default="1d",
    show_default=True,
    help="If no invoice is found this long after the first search, nothing was charged; such as "
    "12h, at least 15m.",
)
@journal_option(must_exist=True)
@tokens
@with_form
def recover(older_than: timedelta, path: Path | None, form: Form) -> ExitCode:
    """Find out whether each open top-up in the journal was charged, and record the result.

    Charges nothing. A top-up without an invoice stays unknown, because its invoice may come later.
    If a search --older-than after the first finds none either, it counts as not charged.

    Exit codes: 0 nothing is open any more; 6 something is still open, so ask again later; 4 some
    invoices may belong to a top-up, and a person must decide; 3 the search failed for some; 1 the
    search failed for all.
    """
    with one_line_errors():
        journal = open_journal(path)
    with session(journal=journal) as client, checked_arguments():
        found = client.ai_gateway.billing.topup.recover(older_than=older_than)
    if form is Form.JSON:
        show_json([recovery_record(each) for each in found])
    elif form is Form.CSV:
        show_csv([recovery_record(each) for each in found], [*_RECORD, *_FOUND])
    else:
        show_table(entries_table([each.entry for each in found]))
    for each in found:
        if each.error is not None:
            show_error(f"{each.entry.key}: {each.error}")
        if is_ambiguous(each):
            say(look_at_invoices(each.entry.account_id))
            say(then_settle(each.entry.key, path))
    return code_of(found)


@click.command()
@click.argument("key")
@click.option("--charged", "invoice", metavar="in_…", help="The invoice that it was charged by.")
@click.option("--not-charged", is_flag=True, help="It was not charged: KEY may charge again.")
@journal_option(must_exist=True)
def settle(key: str, invoice: str | None, not_charged: bool, path: Path | None) -> None:
    """Record what a person found out about the top-up of KEY, if it is unknown; sends nothing.

    Exit codes: 0 it is recorded; 2 it is not unknown, or the invoice is another top-up's.
    """
    is_an_invoice = invoice is not None and _INVOICE.fullmatch(invoice) is not None
    if not (not_charged if invoice is None else is_an_invoice and not not_charged):
        fail("say either --charged in_… or --not-charged", ExitCode.USAGE)
    with one_line_errors():
        journal = open_journal(path)
        entry = wait_for(journal.find(key))
        if entry is None or entry.state != "unknown":
            state = "not in the journal" if entry is None else entry.state
            fail(f"the top-up {key!r} is {state}", ExitCode.USAGE)
        settled = entry.as_not_charged() if invoice is None else entry.as_charged(invoice)
        is_stored = wait_for(journal.replace(entry, settled))
        wait_for(journal.close())
    if not is_stored:
        fail(f"another top-up has the invoice {invoice}, or {key!r} has changed", ExitCode.USAGE)


_INVOICE = re.compile("in_[0-9A-Za-z_]+")


def then_settle(key: str, path: Path | None) -> str:
    """Return the commands for a person who has looked at the invoices."""
    again = command("settle", key, *journal_words(path))
    return f"Then: {again} --charged in_… (or --not-charged)"


def code_of(found: Sequence[TopupRecovery]) -> ExitCode:
    """Return the exit code of `recover`."""
    failed = sum(each.error is not None for each in found)
    if any(map(is_ambiguous, found)):
        return ExitCode.UNKNOWN
    if failed:
        return ExitCode.FAILED if failed == len(found) else ExitCode.PARTLY_FAILED
    is_open = any(each.entry.state in OPEN for each in found)
    return ExitCode.NOT_YET if is_open else ExitCode.OK


def is_ambiguous(found: TopupRecovery) -> bool:
    """Return whether a person must decide."""
    return found.reconciliation is not None and found.reconciliation.outcome == "ambiguous"


# Output.

_RECORD: dict[str, Callable[[Entry], object]] = {
    "idempotency_key": lambda entry: entry.key,
    "state": lambda entry: entry.state,
    "account_id": lambda entry: entry.account_id,
    "amount": lambda entry: entry.amount,
    "amount_usd": lambda entry: str(Money(cents=entry.amount).major),
    "payment_method_id": lambda entry: entry.payment_method_id,
    "payment_intent_id": lambda entry: entry.payment_intent_id,
    "needs_confirmation": lambda entry: entry.needs_confirmation,
    "attempt": lambda entry: entry.attempt,
    "created_at": lambda entry: moment_text(entry.created_at),
    "sent_at": lambda entry: entry.sent_at and moment_text(entry.sent_at),
    "base_url": lambda entry: entry.base_url,
}
"""The fields of an entry to print, with the names of the SDK."""
_FOUND: dict[str, Callable[[TopupRecovery], object]] = {
    "outcome": lambda found: found.reconciliation and found.reconciliation.outcome,
    "error": lambda found: found.error and str(found.error),
}
"""The fields that `recover` adds."""
_COLUMNS = (
    Column("Created (UTC)", lambda entry: f"{entry.created_at:%Y-%m-%d %H:%M}"),
    Column("Key", attrgetter("key"), least=12),
    Column("Account", attrgetter("account_id")),
    Column("Credit", lambda entry: str(Money(cents=entry.amount)), right=True),
    Column("State", lambda entry: Alert(entry.state) if entry.state in OPEN else entry.state),
    Column("Invoice", lambda entry: entry.payment_intent_id or "", least=8),
)


def entry_record(entry: Entry) -> dict[str, object]:
    """Return the fields of an entry."""
    return {name: read(entry) for name, read in _RECORD.items()}


def recovery_record(found: TopupRecovery) -> dict[str, object]:
    """Return the fields of an entry and of its search."""
    return entry_record(found.entry) | {name: read(found) for name, read in _FOUND.items()}


def entries_table(entries: Sequence[Entry]) -> Table:
    """Return a table with a row for each entry."""
    return Table.of(entries, _COLUMNS, title=counted(len(entries), "top-up"), notes=())
