"""The command line, against the emulator as the real service."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cfaigw_billing import cli
from cfaigw_billing.testing import Emulator, Fault

MODULE = ("-m", "cfaigw_billing")
SECONDS = 8.0  # within which whatever a test waits for has to happen
RICH, LOW, OVERDRAWN = (letter * 32 for letter in "abc")  # account ids

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="sends signals, opens terminals")


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns, and no colours but where the test opens a terminal."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", None)  # Typer colours help in CI
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator with three accounts, which the environment names as the service."""
    with Emulator() as emulator:
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", emulator.base_url)
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", emulator.api_token)
        rich = emulator.add_account(RICH, balance=123_456.78)
        rich.topup_config |= {"amount": 5000, "threshold": 1000}
        low = emulator.add_account(LOW, balance=640.19, payment_method=None)
        low.topup_config |= {"amount": 5000, "threshold": 1000, "disabledReason": "no_card"}
        emulator.add_account(OVERDRAWN, balance=-1234.56)
        yield emulator


def run(*arguments: object, **environment: str) -> Result:
    """The outcome of a command; what it prints is checked for what must never be printed."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments], env=environment)
    assert "\x1b" not in result.output
    assert "Traceback" not in result.output
    assert os.environ.get("CLOUDFLARE_API_TOKEN", "emulator-token") not in result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    return result


def row(result: Result, start: str) -> str:
    """The one line that starts so, without trailing blanks."""
    (line,) = (line for line in result.stdout.splitlines() if line.startswith(start))
    return line.rstrip()


def start(
    *arguments: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Another Python, as a shell starts it."""
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, stdout=stdout, stderr=stderr, text=True)  # noqa: S603


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fail_account(emulator: Emulator, account_id: str, fault: Fault) -> None:
    emulator.inject(fault, times=None, path=f"/{account_id}/ai-gateway/billing/credit-balance")


# balance


def test_balances_are_shown_in_dollars_lowest_first(service: Emulator) -> None:
    result = run("balance", RICH, LOW, OVERDRAWN)
    assert result.exit_code == 0
    assert row(result, OVERDRAWN) == f"{OVERDRAWN}   -$12.35 LOW visa 4242 off"
    assert row(result, LOW) == f"{LOW}     $6.40 LOW none      disabled"
    assert row(result, RICH) == f"{RICH} $1,234.57     visa 4242 $50.00 at $10.00"
    assert re.findall(r"^[abc]", result.stdout, re.MULTILINE) == ["c", "b", "a"]
    assert row(result, "Accounts") == "Accounts  3, of which 2 low (below $10.00), 0 failed"
    assert row(result, "Total") == "Total     $1,228.62"
    assert result.stderr == ""


def test_the_account_of_the_environment_is_asked_where_none_is_named(service: Emulator) -> None:
    result = run("balance", CLOUDFLARE_ACCOUNT_ID=LOW)
    assert result.exit_code == 0
    assert "$6.40 LOW" in row(result, LOW)


def test_an_account_named_twice_counts_once(service: Emulator) -> None:
    result = run("balance", LOW, LOW)
    assert row(result, "Total") == "Total     $6.40"
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("threshold", "low"), [("6.40", 1), ("$6.41", 2), ("1e9", 3), ("-12.3456", 0)]
)
def test_low_is_what_is_exactly_below_the_threshold(
    service: Emulator, threshold: str, low: int
) -> None:
    # 640.19 cents are not below $6.40, although they are shown as that.
    result = run("balance", RICH, LOW, OVERDRAWN, "--threshold", threshold)
    assert f"of which {low} low" in result.stdout
    assert len(re.findall(r"\bLOW\b", result.stdout)) == low


def test_an_account_that_fails_does_not_hide_the_others(service: Emulator) -> None:
    unknown = "d" * 32
    fail_account(service, RICH, Fault(status=403, code=10000, message="Authentication error"))
    result = run("balance", RICH, unknown, LOW)
    assert result.exit_code == 3
    assert "$6.40" in row(result, LOW)
    assert "2 failed" in row(result, "Accounts")
    forbidden, not_found = sorted(result.stderr.splitlines())
    assert forbidden.startswith(f"error: 403 GET /client/v4/accounts/{RICH}/")
    assert "AI Gateway Read" in forbidden
    assert not_found.startswith(f"error: 404 GET /client/v4/accounts/{unknown}/")


def test_every_account_failing_is_exit_code_1(service: Emulator) -> None:
    result = run("balance", "d" * 32, "e" * 32)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 2


def test_wrong_credentials_end_the_run_in_one_line(service: Emulator) -> None:
    result = run("balance", RICH, LOW, OVERDRAWN, "--concurrency", 1, CLOUDFLARE_API_TOKEN="wrong")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: 401 GET ")
    assert "wrong" not in line
    assert len(service.requests) < 3


def test_missing_credentials_are_wrong_usage(service: Emulator) -> None:
    result = run("balance", RICH, LOW, CLOUDFLARE_API_TOKEN="")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "CLOUDFLARE_API_TOKEN" in line
    assert service.requests == []


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["balance"], {}, "Missing argument"),
        (["balance", LOW, ""], {}, "account_id"),
        (["balance", LOW, ".."], {}, "account_id"),
        (["balance"], {"CLOUDFLARE_ACCOUNT_ID": "a/b"}, "account_id"),
        (["balance", LOW], {"CLOUDFLARE_BASE_URL": "ftp://example.com"}, "base_url"),
        (["balance", LOW, "--threshold", "ten"], {}, "not an amount"),
        (["balance", LOW, "--threshold", "nan"], {}, "not an amount"),
        (["balance", LOW, "--concurrency", "0"], {}, "--concurrency"),
        (["demo", "--accounts", "0"], {}, "--accounts"),
        (["emulator", "--port", "70000"], {}, "--port"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    service: Emulator, arguments: list[str], environment: dict[str, str], complaint: str
) -> None:
    result = run(*arguments, **environment)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert service.requests == []


@pytest.mark.parametrize("command", [[], ["balance"], ["demo"]])
def test_the_help_documents_the_exit_codes(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert " ".join(result.stdout.split()).endswith(cli.EXIT_CODES)


@needs_posix
def test_ctrl_c_during_a_request_leaves_no_traceback(service: Emulator) -> None:
    service.inject(Fault(silence="hang"), times=None)
    with start(*MODULE, "balance", LOW) as process:
        wait_for(lambda: service.requests)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert output == ("", "")


# demo


def test_the_demo_checks_its_accounts_and_says_what_to_type_next() -> None:
    result = run("demo", "--latency-ms", 0)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert len(re.findall(r"^[0-9a-f]{32} ", result.stdout, re.MULTILINE)) == cli.DEMO_ROWS
    assert row(result, "and ") == "and 290 more, none of them lower"
    assert re.search(
        r"^Accounts  300, of which \d+ low \(below \$10.00\), 0 failed", result.stdout, re.M
    )
    assert re.search(r"^Time      \d+\.\d\d s, [\d,]+ accounts/s", result.stdout, re.MULTILINE)
    assert len(result.stdout.splitlines()) < 24
    assert result.stdout.endswith(
        "  export CLOUDFLARE_API_TOKEN=…\n  python -m cfaigw_billing balance ACCOUNT\n"
    )


def test_the_demo_accounts_are_varied_and_the_same_each_time() -> None:
    balances = [account.balance for account in cli.new_emulator(300).accounts.values()]
    assert balances == [account.balance for account in cli.new_emulator(300).accounts.values()]
    assert (
        0
        < sum(balance < 0 for balance in balances)
        < sum(balance < 1000 for balance in balances)
        < 60
    )


def test_the_demo_takes_the_latency_it_is_given() -> None:
    result = run("demo", "--accounts", 3, "--concurrency", 1, "--latency-ms", 50)
    assert float(row(result, "Time").split()[1]) >= 0.15


def test_the_demo_ignores_the_credentials_of_the_environment(service: Emulator) -> None:
    result = run("demo", "--accounts", 3, CLOUDFLARE_API_TOKEN="a-real-token")
    assert result.exit_code == 0
    assert service.requests == []


def test_an_account_that_fails_does_not_end_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    new_emulator = cli.new_emulator

    def one_fails(*arguments: Any) -> Emulator:
        emulator = new_emulator(*arguments)
        fail_account(emulator, next(iter(emulator.accounts)), Fault(status=403))
        return emulator

    monkeypatch.setattr(cli, "new_emulator", one_fails)
    result = run("demo", "--accounts", 5, "--latency-ms", 0)
    assert result.exit_code == 3
    assert row(result, "Accounts").endswith("1 failed")
    assert result.stderr.startswith("error: 403 GET ")


@needs_posix
def test_a_terminal_gets_colours_and_a_progress_bar() -> None:
    import pty

    leader, follower = pty.openpty()
    shown = b""
    command = *MODULE, "demo", "--accounts", "3", "--threshold", "1000"
    with start(*command, stdout=follower, stderr=follower) as process:
        os.close(follower)
        with suppress(OSError):  # what Linux says once nobody writes to a terminal any more
            while chunk := os.read(leader, 4096):
                shown += chunk
    os.close(leader)
    assert process.returncode == 0
    assert b"Balances" in shown
    assert b"\x1b[1;31mLOW" in shown


# emulator


@needs_posix
def test_the_emulator_serves_another_shell_until_ctrl_c() -> None:
    with start(*MODULE, "emulator", "--port", "0", "--accounts", "2") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(6)]
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines[3:5])
        arguments = lines[5].removeprefix("python -m cfaigw_billing ").split()
        result = run(*arguments, **exports)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=SECONDS)
    assert exports.keys() == {"CLOUDFLARE_BASE_URL", "CLOUDFLARE_API_TOKEN"}
    assert exports["CLOUDFLARE_BASE_URL"] in lines[1]
    assert result.exit_code == 0, result.output
    assert row(result, arguments[1])
    assert process.returncode == 0
    assert stderr == ""


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run("emulator", "--port", server.getsockname()[1])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1


# Running the module


def test_the_module_runs_the_command_line() -> None:
    with start(*MODULE, "--help") as process:
        stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "python -m cfaigw_billing" in stdout
    assert stderr == ""


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None  # which fails its import
from cfaigw_billing.__main__ import main
main()
"""
    with start("-c", code) as process:
        stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert stdout == ""
    (line,) = stderr.splitlines()
    assert "pip install 'cfaigw_billing[cli]'" in line
