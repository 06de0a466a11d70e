"""Exit codes, and error messages on stderr."""

from __future__ import annotations

import re
import shlex
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn, TextIO

import click

from ..errors import CloudflareError


class ExitCode(IntEnum):
    """The exit codes of the commands."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTLY_FAILED = 3
    UNKNOWN = 4
    BELOW = 5
    NOT_YET = 6
    SOON = 7
    INTERRUPTED = 130


EXIT_CODES = {
    0: "success",
    1: "the service refused or did not answer, every account failed, --exec failed, or "
    "you answered no",
    2: "wrong usage, or no credentials",
    3: "some accounts failed",
    4: "a card may have been charged, or something failed after a charge: check before you charge "
    "again",
    5: "a balance is below --fail-below",
    6: "topup-status, reconcile and recover: not yet, so ask again later",
    7: "credit is gone, or may run out within --fail-within",
    130: "stopped by Ctrl-C",
}
"""The meanings of the exit codes, for the help."""


ENDINGS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]
"""Signals that end a process: Ctrl-C, a supervisor, a closed terminal."""


def ignore_endings() -> None:
    """Ignore signals from now on, so that they do not change the exit code."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)


def wait_for_ending() -> NoReturn:
    """Wait until a signal raises.

    A signal that comes just before a sleep is only handled after it, so the sleeps are short.
    """
    while True:
        time.sleep(1)


def plain(text: str) -> str:
    """Return text without control characters: text of the service must not control the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether the stream is a terminal; `None` is a stream that the shell has closed."""
    return stream is not None and stream.isatty()


def say(line: str, end: str = "\n") -> None:
    """Print a line to stderr."""
    click.echo(plain(line) + end, nl=False, err=True)


def show_error(error: Exception | str) -> None:
    """Print an error to stderr."""
    label = click.style("error:", fg="red", bold=True)  # colour only in a terminal
    click.echo(f"{label} {plain(as_options(str(error)))}", err=True)


def fail(error: Exception | str, code: ExitCode) -> NoReturn:
    """End the command with a line and an exit code."""
    show_error(error)
    raise click.exceptions.Exit(code)


@contextmanager
def one_line_errors() -> Generator[None]:
    """End the command in one line if a call fails: no answer, a refusal, no credentials."""
    try:
        yield
    except CloudflareError as error:
        lacks_credentials = type(error) is CloudflareError  # other errors are of subclasses
        fail(error, ExitCode.USAGE if lacks_credentials else ExitCode.FAILED)


@contextmanager
def checked_arguments() -> Generator[None]:
    """Report a wrong argument that the SDK refuses as wrong usage."""
    try:
        yield
    except ValueError as error:
        fail(error, ExitCode.USAGE)


def show_usage_error(error: click.ClickException) -> None:
    """Print the error of a command line, and the command for its help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    if isinstance(error, click.NoSuchOption):
        like = [name for name in error.possibilities or () if name != "--help"]
        guess = f"; did you mean {' or '.join(like)}?" if like else ""
        message = f"unknown option {error.option_name}{guess}"
    elif isinstance(error, click.BadParameter) and (bounds := _bounds(error.param)):
        message = bounds
    else:
        message = _QUOTED_OPTION.sub(r"\1", error.format_message()).rstrip(".")
    show_error(message[:1].lower() + message[1:])
    if isinstance(error, click.UsageError) and error.ctx is not None:
        say(f"See `{error.ctx.command_path} --help`.")


def _bounds(parameter: click.Parameter | None) -> str:
    """Return the bounds of a whole number as text; empty if the parameter is not one."""
    if parameter is None or not isinstance(kind := parameter.type, click.IntRange):
        return ""
    most = "" if kind.max is None else f" and at most {kind.max:,}"
    return f"{parameter.opts[0]} must be a whole number, at least {kind.min}{most}"


_QUOTED_OPTION = re.compile(r"'(--?[a-z][a-z0-9-]*)'")


SAME_OPTIONS = "cfaigw_billing.same_options"
"""The key in `meta` of the context: the options that suggested commands repeat."""


def command(*words: str) -> str:
    """Return a command line to type, with the name that the program was called with."""
    context = click.get_current_context()
    words = (*words, *context.meta.get(SAME_OPTIONS, ()))
    return f"{context.find_root().info_name} {shlex.join(words)}"


_OPTIONS = {
    "its `account_id`": "its account id",
    "`account_id`": "the account id",
    "`amount`": "--amount",
    "`threshold`": "--threshold",
    "`payment_method_id`": "--payment-method",
    "`payment_intent_id`": "the ID of the top-up",
    "`sent_at`": "--sent-at",
    "`runway`": "--runway",
    "`interval`": "--interval",
    "`refresh`": "--refresh",
    "`state`": "--state",
    "`exclude`": "--exclude",
    "`idempotency_key`": "--idempotency-key",
    "`older_than`": "--older-than",
    "`path`": "--journal",
    "`api_token`": "CLOUDFLARE_API_TOKEN",
    "`api_tokens`": "--tokens",
    "`api_email`": "CLOUDFLARE_EMAIL",
    "`api_key`": "CLOUDFLARE_API_KEY",
    "`user_service_key`": "CLOUDFLARE_API_USER_SERVICE_KEY",
    "`base_url`": "CLOUDFLARE_BASE_URL",
    "`billing.topup.reconcile(error)`": "`reconcile`",
}
"""The SDK's names, and their names on the command line."""
_NAME = re.compile("|".join(map(re.escape, _OPTIONS)))
_CENTS = re.compile(r"\d+ cents \((\$[\d,.]+)\)")


_JOURNAL = re.compile(r"SQLiteJournal\('(.*?)'\)")


def as_options(message: str) -> str:
    """Return a message of the SDK with the names of the command line."""
    message = _JOURNAL.sub(r"\1", message)
    return _CENTS.sub(r"\1", _NAME.sub(lambda found: _OPTIONS[found.group()], message))
