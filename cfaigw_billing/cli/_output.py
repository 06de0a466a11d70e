"""Output of the commands: tables, JSON, CSV, and a progress bar."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from io import StringIO
from operator import attrgetter

import typer
from attrs import evolve
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from .._show.table import Alert, Table
from ..types import Response
from ._errors import ExitCode, fail, is_terminal, plain

UNLIMITED = 10_000
"""The width of what is no terminal: a file has room for everything."""


class Form(Enum):
    """The formats of an answer."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"

    @classmethod
    def chosen(cls, as_json: bool, as_csv: bool) -> Form:
        """The one that the options ask for."""
        if as_json and as_csv:
            fail("--json and --csv exclude each other", ExitCode.USAGE)
        return cls.JSON if as_json else cls.CSV if as_csv else cls.TABLE


def show(answer: Response, form: Form, account: str) -> None:
    """Print what the service answered about an account."""
    records = answer.to_records()
    if form is Form.TABLE:
        show_table(_of_account(answer, account))
    elif form is Form.CSV:
        show_csv(records, list(answer._columns()))  # pyright: ignore[reportPrivateUsage]
    else:
        is_list = answer._list is not None  # pyright: ignore[reportPrivateUsage]
        show_json(records if is_list else records[0])


def _of_account(answer: Response, account: str) -> Table:
    """The table of an answer, which says whose it is: above details, below a list."""
    table = answer._table(None)  # pyright: ignore[reportPrivateUsage]
    whose = f"Account {account}"
    if answer._list is None:  # pyright: ignore[reportPrivateUsage]
        return evolve(table, title=whose)
    return evolve(table, notes=[*table.notes, whose])


# Data.


def show_json(value: object) -> None:
    """Print records as JSON, with dollars as numbers, so that other programs can compare them."""
    numbers = json.loads(json.dumps(value), object_hook=_dollars_as_numbers)
    typer.echo(json.dumps(numbers, indent=2))


def show_csv(records: Sequence[Mapping[str, object]], names: Sequence[str]) -> None:
    """Print records as CSV below their names; what is `None` is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_as_csv(record[name]) for name in names] for record in records)
    typer.echo(text.getvalue(), nl=False)


def _dollars_as_numbers(record: dict[str, object]) -> dict[str, object]:
    return {
        name: float(value) if name.endswith("_usd") and isinstance(value, str) else value
        for name, value in record.items()
    }


def _as_csv(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()  # as in JSON
    if isinstance(value, str):
        return plain(value).plain  # a row is a line, and may be shown in a terminal
    return value


# Tables.


def show_table(table: Table) -> None:
    """Print a table: its title, its rows, its notes."""
    console = Console(highlight=False)
    if not (console.is_terminal or os.environ.get("COLUMNS")):
        console.width = UNLIMITED
    table, widths = _fitted(table, console.width)
    gap = 2 if sum(widths) + 2 * len(widths) - 2 <= console.width else 1
    console.print(plain(table.title, "bold"))
    if table.rows:
        # What is wider than the terminal is broken by the terminal, so that no id is ever cut.
        console.width = max(console.width, sum(widths) + gap * (len(widths) - 1))
        console.print(_grid(table, widths, gap))
    for note in table.notes:
        console.print(plain(note, "dim"))


def _grid(table: Table, widths: Sequence[int], gap: int) -> Grid:
    """The rows as Rich prints them, in columns of these widths."""
    grid = Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        show_header=any(column.heading for column in table.columns),
        pad_edge=False,
        padding=(0, gap - 1, 0, 0),
    )
    for column, width in zip(table.columns, widths, strict=True):
        grid.add_column(
            Text(column.heading),
            justify="right" if column.right else "left",
            width=width,
            no_wrap=True,
        )
    for row in table.rows:
        grid.add_row(*map(_cell, row))
    return grid


def _fitted(table: Table, room: int) -> tuple[Table, list[int]]:
    """The table within so much room, as far as its columns allow, and the width of each."""
    widths = _widths(table)
    flexible = [column for column in table.columns if column.least is not None]
    for column in sorted(flexible, key=attrgetter("least")):
        if _least(table, widths) > room:
            table = table.without(column)
            note = f"{column.heading}: shown in a wider terminal"
            table = evolve(table, notes=[*table.notes, note])
            widths = _widths(table)
    for index, column in enumerate(table.columns):
        excess = sum(widths) + len(widths) - 1 - room
        if column.least and excess > 0:
            widths[index] = max(widths[index] - excess, min(widths[index], column.least))
    return table, widths


def _widths(table: Table) -> list[int]:
    """The width of the widest text of each column."""
    headings = [column.heading for column in table.columns]
    return [max(map(cell_len, texts)) for texts in zip(headings, *table.rows, strict=True)]


def _least(table: Table, widths: Sequence[int]) -> int:
    """Return the least width that cutting texts can give the table."""
    columns = zip(table.columns, widths, strict=True)
    return sum(min(width, column.least or width) + 1 for column, width in columns) - 1


def _cell(text: str) -> Text:
    cell = plain(text, "bold red" if isinstance(text, Alert) else "")
    cell.overflow = "ellipsis"
    return cell


# Lines.


def show_line(line: str) -> None:
    """Print a line, which only the width of a terminal breaks."""
    console = Console(highlight=False)
    console.print(plain(line), soft_wrap=not console.is_terminal)


def show_commands(title: str, *commands: str) -> None:
    """Print what to type next, in lines that are never broken, so that they can be copied."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"\n{title}\n")
    for command in commands:
        console.print(f"  {command}", style="cyan")


@contextmanager
def progress_bar(label: str) -> Generator[Callable[[int, int | None], object]]:
    """A progress bar on stderr, if that is a terminal; yields what a sweep reports to."""
    if not is_terminal(sys.stderr):
        yield lambda done, total: None  # noqa: ARG005  # as a sweep calls it
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
