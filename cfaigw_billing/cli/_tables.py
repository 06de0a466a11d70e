"""Print tables to a terminal or a file, with Rich."""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import attrgetter

from attrs import evolve
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from .._show.table import Alert, Table
from ._errors import plain

UNLIMITED = 10_000
"""The width of a file or a pipe: wide enough for any table."""


def print_table(table: Table) -> None:
    """Print a table with its title and notes."""
    console = Console(highlight=False)
    if not (console.is_terminal or os.environ.get("COLUMNS")):
        console.width = UNLIMITED
    table, widths = _fitted(table, console.width)
    gap = 2 if sum(widths) + 2 * len(widths) - 2 <= console.width else 1
    console.print(Text(plain(table.title), "bold"))
    if table.rows:
        # A table that is still too wide is wrapped by the terminal: no id is ever cut.
        console.width = max(console.width, sum(widths) + gap * (len(widths) - 1))
        console.print(_grid(table, widths, gap))
    for note in table.notes:
        console.print(Text(plain(note), "dim"))


def _grid(table: Table, widths: Sequence[int], gap: int) -> Grid:
    """Return the rows for Rich, in columns of these widths."""
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


def _fitted(table: Table, max_width: int) -> tuple[Table, list[int]]:
    """Fit a table to `max_width`, if possible; return it and the widths of its columns."""
    widths = _widths(table)
    flexible = [column for column in table.columns if column.least is not None]
    for column in sorted(flexible, key=attrgetter("least")):
        if _least(table, widths) > max_width:
            table = table.without(column)
            note = f"{column.heading}: shown in a wider terminal"
            table = evolve(table, notes=[*table.notes, note])
            widths = _widths(table)
    for index, column in enumerate(table.columns):
        excess = sum(widths) + len(widths) - 1 - max_width
        if column.least and excess > 0:
            widths[index] = max(widths[index] - excess, min(widths[index], column.least))
    return table, widths


def _widths(table: Table) -> list[int]:
    """Return the width of the widest text of each column."""
    headings = [column.heading for column in table.columns]
    return [max(map(cell_len, texts)) for texts in zip(headings, *table.rows, strict=True)]


def _least(table: Table, widths: Sequence[int]) -> int:
    """Return the smallest width of the table with cut texts."""
    columns = zip(table.columns, widths, strict=True)
    return sum(min(width, column.least or width) + 1 for column, width in columns) - 1


def _cell(text: str) -> Text:
    cell = Text(plain(text), "bold red" if isinstance(text, Alert) else "")
    cell.overflow = "ellipsis"
    return cell
