"""`demo` and `emulator`, which need no account; and what all commands have."""

from __future__ import annotations

import re
import signal
import socket
import sys
from io import BytesIO, TextIOWrapper
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cfaigw_billing import __version__
from cfaigw_billing.__main__ import main
from cfaigw_billing.cli import _session, app, local
from cfaigw_billing.cli._errors import ExitCode
from cfaigw_billing.cli._inputs import listed_accounts
from cfaigw_billing.cli._output import progress_bar
from cfaigw_billing.testing import Emulator, Fault

from .running import MODULE, RICH, SECONDS, fail_account, needs_posix, row, run, start

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
    assert re.search(
        r"^shop-eu spends \$\d\.\d\d a day; its \$66\.4\d should last until 20[\d-]+ [\d:]+ UTC$",
        result.stdout,
        re.MULTILINE,
    )
    assert len(result.stdout.splitlines()) < 24
    *_, why, _, command = result.stdout.splitlines()
    assert "CLOUDFLARE_API_TOKEN" in why
    assert command == "  cfaigw-billing balance --all"


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
        arguments = lines[5].partition(" -m cfaigw_billing ")[2].split()
        result = run(*arguments, **exports)
        usage = run("usage", arguments[1], **exports)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=SECONDS)
    assert exports.keys() == {"CLOUDFLARE_BASE_URL", "CLOUDFLARE_API_TOKEN"}
    assert exports["CLOUDFLARE_BASE_URL"] in lines[1]
    assert result.exit_code == 0, result.output
    assert row(result, "Account") == f"Account {arguments[1]}"
    # Today may have none yet.
    assert row(usage, "Usage").endswith(("in 30 days", "in 29 days"))
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
    *("balance", "runway", "accounts", "usage", "invoices", "preview", "limits"),
    *("watch", "metrics", "topup", "topup-status", "reconcile", "topups", "recover", "settle"),
    *("topup-config", "spending-limit", "demo", "emulator"),
)


@pytest.mark.parametrize("command", ["", *COMMANDS])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_plain(command: str, option: str) -> None:
    result = run(*command.split(), option)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: cfaigw-billing {command}".rstrip())
    assert not re.search(r"BOOL|INTEGER|TEXT|RANGE|<[a-z]+>", result.stdout)
    assert ("xit codes:" in result.stdout) == (
        command in ("", "watch", "topup-status", "reconcile", "recover", "settle")
    )


def test_the_help_lists_every_command_and_every_exit_code() -> None:
    listed = re.findall(r"^  ([a-z0-9-]+) {2,}\S", run("--help").stdout, re.MULTILINE)
    commands = [name for name in listed if not name.isdigit() and name[0] != "-"]
    assert commands == list(COMMANDS)
    assert [int(name) for name in listed if name.isdigit()] == list(ExitCode)


def test_the_help_is_shown_if_there_is_no_command() -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stderr == run("--help").stdout


def test_the_version_is_said() -> None:
    assert run("--version").stdout == f"cfaigw-billing {__version__}\n"


def test_no_command_takes_a_secret() -> None:
    options = re.findall(r"--[a-z-]+", "".join(run(c, "--help").stdout for c in COMMANDS))
    secret = {name for name in options if re.search("token|key|secret|email", name)}
    assert secret == {"--idempotency-key", "--tokens", "--write-tokens"}  # no secret, and files


# The streams that a command gets


def test_streams_that_the_shell_has_closed_are_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert not _session.can_ask()
    with progress_bar("Balances") as report:
        report(1, None)
    with pytest.raises(click.exceptions.Exit) as end:
        listed_accounts("-")
    assert end.value.exit_code == 2


def test_what_is_no_text_is_no_answer(service: Emulator, person: None) -> None:
    result = CliRunner().invoke(app, ["topup", RICH, "--amount", "50"], input=b"\xff\n")
    assert result.exit_code == 1
    assert result.stderr.endswith("Nothing was done.\n")
    assert service.charges == []


def test_stdout_may_know_few_characters(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    service.accounts[RICH].payment_method = {"brand": "vïsa", "last4": "4242"}
    stdout = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "argv", ["cfaigw-billing", "balance", RICH])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    stdout.seek(0)
    assert r"v\xefsa 4242" in stdout.read()


@pytest.mark.parametrize("code", [0, 4])
def test_no_signal_changes_an_unknown_outcome_while_python_ends(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def ends(**_: object) -> None:
        sys.exit(code)

    monkeypatch.setattr("cfaigw_billing.cli.app", ends)
    with pytest.raises(SystemExit):
        main()
    assert (signal.getsignal(signal.SIGINT) is signal.SIG_IGN) == (code == 4)
