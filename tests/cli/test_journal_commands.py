"""The journal of the command line: `topup` with a key, `topups` and `recover`."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path
from typing import Any

import pytest

from cfaigw_billing.cli import topups
from cfaigw_billing.cli._session import ask_consent
from cfaigw_billing.testing import Emulator, Fault

from .running import LOW, RICH, as_csv, as_json, needs_posix, paths, row, run, said

TOPUP = "topup", RICH, "--amount", "50", "--yes"
KEYED = *TOPUP, "--idempotency-key", "order-1"
LOST = Fault.lost_answer()
NEVER_SENT = Fault(silence="close")


def lose(service: Emulator, *command: str, fault: Fault = LOST) -> None:
    """Make a top-up whose answer is lost."""
    service.inject(fault, path="/topup")
    assert run(*command).exit_code == 4


# topup


def test_every_topup_is_recorded(service: Emulator) -> None:
    assert run(*TOPUP).exit_code == 0
    assert run(*TOPUP, "--payment-method", "pm_1").exit_code == 0
    first, second = as_json(run("topups", "--json"))
    assert len(first.pop("idempotency_key")) == 32
    assert first.pop("created_at") <= first.pop("sent_at")
    assert first == {
        "state": "charged",
        "account_id": RICH,
        "amount": 5000,
        "amount_usd": 50.0,
        "payment_method_id": None,
        "payment_intent_id": "in_emulated000001",
        "needs_confirmation": False,
        "attempt": 1,
        "base_url": service.base_url,
    }
    assert second["payment_method_id"] == "pm_1"


def test_a_key_is_charged_once_and_the_second_time_asks_nothing(service: Emulator) -> None:
    assert run(*KEYED).exit_code == 0
    service.requests.clear()
    again = run(*KEYED)
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout == (
        "Charged before, for $50.00 of credit: in_emulated000001. Nothing was sent.\n"
    )
    told = as_json(run(*KEYED, "--json"))
    assert (told["outcome"], told["idempotency_key"]) == ("charged", "order-1")
    assert told["payment_intent_id"] == "in_emulated000001"
    assert service.requests == []
    service.advance(600)
    assert row(run(*KEYED, "--wait"), "Balance").split() == ["Balance", "$1,284.57"]
    assert len(service.charges) == 1


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (["topup", RICH, "--amount", "60"], "--amount was $50.00, not $60.00"),
        (["topup", LOW, "--amount", "50"], f"its account id was '{RICH}', not "),
        (
            ["topup", RICH, "--amount", "50", "--payment-method", "pm_1"],
            "--payment-method was None, not 'pm_1'",
        ),
    ],
)
def test_a_key_of_another_topup_is_wrong_usage(
    service: Emulator, other: list[str], says: str
) -> None:
    assert run(*KEYED).exit_code == 0
    result = run(*other, "--yes", "--idempotency-key", "order-1")
    assert result.exit_code == 2
    assert says in said(result)
    assert len(service.charges) == 1


def test_a_key_that_was_declined_is_tried_again(service: Emulator) -> None:
    service.accounts[RICH].declines = True
    assert run(*KEYED).exit_code == 1
    service.accounts[RICH].declines = False
    assert run(*KEYED).exit_code == 0
    assert as_json(run("topups", "--json"))[0]["attempt"] == 2


def test_a_key_whose_outcome_is_unknown_is_not_sent_again(service: Emulator) -> None:
    lose(service, *KEYED, fault=NEVER_SENT)
    result = run(*KEYED)
    assert result.exit_code == 4
    assert result.stderr.endswith("Ask again: cfaigw-billing recover\n")
    assert paths(service).count("POST /topup") == 1


def test_a_payment_to_confirm_is_not_taken_for_charged(service: Emulator) -> None:
    service.accounts[RICH].needs_confirmation = True
    for _ in range(2):
        result = run(*KEYED)
        assert (result.exit_code, paths(service).count("POST /topup")) == (4, 1)
        assert "the payer must confirm the payment" in result.stderr
    service.accounts[RICH].confirm("in_emulated000001")
    service.advance(600)
    assert run(*KEYED).stdout.startswith("Charged before, for $50.00 of credit")


def test_a_refusal_after_another_command_has_charged_the_key_is_exit_code_4(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.accounts[RICH].needs_confirmation = True

    def meanwhile(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(topups, "ask_consent", ask_consent)
        assert run(*KEYED).exit_code == 4

    monkeypatch.setattr(topups, "ask_consent", meanwhile)  # another command, during the question
    result = run(*KEYED)
    assert result.exit_code == 4
    assert "the card may have been charged" in result.stderr
    assert paths(service).count("POST /topup") == 1


# Where the journal is


@needs_posix
def test_the_default_journal_is_for_its_owner_alone(service: Emulator, state_folder: Path) -> None:
    assert run(*TOPUP).exit_code == 0
    assert stat.S_IMODE(state_folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((state_folder / "topups.sqlite3").stat().st_mode) == 0o600


def test_another_journal_is_named_in_what_to_run_next(
    service: Emulator, tmp_path: Path, state_folder: Path
) -> None:
    path = str(tmp_path / "own.sqlite3")
    service.inject(LOST, path="/topup")
    result = run(*TOPUP, "--journal", path)
    assert result.stderr.endswith(f"Ask again: cfaigw-billing recover --journal {path}\n")
    assert len(as_json(run("topups", "--journal", path, "--json"))) == 1
    assert not state_folder.exists()


def test_a_journal_that_cannot_be_written_charges_nothing(
    service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    for options in ([], ["--journal", str(tmp_path / "missing" / "own.sqlite3")]):
        result = run(*TOPUP, *options)
        assert result.exit_code == 1
        error, remedy = result.stderr.splitlines()
        assert "journal" in error
        assert "SQLiteJournal" not in error
        assert remedy.startswith("Nothing was charged. Use --no-journal")
    assert service.requests == []
    assert run(*TOPUP, "--no-journal").exit_code == 0


def test_a_user_without_a_home_is_told_to_name_a_file(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_home(_: str) -> Path:
        return Path("~/.local/state")

    monkeypatch.setattr("platformdirs.user_state_path", without_home)
    result = run(*TOPUP)
    assert (result.exit_code, service.requests) == (1, [])
    assert "pass --journal FILE" in result.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--no-journal --idempotency-key a", "--no-journal excludes --journal and --idem"),
        ("--no-journal --journal a", "--no-journal excludes --journal and --idem"),
        ("--idempotency-key ''", "--idempotency-key must have 1 to 255 printable characters"),
    ],
)
def test_wrong_options_are_said_before_anything_is_sent(
    service: Emulator, options: str, says: str
) -> None:
    result = run(*TOPUP, *(word.strip("'") for word in options.split()))
    assert result.exit_code == 2
    assert says in said(result)
    assert service.requests == []


@pytest.mark.parametrize("command", ["topups", "recover"])
def test_a_journal_that_is_not_there_is_not_taken_for_an_empty_one(
    service: Emulator, command: str
) -> None:
    result = run(command, "--journal", "typo.sqlite3")
    assert result.exit_code == 2
    assert "does not exist" in said(result)


@pytest.mark.parametrize("command", ["topups", "recover"])
def test_a_broken_journal_is_one_line(service: Emulator, command: str, tmp_path: Path) -> None:
    path = tmp_path / "own.sqlite3"
    path.write_bytes(b"no database" * 100)
    result = run(command, "--journal", str(path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the journal ")


# topups


def test_topups_are_a_table(service: Emulator) -> None:
    assert run("topups").stdout.startswith("0 top-ups\n")
    assert run(*KEYED).exit_code == 0
    lose(service, *TOPUP[:3], "60", "--yes", "--idempotency-key", "order-2")
    result = run("topups", COLUMNS="160")
    assert result.stdout.startswith("2 top-ups\n")
    charged, unknown = result.stdout.splitlines()[3:]
    assert charged.split()[2:] == ["order-1", RICH, "$50.00", "charged", "in_emulated000001"]
    assert unknown.split()[2:] == ["order-2", RICH, "$60.00", "unknown"]
    assert [
        e["idempotency_key"] for e in as_json(run("topups", "--state", "unknown", "--json"))
    ] == ["order-2"]
    names, *rows = as_csv(run("topups", "--csv", "--state", "not_charged"))
    assert (names[:2], rows) == (["idempotency_key", "state"], [])


# recover


def test_recover_settles_what_was_lost(service: Emulator) -> None:
    lose(service, *KEYED)
    waiting = run("recover", "--json")
    assert waiting.exit_code == 6
    (found,) = as_json(waiting)
    assert (found["state"], found["outcome"], found["error"]) == ("unknown", "not_found_yet", None)
    service.advance(600)
    settled = run("recover", "--csv")
    assert settled.exit_code == 0
    names, cells = as_csv(settled)
    told = dict(zip(names, cells, strict=True))
    assert (told["state"], told["payment_intent_id"]) == ("charged", "in_emulated000001")
    assert run("recover").stdout.startswith("0 top-ups\n")
    assert run(*KEYED).stdout.startswith("Charged before, for $50.00")
    assert len(service.charges) == 1


def test_what_is_looked_for_in_vain_for_long_may_be_sent_again(service: Emulator) -> None:
    lose(service, *KEYED, fault=NEVER_SENT)
    service.advance(3700)
    assert run("recover").exit_code == 6
    result = run("recover", "--older-than", "1h")
    assert result.exit_code == 0
    assert "not_charged" in result.stdout
    assert run(*KEYED).exit_code == 0
    assert len(service.charges) == 1


def test_what_is_ambiguous_is_for_a_person(service: Emulator) -> None:
    lose(service, *KEYED, fault=NEVER_SENT)
    for name in ("in_other", "in_another"):
        service.accounts[RICH].add_invoice(5000, id=name)
    result = run("recover")
    assert result.exit_code == 4
    assert result.stderr == (
        f"Look: cfaigw-billing invoices {RICH} --type manual\n"
        "Then: cfaigw-billing settle order-1 --charged in_… (or --not-charged)\n"
    )


def test_a_person_settles_it_and_the_key_goes_on_from_there(service: Emulator) -> None:
    lose(service, *KEYED, fault=NEVER_SENT)
    for name in ("in_other", "in_another"):
        service.accounts[RICH].add_invoice(5000, id=name)
    service.requests.clear()
    settled = run("settle", "order-1", "--charged", "in_other")
    assert (settled.exit_code, settled.output) == (0, "")
    assert "Charged before, for $50.00 of credit: in_other." in run(*KEYED).stdout
    assert service.requests == []
    again = run("settle", "order-1", "--not-charged")
    assert (again.exit_code, said(again)) == (2, "error: the top-up 'order-1' is charged")

    service.accounts[RICH].add_invoice(5000, id="in_third")
    lose(service, *TOPUP, "--idempotency-key", "order-2", fault=NEVER_SENT)
    taken = run("settle", "order-2", "--charged", "in_other")
    assert taken.exit_code == 2
    assert said(taken).startswith("error: another top-up has the invoice in_other")
    assert run("settle", "order-2", "--not-charged").exit_code == 0
    assert run(*TOPUP, "--idempotency-key", "order-2").exit_code == 0
    assert len(service.charges) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("order-1", "say either --charged in_… or --not-charged"),
        ("order-1 --charged in_1 --not-charged", "say either --charged in_… or --not-charged"),
        ("order-1 --charged ''", "say either --charged in_… or --not-charged"),
        ("order-1 --charged pi_1 --not-charged", "say either --charged in_… or --not-charged"),
        ("order-1 --charged in_", "say either --charged in_… or --not-charged"),
        ("order-1 --charged 'in_1 '", "say either --charged in_… or --not-charged"),
        ("order-1 --charged in_1,in_2", "say either --charged in_… or --not-charged"),
        ("order-1 --charged pi_1", "say either --charged in_… or --not-charged"),
        ("order-2 --not-charged", "the top-up 'order-2' is not in the journal"),
        ("order-1 --not-charged", "the top-up 'order-1' is charged"),
    ],
)
def test_what_is_not_unknown_cannot_be_settled(service: Emulator, words: str, says: str) -> None:
    assert run(*KEYED).exit_code == 0
    result = run("settle", *shlex.split(words))
    assert (result.exit_code, said(result)) == (2, f"error: {says}")


def test_what_cannot_be_looked_for_is_told_apart(service: Emulator) -> None:
    lose(service, *KEYED)
    service.accounts[LOW].payment_method = service.accounts[RICH].payment_method
    lose(service, "topup", LOW, "--amount", "50", "--yes")
    refused = f"/{RICH}/ai-gateway/billing/invoice-history"
    service.inject(Fault(status=403), times=None, path=refused)
    result = run("recover")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: order-1: 403 GET ")
    service.inject(Fault(status=403), times=None, path="/invoice-history")
    assert run("recover").exit_code == 1


@pytest.mark.parametrize("limit", ["0h", "1", "5m"])
def test_a_limit_that_is_too_short_is_wrong_usage(service: Emulator, limit: str) -> None:
    result = run("recover", "--older-than", limit)
    assert result.exit_code == 2
    assert "--older-than" in said(result)
    assert service.requests == []
