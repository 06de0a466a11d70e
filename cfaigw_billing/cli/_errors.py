"""Exit codes, and the line on stderr that says why a command failed."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn, TextIO

import typer
from rich.console import Console
from rich.text import Text

from ..errors import CloudflareError


class ExitCode(IntEnum):
    """The exit codes of the commands."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTLY_FAILED = 3
    UNKNOWN = 4
    BELOW = 5
    INTERRUPTED = 130  # Typer sees to it


EXIT_CODES = (
    "Exit codes: 0 success; 1 the service refused or did not answer, every account failed, or you "
    "answered no; 2 wrong usage, or no credentials; 3 some accounts failed; 4 a card may have been "
    "charged, or it was and then something failed: look before you charge again; 5 a balance is "
    "below --fail-below; 130 stopped by Ctrl-C."
)


ENDINGS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]
"""Signals that end a process: Ctrl-C, a supervisor, a closed terminal."""


def ignore_endings() -> None:
    """Let nothing more change the exit code."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)


def plain(text: str, style: str = "") -> Text:
    """A text that may come from the service, and may not steer the terminal."""
    return Text("".join(c if c.isprintable() else " " for c in text), style)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody is there; a stream that the shell has closed is `None`."""
    return stream is not None and stream.isatty()


def say(line: str | Text, end: str = "\n") -> None:
    """Print a line to stderr; only the width of a terminal breaks it."""
    console = Console(stderr=True, highlight=False)
    shown = plain(line) if isinstance(line, str) else line
    console.print(shown, end=end, soft_wrap=not console.is_terminal)


def show_error(error: Exception | str) -> None:
    """Print an error to stderr."""
    say(Text.assemble(("error: ", "bold red"), plain(str(error))))


def fail(error: Exception | str, code: ExitCode) -> NoReturn:
    """End the command with a line and an exit code."""
    show_error(error)
    raise typer.Exit(code)


@contextmanager
def one_line_errors() -> Generator[None]:
    """End the command in one line if the service refuses a call or does not answer it."""
    try:
        yield
    except CloudflareError as error:
        fail(error, ExitCode.FAILED)


@contextmanager
def checked_arguments() -> Generator[None]:
    """Report a wrong argument that the SDK refuses as wrong usage."""
    try:
        yield
    except ValueError as error:
        fail(error, ExitCode.USAGE)
