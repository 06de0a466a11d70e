"""`topup.reconcile` finds out what became of a charge whose answer was lost."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import frozen

from cfaigw_billing import (
    AsyncCloudflare,
    Cloudflare,
    TopupOutcomeUnknownError,
    TopupReconciliation,
)
from cfaigw_billing.errors import APIResponseValidationError
from cfaigw_billing.testing import EmulatedAccount, Emulator, Fault

from .misbehaving import Peer, Server, envelope, http, send

AMOUNT = 5000
CHARGED = Fault(silence="close", after=True)
"""The answer is lost after the charge was made."""
NOT_CHARGED = Fault(silence="close")
"""The request is lost before the charge is made."""


def run_async(call: Callable[[Any], Any], **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncCloudflare(**options) as client:
            return await call(client.ai_gateway.billing.topup)

    return asyncio.run(main())


def run_sync(call: Callable[[Any], Any], **options: Any) -> Any:
    with Cloudflare(**options) as client:
        return call(client.ai_gateway.billing.topup)


@frozen
class Scene:
    """An account, and somebody who tops it up and asks what became of that."""

    emulator: Emulator
    account: EmulatedAccount
    run: Callable[..., Any]

    def lose(self, fault: Fault) -> TopupOutcomeUnknownError:
        """Send a top-up that ends in `fault`."""
        self.emulator.inject(fault, path="/topup")
        with pytest.raises(TopupOutcomeUnknownError) as caught:
            self.call(lambda topup: topup.create(amount=AMOUNT))
        return caught.value

    def reconcile(self, error: TopupOutcomeUnknownError) -> TopupReconciliation:
        """Ask what became of it; asking charges nothing, and gives its evidence."""
        charges, asked = len(self.emulator.charges), len(self.emulator.requests)
        found = self.call(lambda topup: topup.reconcile(error))
        assert isinstance(found, TopupReconciliation)
        assert len(self.emulator.charges) == charges
        assert {request.method for request in self.emulator.requests[asked:]} == {"GET"}
        assert found.balance.balance == self.account.balance
        assert {invoice.amount_due for invoice in found.invoices} <= {AMOUNT}
        assert (found.payment_intent_id is None) == (found.outcome != "charged")
        return found

    def call(self, call: Callable[[Any], Any]) -> Any:
        return self.run(
            call,
            base_url=self.emulator.base_url,
            api_token=self.emulator.api_token,
            account_id=self.account.id,
        )

    def pay(self, amount: float = AMOUNT, *, ago: float = 0.0, **fields: Any) -> None:
        """Somebody else's top-up, so many seconds ago."""
        fields = {"created": int(time.time() - ago), **fields}
        self.account.add_invoice(amount, **fields)


@pytest.fixture(params=[run_async, run_sync], ids=["async", "sync"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Emulator() as emulator:
        account = emulator.add_account("acc", balance=640.19)
        emulator.add_account("other").add_invoice(AMOUNT)
        yield Scene(emulator, account, request.param)


def test_charged_and_booked(scene: Scene) -> None:
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    found = scene.reconcile(error)
    assert found.outcome == "charged"
    assert found.payment_intent_id == scene.emulator.charges[0].payment_intent_id
    assert [invoice.amount_paid for invoice in found.invoices] == [AMOUNT]
    assert found.balance.balance == 5640.19


def test_charged_and_not_booked_yet(scene: Scene) -> None:
    error = scene.lose(CHARGED)
    found = scene.reconcile(error)
    assert (found.outcome, found.invoices) == ("not_found_yet", ())
    scene.emulator.advance(2)
    assert scene.reconcile(error).outcome == "charged"


def test_not_charged(scene: Scene) -> None:
    error = scene.lose(NOT_CHARGED)
    assert scene.reconcile(error).outcome == "not_found_yet"
    scene.emulator.advance(600)
    assert scene.reconcile(error).outcome == "not_found_yet"
    assert scene.emulator.charges == []


def test_waiting_for_the_payer(scene: Scene) -> None:
    scene.account.needs_confirmation = True
    error = scene.lose(CHARGED)
    scene.emulator.advance(600)
    assert scene.reconcile(error).outcome == "not_found_yet"
    scene.account.confirm(scene.emulator.charges[0].payment_intent_id)
    assert scene.reconcile(error).outcome == "charged"


@pytest.mark.parametrize("charged", [True, False])
def test_two_top_ups_of_the_amount(scene: Scene, charged: bool) -> None:
    """Which is whose, only a person can say."""
    error = scene.lose(CHARGED if charged else NOT_CHARGED)
    scene.pay()
    if not charged:
        scene.pay()
    scene.emulator.advance(2)
    found = scene.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 2)


@pytest.mark.parametrize("charged", [True, False])
def test_a_top_up_of_the_amount_just_before(scene: Scene, charged: bool) -> None:
    """By two clocks that need not agree, it may be the one."""
    scene.pay(ago=30)
    error = scene.lose(CHARGED if charged else NOT_CHARGED)
    scene.emulator.advance(2)
    found = scene.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 1 + charged)


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_paid": 0, "amount_remaining": AMOUNT, "status": "open"},
        {"amount_paid": AMOUNT - 1, "amount_remaining": 1, "status": "open"},
        {"amount_paid": 0, "status": "void"},
        {"amount_paid": 0, "amount_remaining": AMOUNT, "status": "uncollectible"},
        {"created": None},
    ],
)
def test_an_invoice_that_is_not_paid_or_has_no_time(scene: Scene, fields: dict[str, Any]) -> None:
    error = scene.lose(NOT_CHARGED)
    scene.pay(**fields)
    found = scene.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 1)


@pytest.mark.parametrize("charged", [True, False])
def test_what_cannot_be_the_charge_is_not_looked_at(scene: Scene, charged: bool) -> None:
    """Another amount, another time, another type, another account."""
    scene.pay(ago=3600)
    error = scene.lose(CHARGED if charged else NOT_CHARGED)
    scene.pay(AMOUNT - 1)
    scene.pay(AMOUNT + 0.5)
    scene.pay(AMOUNT * 2)
    scene.account.add_invoice(AMOUNT, type="auto")
    scene.emulator.advance(2)
    assert scene.reconcile(error).outcome == ("charged" if charged else "not_found_yet")


def test_many_pages_of_invoices(scene: Scene) -> None:
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    assert scene.account.invoices
    for amount in range(6000, 6130):
        scene.pay(amount)
    scene.emulator.reset()
    assert scene.reconcile(error).outcome == "charged"
    pages = [request.query.get("page") for request in scene.emulator.requests]
    assert pages == ["1", "2", "3", None]


@pytest.mark.parametrize("invoices", [0, 50, 130])
def test_a_server_that_ignores_the_page(scene: Scene, invoices: int) -> None:
    """The list ends, and no invoice is counted twice."""
    for amount in range(6000, 6000 + invoices):
        scene.pay(amount)
    scene.emulator.ignores_page = True
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    scene.emulator.reset()
    assert scene.reconcile(error).outcome == "charged"
    assert len(scene.emulator.requests) <= 3


async def test_an_invoice_that_moves_to_the_next_page_is_one_invoice() -> None:
    """The list grows at its head while it is read."""
    ours = {"id": "in_1", "created": time.time() + 1, **paid(AMOUNT)}
    others = [{"id": f"in_{n}", "created": time.time() + 2, **paid(n)} for n in range(6000, 6050)]
    pages = [
        {
            "invoices": rows,
            "pagination": {"has_more": page < 2, "page": page, "per_page": 50, "total_count": 51},
        }
        for page, rows in enumerate([[*others[1:], ours], [ours, others[0]]], start=1)
    ]
    balance = {"balance": 5000, "has_default_payment_method": True}
    turns = [(Peer.request, send(http(envelope(answer)))) for answer in (*pages, balance)]
    with Server((Peer.request, Peer.close), *turns) as server:
        async with AsyncCloudflare(base_url=server.base_url, api_token="token") as client:
            topup = client.ai_gateway.billing.topup
            with pytest.raises(TopupOutcomeUnknownError) as caught:
                await topup.create(account_id="acc", amount=AMOUNT)
            found = await topup.reconcile(caught.value)
    assert (found.outcome, len(found.invoices)) == ("charged", 1)


def paid(amount: int) -> dict[str, Any]:
    amounts = {"amount_due": amount, "amount_paid": amount, "amount_remaining": 0}
    return {**amounts, "currency": "usd", "status": "paid"}


def test_the_error_after_a_pickle_round_trip(scene: Scene) -> None:
    error = pickle.loads(pickle.dumps(scene.lose(CHARGED)))  # noqa: S301
    scene.emulator.advance(2)
    assert scene.reconcile(error).outcome == "charged"


def test_the_cause_of_a_cancellation(scene: Scene) -> None:
    scene.emulator.inject(Fault(silence="hang", after=True), path="/topup")

    async def cancelled() -> BaseException | None:
        async with AsyncCloudflare(
            base_url=scene.emulator.base_url, api_token=scene.emulator.api_token
        ) as client:
            topup = client.ai_gateway.billing.topup
            call = asyncio.create_task(topup.create(account_id="acc", amount=AMOUNT))
            while not scene.emulator.charges:  # noqa: ASYNC110  # it is on another thread
                await asyncio.sleep(0.005)
            call.cancel()
            try:
                await call
            except asyncio.CancelledError as error:
                return error.__cause__
            return None

    error = asyncio.run(cancelled())
    assert isinstance(error, TopupOutcomeUnknownError)
    scene.emulator.advance(2)
    assert scene.reconcile(error).outcome == "charged"


def test_a_failure_to_find_out_is_an_error_and_not_an_answer(scene: Scene) -> None:
    """What cannot be read is not taken for "not found"."""
    error = scene.lose(CHARGED)
    scene.emulator.inject(Fault(body=b"<html>", content_type="text/html"), path="/invoice-history")
    with pytest.raises(APIResponseValidationError):
        scene.reconcile(error)


def test_an_invoice_from_beyond_the_calendar(scene: Scene) -> None:
    """A time that is none does not end in somebody else's exception."""
    error = scene.lose(NOT_CHARGED)
    scene.pay(created=1e300)
    try:
        outcome = scene.reconcile(error).outcome
    except APIResponseValidationError:
        return
    assert outcome == "ambiguous"
