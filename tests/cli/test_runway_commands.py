"""`runway`: when the credit of one account and of many runs out."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from cfaigw_billing.testing import Emulator, Fault

from .running import LOW, OVERDRAWN, RICH, UNKNOWN, as_csv, as_json, fail_account, paths, row, run

DAY = timedelta(days=1)


@pytest.fixture
def spending(service: Emulator) -> Emulator:
    """Low lasts for about five days, if its automatic top-up stays off; Rich spends nothing."""
    service.accounts[LOW].spend_hourly([5.0] * 24, days=70)
    return service


def test_a_runway_is_shown_with_its_account(spending: Emulator) -> None:
    result = run("runway", LOW)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Account {LOW}\n")
    assert row(result, "Spending per day").split()[-1] == "$1.20"
    assert row(result, "Automatic top-up").split()[-1] == "failed"
    assert "about" in row(result, "Empty")
    assert row(result, "In 8 of 10 cases").endswith("UTC")
    assert sorted(paths(spending)) == ["GET /credit-balance", "GET /usage-history"]


def test_the_json_of_one_is_an_object_and_of_many_a_list(spending: Emulator) -> None:
    one = as_json(run("runway", LOW, "--json"))
    assert (one["account_id"], one["outcome"]) == (LOW, "forecast")
    assert one["balance_usd"] == pytest.approx(6.40, abs=0.005)  # it goes on falling
    lasts = datetime.fromisoformat(one["empties_after"]) - datetime.fromisoformat(one["as_of"])
    assert 5 * DAY < lasts < 5.34 * DAY
    many = as_json(run("runways", "-", "--json", stdin=f"{LOW}\n{RICH}\n"))
    assert [(each["account_id"], each["outcome"]) for each in many] == [
        (LOW, "forecast"),
        (RICH, "idle"),
    ]
    names, *rows = as_csv(run("runway", "--all", "--csv"))
    assert names[:4] == ["account_id", "account_name", "error", "outcome"]
    assert [cells[3] for cells in rows] == ["idle", "forecast", "empty"]


def test_many_are_shown_the_soonest_first(spending: Emulator) -> None:
    result = run("runway", "--all", COLUMNS="160")
    assert result.exit_code == 0
    accounts = [line[:1] for line in result.stdout.splitlines()[3:]]
    assert accounts == ["c", "b", "a"]
    assert row(result, "3 acc") == "3 accounts: 2 may be empty within 7 days, 0 failed"
    assert " SOON " in row(result, LOW)
    assert " idle " in row(result, RICH)
    narrow = run("runway", "--all")
    assert row(narrow, "Per day") == "Per day: shown in a wider terminal"


FAILS: list[tuple[tuple[str, ...], str, int, str]] = [
    ((LOW,), "1w", 7, "the credit may run out within 7 days"),
    ((LOW,), "12h", 0, ""),
    ((OVERDRAWN,), "0h", 7, "the credit is gone"),
    ((RICH,), "9999w", 0, ""),
    ((LOW, RICH, OVERDRAWN), "3d", 7, "1 of 3 accounts may be empty within 3 days"),
    ((LOW, RICH, OVERDRAWN), "7d", 7, "2 of 3 accounts may be empty within 7 days"),
    ((LOW, RICH), "12h", 0, ""),
]


@pytest.mark.parametrize(("accounts", "limit", "code", "says"), FAILS)
def test_credit_that_runs_out_too_soon_is_exit_code_7(
    accounts: tuple[str, ...], limit: str, code: int, says: str, spending: Emulator
) -> None:
    result = run("runway", *accounts, "--fail-within", limit)
    assert result.exit_code == code
    assert result.stderr == (f"error: {says}\n" if says else "")


def test_the_mark_is_that_of_the_limit(spending: Emulator) -> None:
    assert "SOON" not in row(run("runway", LOW, RICH, "--fail-within", "12h"), LOW)


@pytest.mark.parametrize("limit", ["3", "d", "-3d", "1.5d", "3 days", "1234567h"])
def test_a_limit_that_is_none_is_wrong_usage(limit: str, service: Emulator) -> None:
    result = run("runway", LOW, "--fail-within", limit)
    assert result.exit_code == 2
    assert "--fail-within must be a time such as 90m, 12h, 3d or 2w, not" in result.stderr
    assert service.requests == []


def test_accounts_that_fail_are_told_apart(spending: Emulator) -> None:
    fail_account(spending, LOW, Fault(status=404))
    result = run("runway", LOW, RICH, "--fail-within", "1w")
    assert result.exit_code == 3
    assert f"/{LOW}/" in result.stderr
    assert run("runway", LOW, OVERDRAWN, "--fail-within", "1w").exit_code == 7
    assert run("runway", "-", "--fail-within", "1w", stdin=LOW).exit_code == 1
    assert run("runway", UNKNOWN).exit_code == 1


def test_no_account_to_check_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as emulator:
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", emulator.base_url)
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", emulator.api_token)
        result = run("runway", "--all", "--fail-within", "3d")
    assert (result.exit_code, result.stderr) == (1, "error: found no accounts to check\n")
