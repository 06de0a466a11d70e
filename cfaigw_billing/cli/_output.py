"""Output of the commands: JSON, CSV, lines, a progress bar; tables are in `_tables`.

Rich is imported only for tables and terminals, because importing it is slow.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from io import StringIO
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from .._show.table import Table
from ..types._base import Shown
from ._errors import ExitCode, fail, is_terminal, plain, show_error

if TYPE_CHECKING:
    from .._core.sweeps.answers import AccountAnswers


class Form(Enum):
    """The formats of an answer."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def show(answer: Shown, form: Form, account: str) -> None:
    """Print an answer about an account."""
    records = answer.to_records()
    if form is Form.TABLE:
        show_table(_of_account(answer, account))
    elif form is Form.CSV:
        show_csv(records, list(answer._columns()))  # pyright: ignore[reportPrivateUsage]
    else:
        is_list = answer._list is not None  # pyright: ignore[reportPrivateUsage]
        show_json(records if is_list else records[0])


def _of_account(answer: Shown, account: str) -> Table:
    """Return the table of an answer, with the account above details or below a list."""
    table = answer._table(None)  # pyright: ignore[reportPrivateUsage]
    whose = f"Account {account}"
    if answer._list is None:  # pyright: ignore[reportPrivateUsage]
        return evolve(table, title=whose)
    return evolve(table, notes=[*table.notes, whose])


# Data.


def show_json(value: object) -> None:
    """Print records as JSON, with dollars as numbers, so that other programs can compare them."""
    click.echo(json.dumps(_with_numbers(value), indent=2))


def json_line(value: object) -> str:
    """Return a record as JSON on one line, in the same form."""
    return json.dumps(_with_numbers(value))


def show_csv(records: Sequence[Mapping[str, object]], names: Sequence[str]) -> None:
    """Print records as CSV with a header; `None` is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_as_csv(record[name]) for name in names] for record in records)
    click.echo(text.getvalue(), nl=False)


def _with_numbers(value: object) -> object:
    return json.loads(json.dumps(value), object_hook=_dollars_as_numbers)


def _dollars_as_numbers(record: dict[str, object]) -> dict[str, object]:
    return {
        name: float(value) if name.endswith("_usd") and isinstance(value, str) else value
        for name, value in record.items()
    }


def _as_csv(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()  # as in JSON
    if isinstance(value, str):
        return plain(value)  # a row must be one line
    return value


# Tables and lines.


def show_table(table: Table) -> None:
    """Print a table with its title and notes."""
    from ._tables import print_table

    print_table(table)


def show_line(line: str) -> None:
    """Print a line."""
    click.echo(plain(line))


def show_commands(title: str, *commands: str) -> None:
    """Print commands to type next."""
    click.echo(f"\n{title}\n")
    for command in commands:
        click.secho(f"  {command}", fg="cyan")


@contextmanager
def progress_bar(label: str) -> Generator[Callable[[int, int | None], object]]:
    """Show a progress bar on stderr, if that is a terminal; yield the function to call."""
    if not is_terminal(sys.stderr):
        yield lambda done, total: None  # noqa: ARG005  # as a sweep calls it
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


# Many accounts.


def show_answers(found: AccountAnswers[Any], form: Form, limit: int | None = None) -> None:
    """Print the first `limit` accounts (`None`: all); errors go to stderr."""
    if form is Form.JSON:
        show_json(found.to_records())
    elif form is Form.CSV:
        show_csv(found.to_records(), list(found._entries()))  # pyright: ignore[reportPrivateUsage]
    elif found or not found.failed:
        show_table(found._table(limit, failed=False))  # pyright: ignore[reportPrivateUsage]
    for error in list(found.failed.values())[:limit]:
        show_error(error)


def verdict(found: AccountAnswers[Any]) -> ExitCode:
    """Return the exit code of a sweep over accounts."""
    if found.failed:
        return ExitCode.PARTLY_FAILED if found else ExitCode.FAILED
    return ExitCode.OK


def verdict_of_check(found: AccountAnswers[Any], crossed: str, code: ExitCode) -> ExitCode:
    """Return the exit code of a sweep that checks a limit.

    Args:
        found: The answers.
        crossed: A message that says how many accounts crossed the limit; empty if none did.
        code: The exit code if some did, even if other accounts failed.
    """
    if not found and not found.failed:
        fail("found no accounts to check", ExitCode.FAILED)
    if crossed:
        show_error(crossed)
        return code
    return verdict(found)
