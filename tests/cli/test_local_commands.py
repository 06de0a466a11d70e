"""`demo` and `emulator`, which need no account; and what all commands have."""

from __future__ import annotations

import re
import signal
import socket
from typing import Any

import pytest

from cfaigw_billing import __version__
from cfaigw_billing.cli import local
from cfaigw_billing.cli._errors import EXIT_CODES
from cfaigw_billing.testing import Emulator, Fault

from .running import MODULE, SECONDS, fail_account, needs_posix, row, run, start

# demo


@pytest.mark.parametrize("width", [80, 120])
def test_the_demo_checks_its_accounts_and_says_what_to_type_next(width: int) -> None:
    result = run("demo", "--latency-ms", 0, COLUMNS=str(width))
    assert result.exit_code == 0
    assert result.stderr == ""
    rows = re.findall(r"^[0-9a-f]{32}  [a-z]+-[a-z]+ .*\$", result.stdout, re.MULTILINE)
    assert len(rows) == local.DEMO_ROWS
    assert row(result, "and ") == "and 290 more, none of them lower"
    assert re.search(
        r"^300 accounts: \$[\d,.]+ in all, \d+ low \(below \$10.00\), 0 failed$",
        result.stdout,
        re.MULTILINE,
    )
    assert re.search(r"^Time \d+\.\d\d s, [\d,]+ accounts/s$", result.stdout, re.MULTILINE)
    assert len(result.stdout.splitlines()) < 24
    *_, why, _, command = result.stdout.splitlines()
    assert "CLOUDFLARE_API_TOKEN" in why
    assert command == "  .venv/bin/python -m cfaigw_billing balances --all"


def test_the_demo_accounts_are_varied_and_the_same_each_time() -> None:
    accounts = local.new_emulator(300).accounts.values()
    again = local.new_emulator(300).accounts.values()
    balances = [account.balance for account in accounts]
    assert [(a.id, a.name, a.balance) for a in accounts] == [
        (a.id, a.name, a.balance) for a in again
    ]
    assert len({account.name for account in accounts}) == 300
    assert max(len(account.name) for account in accounts) <= 16
    assert 0 < sum(b < 0 for b in balances) < sum(b < 1000 for b in balances) < 60
    assert local.made_up_name(300) == "shop-eu 2"


def test_the_demo_takes_the_latency_it_is_given() -> None:
    result = run("demo", "--accounts", 3, "--concurrency", 1, "--latency-ms", 50)
    assert float(row(result, "Time").split()[1]) >= 0.15


def test_the_demo_ignores_the_credentials_of_the_environment(service: Emulator) -> None:
    result = run("demo", "--accounts", 3, CLOUDFLARE_API_TOKEN="a-real-token")
    assert result.exit_code == 0
    assert service.requests == []


def test_an_account_that_fails_does_not_end_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    new_emulator = local.new_emulator

    def one_fails(*arguments: Any) -> Emulator:
        emulator = new_emulator(*arguments)
        fail_account(emulator, next(iter(emulator.accounts)), Fault(status=403))
        return emulator

    monkeypatch.setattr(local, "new_emulator", one_fails)
    result = run("demo", "--accounts", 5, "--latency-ms", 0)
    assert result.exit_code == 3
    assert row(result, "5 accounts").endswith("1 failed")
    assert result.stderr.startswith("error: 403 GET ")


# emulator


@needs_posix
def test_the_emulator_serves_another_shell_until_ctrl_c() -> None:
    with start(*MODULE, "emulator", "--port", "0", "--accounts", "2") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(6)]
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines[3:5])
        arguments = lines[5].removeprefix("python -m cfaigw_billing ").split()
        result = run(*arguments, **exports)
        usage = run("usage", arguments[1], **exports)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=SECONDS)
    assert exports.keys() == {"CLOUDFLARE_BASE_URL", "CLOUDFLARE_API_TOKEN"}
    assert exports["CLOUDFLARE_BASE_URL"] in lines[1]
    assert result.exit_code == 0, result.output
    assert row(result, "Account") == f"Account {arguments[1]}"
    assert row(usage, "Usage").endswith("in 29 days")  # of which today has none yet
    assert process.returncode == 0
    assert stderr == ""


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run("emulator", "--port", server.getsockname()[1])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["demo", "--accounts", "0"], ["emulator", "--port", "70000"]]
)
def test_a_wrong_number_is_wrong_usage(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert arguments[1] in result.stderr


# All commands

COMMANDS = (
    *("balance", "balances", "usage", "invoices", "preview", "limits", "topup", "topup-config"),
    *("spending-limit", "demo", "emulator"),
)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_documents_the_exit_codes(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert " ".join(result.stdout.split()).endswith(EXIT_CODES)


def test_the_help_lists_every_command() -> None:
    assert set(re.findall(r"^│ ([a-z][a-z-]*) ", run("--help").stdout, re.MULTILINE)) == set(
        COMMANDS
    )


def test_the_version_is_said() -> None:
    assert run("--version").stdout == f"cfaigw-billing {__version__}\n"


def test_no_command_takes_a_secret() -> None:
    assert all("token" not in run(c, "--help").stdout.lower() for c in COMMANDS)
