"""The journal that records the top-ups of the command line."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import JournalError
from ._errors import checked_arguments

if TYPE_CHECKING:
    from ..journal import SQLiteJournal


T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


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
