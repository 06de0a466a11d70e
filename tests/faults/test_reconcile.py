"""`topup.reconcile` finds out what became of a charge whose answer was lost."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import anyio
import pytest
from attrs import frozen
from leaping import leap

from cfaigw_billing import (
    AsyncCloudflare,
    Cloudflare,
    InternalServerError,
    PermissionDeniedError,
    TopupOutcomeUnknownError,
    TopupReconciliation,
)
from cfaigw_billing._io.clock import Clock, ServiceClock
from cfaigw_billing.errors import APIResponseValidationError
from cfaigw_billing.testing import EmulatedAccount, Emulator, Fault
from cfaigw_billing.types import TopupCreateParams

from .misbehaving import Peer, Server, envelope, http, send

AMOUNT = 5000
PRICE = 5250
"""With the fee."""
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

    def lose(self, fault: Fault, amount: int = AMOUNT) -> TopupOutcomeUnknownError:
        """Send a top-up that ends in `fault`."""
        self.emulator.inject(fault, path="/topup")
        with pytest.raises(TopupOutcomeUnknownError) as caught:
            self.call(lambda topup: topup.create(amount=amount))
        return caught.value

    def reconcile(self, *error: BaseException, **facts: Any) -> TopupReconciliation:
        """Ask what became of it; asking charges nothing, and gives its evidence."""
        charges, asked = len(self.emulator.charges), len(self.emulator.requests)
        found = self.call(lambda topup: topup.reconcile(*error, **facts))
        assert isinstance(found, TopupReconciliation)
        assert len(self.emulator.charges) == charges
        assert {request.method for request in self.emulator.requests[asked:]} == {"GET"}
        assert found.balance is not None
        assert found.balance.balance == self.account.balance
        assert (found.payment_intent_id is None) == (found.outcome != "charged")
        assert (found.invoices == ()) == (found.outcome == "not_found_yet")
        return found

    def call(self, call: Callable[[Any], Any]) -> Any:
        return self.run(
            call,
            base_url=self.emulator.base_url,
            api_token=self.emulator.api_token,
            account_id=self.account.id,
        )

    def pay(self, price: float = PRICE, *, ago: float = 0.0, **fields: Any) -> None:
        """Somebody else's top-up, so many seconds ago."""
        fields = {"created": int(time.time() - ago), **fields}
        self.account.add_invoice(price, **fields)


@pytest.fixture(params=[run_async, run_sync], ids=["async", "sync"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Emulator() as emulator:
        account = emulator.add_account("acc", balance=640.19)
        emulator.add_account("other").add_invoice(PRICE)
        yield Scene(emulator, account, request.param)


@pytest.fixture
def stage() -> Iterator[Scene]:
    """The scene for tables, with the async client alone."""
    with Emulator() as emulator:
        yield Scene(emulator, emulator.add_account("acc", balance=640.19), run_async)


def test_charged_and_booked(scene: Scene) -> None:
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    found = scene.reconcile(error)
    assert found.outcome == "charged"
    assert found.payment_intent_id == scene.emulator.charges[0].payment_intent_id
    assert [invoice.amount_paid for invoice in found.invoices] == [PRICE]
    assert found.balance is not None
    assert (found.balance.balance, found.balance_error) == (5640.19, None)


def test_charged_and_not_booked_yet(scene: Scene) -> None:
    error = scene.lose(CHARGED)
    assert scene.reconcile(error).outcome == "not_found_yet"
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


# The price.


@pytest.mark.parametrize(
    ("fee", "tax", "customer_credit", "amount", "outcome"),
    [
        (0.05, 0, 0, AMOUNT, "charged"),
        (0, 0, 0, AMOUNT, "charged"),  # invoices may be of the credit alone
        (0.05, 0, 0, 1010, "charged"),  # half a cent
        (0.05, 0.08, 0, AMOUNT, "charged"),
        (0.05, 0.0825, 0, AMOUNT, "charged"),
        (0.05, 0.19, 0, AMOUNT, "charged"),
        (0.05, 0.27, 0, AMOUNT, "charged"),
        (0.06, 0, 0, AMOUNT, "charged"),  # should the fee change
        (0.05, 0.2, 0, AMOUNT, "ambiguous"),  # $63.00 is also what $60.00 of credit costs
        (0, 0.1, 0, AMOUNT, "ambiguous"),  # or $55.00 itself
        (0, 0, 0, 5250, "ambiguous"),  # or what $50.00 costs
        (0.05, 0.5, 0, AMOUNT, "ambiguous"),
        (0.05, 0, 1000, AMOUNT, "charged"),  # the invoice says so
        (0.05, 0.19, 5500, AMOUNT, "charged"),
        (0.05, 0, 99_999, AMOUNT, "charged"),
    ],
)
def test_what_credit_costs(
    fee: float, tax: float, customer_credit: int, amount: int, outcome: str, stage: Scene
) -> None:
    """Whatever is billed, a charge that was made is never taken for none."""
    stage.emulator.fee, stage.emulator.tax = fee, tax
    stage.account.customer_credit = customer_credit
    error = stage.lose(CHARGED, amount)
    assert error.amount == amount
    stage.emulator.advance(2)
    found = stage.reconcile(error)
    assert found.outcome == outcome
    [charge] = stage.emulator.charges
    assert [invoice.id for invoice in found.invoices] == [charge.payment_intent_id]


@pytest.mark.parametrize("price", [4250, 4999, 0, 7001, 10_500, 5670, 5400, 6300])
def test_another_price_near_that_time_is_not_proof_and_not_nothing(
    price: float, stage: Scene
) -> None:
    """A customer credit that the invoice does not speak of, or somebody else's top-up."""
    error = stage.lose(NOT_CHARGED)
    stage.pay(price)
    found = stage.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 1)


@pytest.mark.parametrize("price", [4250, 4999, 7001, 10_500])
def test_what_cannot_be_of_the_charge_does_not_hide_the_one_that_is(
    price: float, stage: Scene
) -> None:
    error = stage.lose(CHARGED)
    stage.pay(price)
    stage.emulator.advance(2)
    found = stage.reconcile(error)
    assert found.payment_intent_id == stage.emulator.charges[0].payment_intent_id


@pytest.mark.parametrize("price", [5000, 5250, 5670, 6300, 7000])
def test_what_may_be_of_the_charge_does(price: float, stage: Scene) -> None:
    error = stage.lose(CHARGED)
    stage.pay(price)
    stage.emulator.advance(2)
    found = stage.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 2)


def test_a_price_that_only_tax_explains_asks_for_more(stage: Scene) -> None:
    """The time must be that of the charge, and the credit must be there."""
    stage.emulator.tax = 0.08
    error = stage.lose(CHARGED)
    stage.emulator.advance(2)
    assert stage.reconcile(error).outcome == "charged"
    [invoice] = stage.account.invoices
    stage.account.balance = AMOUNT - 1
    assert stage.reconcile(error).outcome == "ambiguous"
    stage.account.balance = AMOUNT
    invoice.fields["created"] += 58
    assert stage.reconcile(error).outcome == "charged"
    invoice.fields["created"] += 4
    assert stage.reconcile(error).outcome == "ambiguous"


# Other invoices.


@pytest.mark.parametrize("charged", [True, False])
@pytest.mark.parametrize("fields", [{}, {"id": None}])
def test_two_top_ups_of_the_price(scene: Scene, charged: bool, fields: dict[str, Any]) -> None:
    """Only a person can decide. Two equal invoices without an id are two invoices."""
    error = scene.lose(CHARGED if charged else NOT_CHARGED)
    now = int(time.time())
    scene.pay(created=now, **fields)
    if not charged:
        scene.pay(created=now, **fields)
    scene.emulator.advance(2)
    found = scene.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 2)


@pytest.mark.parametrize("charged", [True, False])
def test_a_top_up_of_the_price_just_before(scene: Scene, charged: bool) -> None:
    """By two clocks that need not agree, it may be the one."""
    scene.pay(ago=30)
    error = scene.lose(CHARGED if charged else NOT_CHARGED)
    scene.emulator.advance(2)
    found = scene.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 1 + charged)


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_paid": 0, "amount_remaining": PRICE, "status": "open"},
        {"amount_paid": PRICE - 1, "amount_remaining": 1, "status": "open"},
        {"amount_paid": PRICE - 1, "status": "paid"},
        {"amount_remaining": 1, "status": "paid"},
        {"amount_paid": 0, "status": "void"},
        {"amount_paid": 0, "status": "draft"},
        {"amount_paid": 0, "amount_remaining": PRICE, "status": "uncollectible"},
        {"status": "refunded"},
        {"currency": "eur"},
        {"currency": "eur", "created": int(time.time()) + 3 * 86_400},
        {"created": None},
        {"created": None, "amount_due": 100, "amount_paid": 100},
        {"created": 1e300, "amount_due": 100, "amount_paid": 100},
    ],
)
def test_an_invoice_that_is_not_paid_or_says_too_little(
    stage: Scene, fields: dict[str, Any]
) -> None:
    error = stage.lose(NOT_CHARGED)
    stage.pay(**fields)
    found = stage.reconcile(error)
    assert (found.outcome, len(found.invoices)) == ("ambiguous", 1)


@pytest.mark.parametrize("charged", [True, False])
def test_what_cannot_be_the_charge_is_not_looked_at(scene: Scene, charged: bool) -> None:
    """Another time, another type, another account."""
    scene.pay(ago=3600)
    scene.pay(ago=3600, id=None)
    error = scene.lose(CHARGED if charged else NOT_CHARGED)
    scene.pay(PRICE * 2, ago=-3600)
    scene.account.add_invoice(PRICE, type="auto")
    scene.emulator.advance(2)
    assert scene.reconcile(error).outcome == ("charged" if charged else "not_found_yet")


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        (-3600, "not_found_yet"),
        (-606, "not_found_yet"),
        (-594, "ambiguous"),
        (-6, "ambiguous"),
        (0, "charged"),
        (894, "charged"),
        (906, "ambiguous"),
        (30 * 86_400, "ambiguous"),
    ],
)
def test_the_edges_of_the_time_in_which_an_invoice_is_that_of_the_charge(
    later: float, outcome: str, stage: Scene
) -> None:
    error = stage.lose(NOT_CHARGED)
    stage.pay(created=int(error.sent_at.timestamp()) + later)
    assert stage.reconcile(error).outcome == outcome


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        (-601, "not_found_yet"),
        (-600, "ambiguous"),
        (-3, "ambiguous"),
        (-2, "charged"),
        (900, "charged"),
        (901, "ambiguous"),
    ],
)
def test_just_at_the_edge(later: int, outcome: str, stage: Scene) -> None:
    """To the second, with a charge that was sent as a second began."""
    sent_at = datetime.fromtimestamp(int(time.time()) - 3600, UTC)
    stage.pay(created=sent_at.timestamp() + later)
    found = stage.reconcile(amount=AMOUNT, sent_at=sent_at)
    assert found.outcome == outcome


@pytest.mark.parametrize("price", [1060, 1061])
def test_half_a_cent_may_be_rounded_either_way(price: int, stage: Scene) -> None:
    stage.pay(price, ago=300)
    sent_at = datetime.now(UTC) - timedelta(minutes=6)
    assert stage.reconcile(amount=1010, sent_at=sent_at).outcome == "charged"


@pytest.mark.parametrize("price", [PRICE, 100])
def test_an_invoice_without_a_time_may_be_of_any(price: int, stage: Scene) -> None:
    """It hides the one of the charge, unless its price is another."""
    error = stage.lose(CHARGED)
    stage.pay(price, created=None)
    stage.emulator.advance(2)
    assert stage.reconcile(error).outcome == ("ambiguous" if price == PRICE else "charged")


def test_a_later_top_up_of_the_price_does_not_hide_the_one_of_the_charge(stage: Scene) -> None:
    error = stage.lose(CHARGED)
    stage.pay(ago=-7 * 86_400)
    stage.emulator.advance(2)
    found = stage.reconcile(error)
    assert found.payment_intent_id == stage.emulator.charges[0].payment_intent_id


def test_two_lost_charges_near_each_other_are_told_apart_by_what_is_known(scene: Scene) -> None:
    """One invoice answers for one of them."""
    first, second = scene.lose(CHARGED), scene.lose(NOT_CHARGED)
    scene.emulator.advance(2)
    found = scene.reconcile(first)
    assert found.payment_intent_id == scene.emulator.charges[0].payment_intent_id
    again = scene.reconcile(second, exclude=[found.payment_intent_id])
    assert again.outcome == "not_found_yet"


# The list.


def test_many_pages_of_invoices(scene: Scene) -> None:
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    assert scene.account.invoices
    for price in range(60_000, 60_130):
        scene.pay(price)
    scene.emulator.reset()
    assert scene.reconcile(error).outcome == "charged"
    pages = [request.query.get("page") for request in scene.emulator.requests]
    assert pages == ["1", "2", "3", None]


@pytest.mark.parametrize("invoices", [0, 50, 130])
def test_a_server_that_ignores_the_page(scene: Scene, invoices: int) -> None:
    """The list ends, and no invoice is counted twice."""
    for price in range(60_000, 60_000 + invoices):
        scene.pay(price)
    scene.emulator.ignores_page = True
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    scene.emulator.reset()
    assert scene.reconcile(error).outcome == "charged"
    assert len(scene.emulator.requests) <= 3


async def test_an_invoice_that_moves_to_the_next_page_is_one_invoice() -> None:
    """The list grows at its head while it is read."""
    ours = {"id": "in_1", "created": time.time() + 1, **paid(PRICE)}
    others = [
        {"id": f"in_{n}", "created": time.time() + 2, **paid(n)} for n in range(60_000, 60_050)
    ]
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


def paid(price: int) -> dict[str, Any]:
    amounts = {"amount_due": price, "amount_paid": price, "amount_remaining": 0}
    return {**amounts, "currency": "usd", "status": "paid"}


# Clocks.


class Shifted(Clock):
    """A machine's clock that is so many seconds fast."""

    def __init__(self, fast: float) -> None:
        self.fast = fast

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.fast)


HOURS = 5 * 3600.0
FAST = pytest.mark.parametrize("fast", [660.0, -660.0, HOURS, -HOURS, 20.0, -20.0, 0.0])


@asynccontextmanager
async def machine(stage: Scene, fast: float) -> AsyncGenerator[AsyncCloudflare]:
    """A client on a machine whose clock is so many seconds fast."""
    async with stage.emulator.async_client(account_id="acc") as client:
        client._executor.clock = Shifted(fast)
        client._executor.service_clock = ServiceClock()  # it has told its time by the other clock
        yield client


async def lost(client: AsyncCloudflare) -> TopupOutcomeUnknownError:
    with pytest.raises(TopupOutcomeUnknownError) as caught:
        await client.ai_gateway.billing.topup.create(amount=AMOUNT)
    return caught.value


def seconds_off(error: TopupOutcomeUnknownError) -> float:
    return (error.sent_at - datetime.now(UTC)).total_seconds()


@FAST
@pytest.mark.parametrize("told", [True, False], ids=["told before", "told when asked"])
@pytest.mark.parametrize("charged", [True, False])
async def test_a_clock_that_is_wrong(fast: float, told: bool, charged: bool, stage: Scene) -> None:
    stage.account.topup_seconds = 0  # what passes before the time is told counts as wrong, too
    async with machine(stage, fast) as client:
        if told:
            await client.ai_gateway.billing.credit_balance()
        stage.emulator.inject(CHARGED if charged else NOT_CHARGED, path="/topup")
        error = await lost(client)
        assert (abs(seconds_off(error)) < 15) == (told or fast == 0)
        found = await client.ai_gateway.billing.topup.reconcile(error)
    assert found.outcome == ("charged" if charged else "not_found_yet")


@FAST
async def test_the_lost_answer_itself_may_tell_the_time(fast: float, stage: Scene) -> None:
    stage.emulator.inject(Fault(status=500, after=True), path="/topup")
    async with machine(stage, fast) as client:
        error = await lost(client)
    assert abs(seconds_off(error)) < 15
    stage.emulator.advance(2)
    async with machine(stage, -fast) as client:  # it is looked for on another
        found = await client.ai_gateway.billing.topup.reconcile(error)
    assert found.outcome == "charged"


@pytest.mark.parametrize("fast", [660.0, -660.0])
async def test_what_one_client_was_told_its_copies_know(fast: float, stage: Scene) -> None:
    async with machine(stage, fast) as client:
        await client.ai_gateway.billing.credit_balance()
        stage.emulator.inject(NOT_CHARGED, path="/topup")
        error = await lost(client.with_options(max_retries=0, api_token="another"))
    assert abs(seconds_off(error)) < 15


@FAST
@pytest.mark.parametrize("of", ["the error", "the machine"])
async def test_a_row_of_ones_own(fast: float, of: str, stage: Scene) -> None:
    """It has the time of the error, or one by the clock of the machine: both are read."""
    stage.account.topup_seconds = 0
    async with machine(stage, fast) as client:
        topup = client.ai_gateway.billing.topup
        await topup.limits()
        by_machine = client._executor.clock.now()
        stage.emulator.inject(CHARGED, path="/topup")
        error = await lost(client)
        sent_at = error.sent_at if of == "the error" else by_machine
        found = await topup.reconcile(amount=AMOUNT, sent_at=sent_at)
    assert found.outcome == "charged"


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("step", [HOURS, -HOURS])
async def test_a_clock_that_is_set_before_the_charge(step: float, told: bool, stage: Scene) -> None:
    """Earlier answers say nothing about a clock that was set since."""
    async with machine(stage, step) as client:
        topup = client.ai_gateway.billing.topup
        if told:
            await topup.limits()
        client._executor.clock.fast = 0.0  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        stage.emulator.inject(CHARGED, path="/topup")
        error = await lost(client)
        assert abs(seconds_off(error)) < 15
        stage.emulator.advance(2)
        assert (await topup.reconcile(error)).outcome == "charged"


@pytest.mark.parametrize("step", [HOURS, -HOURS])
async def test_a_clock_that_is_set_after_the_charge(step: float, stage: Scene) -> None:
    async with machine(stage, 0) as client:
        topup = client.ai_gateway.billing.topup
        await topup.limits()
        stage.emulator.inject(CHARGED, path="/topup")
        error = await lost(client)
        client._executor.clock.fast = step  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        stage.emulator.advance(2)
        assert (await topup.reconcile(error)).outcome == "charged"


@pytest.mark.parametrize(
    "date",
    ["yesterday", "", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "0", "\xff"]
    + [format_datetime(datetime(year, 1, 1, tzinfo=UTC), usegmt=True) for year in (1970, 2190)],
)
async def test_a_date_that_is_nonsense_hides_no_charge(date: str, stage: Scene) -> None:
    """Such as that of a proxy on the way."""
    stage.emulator.inject(Fault(headers={"Date": date}), times=1)
    async with machine(stage, 0) as client:
        topup = client.ai_gateway.billing.topup
        await topup.limits()
        stage.emulator.inject(CHARGED, path="/topup")
        error = await lost(client)
        stage.emulator.advance(2)
        assert (await topup.reconcile(error)).outcome == "charged"


async def test_an_emulator_whose_clock_stands_still_is_a_service_of_that_time() -> None:
    async with Emulator(at=datetime(2031, 5, 1, tzinfo=UTC)) as emulator:
        emulator.add_account("acc")
        emulator.inject(CHARGED, path="/topup")
        async with emulator.async_client(account_id="acc") as client:
            error = await lost(client)
            emulator.advance(2)
            found = await client.ai_gateway.billing.topup.reconcile(error)
    assert found.outcome == "charged"


def test_a_time_in_the_future_is_refused(stage: Scene) -> None:
    """A local time that was taken for UTC, say: nothing can be found by it."""
    stage.pay()
    with pytest.raises(ValueError, match=r"`sent_at` .* in the future"):
        stage.reconcile(amount=AMOUNT, sent_at=datetime.now(UTC) + timedelta(hours=2))


# Arguments.


async def timeout(call: Awaitable[Any]) -> None:
    async with asyncio.timeout(60):
        await call


async def wait_for(call: Awaitable[Any]) -> None:
    await asyncio.wait_for(call, 60)


async def fail_after(call: Awaitable[Any]) -> None:
    with anyio.fail_after(60):
        await call


async def task_group(call: Awaitable[Any]) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as outer:
        outer.create_task(in_group(call))


async def in_group(call: Awaitable[Any]) -> None:
    try:
        await call
    except BaseException as error:
        raise ExceptionGroup("inner", [ValueError("else"), RuntimeError("told")]) from error


async def rewritten(call: Awaitable[Any]) -> None:
    try:
        await wait_for(call)
    except TimeoutError:
        raise KeyError("one's own") from None


@pytest.mark.parametrize(
    "ends", [timeout, wait_for, fail_after, task_group, rewritten], ids=lambda ends: ends.__name__
)
async def test_what_ends_a_charge_leads_to_it(
    ends: Callable[[Awaitable[Any]], Awaitable[None]], stage: Scene
) -> None:
    stage.emulator.inject(Fault(silence="hang", after=True), path="/topup")
    async with machine(stage, 0) as client:
        topup = client.ai_gateway.billing.topup
        leaping = asyncio.create_task(leap(lambda: stage.emulator.charges))
        with pytest.raises(Exception) as caught:  # of many kinds
            await ends(topup.create(amount=AMOUNT, timeout=None))
        await leaping
        assert not isinstance(caught.value, TopupOutcomeUnknownError)
        stage.emulator.advance(2)
        assert (await topup.reconcile(caught.value)).outcome == "charged"


def test_several_lost_charges_are_asked_about_one_by_one(scene: Scene) -> None:
    errors = [scene.lose(NOT_CHARGED), scene.lose(NOT_CHARGED)]
    with pytest.raises(ValueError, match="2 lost charges: pass each"):
        scene.reconcile(ExceptionGroup("both", errors))
    nested = ExceptionGroup("outer", [ExceptionGroup("inner", [KeyError(), errors[0]])])
    assert scene.reconcile(nested).outcome == "not_found_yet"
    errors[1].__context__ = errors[0]  # it came while the first was handled
    assert scene.reconcile(errors[1]).outcome == "not_found_yet"


def test_a_cause_that_leads_in_a_circle_ends(scene: Scene) -> None:
    first, second = KeyError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    with pytest.raises(TypeError, match=r"`error` must be .* not KeyError"):
        scene.reconcile(first)


def test_the_facts_will_do_without_the_error(scene: Scene) -> None:
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    facts: dict[str, Any] = {"amount": error.amount, "sent_at": error.sent_at}
    assert scene.reconcile(account_id="acc", **facts).outcome == "charged"
    found = scene.reconcile(**facts)  # of the client's account
    assert found.payment_intent_id == scene.emulator.charges[0].payment_intent_id
    excluded = scene.reconcile(**facts, exclude={found.payment_intent_id})
    assert excluded.outcome == "not_found_yet"


NOW = datetime.now(UTC)
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "nothing": ({}, TypeError, "`amount` is missing"),
    "no amount": ({"account_id": "acc", "sent_at": NOW}, TypeError, "`amount` is missing"),
    "no time": ({"amount": 5000}, TypeError, "`sent_at` is missing"),
    "a naive time": (
        {"amount": 5000, "sent_at": NOW.replace(tzinfo=None)},
        ValueError,
        "`sent_at` must be an aware",
    ),
    "a number": ({"amount": 5000, "sent_at": 1.7e12}, TypeError, "`sent_at` must be an aware"),
    "a text": ({"amount": "5000", "sent_at": NOW}, TypeError, "`amount`"),
    "a fraction": ({"amount": 50.5, "sent_at": NOW}, TypeError, "`amount`"),
    "no money": ({"amount": 0, "sent_at": NOW}, ValueError, "`amount`"),
    "dollars": (
        {"amount": 50, "sent_at": NOW},
        ValueError,
        r"`amount` must be at least 1000 cents \(\$10\.00\), got 50 cents \(\$0\.50\)",
    ),
    "a path": ({"account_id": "a/b", "amount": 5000, "sent_at": NOW}, ValueError, "account_id"),
    "one id": ({"amount": 5000, "sent_at": NOW, "exclude": "in_1"}, TypeError, "`exclude`"),
    "no ids": ({"amount": 5000, "sent_at": NOW, "exclude": [None]}, TypeError, "`exclude`"),
    "no list": ({"amount": 5000, "sent_at": NOW, "exclude": None}, TypeError, "`exclude`"),
}


@pytest.mark.parametrize(("facts", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_wrong_facts_are_refused_before_anything_is_sent(
    facts: dict[str, Any], kind: type[Exception], words: str, scene: Scene
) -> None:
    with pytest.raises(kind, match=words):
        scene.reconcile(**facts)
    assert scene.emulator.requests == []


@pytest.mark.parametrize("fact", [{"account_id": "acc"}, {"amount": 5000}, {"sent_at": NOW}])
def test_an_error_and_its_facts_are_one_too_many(fact: dict[str, Any], scene: Scene) -> None:
    error = scene.lose(NOT_CHARGED)
    scene.emulator.reset()
    with pytest.raises(TypeError, match=f"`{next(iter(fact))}` must not be passed with `error`"):
        scene.reconcile(error, **fact)
    assert scene.emulator.requests == []


def test_a_client_of_another_service_is_refused(scene: Scene) -> None:
    """It would find nothing there."""
    scene.emulator.inject(CHARGED, path="/topup")
    with pytest.raises(TopupOutcomeUnknownError) as caught:
        scene.call(lambda topup: topup.create(amount=AMOUNT, extra_query={"key": "hush"}))
    with Emulator() as other:
        account = other.add_account("acc")
        with pytest.raises(ValueError, match="`base_url`") as refused:
            Scene(other, account, scene.run).reconcile(caught.value)
        assert other.requests == []
    assert "hush" not in str(refused.value)


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


# Failures.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=403), PermissionDeniedError),
        (Fault(status=500, code=1), InternalServerError),
        (Fault(body=b"<html>", content_type="text/html"), APIResponseValidationError),
    ],
)
def test_a_balance_that_cannot_be_read_does_not_hide_the_invoice(
    fault: Fault, kind: type[Exception], scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfaigw_billing._core.retry._FIRST_BACKOFF", 0.0)
    error = scene.lose(CHARGED)
    scene.emulator.advance(2)
    scene.emulator.inject(fault, times=None, path="/credit-balance")
    found: TopupReconciliation = scene.call(lambda topup: topup.reconcile(error))
    assert (found.outcome, found.balance) == ("charged", None)
    assert type(found.balance_error) is kind
    again = pickle.loads(pickle.dumps(found))  # noqa: S301
    assert str(again.balance_error) == str(found.balance_error)


def test_a_failure_to_find_out_is_an_error_and_not_an_answer(scene: Scene) -> None:
    """A failed search does not mean "not found"."""
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


# Incomplete lists, and other clocks.


def test_a_list_that_ends_before_its_end_is_no_proof_of_nothing(stage: Scene) -> None:
    error = stage.lose(CHARGED)
    stage.emulator.advance(2)
    assert stage.account.balance > AMOUNT  # the look books what has fallen due
    for _ in range(60):
        stage.pay(1050, ago=-3600)
    stage.emulator.ignores_page = True
    assert stage.call(lambda topup: topup.reconcile(error)).outcome == "ambiguous"


@pytest.mark.parametrize("told", ["before", "between", "when asked"])
async def test_a_reading_that_is_known_to_be_wrong_proves_nothing(told: str, stage: Scene) -> None:
    """The invoice of somebody else, as old as the clock is late."""
    async with machine(stage, -3 * 3600) as client:
        if told == "before":
            await client.ai_gateway.billing.credit_balance()
        stage.emulator.inject(NOT_CHARGED, path="/topup")
        error = await lost(client)
        assert error.is_by_the_service == (told == "before")
        if told == "between":
            await client.ai_gateway.billing.credit_balance()
        stage.pay(5250, ago=3 * 3600)
        found = await client.ai_gateway.billing.topup.reconcile(error)
    assert found.outcome != "charged"


@pytest.mark.parametrize(
    "invoice", [{"created": 0}, {"created": -1}, {"ago": -1200, "amount": 4250}], ids=str
)
def test_an_invoice_that_may_be_of_the_charge_is_evidence(
    invoice: dict[str, Any], stage: Scene
) -> None:
    """One whose time is unset, and a later one that a customer credit made cheaper."""
    error = stage.lose(NOT_CHARGED)
    stage.pay(invoice.pop("amount", 5250), **invoice)
    assert stage.reconcile(error).outcome == "ambiguous"


@pytest.mark.parametrize("own", [True, False], ids=["own session", "http_client"])
async def test_a_hook_that_cannot_connect_says_nothing_of_a_charge(own: bool, stage: Scene) -> None:
    async def report(*_: object) -> None:
        async with aiohttp.ClientSession() as session:
            await session.post("http://127.0.0.1:9/metrics")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(report)
    async with aiohttp.ClientSession(trace_configs=[tracing]) as session:
        options: dict[str, Any] = {"trace_configs": [tracing]} if own else {"http_client": session}
        async with stage.emulator.async_client(account_id="acc", **options) as client:
            with pytest.raises(TopupOutcomeUnknownError):
                await client.ai_gateway.billing.topup.create(amount=AMOUNT)
    assert len(stage.emulator.charges) == 1


def test_a_refusal_that_names_a_payment_is_no_refusal(stage: Scene) -> None:
    answer: dict[str, Any] = {
        "success": False,
        "errors": [],
        "result": {"payment_intent_id": "in_9"},
    }
    stage.lose(Fault(body=json.dumps(answer).encode(), after=True))
    assert len(stage.emulator.charges) == 1


def test_a_429_with_room_left_is_not_the_limiters(stage: Scene) -> None:
    told = {"Ratelimit": '"default";r=1100;t=200', "Retry-After": "1"}
    stage.lose(Fault(status=429, after=True, headers=told))
    assert len(stage.emulator.charges) == 1


async def test_a_time_limit_around_many_calls_leads_to_the_charge_it_cut_off(stage: Scene) -> None:
    stage.emulator.inject(Fault(after=True, delay=5), path="/topup")
    requests = [TopupCreateParams(account_id="acc", amount=AMOUNT)]

    async def limited(client: AsyncCloudflare) -> None:
        async with (
            asyncio.timeout(None) as limit,
            client.send_many(requests, allow_charges=True) as outcomes,
        ):
            while not stage.emulator.charges:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.005)
            limit.reschedule(asyncio.get_running_loop().time())
            await anext(outcomes)

    async with stage.emulator.async_client() as client:
        with pytest.raises(TimeoutError) as caught:
            await limited(client)
        stage.emulator.advance(2)
        found = await client.ai_gateway.billing.topup.reconcile(caught.value)
    assert found.outcome == "charged"
