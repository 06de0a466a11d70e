"""`--tokens FILE`: accounts that have an API token of their own, in every command."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from cfaigw_billing.cli import app
from cfaigw_billing.testing import Emulator, Fault

from .running import (
    LOW,
    MODULE,
    OVERDRAWN,
    RICH,
    as_json,
    fail_account,
    needs_posix,
    paths,
    row,
    run,
    said,
    start,
)

SECRET = "SENTINEL"
"""Part of every token of a file, and of nothing else."""
TOKENS = {RICH: f"rich-{SECRET}", LOW: f"low-{SECRET}"}


def written(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.fixture
def tokens(service: Emulator, tmp_path: Path) -> Path:
    """A file with the tokens of two of the three accounts."""
    for account_id, token in TOKENS.items():
        service.accounts[account_id].api_token = token
    lines = [f"{account_id}\t{token}" for account_id, token in TOKENS.items()]
    text = "\n".join(["\ufeff# The customers", "", *lines, "  # the end"])
    return written(tmp_path / "the tokens.txt", text)


def used(service: Emulator) -> dict[str, str | None]:
    """The token of the last request for each account, and for the list of `accounts`."""
    return {
        request.path.partition("/ai-gateway")[0].split("/")[-1]: request.api_token
        for request in service.requests
    }


# Which token is used


def test_each_account_is_asked_with_its_own_token(service: Emulator, tokens: Path) -> None:
    result = run("balance", RICH, LOW, OVERDRAWN, "--tokens", tokens)
    assert result.exit_code == 0
    assert row(result, "3 accounts")
    assert used(service) == {**TOKENS, OVERDRAWN: service.api_token}


def test_all_accounts_are_those_of_the_file_and_of_the_list(
    service: Emulator, tokens: Path
) -> None:
    result = run("balance", "--all", "--tokens", tokens, "--json")
    assert {each["account_id"] for each in as_json(result)} == {RICH, LOW, OVERDRAWN}
    assert used(service) == {
        **TOKENS,
        OVERDRAWN: service.api_token,
        "accounts": service.api_token,
    }


def test_without_other_credentials_all_accounts_are_those_of_the_file(
    service: Emulator, tokens: Path
) -> None:
    result = run("balance", "--all", "--tokens", tokens, "--json", CLOUDFLARE_API_TOKEN="")
    assert {each["account_id"] for each in as_json(result)} == {RICH, LOW}
    assert "GET /accounts" not in paths(service)
    refused = run("balance", OVERDRAWN, "--tokens", tokens, CLOUDFLARE_API_TOKEN="")
    assert refused.exit_code == 2
    assert said(refused) == (
        f"error: no token for the account '{OVERDRAWN}': --tokens has none, and "
        f"CLOUDFLARE_API_TOKEN, for accounts without one, is not set"
    )
    assert used(service) == TOKENS


@pytest.mark.parametrize(
    "half", [{"CLOUDFLARE_EMAIL": "emulator@example.com"}, {"CLOUDFLARE_API_KEY": "emulator-key"}]
)
def test_half_of_other_credentials_is_none(
    service: Emulator, tokens: Path, half: dict[str, str]
) -> None:
    result = run("balance", "--all", "--tokens", tokens, CLOUDFLARE_API_TOKEN="", **half)
    assert result.exit_code == 0
    assert used(service) == TOKENS


def test_the_other_credentials_may_be_a_key(service: Emulator, tokens: Path) -> None:
    key = {"CLOUDFLARE_EMAIL": service.api_email, "CLOUDFLARE_API_KEY": service.api_key}
    result = run("balance", "--all", "--tokens", tokens, CLOUDFLARE_API_TOKEN="", **key)
    assert result.exit_code == 0
    assert used(service) == {**TOKENS, OVERDRAWN: None, "accounts": None}


def test_accounts_are_those_that_the_other_credentials_list(
    service: Emulator, tokens: Path
) -> None:
    result = run("accounts", "--tokens", tokens)
    assert result.exit_code == 0
    assert used(service) == {"accounts": service.api_token}
    refused = run("accounts", "--tokens", tokens, CLOUDFLARE_API_TOKEN="")
    assert refused.exit_code == 2
    assert "needs CLOUDFLARE_API_TOKEN too" in refused.stderr


def test_the_environment_may_name_the_file(service: Emulator, tokens: Path, tmp_path: Path) -> None:
    assert run("balance", RICH, CLOUDFLARE_API_TOKENS_FILE=str(tokens)).exit_code == 0
    assert used(service) == {RICH: TOKENS[RICH]}
    other = written(tmp_path / "other", f"{RICH} no-{SECRET}")
    result = run("balance", RICH, "--tokens", other, CLOUDFLARE_API_TOKENS_FILE=str(tokens))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: 401 ")
    assert run("balance", RICH, CLOUDFLARE_API_TOKENS_FILE="").exit_code == 0
    assert used(service) == {RICH: service.api_token}


def test_a_token_that_is_refused_fails_its_own_account(service: Emulator, tokens: Path) -> None:
    service.accounts[RICH].api_token = None
    result = run("balance", "--all", "--tokens", tokens)
    assert result.exit_code == 3
    assert said(result).startswith(f"error: 401 GET /client/v4/accounts/{RICH}/")
    assert row(result, "3 accounts").endswith("1 failed")
    assert used(service)[RICH] == TOKENS[RICH], "and not the other one"


COMMANDS: list[Sequence[object]] = [
    ["balance", RICH],
    ["runway", RICH],
    ["usage", RICH],
    ["invoices", RICH],
    ["preview", RICH],
    ["limits", RICH],
    ["watch", RICH, "--once", "--runway", "0"],
    ["metrics", RICH, "--no-runway", "--textfile", "m.prom"],
    ["topup", RICH, "--amount", "50", "--yes"],
    ["topup-status", "in_emulated000001", "--account", RICH],
    ["reconcile", "--account", RICH, "--amount", "50", "--sent-at", "2026-01-01T00:00:00Z"],
    ["topup-config", RICH],
    ["spending-limit", RICH, "--off", "--yes"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_takes_tokens(
    service: Emulator, tokens: Path, words: Sequence[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tokens.parent)
    if words[0] == "topup-status":
        service.accounts[RICH].start_topup(5000)
        service.advance(1000)
    result = run(*words, "--tokens", tokens, CLOUDFLARE_API_TOKEN="")
    assert result.exit_code == (6 if words[0] == "reconcile" else 0), result.output
    assert {request.api_token for request in service.requests} == {TOKENS[RICH]}
    assert SECRET not in result.output
    if words[0] == "metrics":
        assert SECRET not in Path("m.prom").read_text()


def test_recover_asks_with_the_token_of_the_account(service: Emulator, tokens: Path) -> None:
    service.inject(Fault.lost_answer(), path="/topup")
    service.inject(Fault(status=500), path="/invoice-history", times=None)
    options = "--tokens", tokens, "--idempotency-key", "k", "--yes"
    assert run("topup", RICH, "--amount", "50", *options).exit_code == 4
    service.reset()
    service.advance(1000)
    assert run("recover", "--tokens", tokens).exit_code == 0
    assert used(service) == {RICH: TOKENS[RICH]}


def test_a_command_to_type_has_the_file_that_was_named(service: Emulator, tokens: Path) -> None:
    service.inject(Fault(status=500), path="/topup/config", method="POST", times=None)
    change = "topup-config", RICH, "--amount", "20", "--threshold", "5", "--yes"
    result = run(*change, "--tokens", tokens)
    assert f"Check: cfaigw-billing topup-config {RICH} --tokens '{tokens}'" in said(result)
    result = run(*change, CLOUDFLARE_API_TOKENS_FILE=str(tokens))
    assert "--tokens" not in result.stderr


# The file


def complaint(path: Path) -> str:
    """A command refuses a wrong file at once, and never shows a token."""
    result = run("balance", "--all", "--tokens", path)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert SECRET not in result.output
    return said(result).removeprefix(f"error: {path}")


TWO_WORDS = "it must be an account id, a space and the token of the account"
WRONG_LINES = {
    RICH: TWO_WORDS,
    f"{SECRET}": TWO_WORDS,
    f"{RICH},{SECRET}": TWO_WORDS,
    f"{RICH} Bearer {SECRET}": TWO_WORDS,
    f"{RICH} # {SECRET}": TWO_WORDS,
    f"{SECRET}/ {SECRET}": "it must begin with an account id",
    f"{SECRET} {RICH}": "the account id must come before the token",
    f"{LOW} another-{SECRET}": "it repeats the account of line 2",
    f'{RICH} "{SECRET}"': "the token holds more than the credential: remove the quotes",
    f"{RICH} {SECRET}é": "the token holds more than the credential: remove the characters that "
    "are not printable ASCII",
}


@pytest.mark.parametrize("line", WRONG_LINES)
def test_a_wrong_line_is_named_and_not_shown(service: Emulator, tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "t", f"# accounts\n{LOW} {SECRET} # Low\n\n{line}\n")
    assert complaint(path) == f", line 4: {WRONG_LINES[line]}"
    assert service.requests == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", " has no tokens"),
        (f"# {SECRET}\n", " has no tokens"),
        (f"{RICH} {SECRET}".encode("utf-16"), " is not text in UTF-8"),
        (f"{RICH} {SECRET}ü".encode("latin-1"), " is not text in UTF-8"),
    ],
)
def test_a_file_without_tokens_is_refused(
    service: Emulator, tmp_path: Path, text: str | bytes, says: str
) -> None:
    assert complaint(written(tmp_path / "t", text)) == says
    assert service.requests == []


def test_a_file_must_be_there(service: Emulator, tmp_path: Path) -> None:
    assert complaint(tmp_path / "nowhere") == ": No such file or directory"
    result = run("balance", RICH, CLOUDFLARE_API_TOKENS_FILE=str(tmp_path / "nowhere"))
    assert (result.exit_code, service.requests) == (2, [])


@pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o601, 0o620, 0o602, 0o666])
def test_a_file_that_is_open_to_others_is_refused(
    service: Emulator, tokens: Path, mode: int
) -> None:
    tokens.chmod(mode)
    assert complaint(tokens) == f" is open to others: chmod 600 '{tokens}'"
    assert service.requests == []
    tokens.chmod(0o400)
    assert run("balance", "--all", "--tokens", tokens).exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
def test_modes_are_not_looked_at_where_there_are_none(
    service: Emulator, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.chmod(0o666)
    monkeypatch.setattr("cfaigw_billing.cli._inputs.HAS_MODES", False)
    assert run("balance", RICH, "--tokens", tokens).exit_code == 0


def test_the_last_line_may_end_as_on_windows(service: Emulator, tmp_path: Path) -> None:
    service.accounts[RICH].api_token = TOKENS[RICH]
    path = written(tmp_path / "t", f"{RICH}  {TOKENS[RICH]}\r\n")
    assert run("balance", RICH, "--tokens", path).exit_code == 0
    assert used(service) == {RICH: TOKENS[RICH]}


def test_a_token_may_have_a_hash_within(service: Emulator, tmp_path: Path) -> None:
    service.accounts[RICH].api_token = f"a#{SECRET}"
    path = written(tmp_path / "t", f"{RICH} a#{SECRET} # Rich\n")
    assert run("balance", RICH, "--tokens", path).exit_code == 0


# Secrets


def traceback_of(*words: object) -> str:
    """Return the text of an error report with the variables of frames."""
    arguments = [str(word) for word in words]
    with (
        pytest.raises(click.exceptions.Exit) as end,
        app.make_context("cfaigw-billing", arguments) as context,
    ):
        app.invoke(context)
    frames = end.tb.tb_next  # not that of the test
    found = traceback.TracebackException(end.type, end.value, frames, capture_locals=True)
    return "".join(found.format())


FAULTS: dict[str, Fault | None] = {
    "revoked": None,
    "refused": Fault(status=403),
    "a page": Fault.edge_page(500),
    "lost": Fault.lost_answer(),
    "no HTTP": Fault.garbage(),
    "wrong": Fault.wrong_result(),
}


@pytest.fixture(params=FAULTS)
def broken(service: Emulator, tokens: Path, request: pytest.FixtureRequest) -> Path:
    """The file of tokens, where one of the accounts fails."""
    fault = FAULTS[request.param]
    if fault is None:
        service.accounts[RICH].api_token = None
    else:
        fail_account(service, RICH, fault)
    return tokens


@pytest.mark.parametrize("command", ["balance", "watch"])
def test_no_token_is_in_the_output_or_in_the_log(
    service: Emulator, broken: Path, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    options = ["--once", "--runway", "0"] if command == "watch" else []
    result = run(command, "--all", *options, "--tokens", broken)
    assert TOKENS[RICH] in [request.api_token for request in service.requests]
    assert result.exit_code == 3
    assert SECRET not in result.output + caplog.text


def test_no_token_is_in_a_traceback(service: Emulator, broken: Path) -> None:
    shown = traceback_of("balance", RICH, "--tokens", broken)
    assert f"/accounts/{RICH}/" in shown
    assert SECRET not in shown
    assert service.requests[-1].api_token == TOKENS[RICH]


@pytest.mark.parametrize("line", WRONG_LINES)
def test_no_wrong_line_is_in_a_traceback(tmp_path: Path, line: str) -> None:
    shown = traceback_of(
        "balance", "--all", "--tokens", written(tmp_path / "t", f"{LOW} {SECRET}\n{line}")
    )
    assert "tokens_of" in shown
    assert SECRET not in shown


@pytest.mark.parametrize("text", ["", f"{SECRET}\xff"])
def test_no_wrong_file_is_in_a_traceback(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "t", text.encode("latin-1"))
    assert SECRET not in traceback_of("balance", "--all", "--tokens", path)


# The emulator's


@needs_posix
def test_the_emulator_writes_tokens_for_its_accounts(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    words = *MODULE, "emulator", "--port", "0", "--accounts", "2", "--write-tokens", str(path)
    with start(*words) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(7)]
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines[3:6])
        assert exports["CLOUDFLARE_API_TOKENS_FILE"] == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        result = run("balance", "--all", **exports | {"CLOUDFLARE_API_TOKEN": ""})
        process.kill()
    assert row(result, "2 accounts").endswith("0 failed")
    refused = run("emulator", "--port", 0, "--write-tokens", path)
    assert (refused.exit_code, said(refused)) == (2, f"error: {path}: File exists")


@needs_posix
def test_nobody_is_asked_where_the_file_is_enough(service: Emulator, tokens: Path) -> None:
    command = *MODULE, "balance", RICH, "--tokens", str(tokens)
    with start(*command, CLOUDFLARE_API_TOKEN="") as process:
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, ""), stdout
    assert os.fspath(tokens) not in stdout
