"""`balance`, of one account and of many: what it shows, what it ends with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import Result

from cfaigw_billing.testing import Emulator, Fault

from .running import (
    LOW,
    OVERDRAWN,
    RICH,
    UNKNOWN,
    as_csv,
    as_json,
    fail_account,
    paths,
    row,
    run,
    said,
)


def run_listed(*accounts: str, options: tuple[object, ...] = (), **environment: str) -> Result:
    """`balance` of accounts that come on stdin."""
    return run("balance", "-", *options, stdin="\n".join(accounts), **environment)


# One account


def test_a_balance_is_shown_with_its_card_and_automatic_topup(service: Emulator) -> None:
    result = run("balance", RICH)
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        f"Account {RICH}",
        "Balance           $1,234.57",
        "Card              visa 4242",
        "Automatic top-up  $50.00 at $10.00",
    ]
    assert result.stderr == ""


def test_the_account_of_the_environment_is_asked_where_none_is_named(service: Emulator) -> None:
    result = run("balance", CLOUDFLARE_ACCOUNT_ID=LOW)
    assert result.exit_code == 0
    assert row(result, "Balance") == "Balance           $6.40"
    assert row(result, "Disabled reason").endswith("no_card")


def test_a_balance_is_an_object_of_json_and_a_row_of_csv(service: Emulator) -> None:
    value = as_json(run("balance", LOW, "--json"))
    assert (value["balance"], value["balance_usd"]) == (640.19, 6.4019)
    names, values = as_csv(run("balance", LOW, "--csv"))
    assert names == list(value)
    told = dict(zip(names, values, strict=True))
    assert told["balance_usd"] == "6.4019"
    assert told["topup_config_amount_usd"] == "50"
    assert told["has_default_payment_method"] == "false"
    assert told["payment_method_brand"] == ""


@pytest.mark.parametrize(
    ("floor", "code"), [("6.40", 0), ("6.4019", 0), ("$6.41", 5), ("-1", 0), ("1e3", 5)]
)
def test_a_balance_below_the_floor_is_exit_code_5(service: Emulator, floor: str, code: int) -> None:
    result = run("balance", LOW, "--fail-below", floor)
    assert result.exit_code == code
    assert row(result, "Balance")
    assert result.stderr.startswith("error: the balance $6.40 is below") == (code == 5)


def test_a_balance_just_below_the_floor_does_not_look_like_the_floor(service: Emulator) -> None:
    service.accounts[LOW].balance = 999.99
    result = run("balance", LOW, "--fail-below", 10)
    assert result.stderr == "error: the balance $9.9999 is below $10.00\n"
    assert row(result, "Balance").split() == ["Balance", "$9.9999"]
    assert "$9.9999  LOW" in run_listed(LOW).stdout


def test_a_refusal_ends_in_one_line(service: Emulator) -> None:
    result = run("balance", UNKNOWN, "--json", "--fail-below", 10)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: 404 GET /client/v4/accounts/{UNKNOWN}/")


# Many accounts


def test_balances_are_shown_in_dollars_lowest_first(service: Emulator) -> None:
    result = run_listed(RICH, LOW, OVERDRAWN)
    assert result.exit_code == 0
    assert row(result, OVERDRAWN) == f"{OVERDRAWN}    -$12.35  LOW  visa 4242  off"
    assert row(result, LOW) == f"{LOW}      $6.40  LOW  none       disabled"
    assert row(result, RICH) == f"{RICH}  $1,234.57       visa 4242  $50.00 at $10.00"
    assert re.findall(r"^[abc]", result.stdout, re.MULTILINE) == ["c", "b", "a"]
    assert row(result, "3 acc") == "3 accounts: $1,228.62 in all, 2 low (below $10.00), 0 failed"
    assert result.stderr == ""


def test_all_accounts_are_those_that_the_token_sees(service: Emulator) -> None:
    result = run("balance", "--all", COLUMNS="120")
    assert result.exit_code == 0
    assert "  Overdrawn    -$12.35  LOW  visa 4242" in row(result, OVERDRAWN)
    assert paths(service).count("GET /accounts") == 1
    assert [row["account_name"] for row in as_json(run("balance", "--all", "--json"))] == [
        "Rich",
        "Low",
        "Overdrawn",
    ]


def test_a_narrow_terminal_shortens_names_and_no_ids(service: Emulator) -> None:
    service.accounts[RICH].name = "somebody@example.org's Account"
    service.accounts[LOW].name = "sneaky \x1b[31mname\nof\ttwo lines"
    result = run("balance", "--all")
    assert row(result, RICH).startswith(f"{RICH} somebody@exampl… $1,234.57")
    assert row(result, LOW).startswith(f"{LOW} sneaky  [31mnam…")
    assert row(result, "Card") == "Card: shown in a wider terminal"
    wide = run("balance", "--all", COLUMNS="120")
    assert "somebody@example.org's Account" in row(wide, RICH)
    tiny = run("balance", "--all", COLUMNS="50")
    assert row(tiny, "Name") == "Name: shown in a wider terminal"


def test_a_file_has_room_for_everything(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    service.accounts[RICH].name = name = "a name " * 20
    result = run("balance", "--all")
    assert f"{name}  $1,234.57       visa 4242  " in row(result, RICH)


def test_a_file_has_an_account_a_line(service: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "accounts.txt"
    file.write_text(f"\ufeff# ours\r\n{LOW}\r\n\n  {RICH}  # the rich one\n{LOW}\n", "utf-8")
    result = run("balance", file, CLOUDFLARE_ACCOUNT_ID=OVERDRAWN)
    assert result.exit_code == 0
    assert row(result, "2 accounts: $1,240.97 in all")
    assert len(service.requests) == 2  # one that is named twice counts once


def test_accounts_may_be_named_one_by_one_and_in_files(service: Emulator, tmp_path: Path) -> None:
    (tmp_path / "more").write_text(RICH, "utf-8")
    result = run("balance", LOW, tmp_path / "more", "-", stdin=OVERDRAWN)
    assert result.exit_code == 0
    assert row(result, "3 accounts")
    assert len(as_json(run("balance", LOW, RICH, "--json"))) == 2


def test_the_shape_of_json_does_not_depend_on_how_many_a_file_names(service: Emulator) -> None:
    assert isinstance(as_json(run_listed(LOW, options=("--json",))), list)
    assert isinstance(as_json(run("balance", LOW, "--json")), dict)


def test_a_file_beside_may_have_a_plain_name(
    service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids").write_text(LOW, "utf-8")
    Path(RICH).write_text(LOW, "utf-8")  # a file named like an account
    assert row(run("balance", "ids"), "1 account: $6.40 in all")
    assert row(run("balance", RICH), f"Account {RICH}")


@pytest.mark.parametrize("command", ["accounts", "balance --all"])
def test_what_a_command_prints_as_csv_can_be_read_again(service: Emulator, command: str) -> None:
    listed = run(*command.split(), "--csv").stdout
    assert row(run("balance", "-", stdin=listed), "3 accounts: $1,228.62 in all")


def test_the_former_name_of_the_command_works(service: Emulator) -> None:
    assert run("balances", "--all").stdout == run("balance", "--all").stdout
    assert not re.search(r"^ *balances", run("--help").stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("threshold", "low"), [("6.40", 1), ("$6.41", 2), ("1e9", 3), ("-12.3456", 0)]
)
def test_low_is_what_is_exactly_below_the_threshold(
    service: Emulator, threshold: str, low: int
) -> None:
    # 640.19 cents are not below $6.40, although they are shown as that.
    result = run("balance", "--all", "--threshold", threshold)
    assert f"{low} low (below " in result.stdout
    assert len(re.findall(r"\bLOW\b", result.stdout)) == low


def test_an_account_that_fails_does_not_hide_the_others(service: Emulator) -> None:
    fail_account(service, RICH, Fault(status=403, code=10000, message="Authentication error"))
    result = run_listed(RICH, UNKNOWN, LOW)
    assert result.exit_code == 3
    assert "$6.40" in row(result, LOW)
    assert "2 failed" in row(result, "3 accounts")
    forbidden, not_found = sorted(result.stderr.splitlines())
    assert forbidden.startswith(f"error: 403 GET /client/v4/accounts/{RICH}/")
    assert "AI Gateway Read" in forbidden
    assert not_found.startswith(f"error: 404 GET /client/v4/accounts/{UNKNOWN}/")


def test_every_account_failing_is_exit_code_1(service: Emulator) -> None:
    result = run_listed(UNKNOWN, "e" * 32, options=("--fail-below", 10))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 2


def test_wrong_credentials_end_the_run_in_one_line(service: Emulator) -> None:
    result = run_listed(
        RICH, LOW, OVERDRAWN, options=("--concurrency", 1), CLOUDFLARE_API_TOKEN="wrong"
    )
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: 401 GET ")
    assert "wrong" not in line
    assert len(service.requests) < 3


@pytest.mark.parametrize(
    ("accounts", "floor", "code"),
    [
        ((RICH, LOW), "6.4019", 0),
        ((RICH, LOW), "6.402", 5),
        ((RICH, UNKNOWN), "1", 3),
        ((LOW, UNKNOWN), "10", 5),
        ((UNKNOWN,), "10", 1),
    ],
)
def test_a_low_balance_outweighs_some_failures(
    service: Emulator, accounts: tuple[str, ...], floor: str, code: int
) -> None:
    result = run_listed(*accounts, options=("--fail-below", floor, "--json"))
    assert result.exit_code == code
    assert len(as_json(result)) == len(accounts)
    assert ("balances are below" in result.stderr) == (code == 5)


def test_data_is_complete_although_accounts_failed(service: Emulator) -> None:
    result = run_listed(UNKNOWN, LOW, options=("--json",))
    assert result.exit_code == 3
    low, unknown = as_json(result)
    assert (low["account_id"], low["balance_usd"], low["error"]) == (LOW, 6.4019, None)
    assert unknown["error"].startswith("404 GET ")
    assert result.stderr == f"error: {unknown['error']}\n"
    names, *rows = as_csv(run_listed(UNKNOWN, LOW, options=("--csv",)))
    assert names == list(low)
    assert [row[0] for row in rows] == [LOW, UNKNOWN]


def test_a_row_of_csv_is_a_line_that_does_not_steer_the_terminal(service: Emulator) -> None:
    service.accounts[RICH].name = "sneaky\r\n\x1b]0;title\x07\u202e"
    result = run("balance", "--all", "--csv")
    assert len(result.stdout.splitlines()) == 4
    assert "sneaky   ]0;title  ," in result.stdout


def test_no_accounts_at_all_is_a_header_alone(service: Emulator) -> None:
    service._accounts.clear()
    (names,) = as_csv(run("balance", "--all", "--csv"))
    assert names[:4] == ["account_id", "account_name", "error", "balance"]
    assert as_json(run("balance", "--all", "--json")) == []
    assert run("balance", "--all").stdout.startswith("0 accounts: $0.00 in all")


# Wrong usage


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([LOW, "", ".."], "stdin, line 3: the account id"),
        (["# a/b", "a/b"], "stdin, line 2: the account id"),
        (["# nobody", ""], "stdin has no accounts"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_sent(
    service: Emulator, lines: list[str], complaint: str
) -> None:
    result = run_listed(*lines)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {complaint}")
    assert service.requests == []


def test_stdin_may_begin_with_a_byte_order_mark(service: Emulator) -> None:
    assert run_listed("\ufeff# ours", LOW).exit_code == 0


def test_a_file_that_is_no_text_is_wrong_usage(service: Emulator, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    result = run("balance", tmp_path / "binary")
    assert result.exit_code == 2
    assert result.stderr.endswith("binary is not text in UTF-8\n")


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["balance"], {}, "CLOUDFLARE_ACCOUNT_ID"),
        (["balance"], {}, "no account: name one"),
        (["balance"], {"CLOUDFLARE_ACCOUNT_ID": ""}, "`cfaigw-billing accounts` lists the ids"),
        (["balance", ""], {}, "no account"),
        (["balance"], {"CLOUDFLARE_ACCOUNT_ID": "a/b"}, "the account id must"),
        (["balance", LOW], {"CLOUDFLARE_BASE_URL": "ftp://example.com"}, "CLOUDFLARE_BASE_URL"),
        (["balance", LOW], {"CLOUDFLARE_API_TOKEN": "two words"}, "CLOUDFLARE_API_TOKEN"),
        (["balance", LOW, "--json", "--csv"], {}, "--json and --csv exclude each other"),
        (["balance", LOW, "--fail-below", "ten"], {}, "--fail-below must be dollars"),
        (["balance", LOW, "--fail-below", "1e999999999"], {}, "--fail-below must be dollars"),
        (["balance", LOW, "--threshold", "5"], {}, "--threshold marks rows of many accounts"),
        (["balance", LOW, "--all"], {}, "--all excludes accounts and files"),
        (["balance", "-", "--all"], {}, "--all excludes accounts and files"),
        (["balance", "."], {}, ".: Is a directory"),
        (["balance", ".."], {}, "..: Is a directory"),
        (["balance", LOW, "a/b"], {}, "a/b: No such file"),
        (["balance", "nowhere.txt"], {}, "nowhere.txt: No such file"),
        (["balance", "--all", "--threshold", "nan"], {}, "--threshold must be dollars"),
        (["balance", "--all", "--concurrency", "0"], {}, "--concurrency"),
        (["balance", LOW, "--fail-bellow", "5"], {}, "did you mean --fail-below?"),
        (["balance", LOW, "--zzz"], {}, "unknown option --zzz"),
        (["--json", "balance", LOW], {}, "put options after it"),
        (["balnce", LOW], {}, "unknown command 'balnce'; did you mean balance?"),
        (["zzz", LOW], {}, "unknown command 'zzz' See `cfaigw-billing --help`."),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    service: Emulator, arguments: list[str], environment: dict[str, str], complaint: str
) -> None:
    result = run(*arguments, **environment)
    assert result.exit_code == 2
    assert said(result).startswith("error: ")
    assert complaint in said(result)
    assert "`" not in said(result).partition("; `")[0].partition(" See ")[0]  # no Python names
    assert result.stdout == ""
    assert service.requests == []


@pytest.mark.parametrize(
    "environment",
    [{}, {"CLOUDFLARE_EMAIL": "me@example.com"}, {"CLOUDFLARE_API_KEY": "emulator-key"}],
)
def test_missing_credentials_are_wrong_usage(
    service: Emulator, environment: dict[str, str]
) -> None:
    result = run("balance", LOW, CLOUDFLARE_API_TOKEN="", **environment)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "CLOUDFLARE_API_TOKEN" in line
    assert service.requests == []


def test_an_email_and_a_key_are_credentials(service: Emulator) -> None:
    key = {"CLOUDFLARE_EMAIL": service.api_email, "CLOUDFLARE_API_KEY": service.api_key}
    assert run("balance", LOW, CLOUDFLARE_API_TOKEN="", **key).exit_code == 0


def test_an_alarm_over_no_accounts_at_all_is_no_good_news(service: Emulator) -> None:
    service.reset(accounts=True)
    assert run("balance", "--all").exit_code == 0
    result = run("balance", "--all", "--fail-below", 10)
    assert result.exit_code == 1
    assert "no accounts to check" in result.stderr
