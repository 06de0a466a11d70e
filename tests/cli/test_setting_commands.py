"""`topup-config` and `spending-limit`: what is asked, what is changed, what is said."""

from __future__ import annotations

from typing import Any

import pytest

from cfaigw_billing import Cloudflare
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import ConfigDeleteParams

from .running import RICH, as_json, paths, row, run, said

# The automatic top-up


def test_the_automatic_topup_is_shown(service: Emulator) -> None:
    result = run("topup-config", RICH)
    assert row(result, "Automatic top-up") == "Automatic top-up  $50.00 at $10.00"
    assert as_json(run("topup-config", RICH, "--json"))["threshold_usd"] == 10
    assert {request.method for request in service.requests} == {"GET"}


def test_the_automatic_topup_is_set_once_it_is_agreed_to(service: Emulator, person: None) -> None:
    options = "--amount", "20", "--threshold", "5"
    refused = run("topup-config", RICH, *options, stdin="\n")
    assert refused.exit_code == 1
    assert "POST /topup/config" not in paths(service)
    result = run("topup-config", RICH, *options, "--json", stdin="yes\n")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        f"Charge visa 4242 of account {RICH} whenever the balance is below $5.00, for $20.00 of "
        f"credit; the card is charged about $21.00, plus tax where due?"
    )
    assert as_json(result)["amount"] == 2000
    assert service.accounts[RICH].topup_config["threshold"] == 500


def test_the_automatic_topup_is_switched_off(service: Emulator) -> None:
    result = run("topup-config", RICH, "--off", "--yes")
    assert result.exit_code == 0
    assert "Switch off the automatic top-up" in result.stderr
    assert "is now $50.00 at $10.00" in result.stderr
    assert row(result, "Automatic top-up") == "Automatic top-up  off"
    assert service.accounts[RICH].topup_config["amount"] == 0


@pytest.mark.parametrize(
    ("fault", "method", "told"),
    [
        (Fault(silence="close", after=True), "POST", "It may have been changed"),
        (Fault(status=500), "POST", "It may have been changed"),
        (Fault(status=403), "POST", "error: 403"),
        (Fault(status=403), "GET", "It is changed."),
    ],
)
def test_a_change_of_which_no_answer_comes_is_not_taken_for_none(
    service: Emulator, monkeypatch: pytest.MonkeyPatch, fault: Fault, method: str, told: str
) -> None:
    monkeypatch.setattr("cfaigw_billing._core.retry._FIRST_BACKOFF", 0.0)
    service.inject(fault, times=None, path="/topup/config", method=method)
    options = "--amount", "20", "--threshold", "5", "--yes"
    result = run("topup-config", RICH, *options)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1].startswith(told)


def test_ctrl_c_during_a_change_says_that_it_may_have_been_made(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Cloudflare.send

    def interrupted(client: Cloudflare, params: Any, **options: Any) -> Any:
        if isinstance(params, ConfigDeleteParams):
            raise KeyboardInterrupt
        return send(client, params, **options)

    monkeypatch.setattr(Cloudflare, "send", interrupted)
    result = run("topup-config", RICH, "--off", "--yes")
    assert result.exit_code == 130
    look = f"Check: cfaigw-billing topup-config {RICH}\n"
    assert result.stderr.endswith(f"It may have been changed. {look}")


def test_what_only_the_dashboard_may_change_is_one_line(service: Emulator) -> None:
    service.topup_config_dashboard_only = True
    result = run("topup-config", RICH, "--off", "--yes")
    assert result.exit_code == 1
    assert "dashboard" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--off", "use --yes"),
        ("--amount 50 --threshold 10", "use --yes"),
        ("--amount 50", "belong together"),
        ("--threshold 50", "belong together"),
        ("--off --amount 50", "--off excludes"),
        ("--amount 5 --threshold 10 --yes", "--amount must be at least $10.00, not "),
        ("--amount 50 --threshold 4.99 --yes", "--threshold must be at least $5.00, not $4.99"),
        ("--amount 50.001 --threshold 10 --yes", "whole cents"),
    ],
)
def test_a_wrong_change_is_refused_before_anything_is_sent(
    service: Emulator, options: str, complaint: str
) -> None:
    result = run("topup-config", RICH, *options.split())
    assert result.exit_code == 2
    assert complaint in said(result)
    assert service.requests == []


# The spending limit


def test_the_spending_limit_is_shown_and_removed(service: Emulator) -> None:
    service.accounts[RICH].spending_limit = {
        "amount": 5000,
        "duration": "monthly",
        "strategy": "fixed",
    }
    assert row(run("spending-limit", RICH), "Period") == "Period          monthly fixed"
    assert as_json(run("spending-limit", RICH, "--json"))["config_amount_usd"] == 50
    assert run("spending-limit", RICH, "--off").exit_code == 2
    result = run("spending-limit", RICH, "--off", "--yes")
    assert row(result, "Spending limit") == "Spending limit  off"
    assert service.accounts[RICH].spending_limit is None
    assert "retired" in run("spending-limit", "--help").stdout
