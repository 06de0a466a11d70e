"""Commands that list the journal of top-ups, and settle what is open in it."""

from __future__ import annotations

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
from ._errors import ExitCode, checked_arguments, one_line_errors, say, show_error
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
    """The option `--journal`; `None` stands for the default."""
    return click.option(
        "--journal",
        "path",
        metavar="PATH",
        # A mistyped path would look like a journal in which nothing is open.
        type=click.Path(exists=must_exist, dir_okay=False, path_type=Path),
        help="The journal, an SQLite file; without it, one in your user's state folder.",
    )


def open_journal(path: Path | None) -> SQLiteJournal:
    """The journal at a path; `None`: the default, whose folder is made if it is missing."""
    from ..journal import SQLiteJournal

    with checked_arguments():
        return SQLiteJournal(_default_path() if path is None else path)


def _default_path() -> Path:
    from platformdirs import user_state_path

    folder = user_state_path("cfaigw_billing")
    if not folder.is_absolute():  # as for a user without a home
        raise JournalError(f"there is no folder for the journal ({folder}): name a file, --journal")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(
            f"the folder of the journal, {folder}, cannot be made: {error}"
        ) from error
    return folder / "topups.sqlite3"


def journal_words(path: Path | None) -> tuple[str, ...]:
    """The options that name the same journal again."""
    return () if path is None else ("--journal", str(path))


def wait_for(asked: Coroutine[Any, Any, T]) -> T:
    """Return what a method of a journal answers."""
    import asyncio  # which `--help` does not need

    return asyncio.run(asked)


# The commands.


@click.command()
@click.option(
    "--state", type=click.Choice(get_args(State)), help="Only those of this state; without it, all."
)
@journal_option(must_exist=True)
@with_form
def topups(state: State | None, path: Path | None, form: Form) -> None:
    """List the top-ups in the journal, the oldest first; times are UTC.

    It asks the service nothing. The states are: claimed (nothing sent yet), sent (on its way),
    unknown (its answer was lost, so it may have been charged: see `recover`), charged and
    not_charged.
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
    help="How long after a first look in vain another one proves that nothing was charged, such "
    "as 12h; at least 1h.",
)
@journal_option(must_exist=True)
@tokens
@with_form
def recover(older_than: timedelta, path: Path | None, form: Form) -> ExitCode:
    """Find out what became of each top-up that is open in the journal, and record it.

    Charges nothing. A top-up without an invoice stays unknown, because its invoice may come later;
    if a second look, --older-than after the first, finds none either, it counts as not charged.

    Exit codes: 0 nothing is open any more; 6 something is, so ask again later; 4 there are invoices
    that may be of a top-up, and a person has to look; 3 some could not be looked for; 1 none could.
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
    return code_of(found)


def code_of(found: Sequence[TopupRecovery]) -> ExitCode:
    """The exit code of what was found about open top-ups."""
    failed = sum(each.error is not None for each in found)
    if any(map(is_ambiguous, found)):
        return ExitCode.UNKNOWN
    if failed:
        return ExitCode.FAILED if failed == len(found) else ExitCode.PARTLY_FAILED
    is_open = any(each.entry.state in OPEN for each in found)
    return ExitCode.NOT_YET if is_open else ExitCode.OK


def is_ambiguous(found: TopupRecovery) -> bool:
    """Whether a person has to look."""
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
"""What is told of an entry, under the names of the SDK."""
_FOUND: dict[str, Callable[[TopupRecovery], object]] = {
    "outcome": lambda found: found.reconciliation and found.reconciliation.outcome,
    "error": lambda found: found.error and str(found.error),
}
"""What is told of a look for it."""
_COLUMNS = (
    Column("Created (UTC)", lambda entry: f"{entry.created_at:%Y-%m-%d %H:%M}"),
    Column("Key", attrgetter("key"), least=12),
    Column("Account", attrgetter("account_id")),
    Column("Credit", lambda entry: str(Money(cents=entry.amount)), right=True),
    Column("State", lambda entry: Alert(entry.state) if entry.state in OPEN else entry.state),
    Column("Invoice", lambda entry: entry.payment_intent_id or "", least=8),
)


def entry_record(entry: Entry) -> dict[str, object]:
    """Return what is known of an entry."""
    return {name: read(entry) for name, read in _RECORD.items()}


def recovery_record(found: TopupRecovery) -> dict[str, object]:
    """Return what is known of an entry, and what a look for it has shown."""
    return entry_record(found.entry) | {name: read(found) for name, read in _FOUND.items()}


def entries_table(entries: Sequence[Entry]) -> Table:
    """Return a table with a row for each entry."""
    return Table.of(entries, _COLUMNS, title=counted(len(entries), "top-up"), notes=())
