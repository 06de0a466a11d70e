"""Reports of top-ups for scripts: `topup --json`, `topup-status` and `reconcile`."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

import pytest

from cfaigw_billing.cli import topups
from cfaigw_billing.testing import Emulator, Fault

from .running import RICH, as_json, paths, run, said

TOPUP = "topup", RICH, "--amount", "50", "--yes", "--json"
STATUS = b'{"success": true, "result": {"payment_intent_id": "in_1", "status": "%s"}}'


@pytest.fixture
def now() -> str:
    return datetime.now(UTC).isoformat()


# topup --json


def test_a_charge_is_an_object_of_json(service: Emulator) -> None:
    result = run(*TOPUP)
    assert result.exit_code == 0
    told = as_json(result)
    sent_at = datetime.fromisoformat(told.pop("sent_at"))
    assert abs(sent_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert len(told.pop("idempotency_key")) == 32
    assert told == {
        "account_id": RICH,
        "amount": 5000,
        "amount_usd": 50,
        "outcome": "charged",
        "payment_intent_id": "in_emulated000001",
        "status": None,
        "reconciliation": None,
    }
    assert "Charged visa 4242 for $50.00 of credit: in_emulated000001." in result.stderr


def test_the_object_has_the_status_that_was_waited_for(service: Emulator) -> None:
    service._processor.topup_seconds = 0
    result = run(*TOPUP, "--wait")
    assert (result.exit_code, as_json(result)["status"]) == (0, "completed")


@pytest.mark.parametrize(
    ("status", "told", "seconds"), [(b"failed", "failed", 60), (b"pending", "pending", 1)]
)
def test_a_credit_that_does_not_come_is_told_with_its_status(
    service: Emulator, status: bytes, told: str, seconds: int
) -> None:
    body = (STATUS % status).replace(b"in_1", b"in_emulated000001")
    service.inject(Fault(body=body), times=None, path="/topup/status")
    result = run(*TOPUP, "--wait", "--timeout", seconds)
    assert result.exit_code == 4
    assert as_json(result)["outcome"] == "charged"
    assert as_json(result)["status"] == told
    step = {
        "pending": "Ask again: cfaigw-billing topup-status in_",
        "failed": "Look: cfaigw-billing ",
    }
    assert result.stderr.splitlines()[-1].startswith(step[told])


def test_a_payment_to_confirm_is_told_without_its_secret(service: Emulator) -> None:
    service.accounts[RICH].needs_confirmation = True
    result = run(*TOPUP, "--wait")
    assert result.exit_code == 4
    assert as_json(result)["outcome"] == "unconfirmed"
    assert as_json(result)["payment_intent_id"] == "in_emulated000001"


@pytest.mark.parametrize(
    ("seconds", "found", "payment_intent_id"),
    [(0, "charged", "in_emulated000001"), (600, "not_found_yet", None)],
)
def test_a_lost_charge_is_told_with_what_was_found(
    service: Emulator, seconds: float, found: str, payment_intent_id: str | None
) -> None:
    service._processor.topup_seconds = seconds
    service.inject(Fault(silence="close", after=True), path="/topup")
    result = run(*TOPUP)
    assert result.exit_code == 4
    told = as_json(result)
    assert (told["outcome"], told["payment_intent_id"]) == ("unknown", payment_intent_id)
    assert told["reconciliation"]["outcome"] == found
    assert ("Ask again: " in result.stderr) == (found == "not_found_yet")


def test_a_lost_charge_that_cannot_be_looked_for_is_told(service: Emulator) -> None:
    service.inject(Fault(silence="close", after=True), path="/topup")
    service.inject(Fault(status=403), times=None, path="/invoice-history")
    told = as_json(run(*TOPUP))
    assert (told["outcome"], told["reconciliation"]) == ("unknown", None)


def test_a_refusal_is_no_object(service: Emulator) -> None:
    service.accounts[RICH].declines = True
    result = run(*TOPUP)
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_question_that_is_answered_no_is_no_object(service: Emulator, person: None) -> None:
    result = run("topup", RICH, "--amount", "50", "--json", stdin="n\n")
    assert (result.exit_code, result.stdout) == (1, "")


def test_an_object_that_nobody_reads_is_exit_code_4(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(topups, "show_json", broken)
    result = run(*TOPUP)
    assert result.exit_code == 4
    assert "topup-status in_emulated000001" in result.stderr


# The command that a lost charge names


@pytest.mark.parametrize(
    ("options", "found_by", "says"),
    [
        ([], "recover", "charged"),
        (["--no-journal"], "reconcile", "The card was charged: invoice in_emulated000001."),
    ],
)
def test_the_command_to_ask_again_finds_the_charge(
    service: Emulator, options: list[str], found_by: str, says: str
) -> None:
    service._processor.topup_seconds = 60
    service.inject(Fault(silence="close", after=True), path="/topup")
    again = run(*TOPUP, *options).stderr.splitlines()[-1].removeprefix("Ask again: cfaigw-billing ")
    assert again.startswith(found_by)
    assert run(*shlex.split(again)).exit_code == 6
    service.advance(600)
    found = run(*shlex.split(again))
    assert found.exit_code == 0
    assert says in found.stdout
    assert len(service.charges) == 1


def test_the_command_to_ask_again_shows_the_status(service: Emulator) -> None:
    service._processor.topup_seconds = 60
    stopped = run("topup", RICH, "--amount", "50", "--yes", "--wait", "--timeout", 1)
    again = stopped.stderr.splitlines()[-1].removeprefix("Ask again: cfaigw-billing ")
    service.advance(600)
    assert run(*shlex.split(again)).exit_code == 0


# topup-status


@pytest.mark.parametrize(
    ("status", "code"),
    [(b"completed", 0), (b"pending", 6), (b"new", 6), (b"failed", 4), (b"CANCELED", 4)],
)
def test_the_exit_code_tells_the_status(service: Emulator, status: bytes, code: int) -> None:
    service.inject(Fault(body=STATUS % status), times=None, path="/topup/status")
    result = run("topup-status", "in_1", "--account", RICH)
    assert result.exit_code == code
    assert result.stdout == f"The top-up in_1 is {status.decode()}.\n"
    told = run("topup-status", "in_1", "--json", CLOUDFLARE_ACCOUNT_ID=RICH)
    assert (told.exit_code, as_json(told)["status"]) == (code, status.decode())


@pytest.mark.parametrize(
    ("status", "code", "seconds"),
    [(b"completed", 0, 60), (b"pending", 6, 1), (b"failed", 4, 60)],
)
def test_it_may_wait_for_the_credit(
    service: Emulator, status: bytes, code: int, seconds: int
) -> None:
    service.inject(Fault(body=STATUS % status), times=None, path="/topup/status")
    options = "--account", RICH, "--wait", "--timeout", seconds
    assert run("topup-status", "in_1", *options).exit_code == code
    told = run("topup-status", "in_1", *options, "--json")
    assert (told.exit_code, as_json(told)["status"]) == (code, status.decode())
    assert as_json(told)["account_id"] == RICH


def test_a_status_that_cannot_be_asked_is_exit_code_1(service: Emulator) -> None:
    for wait in [], ["--wait"]:
        result = run("topup-status", "in_nope", "--account", RICH, *wait)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: 404 POST ")


# reconcile


def test_a_charge_is_found_by_its_account_amount_and_time(service: Emulator, now: str) -> None:
    account = service.accounts[RICH]
    options = "--account", RICH, "--amount", "$50", "--sent-at", now
    missing = run("reconcile", *options)
    assert missing.exit_code == 6
    assert "It has no invoice yet." in missing.stdout
    account.add_invoice(5250, id="in_ours")
    charged = run("reconcile", *options, "--json", CLOUDFLARE_ACCOUNT_ID="other")
    assert charged.exit_code == 0
    told = as_json(charged)
    assert (told["outcome"], told["payment_intent_id"]) == ("charged", "in_ours")
    assert told["invoices"][0]["amount_paid_usd"] == 52.5
    assert told["balance_usd"] == 1234.5678
    account.add_invoice(5250, id="in_other")
    ambiguous = run("reconcile", *options)
    assert ambiguous.exit_code == 4
    assert "a person must decide: in_other, in_ours" in ambiguous.stdout
    assert ambiguous.stderr == f"Look: cfaigw-billing invoices {RICH} --type manual\n"
    assert run("reconcile", *options, "--exclude", "in_other").exit_code == 0
    assert service.charges == []


def test_a_service_that_does_not_answer_is_exit_code_1(service: Emulator, now: str) -> None:
    service.inject(Fault(status=403), times=None, path="/invoice-history")
    result = run("reconcile", "--account", RICH, "--amount", "50", "--sent-at", now)
    assert (result.exit_code, result.stdout) == (1, "")


# Wrong usage


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("topup-status", "missing argument 'ID'"),
        ("topup-status in_1", "name it with --account"),
        ("topup-status in_1 --account a/b", "the account id must"),
        (f"topup-status a/b --account {RICH} --timeout 5", "--timeout needs --wait"),
        (f"topup-status '' --account {RICH}", "the ID of the top-up"),
        ("reconcile --amount 50 --sent-at 2026-01-31T12:00:00Z", "name it with --account"),
        (f"reconcile --account {RICH} --amount 50", "missing option --sent-at"),
        (f"reconcile --account {RICH} --sent-at 2026-01-31T12:00:00Z", "missing option --amount"),
        (f"reconcile --account {RICH} --amount 50 --sent-at noon", "--sent-at must be a time"),
        (f"reconcile --account {RICH} --amount 50 --sent-at 2026-01-31", "with its zone"),
        (f"reconcile --account {RICH} --amount 5 --sent-at 2026-01-31T12:00Z", "at least $10.00"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    service: Emulator, command: str, complaint: str
) -> None:
    result = run(*shlex.split(command))
    assert result.exit_code == 2
    assert complaint in said(result)
    assert service.requests == []


def test_a_time_that_is_in_the_future_is_wrong_usage(service: Emulator) -> None:
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    result = run("reconcile", "--account", RICH, "--amount", "50", "--sent-at", later)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --sent-at is ")
    assert "POST /topup" not in paths(service)
