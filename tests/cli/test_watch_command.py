"""`watch`: what it prints, whom it tells, what it keeps, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from cfaigw_billing.cli.watch import StateFile, alone
from cfaigw_billing.testing import Emulator, Fault

from .running import (
    LOW,
    MODULE,
    OVERDRAWN,
    RICH,
    SECONDS,
    fail_account,
    needs_posix,
    run,
    said,
    start,
    wait_for,
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def kinds(result: Result) -> list[tuple[str, str]]:
    return sorted((event["account_id"], event["kind"]) for event in events(result))


TOLD = [(LOW, "auto_topup_failed"), (LOW, "low"), (OVERDRAWN, "empty")]


def test_each_event_is_a_line_of_json_and_told_once(service: Emulator, state: Path) -> None:
    given = ("watch", "--all", "--once", "--state", state)
    first = run(*given)
    assert first.exit_code == 0
    assert kinds(first) == TOLD
    kept = json.loads(state.read_text())  # with the balances of which there was nothing to tell
    assert kept[f"account:{RICH}"]["balance"] == pytest.approx(123_456.78)
    (low,) = (event for event in events(first) if event["kind"] == "low")
    assert (low["balance"], low["balance_usd"], low["name"]) == (640.19, 6.4019, "Low")
    again = run(*given)
    assert (again.exit_code, again.output) == (0, "")
    service.accounts[OVERDRAWN].balance = 5000.0
    assert kinds(run(*given)) == [(OVERDRAWN, "recovered"), (OVERDRAWN, "topped_up")]


def test_accounts_come_from_a_file_and_thresholds_from_options(
    service: Emulator, tmp_path: Path
) -> None:
    listed = tmp_path / "accounts.txt"
    listed.write_text(f"{RICH}\n{LOW} # the second\n")
    result = run("watch", listed, "--once", "--low", "2000", "--runway", "0")
    assert (RICH, "low") not in kinds(result), "its automatic top-up works"
    assert (LOW, "low") in kinds(result)
    assert not any("usage" in request.path for request in service.requests)
    assert kinds(run("watch", OVERDRAWN, "--once")) == [(OVERDRAWN, "empty")]
    assert kinds(run("watch", "-", "--once", "--low", "1", stdin=LOW)) == TOLD[:1]


# Delivery.


@pytest.fixture
def received(tmp_path: Path) -> Path:
    return tmp_path / "received"


def program(received: Path, exit_code: int = 0) -> str:
    """A command that keeps what it gets."""
    script = received.with_suffix(".py")
    script.write_text(
        f"import sys\nopen(sys.argv[1], 'a').write(sys.stdin.read())\nprint('$HOME')\n"
        f"sys.exit({exit_code})"
    )
    return f"'{sys.executable}' '{script}' '{received}'"


def test_a_program_gets_each_event_on_stdin(service: Emulator, received: Path) -> None:
    result = run("watch", "--all", "--once", "--exec", program(received))
    assert received.read_text() == result.stdout
    assert len(events(result)) == 3


def test_no_shell_reads_the_command(service: Emulator, tmp_path: Path) -> None:
    written = tmp_path / "written"
    result = run("watch", OVERDRAWN, "--once", "--exec", f"echo $(touch {written}) > {written}")
    assert result.exit_code == 0
    assert not written.exists()


def test_an_event_whose_delivery_failed_is_told_again(
    service: Emulator, state: Path, received: Path
) -> None:
    given = ("watch", "--all", "--once", "--state", state, "--exec")
    failed = run(*given, program(received, exit_code=7))
    assert failed.exit_code == 1
    assert said(failed).endswith("exit code 7; the event will be reported again")
    assert len(events(failed)) == 1
    again = run(*given, program(received))
    assert kinds(again) == TOLD
    told = [json.loads(line)["key"] for line in received.read_text().splitlines()]
    assert (len(told), len(set(told))) == (4, 3)
    assert run(*given, program(received, exit_code=7)).output == "", "nothing is left to tell"


@needs_posix
def test_a_program_that_cannot_be_run(service: Emulator, tmp_path: Path) -> None:
    missing = run("watch", OVERDRAWN, "--once", "--exec", "no-such-program --now")
    assert missing.exit_code == 2
    assert said(missing) == "error: --exec no-such-program --now: no such program"
    assert service.requests == []
    no_program = tmp_path / "text"
    no_program.write_bytes(b"\x00")
    no_program.chmod(0o700)
    failed = run("watch", OVERDRAWN, "--once", "--exec", str(no_program))
    assert failed.exit_code == 1
    assert said(failed).endswith("Exec format error; the event will be reported again")


# Two at a time.


@needs_posix
def test_only_one_at_a_time_uses_a_state_file(service: Emulator, state: Path) -> None:
    """Else `recovered` could be lost: the other one may not know what it ends."""
    with start(*MODULE, "watch", "--all", "--state", str(state)) as process:
        wait_for(state.exists)
        told = state.read_text()
        second = run("watch", "--all", "--once", "--state", state)
        assert (second.exit_code, second.stdout) == (1, "")
        assert said(second) == f"error: another `watch` uses {state}"
        assert json.loads(told).keys() <= json.loads(state.read_text()).keys()
        process.kill()  # which frees the file
        process.communicate(timeout=SECONDS)
    assert run("watch", "--all", "--once", "--state", state).exit_code == 0


@needs_posix
def test_a_link_to_a_state_file_is_that_file(service: Emulator, state: Path) -> None:
    link = state.with_name("link.json")
    link.symlink_to(state)
    assert kinds(run("watch", "--all", "--once", "--state", link)) == TOLD
    assert link.is_symlink()
    assert run("watch", "--all", "--once", "--state", state).output == ""
    with alone(state):
        second = run("watch", "--all", "--once", "--state", link)
        assert said(second) == f"error: another `watch` uses {state}"


@needs_posix
def test_a_lock_that_fails_is_not_another_watch(
    service: Emulator, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", without_locks)
    result = run("watch", "--all", "--once", "--state", state)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said(result) == f"error: {state}.lock cannot be locked: No locks available"
    state.with_name("state.json.lock").unlink()
    state.with_name("state.json.lock").mkdir()
    result = run("watch", "--all", "--once", "--state", state)
    assert said(result) == f"error: {state}.lock: Is a directory"
    assert service.requests == []


# Accounts that cannot be read.


def test_one_round_without_a_file_says_what_it_could_not_read(service: Emulator) -> None:
    fail_account(service, LOW, Fault(status=403))
    result = run("watch", LOW, RICH, "--once")
    assert (result.exit_code, result.stdout) == (3, "")
    assert said(result) == f"error: 1 of 2 accounts could not be read: {LOW}"
    mistyped = run("watch", "accounts", "--once")
    assert (mistyped.exit_code, mistyped.stdout) == (1, "")
    assert said(mistyped) == "error: 1 of 1 accounts could not be read: accounts"


def test_rounds_with_a_file_tell_it_after_three_failures(service: Emulator, state: Path) -> None:
    fail_account(service, LOW, Fault(status=403))
    assert run("watch", LOW, RICH, "--once", "--state", state).output == ""


# Errors.

WRONG = [
    (["--runway", "x"], "--runway must be a time such as 90m, 12h, 3d or 2w, not 'x'"),
    (["--interval", "2d"], "--interval must be from 1 minute to 1 day, got 2 days"),
    (["--exec", "a 'b"], "--exec must be a command: no closing quotation"),
    (["--exec", ""], "--exec must be a command"),
    (["--low", "x"], "--low must be dollars"),
    (["--state", ""], "invalid value for --state: File '' is a directory"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_usage_is_refused(service: Emulator, options: list[str], message: str) -> None:
    result = run("watch", "--all", "--once", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in said(result)
    assert service.requests == []


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"version": 3}', "\x00"])
def test_a_file_that_holds_no_state_is_left_alone(
    service: Emulator, state: Path, text: str
) -> None:
    state.write_text(text)
    result = run("watch", "--all", "--once", "--state", state)
    assert result.exit_code == 2
    assert state.read_text() == text


def test_a_state_that_cannot_be_written_is_seen_at_once(service: Emulator, tmp_path: Path) -> None:
    result = run("watch", "--all", "--once", "--state", tmp_path / "missing" / "state")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No such file" in said(result)


def test_processes_that_save_at_the_same_time_do_not_mix_their_states(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron may start the next round before the one before has ended."""
    save = "import sys, pathlib; from cfaigw_billing.cli.watch import StateFile as S; "
    save += "S(pathlib.Path(sys.argv[1])).save({'version': 2})"

    def let_another_save(_: int) -> None:
        subprocess.run([sys.executable, "-c", save, str(state)], check=True)  # noqa: S603
        assert json.loads(state.read_text()) == {"version": 2}

    monkeypatch.setattr(os, "fsync", let_another_save)
    StateFile(state).save({"version": 1})
    assert json.loads(state.read_text()) == {"version": 1}
    assert list(state.parent.iterdir()) == [state]


def test_credentials_that_are_refused_end_it(service: Emulator, state: Path) -> None:
    service.inject(Fault(status=401, code=10000), times=None)
    result = run("watch", "--all", "--state", state)
    assert (result.exit_code, result.stdout) == (1, "")


# The end.


def open_episodes(state: Path) -> int:
    kept = json.loads(state.read_text())
    return sum(len(kept[name].get("open", ())) for name in kept.keys() - {"version"})


@needs_posix
@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_goes_on_until_a_signal_and_keeps_its_state(
    service: Emulator, state: Path, by: signal.Signals, code: int
) -> None:
    given = (*MODULE, "watch", "--all", "--state", str(state))
    with start(*given) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in TOLD]
        wait_for(lambda: open_episodes(state) == len(TOLD))  # the file is written after the line
        process.send_signal(by)
        _, stderr = process.communicate(timeout=SECONDS)
    assert (process.returncode, stderr) == (code, "")
    assert sorted(json.loads(line)["kind"] for line in lines) == [
        "auto_topup_failed",
        "empty",
        "low",
    ]
    assert open_episodes(state) == len(TOLD)
    assert run("watch", "--all", "--once", "--state", state).output == ""
