"""The command `watch`: each event is a line of JSON, and a program may deliver it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import click

from ..types import Money
from ._errors import ExitCode, checked_arguments, fail, show_error
from ._inputs import chosen_accounts, dollars, duration, everyone, several_accounts, tokens, words
from ._output import json_line
from ._session import session

if TYPE_CHECKING:
    from .. import Watch


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM."""


@click.command()
@several_accounts
@everyone
@tokens
@click.option(
    "--low",
    default="10",
    show_default=True,
    metavar="DOLLARS",
    callback=dollars,
    help="Report a balance below this.",
)
@click.option(
    "--runway",
    default="3d",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="Report credit that may run out within this time; 0: make no forecasts.",
)
@click.option(
    "--interval",
    default="15m",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="The longest time between two checks of an account.",
)
@click.option(
    "--state",
    # Resolved: a link must not be replaced by a file, and its target must not be locked twice.
    type=click.Path(dir_okay=False, resolve_path=True, path_type=Path),
    help="The file that stores the reported events.",
)
@click.option(
    "--exec",
    "program",
    metavar="COMMAND",
    callback=words,
    help="Run this for each event, with the event on stdin, without a shell.",
)
@click.option("--once", is_flag=True, help="Check each account once, and end: for cron.")
def watch(
    accounts: Sequence[str],
    everyone: bool,
    low: Money,
    runway: timedelta,
    interval: timedelta,
    state: Path | None,
    program: list[str] | None,
    once: bool,
) -> ExitCode:
    """Watch the balances of accounts, and report each change once.

    An event is one line of JSON on stdout: low, empty, recovered, topped_up, auto_topup_failed,
    auto_topup_restored, unreadable, readable. TIME is a number with m, h or d, such as 90m.

    With --state, no event is reported again after a restart. If COMMAND fails, watch ends, and
    reports that event again at the next start. Only one watch at a time may use a state file.

    Exit codes: 0 --once is done, or SIGTERM came; 1 the service refused or did not answer, or
    COMMAND failed; 2 wrong usage; 3 --once without --state could not read some accounts; 130
    stopped by Ctrl-C. The state is saved in each case.
    """
    chosen = chosen_accounts(accounts, everyone)
    if program and which(program[0]) is None:  # not only when the first event comes
        fail(f"--exec {shlex.join(program)}: no such program", ExitCode.USAGE)
    with alone(state), session() as client:
        kept = StateFile(state)
        with checked_arguments():
            events = client.ai_gateway.billing.watch(
                [chosen] if isinstance(chosen, str) else chosen,
                low=low,
                runway=runway or None,
                state=kept.state,
                interval=interval,
                once=once,
            )
        try:
            with sigterm_raises(), events:
                report_events(events, kept, program)
        except Terminated:
            return ExitCode.OK
    return show_unreadable(events.state) if once and state is None else ExitCode.OK


def report_events(events: Watch, kept: StateFile, program: list[str] | None) -> None:
    """Deliver events, and save the state after each."""
    kept.save(events.state)  # fails now, before the first event, if the file cannot be written
    try:
        for event in events:
            line = json_line(event.to_dict())
            click.echo(line)
            if program:
                deliver(line, program)
            kept.save(events.state)
    finally:
        if not kept.lacks_event(events.state):
            kept.save(events.state)  # with the newest balances


def deliver(line: str, program: list[str]) -> None:
    """Run a program with an event on its stdin; end the command if it fails."""
    try:
        # Its output goes to stderr: stdout is for events.
        ended = subprocess.run(program, input=f"{line}\n", text=True, stdout=2, check=False)  # noqa: S603  # the user's
    except OSError as error:
        why = f"{error.strerror}"
    else:
        if ended.returncode == 0:
            return
        why = f"exit code {ended.returncode}"
    fail(f"--exec {shlex.join(program)}: {why}; the event will be reported again", ExitCode.FAILED)


@contextmanager
def alone(state: Path | None) -> Generator[None]:
    """Let no other `watch` use the state file within the block; not on Windows.

    Each of two would overwrite what the other has reported.
    """
    if state is None or sys.platform == "win32":
        yield
        return
    from fcntl import LOCK_EX, LOCK_NB, flock

    lock = state.with_name(f"{state.name}.lock")
    try:
        file = lock.open("a")
    except OSError as error:
        fail(f"{lock}: {error.strerror}", ExitCode.FAILED)
    with file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            fail(f"another `watch` uses {state}", ExitCode.FAILED)
        except OSError as error:  # a file system without locks
            fail(f"{lock} cannot be locked: {error.strerror}", ExitCode.FAILED)
        yield


def show_unreadable(state: dict[str, Any]) -> ExitCode:
    """Print which accounts could not be read: without a file, no later round will report them."""
    accounts = [name for name in state if name.startswith("account:")]
    failed = [name.removeprefix("account:") for name in accounts if "failures" in state[name]]
    if not failed:
        return ExitCode.OK
    show_error(f"{len(failed)} of {len(accounts)} accounts could not be read: {', '.join(failed)}")
    return ExitCode.FAILED if len(failed) == len(accounts) else ExitCode.PARTLY_FAILED


class StateFile:
    """The file with the state of a watch, if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.state: dict[str, Any] | None = None
        """Its content."""
        try:
            if path is not None and (text := path.read_text(encoding="utf-8")):
                self.state = dict(json.loads(text))
        except FileNotFoundError:
            pass
        except OSError as error:
            fail(f"{path}: {error.strerror}", ExitCode.USAGE)
        except (ValueError, TypeError):
            fail(f"{path} is not a state file of `watch`", ExitCode.USAGE)

    def save(self, state: dict[str, Any]) -> None:
        """Write the file. If interrupted, either the old or the new content is there."""
        self.state = state
        if self._path is None:
            return
        # With the process id: cron may start the next process while this one still runs.
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            with new.open("w", encoding="utf-8") as file:
                file.write(json.dumps(state))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            fail(f"{self._path}: {error.strerror}", ExitCode.FAILED)
        finally:
            with suppress(OSError):
                new.unlink()

    def lacks_event(self, state: dict[str, Any]) -> bool:
        """Return whether `state` has an event that the last saved state does not have."""
        before = _episodes(self.state or {})
        return any(before.get(name) != each for name, each in _episodes(state).items())


def _episodes(state: dict[str, Any]) -> dict[str, Any]:
    found = {  # the key of the service contains an account, which may change
        "service" if name.startswith("service:") else name: {
            key: each[key] for key in ("open", "told") if key in each
        }
        for name, each in state.items()
        if name != "version"
    }
    return {name: each for name, each in found.items() if each}


@contextmanager
def sigterm_raises() -> Generator[None]:
    """Let SIGTERM raise `Terminated` within the block."""

    def handler(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
