"""Tables of text, the same in a notebook and on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any, TypeVar

from attrs import evolve, frozen

T = TypeVar("T")

LONGEST = 40
"""The rows that a notebook shows of a table."""
LOW_DOLLARS = 10
"""A balance below it is marked as low by default."""


class Alert(str):
    """Text that nobody should miss."""

    __slots__ = ()


@frozen
class Column:
    """A column, by its heading."""

    heading: str = ""
    cell: Callable[[Any], str] = str
    """Gives its text for an item of the table."""
    right: bool = False
    """Whether its texts end at the right: amounts and other numbers."""
    wraps: bool = False
    """Whether its texts may be broken into lines."""
    least: int | None = None
    """The characters to which a narrow terminal may cut its texts, before it leaves it out."""


@frozen(kw_only=True)
class Table:
    """Texts in rows and columns, with a title above and notes below."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    """Each as long as `columns`; what is an `Alert` is marked."""
    notes: Sequence[str] = ()

    @classmethod
    def of(
        cls, items: Iterable[Any], columns: Sequence[Column], *, title: str, notes: Sequence[str]
    ) -> Table:
        """Return a table with a row for each item."""
        rows = [[column.cell(item) for column in columns] for item in items]
        return cls(title=title, columns=columns, rows=rows, notes=notes)

    def filled(self) -> Table:
        """Without the columns in which nothing stands."""
        return self._with(i for i in range(len(self.columns)) if any(row[i] for row in self.rows))

    def without(self, column: Column) -> Table:
        """Without that column."""
        return self._with(i for i, other in enumerate(self.columns) if other is not column)

    def _with(self, numbers: Iterable[int]) -> Table:
        """With these columns alone."""
        kept = list(numbers)
        columns = [self.columns[i] for i in kept]
        return evolve(self, columns=columns, rows=[[row[i] for i in kept] for row in self.rows])

    def html(self) -> str:
        """Return HTML that needs no style sheet and takes the colours of the page around it."""
        headings = [_cell("th", column.heading, column) for column in self.columns]
        rows = [
            "".join(
                _cell("td", text, column) for text, column in zip(row, self.columns, strict=True)
            )
            for row in self.rows
        ]
        if any(column.heading for column in self.columns):
            rows.insert(0, "".join(headings))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        notes = "".join(f'<div style="{_NOTE}">{escape(note)}</div>' for note in self.notes)
        # Without the class, a notebook takes what stands between two dollar signs for a formula.
        html = (
            f'<div class="tex2jax_ignore mathjax_ignore"><b>{escape(self.title)}</b>'
            f'<table style="border-collapse:collapse;margin:.4em 0">{body}</table>{notes}</div>'
        )
        # Half a character, which JSON may hold and UTF-8 may not, would cost the whole table.
        return html.encode(errors="replace").decode()


def counted(number: int, noun: str) -> str:
    """So many things, such as "1 account" or "1,200 accounts"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def label(name: str) -> str:
    """The name of a field as a heading."""
    return name.replace("_", " ").capitalize()


def text(value: object) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)


def first(items: Sequence[T], limit: int | None, rest: str) -> tuple[Sequence[T], list[str]]:
    """The items to show, and a note that counts those left out; `rest` says what they are."""
    left_out = 0 if limit is None else max(len(items) - limit, 0)
    note = [f"and {left_out:,} more, {rest}"] if left_out else []
    return items[: len(items) - left_out], note


_NOTE = "opacity:.75;font-size:.9em"
_ALERT = "color:#e5484d;font-weight:bold;"
"""A red that can be read on white and on black."""


def _cell(tag: str, text: str, column: Column) -> str:
    style = "border-bottom:1px solid rgba(128,128,128,.4);padding:.2em .8em;background:none;"
    style += f"text-align:{'right' if column.right else 'left'};"
    style += "overflow-wrap:anywhere;" if column.wraps else "white-space:nowrap;"
    if isinstance(text, Alert):
        style += _ALERT
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'
