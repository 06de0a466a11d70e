"""A top-up with a key: charged once, and answered each time."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
import pytest
from attrs import evolve
from holding import held

from cfaigw_billing import (
    APIConnectionError,
    AsyncCloudflare,
    CloudflareError,
    JournalError,
    PaymentRequiredError,
    TopupConfirmationError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from cfaigw_billing._io.clock import Clock, ServiceClock
from cfaigw_billing.journal import Entry, SQLiteJournal
from cfaigw_billing.testing import EmulatedAccount, Emulator, Fault
from cfaigw_billing.types import TopupCreateParams, TopupCreateResponse

from .stores import MemoryJournal

if TYPE_CHECKING:
    from conftest import Run

NOT_CHARGED = Fault(silence="close")


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


def create(key: str | None = "order-1", amount: int = 5000, **more: Any) -> Callable[[Any], Any]:
    given: dict[str, Any] = {"account_id": "acc", "amount": amount, "idempotency_key": key, **more}
    return lambda client: client.ai_gateway.billing.topup.create(**given)


def create_and_wait(key: str | None = "order-1", timeout: float = 5) -> Callable[[Any], Any]:
    return lambda client: client.ai_gateway.billing.topup.create_and_wait(
        account_id="acc", amount=5000, idempotency_key=key, timeout=timeout
    )


def ignore(_: Entry) -> None:
    """Do nothing about a write."""


def posts(emulator: Emulator) -> int:
    return sum(request.path.endswith("/topup") for request in emulator.requests)


# The same key again.


def test_a_charged_key_answers_what_is_recorded(
    ask: Run, billing_emulator: Emulator, account: EmulatedAccount, tmp_path: Path
) -> None:
    """In another process too: here, in another client with a journal on the same file."""
    answers = [ask(create(), journal=SQLiteJournal(tmp_path / "topups")) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0].payment_intent_id == billing_emulator.charges[0].payment_intent_id
    assert len(billing_emulator.charges) == posts(billing_emulator) == 1


def test_another_key_is_another_top_up(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    assert ask(create("a"), journal=journal) != ask(create("A"), journal=journal)
    assert len(billing_emulator.charges) == 2


def test_the_key_is_not_sent(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    ask(create("hush-4711"), journal=journal)
    (request,) = billing_emulator.requests
    assert json.loads(request.body) == {"amount": 5000}
    assert "hush-4711" not in f"{request}"


@pytest.mark.parametrize(
    "other", [{"amount": 6000}, {"payment_method_id": "pm_1"}, {"account_id": "b"}], ids=str
)
def test_a_key_of_another_top_up_is_refused(
    other: dict[str, Any],
    ask: Run,
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
) -> None:
    ask(create(), journal=journal)
    given: dict[str, Any] = {"account_id": "acc", "amount": 5000, "idempotency_key": "order-1"}
    with pytest.raises(ValueError, match=f"`idempotency_key` 'order-1' .* `{next(iter(other))}`"):
        ask(
            lambda client: client.ai_gateway.billing.topup.create(**{**given, **other}),
            journal=journal,
        )
    assert posts(billing_emulator) == 1


def test_a_declined_key_may_be_sent_again(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    account.declines = True
    for attempt in (1, 2):
        with pytest.raises(PaymentRequiredError) as caught:
            ask(create(), journal=journal)
        assert caught.value.idempotency_key == "order-1"
        assert "idempotency key order-1" in str(caught.value)
        assert (journal.rows["order-1"].state, journal.rows["order-1"].attempt) == (
            "not_charged",
            attempt,
        )
    account.declines = False
    ask(create(), journal=journal)
    assert len(billing_emulator.charges) == 1
    assert journal.rows["order-1"].state == "charged"


def test_what_was_never_sent_may_be_sent(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    with pytest.raises(APIConnectionError) as caught:
        ask(create(), journal=journal, base_url="http://127.0.0.1:9", max_retries=0)
    assert not isinstance(caught.value, TopupOutcomeUnknownError)
    assert journal.rows["order-1"].state == "not_charged"
    assert journal.rows["order-1"].sent_at is None
    with pytest.raises(ValueError, match="`base_url`"):  # of another service
        ask(create(), journal=journal)


def test_a_lost_charge_is_found_by_its_key(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(Fault.lost_answer(), path="/topup")
    with pytest.raises(TopupOutcomeUnknownError) as caught:
        ask(create(), journal=journal)
    assert caught.value.idempotency_key == "order-1"
    assert str(caught.value).count("order-1") == 1
    assert pickle.loads(pickle.dumps(caught.value)).idempotency_key == "order-1"  # noqa: S301
    assert journal.rows["order-1"].state == "unknown"
    billing_emulator.advance(3)
    answer = ask(create(), journal=journal)
    assert answer.payment_intent_id == billing_emulator.charges[0].payment_intent_id
    assert ask(create(), journal=journal) == answer
    assert len(billing_emulator.charges) == posts(billing_emulator) == 1


def test_what_may_have_been_charged_is_never_sent_again(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    for _ in range(4):
        with pytest.raises(TopupOutcomeUnknownError):
            ask(create(), journal=journal)
        billing_emulator.advance(100_000)
    assert posts(billing_emulator) == 1


def test_what_cannot_be_looked_for_stays_unknown(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(Fault.lost_answer(), path="/topup")
    billing_emulator.inject(Fault(status=403), path="/invoice-history")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create(), journal=journal)
    with pytest.raises(TopupOutcomeUnknownError, match="search for its invoice failed: 403"):
        ask(create(), journal=journal)
    assert posts(billing_emulator) == 1


def test_what_cannot_be_looked_for_without_a_token_stays_unknown(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(Fault.lost_answer(), path="/topup")
    billing_emulator.inject(Fault(status=401), path="/invoice-history")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create(), journal=journal)
    vault = Mock(side_effect=[billing_emulator.api_token, OSError("sealed")])
    with pytest.raises(
        TopupOutcomeUnknownError, match="search for its invoice failed: `api_tokens` fa"
    ):
        ask(create(), journal=journal, api_tokens=vault)
    assert len(billing_emulator.charges) == posts(billing_emulator) == 1


def test_an_ambiguous_one_stays_unknown(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(Fault.lost_answer(), path="/topup")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create(), journal=journal)
    account.add_invoice(5250)
    billing_emulator.advance(3)
    with pytest.raises(TopupOutcomeUnknownError, match="may belong to it"):
        ask(create(), journal=journal)
    assert posts(billing_emulator) == 1


# Invoices.


def test_an_invoice_settles_one_key(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    """One of two equal lost charges was made."""
    for key, fault in (("a", Fault.lost_answer()), ("b", NOT_CHARGED)):
        billing_emulator.inject(fault, path="/topup")
        with pytest.raises(TopupOutcomeUnknownError):
            ask(create(key), journal=journal)
    billing_emulator.advance(3)
    assert ask(create("b"), journal=journal).payment_intent_id == "in_emulated000001"
    with pytest.raises(TopupOutcomeUnknownError, match="no invoice"):
        ask(create("a"), journal=journal)
    assert posts(billing_emulator) == 2


def test_the_invoice_of_an_answered_key_is_no_others(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create("lost"), journal=journal)
    ask(create("answered"), journal=journal)
    billing_emulator.advance(3)
    with pytest.raises(TopupOutcomeUnknownError, match="no invoice"):
        ask(create("lost"), journal=journal)


def test_no_invoice_is_taken_while_a_charge_alike_is_in_flight(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create("lost"), journal=journal)
    account.add_invoice(5250)  # of the one in flight
    lost = journal.rows["lost"]
    flying = evolve(
        lost, key="flying", state="sent", lease_until=datetime.now(UTC) + timedelta(minutes=1)
    )
    journal.rows["flying"] = flying
    with pytest.raises(TopupOutcomeUnknownError, match="belong to it or to other charges"):
        ask(create("lost"), journal=journal)
    journal.rows["flying"] = evolve(flying, state="not_charged")
    assert ask(create("lost"), journal=journal).payment_intent_id == "in_emulated000001"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_lost_charges_alike_share_out_their_invoices(
    order: tuple[int, ...],
    ask: Run,
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
) -> None:
    """Three were lost, and two of them charged; which two makes no difference."""
    for key, fault in enumerate((Fault.lost_answer(), NOT_CHARGED, Fault.lost_answer())):
        billing_emulator.inject(fault, path="/topup")
        with pytest.raises(TopupOutcomeUnknownError):
            ask(create(f"{key}"), journal=journal)
    billing_emulator.advance(3)
    settled: list[str] = []
    for key in order:
        try:
            settled.append(ask(create(f"{key}"), journal=journal).payment_intent_id)
        except TopupOutcomeUnknownError:
            settled.append("unknown")
    assert sorted(settled) == ["in_emulated000001", "in_emulated000002", "unknown"]
    assert posts(billing_emulator) == 3


def test_more_invoices_than_lost_charges_are_for_a_person_to_look_at(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    for key in ("a", "b"):
        billing_emulator.inject(Fault.lost_answer(), path="/topup")
        with pytest.raises(TopupOutcomeUnknownError):
            ask(create(key), journal=journal)
    account.add_invoice(5250)  # of somebody else
    billing_emulator.advance(3)
    for recovery in ask(recover(), journal=journal):
        assert recovery.entry.state == "unknown"
        assert recovery.reconciliation.outcome == "ambiguous"


@pytest.mark.parametrize("nameless", [None, ""])
def test_an_invoice_without_an_id_settles_nothing_and_frees_no_key(
    nameless: str | None,
    ask: Run,
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
) -> None:
    """It proves that the card was charged, but another key could have the same invoice."""
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    with pytest.raises(TopupOutcomeUnknownError) as lost:
        ask(create(), journal=journal)
    account.add_invoice(5250, id=nameless)
    reconcile = ask(lambda client: client.ai_gateway.billing.topup.reconcile(lost.value))
    assert reconcile.outcome == "charged"
    with pytest.raises(TopupOutcomeUnknownError, match="belong to it or to other charges"):
        ask(create(), journal=journal)
    for _ in range(2):
        (found,) = ask(recover(), journal=journal)
        assert (found.entry.state, found.reconciliation.outcome) == ("unknown", "ambiguous")
        assert len(found.reconciliation.invoices) == 1
        billing_emulator.advance(100_000)
    assert posts(billing_emulator) == 1


def test_the_service_knows_best_whose_invoice_it_is(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    """Another key that was thought to have it goes back to `unknown`."""
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create("lost"), journal=journal)

    def give_away(entry: Entry) -> None:
        if entry.key == "slow" and entry.state == "charged" and lost.state == "unknown":
            taken = evolve(
                lost,
                state="charged",
                payment_intent_id=entry.payment_intent_id,
                version=lost.version + 1,
            )
            journal.rows.setdefault("slow", entry)
            if journal.rows["lost"] == lost:
                journal.rows["lost"] = taken

    lost = journal.rows["lost"]
    journal.before = give_away
    answer = ask(create("slow"), journal=journal)
    assert journal.rows["slow"].payment_intent_id == answer.payment_intent_id
    assert journal.rows["slow"].state == "charged"
    assert (journal.rows["lost"].state, journal.rows["lost"].payment_intent_id) == ("unknown", None)


# Several at once.


async def test_tasks_with_one_key_charge_once(
    account: EmulatedAccount, billing_emulator: Emulator, tmp_path: Path
) -> None:
    billing_emulator.inject(Fault(delay=0.1), path="/topup", times=None)
    async with (
        billing_emulator.async_client(journal=SQLiteJournal(tmp_path / "one")) as one,
        billing_emulator.async_client(journal=SQLiteJournal(tmp_path / "one")) as other,
    ):
        answers = await asyncio.gather(*(create()(client) for client in [one, other] * 10))
    assert len({answer.payment_intent_id for answer in answers}) == 1
    assert len(billing_emulator.charges) == posts(billing_emulator) == 1


async def test_a_wait_for_another_sender_ends(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(Fault.hang(), path="/topup")
    async with billing_emulator.async_client(journal=journal) as client:
        first = asyncio.create_task(create()(client))
        while not posts(billing_emulator):  # noqa: ASYNC110  # it is on another thread
            await asyncio.sleep(0.005)
        with pytest.raises(TopupOutcomeUnknownError, match="another sender"):
            await create(timeout=0.2)(client)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert posts(billing_emulator) == 1


async def test_a_long_charge_shows_that_its_sender_lives(
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cfaigw_billing._charges.lease.RENEWAL_INTERVAL", 0.02)
    billing_emulator.inject(Fault(delay=1), path="/topup")
    held(billing_emulator, monkeypatch, {1: lambda: len(marks()) > 2})

    def marks() -> list[Entry]:
        return [entry for entry in journal.writes if entry.state == "sent"]

    async with billing_emulator.async_client(journal=journal) as client:
        await create()(client)
    beats = marks()
    assert [e.lease_until for e in beats] == sorted({e.lease_until for e in beats})


# Without a key, without a journal, with a wrong one.


def test_a_charge_without_a_key_is_recorded_too(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    ask(create(None), journal=journal)
    ask(create(None), journal=journal)
    assert len(billing_emulator.charges) == len(journal.rows) == 2
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    with pytest.raises(TopupOutcomeUnknownError) as caught:
        ask(create(None), journal=journal)
    key = caught.value.idempotency_key
    assert key is not None
    assert key in str(caught.value)
    assert journal.rows[key].state == "unknown"


def test_a_key_needs_a_journal(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator
) -> None:
    with pytest.raises(ValueError, match=r"`idempotency_key` needs a journal.*SQLiteJournal"):
        ask(create())
    assert billing_emulator.requests == []


@pytest.mark.parametrize("key", ["", "k" * 256, "a\nb", "a\x00", "\ud800", "\x7f"])
def test_a_key_is_printable_and_of_limited_length(key: str) -> None:
    with pytest.raises(ValueError, match="`idempotency_key` must have 1 to 255 printable"):
        TopupCreateParams(amount=5000, idempotency_key=key)


@pytest.mark.parametrize("key", ["k", "k" * 255, "Auftrag 4711 · ü", "'; DROP TABLE"])
def test_such_keys_will_do(
    key: str, ask: Run, account: EmulatedAccount, billing_emulator: Emulator, tmp_path: Path
) -> None:
    for _ in range(2):
        ask(create(key), journal=SQLiteJournal(tmp_path / "topups"))
    assert len(billing_emulator.charges) == 1


def test_a_key_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="`idempotency_key` must be a str, not int"):
        TopupCreateParams(amount=5000, idempotency_key=4711)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("given", ["topups.sqlite3", b"", {}], ids=repr)
def test_a_journal_is_a_journal(given: Any, run: Run) -> None:
    with pytest.raises(TypeError, match="`journal` must be a Journal, such as SQLiteJournal"):
        run(create(), journal=given)


# Every way to charge.


async def test_every_way_to_charge_goes_by_the_key(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    params = TopupCreateParams(account_id="acc", amount=5000, idempotency_key="order-1")
    given: Any = {"account_id": "acc", "amount": 5000, "idempotency_key": "order-1"}
    async with billing_emulator.async_client(journal=journal) as client:
        topup = client.ai_gateway.billing.topup
        raw = await topup.with_raw_response.create(**given)
        assert "Idempotent-Replayed" not in raw.headers
        first = await raw.parse()
        again = await topup.with_raw_response.create(**given)
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert await again.parse() == first
        async with topup.with_streaming_response.create(**given) as streamed:
            assert await streamed.parse() == first
        assert await client.send(params) == first
        assert (await client.with_raw_response.send(params)).is_closed
        assert await client.with_options(timeout=5).send(params) == first
        async with client.send_many([params] * 5, allow_charges=True) as outcomes:
            assert [outcome.unwrap() async for outcome in outcomes] == [first] * 5
        status = await topup.create_and_wait(**given)
        assert status.payment_intent_id == first.payment_intent_id
    assert len(billing_emulator.charges) == posts(billing_emulator) == 1


def test_a_raw_refusal_carries_the_key(
    ask: Run, account: EmulatedAccount, journal: MemoryJournal
) -> None:
    account.declines = True
    with pytest.raises(PaymentRequiredError, match="idempotency key order-1"):
        ask(
            lambda client: client.with_raw_response.ai_gateway.billing.topup.create(
                account_id="acc", amount=5000, idempotency_key="order-1"
            ),
            journal=journal,
        )


async def test_a_session_of_the_callers_goes_by_the_key(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    states: list[str] = []

    async def began(*_: Any) -> None:
        states.append(journal.rows["order-1"].state)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(began)
    async with (
        aiohttp.ClientSession(trace_configs=[tracing]) as session,
        billing_emulator.async_client(journal=journal, http_client=session) as client,
    ):
        assert await create()(client) == await create()(client)
    assert states == ["sent"]  # before aiohttp is asked to do anything
    assert len(billing_emulator.charges) == 1


async def test_the_mark_comes_between_the_connection_and_the_first_byte(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    seen: list[str] = []

    async def connected(*_: Any) -> None:
        seen.append(f"connected: {journal.rows['order-1'].state}")

    async def headers_sent(*_: Any) -> None:
        seen.append(f"headers: {journal.rows['order-1'].state}")

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(connected)
    tracing.on_request_headers_sent.append(headers_sent)
    async with billing_emulator.async_client(journal=journal, trace_configs=[tracing]) as client:
        await create()(client)
    assert seen == ["connected: claimed", "headers: sent"]


def test_the_waits_after_a_charge_carry_the_key(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    account.topup_seconds = 3600
    for key in ("order-1", None):
        with pytest.raises(TopupPendingError) as caught:
            ask(create_and_wait(key, timeout=0.05), journal=journal)
        made_up = caught.value.idempotency_key
        assert made_up in journal.rows
        assert f"idempotency key {made_up}" in str(caught.value)
    assert len(billing_emulator.charges) == 2


# 3-D Secure.


def test_a_secret_is_answered_once_and_never_stored(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, tmp_path: Path
) -> None:
    account.needs_confirmation = True
    path = tmp_path / "topups"
    first: TopupCreateResponse = ask(create(), journal=SQLiteJournal(path))
    assert first.client_secret == f"{first.payment_intent_id}_secret"
    for call in (create(), create_and_wait()):
        with pytest.raises(TopupConfirmationError, match="not stored") as caught:
            ask(call, journal=SQLiteJournal(path))
        assert caught.value.client_secret is None
        assert caught.value.payment_intent_id == first.payment_intent_id
        assert caught.value.idempotency_key == "order-1"
    account.confirm(first.payment_intent_id)
    assert ask(create(), journal=SQLiteJournal(path)).payment_intent_id == first.payment_intent_id
    assert len(billing_emulator.charges) == 1
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert first.payment_intent_id.encode() in stored
    assert b"_secret" not in stored
    assert billing_emulator.api_token.encode() not in stored


def test_a_secret_in_what_the_service_adds_is_not_stored(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    result = {
        "client_secret": "hush-hush-1",
        "onboarding": True,
        "payment_intent_id": "in_1",
        "next": [{"clientSecret": {"value": "hush-2"}, "kind": "3ds"}],
        "url": "https://pay.test/?client_secret=hush-hush-1",
    }
    billing_emulator.inject(Fault.wrong_result(result), path="/topup")
    ask(create(), journal=journal)
    entry = journal.rows["order-1"]
    assert "hush" not in repr(entry)
    assert '"kind": "3ds"' in (entry.answer or "")


def test_an_answer_that_is_nested_deeply_is_recorded(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    deep: Any = []
    for _ in range(600):
        deep = [deep]
    result = {"onboarding": True, "payment_intent_id": "in_1", "deep": deep}
    billing_emulator.inject(Fault.wrong_result(result), path="/topup")
    assert ask(create(), journal=journal).payment_intent_id == "in_1"
    assert journal.rows["order-1"].state == "charged"
    assert ask(create(), journal=journal).payment_intent_id == "in_1"


# Interrupts.


@pytest.mark.parametrize("state", ["claimed", "sent", "charged"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_cancellation_at_any_write_loses_no_charge(
    state: str,
    moment: str,
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is a cancellation, and leads to the charge if there may be one; the key settles it."""
    account.topup_seconds = 0
    reached = asyncio.Event()

    async def halt(entry: Entry) -> None:
        if entry.state == state and not reached.is_set():
            reached.set()
            await asyncio.sleep(0.05)

    setattr(journal, moment, halt)
    async with billing_emulator.async_client(journal=journal) as client:
        task = asyncio.create_task(create()(client))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        charged = len(billing_emulator.charges)
        assert charged == (state == "charged")
        if charged:
            assert isinstance(caught.value.__cause__, TopupOutcomeUnknownError)
            assert caught.value.__cause__.idempotency_key == "order-1"
            assert "order-1" in caplog.text
        assert journal.rows["order-1"].state == ("charged" if charged else "not_charged")
        await create()(client)
    assert len(billing_emulator.charges) == 1


async def test_the_end_of_many_calls_tells_of_a_charge_that_is_being_recorded(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    reached = asyncio.Event()

    async def halt(entry: Entry) -> None:
        if entry.state == "charged":
            reached.set()
            await asyncio.sleep(0.05)

    journal.before = halt
    params = TopupCreateParams(account_id="acc", amount=5000, idempotency_key="order-1")
    async with (
        billing_emulator.async_client(journal=journal) as client,
        client.send_many([params], allow_charges=True) as outcomes,
    ):
        await reached.wait()
    (unread,) = outcomes.unread
    charged = billing_emulator.charges[0].payment_intent_id
    assert unread.unwrap().payment_intent_id == charged
    assert journal.rows["order-1"].state == "charged"


# A journal that fails.


@pytest.mark.parametrize("state", ["claimed", "sent"])
def test_nothing_is_sent_where_the_intent_cannot_be_stored(
    state: str,
    ask: Run,
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
) -> None:
    def fail(entry: Entry) -> None:
        if entry.state == state:
            raise OSError(28, "No space left on device")

    journal.before = fail
    with pytest.raises(JournalError, match=r"No space left .* nothing was sent") as caught:
        ask(create(), journal=journal)
    assert caught.value.idempotency_key == "order-1"
    assert "order-1" in str(caught.value)
    assert isinstance(caught.value, CloudflareError)
    assert posts(billing_emulator) == 0
    journal.before = ignore
    ask(create("order-2"), journal=journal)
    assert len(billing_emulator.charges) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_answer_that_cannot_be_recorded_is_answered(
    moment: str,
    ask: Run,
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(entry: Entry) -> None:
        if entry.state == "charged":
            raise OSError(28, "No space left on device")

    setattr(journal, moment, fail)
    answer = ask(create(), journal=journal)
    assert answer.payment_intent_id == billing_emulator.charges[0].payment_intent_id
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "order-1" in line
    assert answer.payment_intent_id in line
    if moment == "before":
        sent = journal.rows["order-1"]
        assert sent.state == "sent"
        journal.rows["order-1"] = evolve(sent, lease_until=sent.created_at)  # it has expired
    setattr(journal, moment, ignore)
    billing_emulator.advance(3)
    again = ask(create(), journal=journal)
    assert again.payment_intent_id == answer.payment_intent_id
    assert posts(billing_emulator) == 1


def test_a_refusal_that_cannot_be_recorded_is_raised(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    def fail(entry: Entry) -> None:
        if entry.state == "not_charged":
            raise OSError(28, "No space left on device")

    journal.before = fail
    account.declines = True
    with pytest.raises(PaymentRequiredError, match="idempotency key order-1"):
        ask(create(), journal=journal)


async def test_a_journal_that_hangs_does_not_hide_the_answer(
    account: EmulatedAccount,
    billing_emulator: Emulator,
    journal: MemoryJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cfaigw_billing._charges.lease.LONGEST_RECORDING", 0.05)
    released = asyncio.Event()

    async def hang(entry: Entry) -> None:
        if entry.state == "charged":
            await released.wait()

    journal.before = hang
    async with billing_emulator.async_client(journal=journal) as client:
        answer = await create()(client)
        assert answer.payment_intent_id == billing_emulator.charges[0].payment_intent_id
        released.set()
        while journal.rows["order-1"].state != "charged":  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_what_a_journal_does_to_one_of_many_calls_is_in_its_outcome(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    def fail(entry: Entry) -> None:
        if entry.key == "unstored":
            raise OSError(28, "No space left on device")

    account.needs_confirmation = True
    async with billing_emulator.async_client(journal=journal) as client:
        await create("confirm")(client)
        journal.before = fail
        requests = [
            TopupCreateParams(account_id="acc", amount=5000, idempotency_key=key)
            for key in ("unstored", "confirm", "made")
        ]
        async with client.send_many(requests, allow_charges=True) as outcomes:
            ended = {o.request: o.error async for o in outcomes}
    assert [type(ended[request]) for request in requests] == [
        JournalError,
        TopupConfirmationError,
        type(None),
    ]


# Senders that are only slow.


async def test_a_look_before_a_charge_was_sent_proves_nothing_about_it(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    """It was thought lost while it waited for the rate limit, and is sent a day later."""
    billing_emulator.inject(Fault(status=429, headers={"Retry-After": "0"}), path="/topup")
    billing_emulator.inject(Fault.lost_answer(), path="/topup")
    looks: list[str] = []

    async def look(entry: Entry) -> None:
        if entry.state != "sent" or looks:
            return
        looks.append("begun")
        async with billing_emulator.async_client(journal=journal) as other:
            journal.rows[entry.key] = evolve(entry, lease_until=entry.created_at)
            looks.extend(found.entry.state for found in await recover()(other))
        billing_emulator.advance(100_000)

    journal.after = look
    account.topup_seconds = 3600
    async with billing_emulator.async_client(journal=journal) as client:
        with pytest.raises((TopupOutcomeUnknownError, JournalError)):
            await create()(client)
        (found,) = await recover()(client)
    assert looks == ["begun", "unknown"]
    assert len(billing_emulator.charges) == 1
    assert found.entry.state == "unknown"


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_of_two_senders_of_one_claim_one_sends(
    moment: str, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    """The first is paused on its way to the mark until its lease has expired."""
    paused, resumed = asyncio.Event(), asyncio.Event()

    async def pause(entry: Entry) -> None:
        if entry.state == ("sent" if moment == "before" else "claimed") and not paused.is_set():
            paused.set()
            await resumed.wait()

    setattr(journal, moment, pause)
    async with billing_emulator.async_client(journal=journal) as client:
        slow = asyncio.create_task(create()(client))
        await paused.wait()
        held = journal.rows["order-1"]
        journal.rows["order-1"] = evolve(held, lease_until=held.created_at)
        answer = await create()(client)
        resumed.set()
        with pytest.raises(JournalError, match=r"another sender .* nothing was sent"):
            await slow
    assert posts(billing_emulator) == 1
    assert journal.rows["order-1"].payment_intent_id == answer.payment_intent_id


async def test_a_sender_sends_nothing_while_another_that_took_over_is_in_flight(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    paused, resumed, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def pause(entry: Entry) -> None:
        if entry.state == "sent" and not paused.is_set():
            paused.set()
            await resumed.wait()
        if entry.state == "charged":
            resumed.set()
            await ended.wait()

    journal.before = pause
    async with billing_emulator.async_client(journal=journal) as client:
        slow = asyncio.create_task(create()(client))
        await paused.wait()
        held = journal.rows["order-1"]
        journal.rows["order-1"] = evolve(held, lease_until=held.created_at)
        fast = asyncio.create_task(create()(client))
        with pytest.raises(JournalError, match=r"another sender .* nothing was sent"):
            await slow
        assert journal.rows["order-1"].state == "sent"
        ended.set()
        await fast
    assert posts(billing_emulator) == 1


async def test_a_sender_that_slept_on_its_mark_sends_nothing(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    """In the meantime its charge may have been given up for lost."""
    async with billing_emulator.async_client(journal=journal) as client:
        clock = client._executor.clock
        real = clock.monotonic

        def sleep(entry: Entry) -> None:
            if entry.state == "sent":
                vars(clock)["monotonic"] = lambda: real() + 3600

        journal.after = sleep
        with pytest.raises(JournalError, match="nothing was sent"):
            await create()(client)
    assert posts(billing_emulator) == 0
    assert journal.rows["order-1"].state == "not_charged"


# Recovery.


def recover(**options: Any) -> Callable[[Any], Any]:
    return lambda client: client.ai_gateway.billing.topup.recover(**options)


def test_recover_settles_what_is_open(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    for key, fault in (("made", Fault.lost_answer()), ("lost", NOT_CHARGED)):
        billing_emulator.inject(fault, path="/topup")
        with pytest.raises(TopupOutcomeUnknownError):
            ask(create(key, 5000 + len(journal.rows)), journal=journal)
    made = journal.rows["made"]
    journal.rows["crashed"] = evolve(made, key="crashed", state="claimed", amount=7000)
    alive = datetime.now(UTC) + timedelta(hours=1)
    journal.rows["alive"] = evolve(made, key="alive", lease_until=alive, state="claimed")
    journal.rows["staging"] = evolve(made, key="staging", base_url="https://staging.test")
    billing_emulator.advance(3)
    charges = len(billing_emulator.charges)
    states = {r.entry.key: r.entry.state for r in ask(recover(), journal=journal)}
    assert states == {
        "made": "charged",
        "lost": "unknown",
        "crashed": "not_charged",
        "alive": "claimed",
    }
    (again, _) = sorted(ask(recover(), journal=journal), key=lambda r: r.entry.key, reverse=True)
    assert again.entry.state == "unknown"
    assert again.reconciliation.outcome == "not_found_yet"
    assert len(billing_emulator.charges) == charges
    assert {e.key for e in journal.rows.values() if e.state == "charged"} == {"made"}


def test_what_is_not_found_in_two_looks_far_apart_was_not_charged(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create(), journal=journal)
    hour = timedelta(hours=1)
    for passes, state in ((7200, "unknown"), (3590, "unknown"), (20, "not_charged")):
        billing_emulator.advance(passes)  # the first look counts, and not when it was sent
        (found,) = ask(recover(older_than=hour), journal=journal)
        assert found.entry.state == state
    assert ask(recover(older_than=hour), journal=journal) == []
    ask(create(), journal=journal)
    assert len(billing_emulator.charges) == 1


def test_the_clock_of_the_machine_proves_nothing(
    account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    """Set ahead by two days, it makes no charge look old."""
    billing_emulator.inject(NOT_CHARGED, path="/topup")
    with billing_emulator.client(journal=journal) as client:
        with pytest.raises(TopupOutcomeUnknownError):
            create()(client)
        recover()(client)
        clock = client._executor.inner.clock
        clock.now = lambda: datetime.now(UTC) + timedelta(days=2)  # type: ignore[method-assign]
        (found,) = recover()(client)
    assert found.entry.state == "unknown"


def test_an_invoice_that_comes_late_is_found(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    account.topup_seconds = 500
    billing_emulator.inject(Fault.lost_answer(), path="/topup")
    with pytest.raises(TopupOutcomeUnknownError):
        ask(create(), journal=journal)
    assert ask(recover(), journal=journal)[0].entry.state == "unknown"
    billing_emulator.advance(501)
    assert ask(recover(), journal=journal)[0].entry.state == "charged"
    assert ask(create(), journal=journal).payment_intent_id == "in_emulated000001"


class Fast(Clock):
    """A machine's clock that is 20 minutes fast."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=20)


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_charge_by_a_clock_that_is_fast_is_looked_for_by_another(
    is_told: bool, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    """It was charged, so that no number of looks may free its key."""
    billing_emulator.inject(Fault.lost_answer(), path="/topup")
    async with billing_emulator.async_client(journal=journal) as client:
        client._executor.clock = Fast()
        client._executor.service_clock = ServiceClock()
        if is_told:
            await client.ai_gateway.billing.credit_balance(account_id="acc")
        with pytest.raises(TopupOutcomeUnknownError):
            await create()(client)
    off = (journal.rows["order-1"].sent_at or datetime.now(UTC)) - datetime.now(UTC)
    assert off > timedelta(minutes=19)
    billing_emulator.advance(3600)
    for _ in range(2):
        async with billing_emulator.async_client(journal=journal) as client:
            client._executor.clock = Later(billing_emulator)
            client._executor.service_clock = ServiceClock()
            await recover()(client)
        billing_emulator.advance(100_000)
    assert journal.rows["order-1"].state == ("charged" if is_told else "unknown")


class Later(Clock):
    """A machine's clock that is right."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def now(self) -> datetime:
        return self._emulator.now


def test_what_fails_for_one_is_in_its_result(
    ask: Run, account: EmulatedAccount, billing_emulator: Emulator, journal: MemoryJournal
) -> None:
    billing_emulator.add_account("other")
    billing_emulator.inject(Fault.lost_answer(), path="/topup", times=2)
    for account_id in ("acc", "other"):
        with pytest.raises(TopupOutcomeUnknownError):
            ask(create(None, account_id=account_id), journal=journal)
    billing_emulator.advance(3)
    billing_emulator.inject(Fault(status=403), path="/acc/ai-gateway/billing/invoice-history")
    failed, found = ask(recover(), journal=journal)
    assert failed.error.status_code == 403
    assert (failed.entry.state, failed.reconciliation) == ("unknown", None)
    assert (found.entry.state, found.error) == ("charged", None)


@pytest.mark.parametrize(
    ("older_than", "kind"),
    [(timedelta(minutes=14), ValueError), (3600, TypeError), (None, TypeError)],
    ids=str,
)
def test_an_age_is_at_least_a_quarter_of_an_hour(
    older_than: Any, kind: type[Exception], ask: Run, journal: MemoryJournal
) -> None:
    with pytest.raises(kind, match="`older_than` must be"):
        ask(recover(older_than=older_than), journal=journal)


def test_recover_needs_a_journal(ask: Run) -> None:
    with pytest.raises(ValueError, match="`recover` needs a client with a `journal`"):
        ask(recover())


# Clients and their journals.


async def test_a_client_closes_its_journal_and_a_copy_does_not(
    billing_emulator: Emulator, account: EmulatedAccount, journal: MemoryJournal
) -> None:
    client = billing_emulator.async_client()
    assert isinstance(client, AsyncCloudflare)
    async with billing_emulator.async_client(journal=journal) as client:
        copy = client.with_options(timeout=5)
        await create()(copy)
        await copy.close()
        assert journal.closed == 0
        with pytest.raises(ValueError, match="needs a journal"):
            await create()(client.with_options(journal=None))
    assert journal.closed == 1
