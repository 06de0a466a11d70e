"""`accounts`, `usage`, `invoices`, `preview` and `limits`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from cfaigw_billing.testing import Emulator

from .running import LOW, OVERDRAWN, RICH, UNKNOWN, as_csv, as_json, paths, row, run, said

NOVEMBER = 1_793_491_200_000  # 2026-11-01, Unix milliseconds
DAY = 86_400_000


@pytest.fixture
def used(service: Emulator) -> Emulator:
    """A service on which credit was used in the first ten days of a November."""
    service.accounts[RICH].fill_usage(days=10, until=NOVEMBER + 10 * DAY)
    return service


# Accounts


def test_accounts_are_listed_with_their_names(service: Emulator) -> None:
    result = run("accounts")
    assert result.exit_code == 0
    assert row(result, "3 accounts") == "3 accounts"
    assert row(result, LOW) == f"{LOW}  Low"
    assert as_json(run("accounts", "--json"))[1] == {"id": LOW, "name": "Low"}
    assert as_csv(run("accounts", "--csv"))[:2] == [["id", "name"], [RICH, "Rich"]]


def test_a_token_that_sees_no_account_has_an_empty_list(service: Emulator) -> None:
    service.reset(accounts=True)
    assert row(run("accounts"), "0 accounts") == "0 accounts"
    assert as_json(run("accounts", "--json")) == []


# Usage


def asked(service: Emulator) -> dict[str, Any]:
    """The query of the one request; its moments as text."""
    (request,) = service.requests
    query = dict(request.query)
    for name in ("start_time", "end_time"):
        if name in query:
            moment = datetime.fromtimestamp(int(query[name]) / 1000, UTC)
            query[name] = moment.isoformat().removesuffix(":00+00:00")
    return query


def days_since(begun: datetime) -> list[date]:
    """The days (UTC) that may have been today for a command: two where midnight has passed."""
    return [begun.date(), datetime.now(UTC).date()]


def test_usage_is_shown_by_day_the_newest_first(used: Emulator) -> None:
    result = run("usage", RICH, "--all-time")
    assert result.exit_code == 0
    title, headings, _, *days, account = result.stdout.splitlines()
    assert title == "Usage: $24.00 in 10 days"
    assert headings.split() == ["Day", "(UTC)", "Used"]
    assert [day.split() for day in days[:2]] == [["2026-11-10", "$2.40"], ["2026-11-09", "$2.40"]]
    assert len(days) == 10
    assert account == f"Account {RICH}"
    assert asked(used) == {"value_grouping_window": "day"}


def test_usage_is_of_the_last_30_days_where_nothing_is_said(service: Emulator) -> None:
    begun = datetime.now(UTC)
    assert run("usage", RICH).exit_code == 0
    assert asked(service) in [
        {"value_grouping_window": "day", "start_time": f"{day - timedelta(days=29)}T00:00"}
        for day in days_since(begun)
    ]


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ("--since 2026-11-09", {"start_time": "2026-11-09T00:00"}),
        ("--until 2026-11-09", {"end_time": "2026-11-10T00:00"}),
        (
            "--since 2026-11-09 --until 2026-11-09",
            {"start_time": "2026-11-09T00:00", "end_time": "2026-11-10T00:00"},
        ),
    ],
)
def test_days_are_utc_and_the_last_is_included(
    service: Emulator, options: str, query: dict[str, str]
) -> None:
    assert run("usage", RICH, "--by", "hour", *options.split()).exit_code == 0
    assert asked(service) == {"value_grouping_window": "hour", **query}


def test_one_day_is_today(service: Emulator) -> None:
    begun = datetime.now(UTC)
    run("usage", RICH, "--days", 1)
    assert asked(service)["start_time"] in [f"{day}T00:00" for day in days_since(begun)]


def test_usage_is_a_list_of_json_and_rows_of_csv(used: Emulator) -> None:
    hours = as_json(run("usage", RICH, "--by", "hour", "--all-time", "--json"))
    assert len(hours) == 240
    assert hours[0]["start_time"] == "2026-11-01T00:00:00+00:00"
    assert sum(hour["aggregated_value_usd"] for hour in hours) == pytest.approx(24)
    names, *rows = as_csv(run("usage", RICH, "--by", "hour", "--all-time", "--csv"))
    assert names == list(hours[0])
    assert [row[:2] for row in rows] == [[RICH, hour["id"]] for hour in hours]


def test_the_usage_of_many_accounts_is_one_table_the_largest_first(used: Emulator) -> None:
    used.accounts[LOW].fill_usage(days=1, until=NOVEMBER + 10 * DAY)
    result = run("usage", "--all", "--all-time", COLUMNS="100")
    assert result.exit_code == 0
    assert row(result, "3 accounts") == "3 accounts: $26.40 used in all, 0 failed"
    assert re.findall(r"^([abc])\1+ .* (\$[0-9.]+)", result.stdout, re.MULTILINE) == [
        ("a", "$24.00"),
        ("b", "$2.40"),
        ("c", "$0.00"),
    ]


def test_the_usage_of_many_accounts_is_data_with_their_ids(used: Emulator) -> None:
    used.accounts[LOW].fill_usage(days=1, until=NOVEMBER + 10 * DAY)
    days = as_json(run("usage", RICH, LOW, "--since", "2026-11-09", "--json"))
    assert [(day["account_id"], day["start_time"][:10]) for day in days] == [
        (RICH, "2026-11-09"),
        (RICH, "2026-11-10"),
        (LOW, "2026-11-10"),
    ]
    names, *rows = as_csv(run("usage", "-", "--all-time", "--csv", stdin=LOW))
    assert names == list(days[0])
    assert [cells[0] for cells in rows] == [LOW]
    assert as_csv(run("usage", OVERDRAWN, UNKNOWN, "--csv")) == [names]


def test_an_account_whose_usage_fails_does_not_hide_the_others(used: Emulator) -> None:
    result = run("usage", RICH, UNKNOWN, "--all-time")
    assert result.exit_code == 3
    assert row(result, "2 accounts") == "2 accounts: $24.00 used in all, 1 failed"
    assert result.stderr.startswith("error: 404 GET ")
    assert run("usage", UNKNOWN, "e" * 32).exit_code == 1


def test_nothing_is_an_empty_list_and_a_header_alone(service: Emulator) -> None:
    assert as_json(run("usage", LOW, "--json")) == []
    assert as_csv(run("usage", LOW, "--csv"))[0][:3] == ["account_id", "id", "aggregated_value"]
    assert as_json(run("invoices", LOW, "--json")) == []
    assert len(as_csv(run("invoices", LOW, "--csv"))) == 1
    assert row(run("usage", LOW), "No usage") == "No usage"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--days 3 --all-time", "exclude each other"),
        ("--days 3 --since 2026-01-01", "exclude each other"),
        ("--all-time --until 2026-01-01", "exclude each other"),
        ("--since 2026-01-02 --until 2026-01-01", "--until 2026-01-01 is before"),
        ("--since yesterday", "--since must be a date such as 2026-01-31"),
        ("--until 9999-12-31", "is too late"),
        ("--days 0", "--days must be a whole number, at least 1 and at most 36,500"),
        ("--days x", "--days must be a whole number, at least 1 and at most 36,500"),
        ("--by week", "--by"),
        ("--json --csv", "exclude each other"),
    ],
)
def test_a_wrong_period_is_said_before_anything_is_sent(
    service: Emulator, options: str, complaint: str
) -> None:
    result = run("usage", RICH, *options.split())
    assert result.exit_code == 2
    assert complaint in said(result)
    assert service.requests == []


# Invoices


def test_invoices_are_all_of_them_over_all_pages(service: Emulator) -> None:
    for number in range(60):
        service.accounts[RICH].add_invoice(5000 + number, type="auto" if number % 2 else "manual")
    result = run("invoices", RICH)
    assert result.exit_code == 0
    assert row(result, "Invoices") == "Invoices: 60"
    assert "$50.59" in result.stdout.splitlines()[3]
    assert paths(service) == ["GET /invoice-history"] * 2
    manual = as_json(run("invoices", RICH, "--type", "manual", "--json"))
    assert [invoice["amount_due"] % 2 for invoice in manual] == [0] * 30
    assert manual[0]["created"].endswith("+00:00")


def test_a_narrow_terminal_cuts_no_id_of_an_invoice(service: Emulator) -> None:
    wide, long = "a very long description of this invoice", "in_1QabcDEFGHIJKLmnopqrstuv"
    service.accounts[RICH].add_invoice(5000, id=long, description=wide, status="open")
    result = run("invoices", RICH)
    assert f"{long} a very long d…" in result.stdout
    service.accounts[RICH].add_invoice(500_000, id="in_2", status="uncollectible")
    narrow = run("invoices", RICH)
    assert long in narrow.stdout
    assert row(narrow, "Description") == "Description: shown in a wider terminal"
    assert wide in run("invoices", RICH, COLUMNS="130").stdout


def test_the_preview_has_its_lines_and_in_json_its_head(service: Emulator) -> None:
    service.accounts[RICH].spend(1234.5)
    result = run("preview", RICH)
    assert row(result, "Invoice preview") == "Invoice preview: $12.34 due (draft)"
    assert row(result, "AI Gateway usage").endswith("$12.34")
    head = as_json(run("preview", RICH, "--json"))
    assert (head["status"], head["amount_due_usd"]) == ("draft", 12.345)
    (line,) = head["lines"]
    assert line["amount"] == 1234.5
    names, values = as_csv(run("preview", RICH, "--csv"))
    assert names == list(line)
    assert (values[0], values[2]) == (RICH, "12.345")


def test_the_limits_are_those_of_topups(service: Emulator) -> None:
    result = run("limits", RICH)
    assert row(result, "Smallest top-up") == "Smallest top-up  $10.00"
    assert row(result, "Largest top-up") == "Largest top-up   $1,000.00"
    assert as_json(run("limits", RICH, "--json"))["max_usd"] == 1000


@pytest.mark.parametrize(
    "command", ["usage", "invoices", "preview", "limits", "topup-config", "spending-limit"]
)
def test_every_report_needs_an_account_and_takes_a_refusal(service: Emulator, command: str) -> None:
    assert "CLOUDFLARE_ACCOUNT_ID" in run(command).stderr
    assert service.requests == []
    refused = run(command, "unknown", "--csv")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: 404 GET ")
