"""`iter_invoices`, `topup.wait` and `topup.create_and_wait`."""

from __future__ import annotations

import asyncio
import copy
import json
import math
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cfaigw_billing import (
    APIError,
    APIResponseValidationError,
    AsyncCloudflare,
    Cloudflare,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    TopupConfirmationError,
    TopupFailedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from cfaigw_billing._io.clock import Clock
from cfaigw_billing.testing import Emulator, Fault

if TYPE_CHECKING:
    from conftest import Run

Invoices = Callable[..., list[str]]


def at(emulator: Emulator) -> dict[str, Any]:
    return {"base_url": emulator.base_url, "api_token": emulator.api_token}


# Invoices.


async def _collected(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.fixture
def invoices(run: Run, billing_emulator: Emulator) -> Invoices:
    """The ids that `iter_invoices` of either client yields."""

    def call(client: Any, **parameters: Any) -> Any:
        items = client.ai_gateway.billing.iter_invoices(account_id="a", **parameters)
        return _collected(items) if isinstance(client, AsyncCloudflare) else list(items)

    def invoices(**parameters: Any) -> list[str]:
        found = run(lambda client: call(client, **parameters), **at(billing_emulator))
        return [invoice.id for invoice in found]

    return invoices


def all_invoices(client: Any, **parameters: Any) -> Any:
    return client.ai_gateway.billing.iter_invoices(account_id="a", **parameters).collect()


def add_invoices(emulator: Emulator, number: int) -> list[str]:
    """Invoices, automatic and manual ones in turn; their ids, newest first."""
    account = emulator.add_account("a")
    for index in range(number):
        account.add_invoice(100 + index, type="auto" if index % 2 else "manual")
    return [invoice.fields["id"] for invoice in account.invoices]


@pytest.mark.parametrize(
    ("number", "per_page", "requests"),
    [(0, 50, 1), (1, 50, 1), (50, 50, 1), (51, 50, 2), (7, 3, 3), (6, 3, 2)],
)
def test_all_invoices_are_read_until_there_are_no_more(
    number: int, per_page: int, requests: int, invoices: Invoices, billing_emulator: Emulator
) -> None:
    """`has_more` counts: after a full last page, no further request is needed."""
    expected = add_invoices(billing_emulator, number)
    assert invoices(per_page=per_page) == expected
    pages = [request.query["page"] for request in billing_emulator.requests]
    assert pages == [f"{page}" for page in range(1, requests + 1)]


def test_the_type_goes_with_every_page(invoices: Invoices, billing_emulator: Emulator) -> None:
    expected = add_invoices(billing_emulator, 9)
    assert invoices(type="auto", per_page=2) == expected[1::2]
    assert {request.query["type"] for request in billing_emulator.requests} == {"auto"}


def test_a_service_that_ignores_the_page_ends_the_invoices_too(
    invoices: Invoices, billing_emulator: Emulator
) -> None:
    """It says `has_more` for ever, and answers the first page."""
    expected = add_invoices(billing_emulator, 9)
    billing_emulator.ignores_page = True
    assert invoices(per_page=4) == expected[:4]
    assert len(billing_emulator.requests) == 2


@pytest.mark.parametrize("per_page", [1, 2, 3])
async def test_invoices_that_are_made_meanwhile_do_not_end_the_list(
    per_page: int, billing_emulator: Emulator
) -> None:
    """Each moves those that were there before by a row."""
    expected = add_invoices(billing_emulator, 20)
    [account] = billing_emulator.accounts.values()
    found: list[str | None] = []
    async with AsyncCloudflare(**at(billing_emulator)) as client:
        async for invoice in client.ai_gateway.billing.iter_invoices(
            account_id="a", per_page=per_page
        ):
            found.append(invoice.id)
            if len(found) in (1, 2, 5):
                account.add_invoice(5000)
                account.add_invoice(5000)
    assert [name for name in found if name in expected] == expected
    assert len(found) == len(set(found))


INVOICE = {"amount_due": 525, "amount_paid": 525, "amount_remaining": 0, "currency": "usd"}

Pages = list[tuple[str, int, int]]
"""By page: the descriptions of its invoices, its own number, and the total."""

WITHOUT_IDS: dict[str, tuple[Pages, str]] = {
    "alike on a page": ([("xxy", 1, 3)], "xxy"),
    "alike on two pages": ([("xy", 1, 4), ("xz", 2, 4)], "xyxz"),
    "alike on both sides of a turn": ([("x", 1, 2), ("x", 2, 2)], "xx"),
    "one was added": ([("ab", 1, 4), ("bc", 2, 5), ("d", 3, 5)], "abcd"),
    "one was added, and one is like it": ([("ab", 1, 4), ("bb", 2, 5), ("d", 3, 5)], "abbd"),
    "a whole page was added": ([("ab", 1, 4), ("ab", 2, 6), ("cd", 3, 6)], "abcd"),
    "the first page again and again": ([("xx", 1, 9), ("xx", 1, 9)], "xx"),
}


@pytest.mark.parametrize("case", WITHOUT_IDS)
def test_invoices_without_an_id_are_listed_once_each(
    case: str, run: Run, billing_emulator: Emulator
) -> None:
    """Also those that are equal in all that they have."""
    pages, expected = WITHOUT_IDS[case]
    for index, (rows, page, total) in enumerate(pages, start=1):
        ends = index == len(pages) and page == index
        place = {"has_more": not ends, "page": page, "per_page": 2, "total_count": total}
        listed = [{**INVOICE, "description": letter} for letter in rows]
        result = {"invoices": listed, "pagination": place}
        body = json.dumps({"success": True, "result": result}).encode()
        billing_emulator.inject(Fault(body=body), path="/invoice-history")

    def call(client: Any) -> Any:
        return client.ai_gateway.billing.iter_invoices(account_id="a", per_page=2).collect()

    found = run(call, **at(billing_emulator))
    assert "".join(invoice.description for invoice in found.invoices) == expected
    assert len(billing_emulator.requests) == len(pages)


def test_collecting_gives_all_of_them_on_one_page(run: Run, billing_emulator: Emulator) -> None:
    expected = add_invoices(billing_emulator, 5)

    def call(client: Any) -> Any:
        return client.ai_gateway.billing.iter_invoices(account_id="a", per_page=2).collect()

    found = run(call, **at(billing_emulator))
    assert [invoice.id for invoice in found.invoices] == expected
    place = found.pagination
    assert (place.has_more, place.page, place.per_page, place.total_count) == (False, 1, 5, 5)
    assert len(billing_emulator.requests) == 3


@pytest.mark.parametrize("sync", [True, False])
async def test_leaving_the_invoices_early_sends_no_further_request(
    sync: bool, billing_emulator: Emulator
) -> None:
    add_invoices(billing_emulator, 9)
    if sync:
        with Cloudflare(**at(billing_emulator)) as blocking:
            next(iter(blocking.ai_gateway.billing.iter_invoices(account_id="a", per_page=2)))
    else:
        async with AsyncCloudflare(**at(billing_emulator)) as client:
            items = client.ai_gateway.billing.iter_invoices(account_id="a", per_page=2)
            async for _ in items:
                break
    assert len(billing_emulator.requests) == 1


# Waiting. Instead of sleeping, the SDK moves the emulator's clock.


class Leaping(Clock):
    """A clock whose sleeps move the emulator's time instead of taking any."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.emulator.advance(seconds)
        await asyncio.sleep(0)


async def started(client: AsyncCloudflare, emulator: Emulator) -> tuple[str, Leaping]:
    """A top-up that has been charged, and a clock in the client."""
    emulator.add_account("a")
    created = await client.ai_gateway.billing.topup.create(account_id="a", amount=1000)
    clock: Any = Leaping(emulator)
    client._executor.clock = clock
    return created.payment_intent_id, clock


async def test_waiting_asks_less_and_less_often_until_the_credit_is_there() -> None:
    async with Emulator(topup_seconds=60) as emulator, AsyncCloudflare(**at(emulator)) as client:
        payment_intent_id, clock = await started(client, emulator)
        status = await client.ai_gateway.billing.topup.wait(
            account_id="a", payment_intent_id=payment_intent_id
        )
        assert (status.status, status.payment_intent_id) == ("completed", payment_intent_id)
        expected = [min(0.5 * 1.5**index, 15) for index in range(len(clock.slept))]
        assert clock.slept == pytest.approx(expected)
        assert sum(clock.slept[:-1]) < 60 <= sum(clock.slept)
        assert len(emulator.requests) == 1 + len(clock.slept) + 1


async def test_pauses_have_an_upper_bound() -> None:
    async with Emulator(topup_seconds=500) as emulator, AsyncCloudflare(**at(emulator)) as client:
        payment_intent_id, clock = await started(client, emulator)
        await client.ai_gateway.billing.topup.wait(
            account_id="a", payment_intent_id=payment_intent_id
        )
        assert max(clock.slept) == 15


def test_either_client_waits_for_what_it_creates(run: Run) -> None:
    with Emulator(topup_seconds=0.2) as emulator:
        emulator.add_account("a")
        status = run(
            lambda client: client.ai_gateway.billing.topup.create_and_wait(
                account_id="a", amount=2500
            ),
            **at(emulator),
        )
        assert status.status == "completed"
        assert [charge.amount for charge in emulator.charges] == [2500]
        assert emulator.accounts["a"].balance == 2500


@pytest.mark.parametrize("create", [True, False])
def test_a_time_out_says_which_top_up_is_pending(create: bool, run: Run) -> None:
    with Emulator(topup_seconds=1000) as emulator:
        account = emulator.add_account("a")
        payment_intent_id = "in_emulated000001"
        if not create:
            account.start_topup(1000)

        def call(client: Any) -> Any:
            topup = client.ai_gateway.billing.topup
            if create:
                return topup.create_and_wait(account_id="a", amount=1000, timeout=0.2)
            return topup.wait(account_id="a", payment_intent_id=payment_intent_id, timeout=0.2)

        with pytest.raises(TopupPendingError, match=payment_intent_id) as caught:
            run(call, **at(emulator))
        assert caught.value.payment_intent_id == payment_intent_id
        assert (caught.value.account_id, caught.value.amount) == ("a", 1000 if create else None)
        assert len(emulator.charges) == 1


@pytest.mark.parametrize("create", [True, False])
def test_the_status_of_another_top_up_is_not_taken_for_this_ones(create: bool, run: Run) -> None:
    with Emulator(topup_seconds=1000) as emulator:
        account = emulator.add_account("a")
        if not create:
            account.start_topup(1000)
        other = {"payment_intent_id": "in_of_another", "status": "completed"}
        emulator.inject(Fault.wrong_result(other), times=None, path="/topup/status")

        def call(client: Any) -> Any:
            topup = client.ai_gateway.billing.topup
            if create:
                return topup.create_and_wait(account_id="a", amount=1000)
            return topup.wait(account_id="a", payment_intent_id="in_emulated000001")

        expected = TopupPendingError if create else APIResponseValidationError
        with pytest.raises(expected) as caught:
            run(call, **at(emulator))
        cause = caught.value.__cause__ if create else caught.value
        assert isinstance(cause, APIResponseValidationError)
        assert (
            "result.payment_intent_id: expected 'in_emulated000001', got 'in_of_another' · CF-Ray"
            in str(cause)
        )


async def test_a_time_out_of_the_caller_is_the_callers() -> None:
    async with Emulator(topup_seconds=1000) as emulator, AsyncCloudflare(**at(emulator)) as client:
        payment_intent_id, _ = await started(client, emulator)
        client._executor.clock = Clock()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.ai_gateway.billing.topup.wait(
                    account_id="a", payment_intent_id=payment_intent_id, timeout=None
                )


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault(status=403), PermissionDeniedError), (Fault(status=404), NotFoundError)],
)
async def test_an_error_on_the_way_carries_a_note_of_the_top_up(
    fault: Fault, kind: type[Exception]
) -> None:
    async with Emulator() as emulator, AsyncCloudflare(**at(emulator)) as client:
        payment_intent_id, _ = await started(client, emulator)
        emulator.inject(fault, path="/topup/status")
        with pytest.raises(kind) as caught:
            await client.ai_gateway.billing.topup.wait(
                account_id="a", payment_intent_id=payment_intent_id
            )
    assert any(payment_intent_id in note for note in caught.value.__notes__)


async def test_a_cancellation_on_the_way_carries_it_too() -> None:
    """The card has been charged, so the interrupt must name the charge."""
    seen: list[BaseException] = []

    async def main(client: AsyncCloudflare) -> None:
        try:
            await client.ai_gateway.billing.topup.create_and_wait(account_id="a", amount=1000)
        except BaseException as error:
            seen.append(error)
            raise

    async with Emulator(topup_seconds=60) as emulator, AsyncCloudflare(**at(emulator)) as client:
        emulator.add_account("a")
        task = asyncio.create_task(main(client))
        while len(emulator.requests) < 2:  # noqa: ASYNC110  # it has no event: it waits by then
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    [charge] = emulator.charges
    assert any(charge.payment_intent_id in note for note in getattr(seen[0], "__notes__", ()))


async def test_a_busy_service_does_not_end_the_wait() -> None:
    async with Emulator(topup_seconds=5) as emulator, AsyncCloudflare(**at(emulator)) as client:
        payment_intent_id, _ = await started(client, emulator)
        emulator.inject(Fault(status=503), path="/topup/status", times=2)
        status = await client.ai_gateway.billing.topup.wait(
            account_id="a", payment_intent_id=payment_intent_id
        )
        assert status.status == "completed"


def test_a_top_up_that_needs_its_payer_says_so_and_is_not_asked_about(run: Run) -> None:
    with Emulator() as emulator:
        emulator.add_account("a", needs_confirmation=True)
        with pytest.raises(TopupConfirmationError, match="confirm") as caught:
            run(
                lambda client: client.ai_gateway.billing.topup.create_and_wait(
                    account_id="a", amount=1000
                ),
                **at(emulator),
            )
        [charge] = emulator.charges
        assert len(emulator.requests) == 1
    error, secret = caught.value, f"{charge.payment_intent_id}_secret"
    assert error.payment_intent_id == charge.payment_intent_id
    assert (error.account_id, error.amount) == ("a", 1000)
    assert error.client_secret == secret
    assert str(error.client_secret) == secret
    shown = [repr(error), str(error), repr(vars(error)), repr(error.args)]
    assert not any(secret in text for text in shown)
    pickled = pickle.dumps(error)
    assert secret.encode() not in pickled
    assert pickle.loads(pickled).payment_intent_id == error.payment_intent_id  # noqa: S301
    assert copy.copy(error).client_secret == secret


async def test_once_the_payer_has_confirmed_the_wait_ends() -> None:
    async with Emulator() as emulator, AsyncCloudflare(**at(emulator)) as client:
        account = emulator.add_account("a", needs_confirmation=True)
        topup = client.ai_gateway.billing.topup
        with pytest.raises(TopupConfirmationError) as caught:
            await topup.create_and_wait(account_id="a", amount=1000)
        payment_intent_id = caught.value.payment_intent_id
        account.confirm(payment_intent_id)
        status = await topup.wait(account_id="a", payment_intent_id=payment_intent_id)
        assert status.status == "completed"


FAILED: dict[str, tuple[dict[str, Any], Fault | None, type[Exception]]] = {
    "declined": ({"declines": True}, None, PaymentRequiredError),
    "lost": ({}, Fault(after=True, silence="close"), TopupOutcomeUnknownError),
}


@pytest.mark.parametrize("case", FAILED)
async def test_a_top_up_that_fails_is_not_waited_for(case: str) -> None:
    account, fault, kind = FAILED[case]
    async with Emulator() as emulator, AsyncCloudflare(**at(emulator)) as client:
        emulator.add_account("a", **account)
        if fault is not None:
            emulator.inject(fault, path="/topup")
        with pytest.raises(kind):
            await client.ai_gateway.billing.topup.create_and_wait(account_id="a", amount=1000)
        assert len(emulator.requests) == 1


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=401), Fault(status=429), Fault(silence="close")]
)
def test_a_charge_whose_status_cannot_be_asked_does_not_look_like_none(
    fault: Fault, run: Run
) -> None:
    with Emulator() as emulator:
        emulator.add_account("a")
        emulator.inject(fault, path="/topup/status", times=None)
        with pytest.raises(TopupPendingError, match="has been charged") as caught:
            run(
                lambda client: client.ai_gateway.billing.topup.create_and_wait(
                    account_id="a", amount=1000
                ),
                max_retries=0,
                **at(emulator),
            )
        [charge] = emulator.charges
    assert caught.value.payment_intent_id == charge.payment_intent_id
    assert (caught.value.account_id, caught.value.amount) == ("a", 1000)
    assert isinstance(caught.value.__cause__, APIError)


def status_is(status: str, number: int = 1) -> Fault:
    result = {"payment_intent_id": f"in_emulated{number:06d}", "status": status}
    return Fault(body=json.dumps({"success": True, "result": result}).encode())


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    "status",
    ["failed", "canceled", "cancelled", "void", "uncollectible", "declined", "expired", "FAILED"],
)
def test_a_top_up_that_has_failed_is_no_success(status: str, create: bool, run: Run) -> None:
    with Emulator() as emulator:
        emulator.add_account("a").start_topup(2500)
        emulator.reset()
        emulator.inject(status_is(status, 1 + create), path="/topup/status")

        def call(client: Any) -> Any:
            topup = client.ai_gateway.billing.topup
            if create:
                return topup.create_and_wait(amount=1000)
            return topup.wait(payment_intent_id="in_emulated000001")

        with pytest.raises(TopupFailedError, match=status) as caught:
            run(call, account_id="a", **at(emulator))
        error, asked = caught.value, [request.path for request in emulator.requests]
    assert (error.status, error.account_id) == (status, "a")
    assert error.payment_intent_id == f"in_emulated00000{1 + create}"
    assert error.amount == (1000 if create else None)
    assert len(asked) == 1 + create
    assert pickle.loads(pickle.dumps(error)).status == status  # noqa: S301


@pytest.mark.parametrize("status", ["processing", "requires_action", "succeeded", "Pending", ""])
async def test_a_status_that_is_new_is_waited_for(status: str) -> None:
    async with Emulator(topup_seconds=0) as emulator, AsyncCloudflare(**at(emulator)) as client:
        payment_intent_id, clock = await started(client, emulator)
        emulator.inject(status_is(status), path="/topup/status", times=3)
        answer = await client.ai_gateway.billing.topup.wait(
            account_id="a", payment_intent_id=payment_intent_id
        )
    assert answer.status == "completed"
    assert len(clock.slept) == 3


REFUSED: dict[str, tuple[Any, type[Exception]]] = {
    "0": (0, ValueError),
    "negative": (-1, ValueError),
    "not a number": (math.nan, ValueError),
    "text": ("5", TypeError),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("create", [True, False])
def test_a_wrong_time_out_is_refused_before_anything_is_charged(
    case: str, create: bool, run: Run, billing_emulator: Emulator
) -> None:
    timeout, kind = REFUSED[case]
    billing_emulator.add_account("a")

    def call(client: Any) -> Any:
        topup = client.ai_gateway.billing.topup
        if create:
            return topup.create_and_wait(account_id="a", amount=1000, timeout=timeout)
        return topup.wait(account_id="a", payment_intent_id="in_1", timeout=timeout)

    with pytest.raises(kind, match="timeout"):
        run(call, **at(billing_emulator))
    assert billing_emulator.requests == []
    assert billing_emulator.charges == []
