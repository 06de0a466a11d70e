"""The common part of commands that ask about many accounts."""

from __future__ import annotations

from typing import Any

from .._core.sweeps.answers import AccountAnswers
from ._errors import ExitCode, show_error
from ._output import Form, show_csv, show_json, show_table


def show_answers(found: AccountAnswers[Any], form: Form, limit: int | None = None) -> None:
    """Print so many of the first accounts (`None`: all); the errors go to stderr."""
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
