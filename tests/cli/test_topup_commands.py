"""`topup`: what is asked, what is sent, what is said."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

from cfaigw_billing import Cloudflare
from cfaigw_billing.cli import _session, topups
from cfaigw_billing.cli._errors import ENDINGS, say
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import TopupCreateParams

from .running import LOW, RICH, UNKNOWN, paths, row, run, said

WITHOUT_ID = b'{"success": true, "result": {"onboarding": false, "payment_intent_id": ""}}'
FAILED = (
    b'{"success": true, "result": {"payment_intent_id": "in_emulated000001", "status": "failed"}}'
)


def charges(service: Emulator) -> list[int]:
    return [charge.amount for charge in service.charges]


# A top-up


def test_a_topup_asks_and_charges_when_told_yes(service: Emulator, person: None) -> None:
    result = run("topup", RICH, "--amount", "50", stdin="y\n")
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        f"Charge visa 4242 of account {RICH} for $50.00 of credit; the card is charged about "
        f"$52.50, plus tax where due? The balance is $1,234.57. "
        f"The service is {service.base_url}. [y/N] "
    )
    assert result.stdout == "Charged visa 4242 for $50.00 of credit: in_emulated000001.\n"
    assert charges(service) == [5000]


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "yesterday\n"])
def test_a_topup_charges_nothing_unless_told_yes(
    service: Emulator, person: None, answer: str
) -> None:
    result = run("topup", RICH, "--amount", "50", stdin=answer)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.endswith("Nothing was done.\n")
    assert charges(service) == []


def test_a_topup_says_what_it_does_where_it_does_not_ask(service: Emulator) -> None:
    result = run("topup", "--amount", "$12.34", "--yes", CLOUDFLARE_ACCOUNT_ID=RICH)
    assert result.exit_code == 0
    plan = f"Charge visa 4242 of account {RICH} for $12.34 of credit; the card is charged about "
    assert result.stderr.startswith(f"{plan}$12.96, plus tax where due. The balance")
    assert charges(service) == [1234]


def test_the_card_may_be_named(service: Emulator) -> None:
    result = run("topup", RICH, "--amount", "10", "--payment-method", "pm_1", "--yes")
    assert result.exit_code == 0
    assert "Charge pm_1 of account" in result.stderr
    assert [charge.payment_method_id for charge in service.charges] == ["pm_1"]


def test_the_card_that_was_charged_is_the_one_that_the_service_names(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(*_: object, **__: object) -> None:
        service.accounts[RICH].payment_method = {"brand": "mastercard", "last4": "4444"}

    monkeypatch.setattr(topups, "ask_consent", another)  # somebody changes it during the question
    result = run("topup", RICH, "--amount", "10", "--yes")
    assert result.stdout.startswith("Charged mastercard 4444 for $10.00 of credit: ")


def test_the_name_of_a_card_does_not_steer_the_terminal(service: Emulator) -> None:
    service.accounts[RICH].payment_method = {"brand": "\x1b[2Jvisa\n", "last4": "4242"}
    assert run("topup", RICH, "--amount", "10", "--yes").exit_code == 0
    assert "visa  4242" in run("balance", RICH).stdout


def test_without_a_known_card_the_service_says_so(service: Emulator) -> None:
    result = run("topup", LOW, "--amount", "10", "--yes")
    assert result.exit_code == 1
    said, error = result.stderr.splitlines()
    assert said.startswith("Charge the default card of account")
    assert "no default payment method" in error


def test_a_topup_may_wait_for_its_credit(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfaigw_billing._async.topups.FIRST_PAUSE", 0.01)
    service.inject(Fault(), path="/topup/status")
    service._processor.topup_seconds = 0.05
    result = run("topup", RICH, "--amount", "50", "--yes", "--wait")
    assert result.exit_code == 0
    assert row(result, "Balance") == "Balance           $1,284.57"
    assert charges(service) == [5000]


def test_a_topup_that_takes_too_long_is_pending(service: Emulator) -> None:
    service.accounts[RICH].topup_limits |= {"max_cents": 5000}
    service._processor.topup_seconds = 60
    result = run("topup", RICH, "--amount", "50", "--yes", "--wait", "--timeout", 1)
    assert result.exit_code == 4
    assert "in_emulated000001 has been charged" in result.stderr
    assert charges(service) == [5000]


def test_a_topup_that_the_payer_must_confirm_says_so_and_no_secret(service: Emulator) -> None:
    service.accounts[RICH].needs_confirmation = True
    result = run("topup", RICH, "--amount", "50", "--yes", "--wait")
    assert result.exit_code == 4
    assert result.stdout == ""
    assert "the payer must confirm the payment in the Cloudflare dashboard" in result.stderr
    assert charges(service) == [5000]  # which the emulator notes before it is confirmed
    assert "POST /topup/status" not in paths(service)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/topup/status", Fault(status=403)),
        ("/topup/status", Fault(body=FAILED)),
        ("/topup", Fault(body=WITHOUT_ID)),
    ],
)
def test_what_fails_after_a_charge_is_not_taken_for_a_refusal(
    service: Emulator, path: str, fault: Fault
) -> None:
    service.inject(fault, path=path)
    result = run("topup", RICH, "--amount", "50", "--yes", "--wait")
    assert result.exit_code == 4
    assert result.stdout.startswith("Charged visa 4242 for $50.00 of credit: ")
    *_, error, again = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert re.match("(Ask again|Look): cfaigw-billing ", again)


@pytest.mark.parametrize("end", [SystemExit(1), OSError("no space"), RuntimeError("a fault")])
def test_a_balance_that_nobody_reads_is_not_taken_for_a_refusal(
    service: Emulator, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise end

    monkeypatch.setattr(topups, "show", broken)
    service._processor.topup_seconds = 0
    assert run("topup", RICH, "--amount", "50", "--yes", "--wait").exit_code == 4


@pytest.mark.usefixtures("person")
def test_ctrl_c_at_once_after_the_question_ends_its_line(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(line: str, end: str = "\n") -> None:
        say(line, end)
        if "[y/N]" in end:
            raise KeyboardInterrupt

    monkeypatch.setattr(_session, "say", interrupted)
    result = run("topup", RICH, "--amount", "50")
    assert (result.exit_code, result.stderr[-8:]) == (130, " [y/N] \n")
    assert charges(service) == []


def test_a_declined_card_is_one_line(service: Emulator) -> None:
    service.accounts[RICH].declines = True
    result = run("topup", RICH, "--amount", "50", "--yes")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: 402 POST ")
    assert charges(service) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--amount 50", "use --yes"),
        ("--amount 10.005 --yes", "whole cents"),
        ("--amount 10.000 --yes", "whole cents"),
        ("--amount 1e3 --yes", "whole cents"),
        ("--amount 1,000 --yes", "whole cents"),
        ("--amount -50 --yes", "whole cents"),
        ("--amount 9.99 --yes", "--amount must be at least $10.00, not "),
        ("--amount 1000000 --yes", "--amount must be at most $999,999.99, not $1,000,000.00"),
        ("--yes", "--amount"),
        ("--amount 50 --yes --payment-method a/b", "--payment-method must"),
        ("--amount 50 --yes --wait --timeout 0", "--timeout"),
        ("--amount 50 --yes --timeout 10", "--timeout needs --wait"),
    ],
)
def test_a_wrong_topup_is_refused_before_anything_is_sent(
    service: Emulator, options: str, complaint: str
) -> None:
    result = run("topup", RICH, *options.split())
    assert result.exit_code == 2
    assert complaint in said(result)
    assert service.requests == []


# A charge whose outcome is unknown


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        (Fault(silence="close", after=True), 1),
        (Fault(silence="close"), 0),
        (Fault(status=502, after=True), 1),
        (Fault(body=b"<html>"), 0),
    ],
)
def test_a_lost_answer_is_looked_for_once_and_is_exit_code_4(
    service: Emulator, fault: Fault, made: int
) -> None:
    service.inject(fault, times=None, path="/topup")
    result = run("topup", RICH, "--amount", "50", "--yes", "--wait")
    assert result.exit_code == 4
    assert result.stdout == ""
    _, error, found, again = result.stderr.splitlines()
    assert error.startswith("error: POST ")
    assert "a top-up of $50.00 was sent at " in error
    assert "whether it was charged is unknown" in error
    assert "do not send it again before `reconcile` has checked it · idempotency key " in error
    assert again == "Ask again: cfaigw-billing recover"
    assert found.startswith("It has no invoice yet.")
    assert found.endswith("The balance is $1,234.57.")
    assert len(service.charges) == made
    assert paths(service).count("POST /topup") == 1
    assert paths(service).count("GET /invoice-history") == 1


def test_what_is_found_of_a_lost_charge_is_said(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    service._processor.topup_seconds = 0
    service.inject(Fault(silence="close", after=True), path="/topup")
    charged = run("topup", RICH, "--amount", "50", "--yes")
    assert charged.exit_code == 4
    assert "The card was charged: invoice in_emulated000001. The balance is $1,284.57." in (
        charged.stderr
    )
    service.inject(Fault(silence="close"), path="/topup")
    service.accounts[RICH].add_invoice(5000, id="in_other")
    service.accounts[RICH].add_invoice(5000, id="in_another")
    doubtful = run("topup", RICH, "--amount", "50", "--yes")
    assert doubtful.exit_code == 4
    assert re.search("a person must decide: in_(an)?other, in_(an)?other[.]", doubtful.stderr)
    look, then = doubtful.stderr.splitlines()[-2:]
    assert look == f"Look: cfaigw-billing invoices {RICH} --type manual"
    assert then.startswith("Then: cfaigw-billing settle ")


def test_what_is_found_is_said_although_the_balance_cannot_be_read(service: Emulator) -> None:
    service._processor.topup_seconds = 0
    service.inject(Fault(), path="/credit-balance")  # before the question
    service.inject(Fault(status=403), path="/credit-balance")
    service.inject(Fault(silence="close", after=True), path="/topup")
    result = run("topup", RICH, "--amount", "50", "--yes")
    assert result.exit_code == 4
    found = result.stderr.splitlines()[-1]
    assert found.startswith("The card was charged: invoice in_emulated000001. The balance could ")
    assert "403" in found


def test_a_lost_charge_that_cannot_be_looked_for_stays_exit_code_4(service: Emulator) -> None:
    service.inject(Fault(silence="close", after=True), path="/topup")
    service.inject(Fault(status=403), times=None, path="/invoice-history")
    result = run("topup", RICH, "--amount", "50", "--yes")
    assert result.exit_code == 4
    assert "error: the search for its invoice failed: 403 GET " in result.stderr
    assert result.stderr.splitlines()[-1] == "Ask again: cfaigw-billing recover"


def ending_charges(monkeypatch: pytest.MonkeyPatch, end: BaseException) -> None:
    """Let every charge end so, whether it was sent or not."""
    send = Cloudflare.send

    def ended(client: Cloudflare, params: Any, **options: Any) -> Any:
        if isinstance(params, TopupCreateParams):
            raise end
        return send(client, params, **options)

    monkeypatch.setattr(Cloudflare, "send", ended)


@pytest.mark.parametrize("end", [KeyboardInterrupt(), RuntimeError("no thread"), MemoryError()])
def test_an_end_that_cannot_say_what_was_sent_is_exit_code_4(
    service: Emulator, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    ending_charges(monkeypatch, end)
    result = run("topup", RICH, "--amount", "50", "--yes")
    assert result.exit_code == 4
    assert "the card may have been charged" in result.stderr


@pytest.mark.parametrize("end", [BrokenPipeError(), SystemExit(1), RuntimeError("no thread")])
def test_a_charge_of_which_nothing_can_be_said_is_exit_code_4(
    service: Emulator, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise end

    monkeypatch.setattr("cfaigw_billing.cli.topups.show_line", broken)
    monkeypatch.setattr("cfaigw_billing.cli.topups.show_error", broken)
    assert run("topup", RICH, "--amount", "50", "--yes").exit_code == 4
    assert charges(service) == [5000]


def test_no_signal_changes_what_an_unknown_outcome_ends_with(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[object] = []
    close = Cloudflare.close

    def interrupted(*_: object) -> None:
        handlers.extend(map(signal.getsignal, ENDINGS))
        signal.raise_signal(signal.SIGINT)

    def interrupted_close(client: Cloudflare) -> None:
        signal.raise_signal(signal.SIGINT)
        close(client)

    before = [*map(signal.getsignal, ENDINGS)]
    ending_charges(monkeypatch, KeyboardInterrupt())
    monkeypatch.setattr(topups, "look_for", interrupted)
    monkeypatch.setattr(Cloudflare, "close", interrupted_close)
    assert run("topup", RICH, "--amount", "50", "--yes").exit_code == 4
    assert signal.SIGTERM in ENDINGS
    interrupt, ignored = signal.default_int_handler, signal.SIG_IGN  # `nohup` ignores SIGHUP
    assert handlers == [ignored if handler is ignored else interrupt for handler in before]
    # Nor until Python ends, for which `main` takes care again.
    assert {*map(signal.getsignal, ENDINGS)} == {ignored}


def test_signals_are_as_before_where_nothing_is_unknown(service: Emulator) -> None:
    before = [*map(signal.getsignal, ENDINGS)]
    assert run("topup", RICH, "--amount", "50", "--yes").exit_code == 0
    assert [*map(signal.getsignal, ENDINGS)] == before


def test_a_signal_that_is_to_be_ignored_stays_so(service: Emulator) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with topups.endings_as_interrupts():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_unknown_account_is_not_charged(service: Emulator) -> None:
    assert run("topup", UNKNOWN, "--amount", "50", "--yes").exit_code == 1
    assert "POST /topup" not in paths(service)
