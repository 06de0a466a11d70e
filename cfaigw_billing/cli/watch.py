"""Watch accounts: each event is a line of JSON, and a program may deliver it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..types import Money
from ._errors import ExitCode, checked_arguments, fail
from ._inputs import chosen_accounts, dollars, duration, everyone, several_accounts, words
from ._output import json_line
from ._session import session

if TYPE_CHECKING:
    from .. import Watch


class Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


@click.command()
@several_accounts
@everyone
@click.option(
    "--low",
    default="10",
    show_default=True,
    metavar="DOLLARS",
    callback=dollars,
    help="Tell when a balance is below it.",
)
@click.option(
    "--runway",
    default="3d",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="Tell when the credit may be gone within this time; 0: make no forecasts.",
)
@click.option(
    "--interval",
    default="15m",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="The longest time between two looks at an account.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that keeps what has been told.",
)
@click.option(
    "--exec",
    "program",
    metavar="COMMAND",
    callback=words,
    help="Run it for each event, which it gets on stdin. No shell reads it.",
)
@click.option("--once", is_flag=True, help="Look at each account once, and end: for cron.")
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
    """Watch the balances of accounts, and tell each change once.

    An event is one line of JSON on stdout: low, empty, recovered, topped_up, auto_topup_failed,
    auto_topup_restored, unreadable, readable. TIME is a number with m, h or d, such as 90m.

    With --state, what was told is not told again after a restart. If COMMAND fails, the event
    counts as untold: watch ends, and tells it again when it is started again.

    Exit codes: 0 --once is done, or SIGTERM came; 1 the service refused or did not answer, or
    COMMAND failed; 2 wrong usage; 130 stopped by Ctrl-C. The state is saved in each case.
    """
    chosen = chosen_accounts(accounts, everyone)
    kept = StateFile(state)
    with session() as client:
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
                tell(events, kept, program)
        except Terminated:
            return ExitCode.OK
    return ExitCode.OK


def tell(events: Watch, kept: StateFile, program: list[str] | None) -> None:
    """Deliver events, and save the state after each."""
    kept.save(events.state)  # a file that cannot be written is seen before anything is told
    try:
        for event in events:
            line = json_line(event.to_dict())
            click.echo(line)
            if program:
                deliver(line, program)
            kept.save(events.state)
    finally:
        if not kept.lacks_event(events.state):
            kept.save(events.state)  # with the balances that were seen meanwhile


def deliver(line: str, program: list[str]) -> None:
    """Run a program with an event on its stdin; end the command if it fails."""
    try:
        # What it prints goes to stderr: stdout is for events.
        ended = subprocess.run(program, input=f"{line}\n", text=True, stdout=2, check=False)  # noqa: S603  # the user's
    except OSError as error:
        why = f"{error.strerror}"
    else:
        if ended.returncode == 0:
            return
        why = f"exit code {ended.returncode}"
    fail(f"--exec {shlex.join(program)}: {why}; the event counts as untold", ExitCode.FAILED)


class StateFile:
    """The file that keeps what was told, if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.state: dict[str, Any] | None = None
        """What is in it."""
        try:
            if path is not None and (text := path.read_text(encoding="utf-8")):
                self.state = dict(json.loads(text))
        except FileNotFoundError:
            pass
        except OSError as error:
            fail(f"{path}: {error.strerror}", ExitCode.USAGE)
        except (ValueError, TypeError):
            fail(f"{path} holds no state of `watch`", ExitCode.USAGE)

    def save(self, state: dict[str, Any]) -> None:
        """Write it; whenever this is interrupted, either the old one or the new one is there."""
        self.state = state
        if self._path is None:
            return
        # A name of this process: cron may start the next one while this one still runs.
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
        """Whether a state tells of an event that the one saved last does not."""
        before = _episodes(self.state or {})
        return any(before.get(name) != each for name, each in _episodes(state).items())


def _episodes(state: dict[str, Any]) -> dict[str, Any]:
    found = {  # the service stands there with one of the accounts, and not always with the same
        "service" if name.startswith("service:") else name: {
            key: each[key] for key in ("open", "told") if key in each
        }
        for name, each in state.items()
        if name != "version"
    }
    return {name: each for name, each in found.items() if each}


@contextmanager
def sigterm_raises() -> Generator[None]:
    """Let SIGTERM end what is within as Ctrl-C does."""

    def handler(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
