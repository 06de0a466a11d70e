"""How the tests run commands: in this process, or in one of their own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cfaigw_billing.cli import app
from cfaigw_billing.testing import Emulator, Fault

MODULE = ("-m", "cfaigw_billing")
SECONDS = 60.0  # after which what a test waits for is taken never to happen
RICH, LOW, OVERDRAWN, UNKNOWN = (letter * 32 for letter in "abcd")  # account ids

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="sends signals, opens terminals")


def run(*arguments: object, stdin: str | None = None, **environment: str) -> Result:
    """The outcome of a command; what it prints is checked for what must never be printed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=stdin, env=environment)
    assert "\x1b" not in result.output
    assert "Traceback" not in result.output
    assert "_secret" not in result.output
    assert "emulator-token" not in result.output
    if not {"--json", "--csv", "reconcile", "watch"} & set(arguments):
        width = max(80, int((os.environ | environment).get("COLUMNS", 1000)))
        assert all(len(line) <= width for line in result.stdout.splitlines())
    return result


def row(result: Result, start: str) -> str:
    """The one line that starts so, without trailing blanks."""
    (line,) = (line for line in result.stdout.splitlines() if line.startswith(start))
    return line.rstrip()


def said(result: Result) -> str:
    """Return stderr without line breaks."""
    return " ".join(result.stderr.split())


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)


def as_csv(result: Result) -> list[list[str]]:
    return list(csv.reader(StringIO(result.stdout)))


def paths(emulator: Emulator) -> list[str]:
    """Return the requests, each by the end of its path."""
    return [f"{r.method} {r.path.rpartition('billing')[2] or r.path}" for r in emulator.requests]


def fail_account(emulator: Emulator, account_id: str, fault: Fault) -> None:
    emulator.inject(fault, times=None, path=f"/{account_id}/ai-gateway/billing/credit-balance")


class Process(subprocess.Popen[str]):
    """One that does not outlive the test which started it, even where that fails."""

    def __exit__(self, *exc_info: Any) -> None:
        if exc_info[0] is not None:
            self.kill()
        super().__exit__(*exc_info)


def start(
    *arguments: str,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    **environment: str,
) -> Process:
    """Start another Python like a shell, but in a session without its own terminal."""
    return Process(
        [sys.executable, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
