"""Interrupts, cancellations and readers that go away at the worst moment: nothing is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest
from transports import FakeTransport, faked

from cfaigw_billing import (
    AsyncCloudflare,
    Cloudflare,
    RateLimitError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from cfaigw_billing._wire.messages import HTTPRequest, HTTPResponse
from cfaigw_billing.testing import Emulator, Fault, RequestLimit
from cfaigw_billing.types import BillingCreditBalanceParams, Params, TopupCreateParams

if TYPE_CHECKING:
    from conftest import Run


def at(emulator: Emulator, **options: Any) -> dict[str, Any]:
    return {"base_url": emulator.base_url, "api_token": emulator.api_token, **options}


def asks(number: int) -> list[BillingCreditBalanceParams]:
    return [BillingCreditBalanceParams(account_id=f"{index}") for index in range(number)]


def charges(emulator: Emulator, number: int) -> list[TopupCreateParams]:
    for index in range(number):
        emulator.add_account(f"{index}")
    return [TopupCreateParams(account_id=f"{index}", amount=1000) for index in range(number)]


# Readers.


async def test_a_reader_that_is_cancelled_at_any_moment_loses_no_outcome() -> None:
    client, transport = faked()
    found: list[str | None] = []
    async with client.send_many(asks(600), concurrency=5) as outcomes:
        while True:
            try:
                outcome = await asyncio.wait_for(anext(outcomes), 0.0004)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                break
            found.append(outcome.account_id)
    assert sorted(filter(None, found), key=int) == [f"{index}" for index in range(600)]
    assert transport.sent == 600


async def test_a_cancellation_from_outside_does_not_look_like_the_end() -> None:
    """A session of the caller's may raise one; seven accounts must not vanish without a word."""

    class Cancelling(FakeTransport):
        async def send(self, request: HTTPRequest, *_: object, **__: object) -> HTTPResponse:
            if "/3/" in request.url:
                raise asyncio.CancelledError
            return await super().send(request)

    client: Any = AsyncCloudflare(api_token="t")
    client._executor._transport = Cancelling()
    with pytest.raises(RuntimeError, match="cancelled from outside"):
        await client.ai_gateway.billing.credit_balances([f"{index}" for index in range(10)])


async def test_input_that_is_cancelled_from_outside_does_not_look_like_the_end() -> None:
    async def requests() -> AsyncIterator[BillingCreditBalanceParams]:
        for request in asks(3):
            yield request
        raise asyncio.CancelledError

    client, _ = faked()
    async with client.send_many(requests()) as outcomes:
        with pytest.raises(RuntimeError, match="cancelled from outside"):
            await asyncio.wait_for(_all_of(outcomes), 30)


async def _all_of(outcomes: AsyncIterator[object]) -> list[object]:
    return [outcome async for outcome in outcomes]


async def test_a_generator_around_it_may_be_dropped_in_another_task() -> None:
    client, transport = faked(0.001)

    async def rows() -> AsyncIterator[Params[Any]]:
        async with client.send_many(asks(10_000), concurrency=2) as outcomes:
            async for outcome in outcomes:
                yield outcome.request

    async def first() -> Params[Any]:
        return await asyncio.wait_for(anext(rows()), 30)

    assert await first() in asks(1)
    async with asyncio.timeout(30):
        while asyncio.all_tasks() != {asyncio.current_task()}:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert transport.in_flight == 0


def test_several_threads_may_read_the_outcomes_of_one_input(billing_emulator: Emulator) -> None:
    def requests() -> Iterator[BillingCreditBalanceParams]:
        for request in asks(100):
            time.sleep(0.0005)
            yield request

    found: list[str | None] = []
    with Cloudflare(**at(billing_emulator)) as client, client.send_many(requests()) as outcomes:
        threads = [
            threading.Thread(target=lambda: found.extend(each.account_id for each in outcomes))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(found) == len(set(found)) == 100


def test_an_error_of_the_readers_own_survives_a_close_of_the_client(
    billing_emulator: Emulator,
) -> None:
    class OwnError(Exception):
        pass

    client = Cloudflare(**at(billing_emulator))

    def read() -> None:
        with client.send_many(asks(50)) as outcomes:
            next(outcomes)
            client.close()
            raise OwnError

    with pytest.raises(OwnError):
        read()


def test_a_close_after_the_last_outcome_is_no_error(billing_emulator: Emulator) -> None:
    client = Cloudflare(**at(billing_emulator))
    with client.send_many(asks(3)) as outcomes:
        assert len(list(outcomes)) == 3
        client.close()


# Charges.


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals")
def test_an_interrupt_before_the_call_has_begun_keeps_it_from_beginning(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("a")
    with Cloudflare(**at(billing_emulator)) as client:
        client.ai_gateway.billing.credit_balance(account_id="a")
        standing_still, go_on = threading.Event(), threading.Event()

        async def busy() -> None:
            standing_still.set()
            go_on.wait(60)  # the loop is to stand still

        def strike() -> None:
            while not client._executor.portal._loop.waiting:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGALRM)

        thread = threading.Thread(target=client._executor.portal.call, args=(busy,))
        thread.start()
        standing_still.wait()
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        striker = threading.Thread(target=strike)
        striker.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                client.ai_gateway.billing.topup.create(account_id="a", amount=1000)
        finally:
            signal.signal(signal.SIGALRM, before)
            go_on.set()
        striker.join()
        thread.join()
        client.ai_gateway.billing.credit_balance(account_id="a")  # after all that it was to do
    assert billing_emulator.charges == []


async def test_charges_that_a_swallowed_cancellation_hides_are_logged(
    billing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    requests, told = charges(billing_emulator, 3), ""
    async with AsyncCloudflare(**at(billing_emulator)) as client:
        with caplog.at_level(logging.WARNING, "cfaigw_billing"), anyio.CancelScope() as scope:
            async with client.send_many(requests, allow_charges=True) as outcomes:
                told = f"{await anext(outcomes)}"
                while len(outcomes._calls._ended) < 2:  # noqa: ASYNC110  # it has no event
                    await anyio.sleep(0.005)
                scope.cancel()
                await anyio.sleep_forever()
    told += caplog.text
    assert len(billing_emulator.charges) == 3
    assert all(charge.payment_intent_id in told for charge in billing_emulator.charges)


async def test_a_lost_charge_is_an_outcome_whatever_its_answer_says(
    billing_emulator: Emulator,
) -> None:
    """A code that would end the sweep must not take the place of the outcome."""
    requests = charges(billing_emulator, 3)
    billing_emulator.inject(Fault(status=500, code=9106, after=True), path="/topup", times=None)
    async with (
        AsyncCloudflare(**at(billing_emulator)) as client,
        client.send_many(requests, allow_charges=True) as outcomes,
    ):
        errors = [outcome.error async for outcome in outcomes]
    assert [type(error) for error in errors] == [TopupOutcomeUnknownError] * 3


# Waiting for a top-up.


async def test_a_time_out_that_cannot_be_waited_is_refused_before_the_charge(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("a")
    timeout: Any = aiohttp.ClientTimeout(total=3)
    async with AsyncCloudflare(**at(billing_emulator)) as client:
        with pytest.raises(TypeError, match="timeout"):
            await client.ai_gateway.billing.topup.create_and_wait(
                account_id="a", amount=1000, timeout=timeout
            )
    assert billing_emulator.charges == []


@pytest.mark.parametrize("name", ["..", "in/1"])
async def test_an_id_that_cannot_be_asked_about_does_not_look_like_no_charge(
    name: str, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("a")
    result = {"client_secret": None, "onboarding": False, "payment_intent_id": name}
    body = json.dumps({"success": True, "result": result}).encode()
    billing_emulator.inject(Fault(body=body), path="/topup")
    async with AsyncCloudflare(**at(billing_emulator)) as client:
        with pytest.raises(TopupPendingError, match="has been charged") as caught:
            await client.ai_gateway.billing.topup.create_and_wait(account_id="a", amount=1000)
    assert caught.value.payment_intent_id == name


async def test_a_wait_that_a_scope_ends_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator(topup_seconds=100) as emulator, AsyncCloudflare(**at(emulator)) as client:
        emulator.add_account("a")

        async def give_up() -> None:
            while len(emulator.requests) < 2:  # noqa: ASYNC110  # it asks for the status by then
                await anyio.sleep(0.005)
            scope.cancel()

        giving_up = asyncio.create_task(give_up())
        with caplog.at_level(logging.WARNING, "cfaigw_billing"), anyio.CancelScope() as scope:
            await client.ai_gateway.billing.topup.create_and_wait(account_id="a", amount=1000)
        await giving_up
        [charge] = emulator.charges
    assert charge.payment_intent_id in caplog.text


def test_a_wait_that_a_close_ends_names_the_top_up() -> None:
    with Emulator(topup_seconds=100) as emulator:
        emulator.add_account("a")
        client = Cloudflare(**at(emulator))

        def close() -> None:
            while len(emulator.requests) < 2:  # it asks for the status by then
                time.sleep(0.005)
            client.close()

        threading.Thread(target=close, daemon=True).start()
        with pytest.raises(TopupPendingError) as caught:
            client.ai_gateway.billing.topup.create_and_wait(account_id="a", amount=1000)
        [charge] = emulator.charges
    assert caught.value.payment_intent_id == charge.payment_intent_id


# The rate limit.


def test_the_list_of_accounts_waits_for_the_rate_limit_too(run: Run) -> None:
    limit = RequestLimit(quota=3, window=0.5)
    with Emulator(limit=limit) as emulator:
        for index in range(8):
            emulator.add_account(f"{index}")
        found = run(
            lambda client: client.ai_gateway.billing.credit_balances(),
            **at(emulator, max_retry_wait=0),
        )
    assert len(found) == 8
    assert limit.refused == 0


@pytest.mark.parametrize("sync", [True, False])
async def test_a_list_of_accounts_in_the_middle_of_a_used_up_window_waits(sync: bool) -> None:
    limit = RequestLimit(quota=3, window=0.6)
    async with Emulator(limit=limit) as emulator:
        emulator.add_account("a")
        if sync:
            found = await anyio.to_thread.run_sync(_after_a_used_up_window, emulator)
        else:
            async with AsyncCloudflare(**at(emulator, max_retry_wait=0)) as client:
                ask = client.ai_gateway.billing.credit_balance
                calls = (ask(account_id="a") for _ in range(4))
                await asyncio.gather(*calls, return_exceptions=True)
                found = list(await client.ai_gateway.billing.credit_balances())
    assert found == ["a"]


def _after_a_used_up_window(emulator: Emulator) -> list[str]:
    with Cloudflare(**at(emulator, max_retry_wait=0)) as client:
        for _ in range(4):
            with suppress(RateLimitError):
                client.ai_gateway.billing.credit_balance(account_id="a")
        return list(client.ai_gateway.billing.credit_balances())
