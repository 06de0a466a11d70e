"""Tables of text, the same in a notebook and on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any, TypeVar

from attrs import evolve, frozen

T = TypeVar("T")

LONGEST = 40
"""How many rows of a table a notebook shows."""
LOW_DOLLARS = 10
"""A balance below this is marked as low by default."""


class Alert(str):
    """Text to highlight."""

    __slots__ = ()


@frozen
class Column:
    """A column of a table."""

    heading: str = ""
    cell: Callable[[Any], str] = str
    """Returns the text for an item."""
    right: bool = False
    """Whether texts are right-aligned: amounts and other numbers."""
    wraps: bool = False
    """Whether texts may wrap."""
    least: int | None = None
    """To how many characters a narrow terminal may cut texts, before it omits the column."""


@frozen(kw_only=True)
class Table:
    """A table of texts, with a title above and notes below."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    """Each as long as `columns`. An `Alert` is highlighted."""
    notes: Sequence[str] = ()

    @classmethod
    def of(
        cls, items: Iterable[Any], columns: Sequence[Column], *, title: str, notes: Sequence[str]
    ) -> Table:
        """Return a table with a row for each item."""
        rows = [[column.cell(item) for column in columns] for item in items]
        return cls(title=title, columns=columns, rows=rows, notes=notes)

    def filled(self) -> Table:
        """Return the table without empty columns."""
        return self._with(i for i in range(len(self.columns)) if any(row[i] for row in self.rows))

    def without(self, column: Column) -> Table:
        """Return the table without that column."""
        return self._with(i for i, other in enumerate(self.columns) if other is not column)

    def _with(self, numbers: Iterable[int]) -> Table:
        """Return the table with only these columns."""
        kept = list(numbers)
        columns = [self.columns[i] for i in kept]
        return evolve(self, columns=columns, rows=[[row[i] for i in kept] for row in self.rows])

    def html(self) -> str:
        """Return HTML that needs no style sheet and uses the colours of the page."""
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
        # Without these classes, a notebook reads text between two dollar signs as a formula.
        html = (
            f'<div class="tex2jax_ignore mathjax_ignore"><b>{escape(self.title)}</b>'
            f'<table style="border-collapse:collapse;margin:.4em 0">{body}</table>{notes}</div>'
        )
        # JSON may hold half a character (a lone surrogate), which cannot be encoded.
        return html.encode(errors="replace").decode()


def counted(number: int, noun: str) -> str:
    """Return the number with the noun, such as "1 account" or "1,200 accounts"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def label(name: str) -> str:
    """Return the name of a field as a heading."""
    return name.replace("_", " ").capitalize()


def text(value: object) -> str:
    """Return a value as readable text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)


def first(items: Sequence[T], limit: int | None, rest: str) -> tuple[Sequence[T], list[str]]:
    """Return the items to show, and a note that counts the others; `rest` describes them."""
    left_out = 0 if limit is None else max(len(items) - limit, 0)
    note = [f"and {left_out:,} more, {rest}"] if left_out else []
    return items[: len(items) - left_out], note


_NOTE = "opacity:.75;font-size:.9em"
_ALERT = "color:#e5484d;font-weight:bold;"
"""A red that is readable on white and on black."""


def _cell(tag: str, text: str, column: Column) -> str:
    style = "border-bottom:1px solid rgba(128,128,128,.4);padding:.2em .8em;background:none;"
    style += f"text-align:{'right' if column.right else 'left'};"
    style += "overflow-wrap:anywhere;" if column.wraps else "white-space:nowrap;"
    if isinstance(text, Alert):
        style += _ALERT
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'
