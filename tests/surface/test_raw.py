"""`.with_raw_response` and `.with_streaming_response`: the HTTP response around every answer."""

from __future__ import annotations

import asyncio
import gc
import gzip
import inspect
import json
import warnings
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
from cases import CASES, Case
from conftest import MockedService, Run
from faults.misbehaving import RAY, Peer, Server, drip, envelope, http, refusal, send

from cfaigw_billing import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncCloudflare,
    Cloudflare,
    TopupOutcomeUnknownError,
)
from cfaigw_billing._io import exchange as transport_module
from cfaigw_billing._io.clock import Clock
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import BillingCreditBalanceParams

TOKEN = "a-token-that-nobody-may-see"
BALANCE = envelope({"balance": 7.0, "has_default_payment_method": False})
GOOD = http(BALANCE)
HALF = http(BALANCE[:20], length=len(BALANCE))


def raw_topup(client: Any) -> Any:
    return topup(client.with_raw_response)


def raw_topup_parsed(client: Any) -> Any:
    return topup(client.with_raw_response).parse()


def streamed_topup(client: Any) -> Any:
    return topup(client.with_streaming_response)


def raw_retries(client: Any) -> Any:
    return balance(client.with_raw_response).retries_taken


def no_jitter(_: Clock) -> float:
    return 0.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for before a repeat."""
    monkeypatch.setattr(Clock, "jitter", no_jitter)


def both(
    on_async: Callable[..., Any], on_sync: Callable[..., Any], /, *more: Any
) -> Callable[[Any], Any]:
    """One test body for either client, where `await` keeps them from being the same."""

    def call(client: Any) -> Any:
        chosen = on_async if isinstance(client, AsyncCloudflare) else on_sync
        return chosen(client, *more)

    return call


async def astream(client: Any, look: Callable[[Any], Any], call: Any = None) -> Any:
    manager = call(client) if call else balance(client.with_streaming_response)
    async with manager as response:
        value = look(response)
        return await value if inspect.isawaitable(value) else value


def stream(client: Any, look: Callable[[Any], Any], call: Any = None) -> Any:
    manager = call(client) if call else balance(client.with_streaming_response)
    with manager as response:
        return look(response)


def streaming(look: Callable[[Any], Any], call: Any = None) -> Callable[[Any], Any]:
    return both(astream, stream, look, call)


def balance(group: Any) -> Any:
    return group.ai_gateway.billing.credit_balance(account_id="acc")


def topup(group: Any) -> Any:
    return group.ai_gateway.billing.topup.create(account_id="acc", amount=1000)


def connections(client: Any) -> tuple[int, int]:
    """How many are idle in the pool, and how many in use."""
    transport = getattr(client._executor, "inner", client._executor)._transport
    [session] = transport._sessions.values()
    connector = session.connector
    return sum(map(len, connector._conns.values())), len(connector._acquired)


# Every call of the table.


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("way", ["raw", "streaming"])
def test_parse_gives_what_the_method_answers(
    run: Run, mocked_service: MockedService, case: Case, way: str
) -> None:
    body = json.dumps(case.answer).encode()
    mocked_service.answer(body, status=case.status, headers={"CF-Ray": RAY})

    async def on_async(client: Any) -> Any:
        if way == "raw":
            response = await case.on(client.with_raw_response)
            assert response.is_closed
            return response, await response.parse(), await response.read()
        async with case.on(client.with_streaming_response) as response:
            assert not response.is_closed
            value = await response.parse(), await response.read()
        return response, *value

    def on_sync(client: Any) -> Any:
        if way == "raw":
            response = case.on(client.with_raw_response)
            assert response.is_closed
            return response, response.parse(), response.read()
        with case.on(client.with_streaming_response) as response:
            assert not response.is_closed
            value = response.parse(), response.read()
        return response, *value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        response, value, read = run(
            both(on_async, on_sync), base_url=mocked_service.base_url, api_token=TOKEN
        )
    assert (value, read) == (case.expected, body)
    assert (response.status_code, response.cf_ray) == (case.status, RAY)
    assert response.headers["cf-ray"] == RAY
    assert (response.retries_taken, response.is_closed) == (0, True)
    [sent] = mocked_service.requests
    assert (sent.method, sent.path) == (case.method, case.path)
    assert not [name for name in sent.headers if "raw" in name.lower() or "stain" in name.lower()]
    request = response.http_request
    assert (request.method, request.headers["Authorization"]) == (case.method, "[redacted]")
    assert request.url.startswith(mocked_service.base_url + case.path)
    shown = repr(response) + repr(request) + repr(response.__dict__)
    assert TOKEN not in shown


@pytest.mark.parametrize("way", ["with_raw_response", "with_streaming_response"])
@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_a_group_reaches_the_same_as_the_client(cls: Any, way: str) -> None:
    client = cls(api_token=TOKEN)
    for path in ("accounts", "ai_gateway", "ai_gateway.billing", "ai_gateway.billing.topup.config"):
        by_group = getattr(attrgetter(path)(client), way)
        assert type(by_group) is type(attrgetter(path)(getattr(client, way)))
    assert TOKEN not in repr(getattr(client, way).__dict__)


def test_send_and_the_methods_by_path_answer_with_responses_too(
    ask: Run, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("acc", balance=3)
    params = BillingCreditBalanceParams(account_id="acc")
    path = "/accounts/acc/ai-gateway/billing/credit-balance"

    async def on_async(client: Any) -> Any:
        raw = client.with_raw_response
        async with client.with_streaming_response.get(path, cast_to=dict) as response:
            streamed = await response.parse()
        return (
            await (await raw.send(params)).parse(),
            await (await raw.get(path, cast_to=dict)).parse(),
            streamed,
        )

    def on_sync(client: Any) -> Any:
        raw = client.with_raw_response
        with client.with_streaming_response.get(path, cast_to=dict) as response:
            streamed = response.parse()
        return raw.send(params).parse(), raw.get(path, cast_to=dict).parse(), streamed

    sent, got, streamed = ask(both(on_async, on_sync))
    assert sent.balance == got["result"]["balance"] == streamed["result"]["balance"] == 3


def test_text_json_and_bytes_of_a_raw_response(ask: Run, billing_emulator: Emulator) -> None:
    billing_emulator.add_account("acc")

    async def on_async(client: Any) -> Any:
        response = await balance(client.with_raw_response)
        parts = [part async for part in response.iter_bytes(10)]
        return await response.read(), await response.text(), await response.json(), parts

    def on_sync(client: Any) -> Any:
        response = balance(client.with_raw_response)
        parts = list(response.iter_bytes(10))
        return response.read(), response.text(), response.json(), parts

    read, text, decoded, parts = ask(both(on_async, on_sync))
    assert read.decode() == text
    assert json.loads(read) == decoded
    assert b"".join(parts) == read
    assert {len(part) for part in parts[:-1]} == {10}


def test_a_sync_response_that_is_read_outlives_its_client(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("acc", balance=2)
    with Cloudflare(base_url=billing_emulator.base_url, api_token="emulator-token") as client:
        raw = balance(client.with_raw_response)
        with balance(client.with_streaming_response) as streamed:
            streamed.read()
    for response in (raw, streamed):
        assert response.parse().balance == 2
        assert b"".join(response.iter_bytes()) == response.read()
        response.close()
    with pytest.raises(ValueError, match="chunk_size"):
        list(raw.iter_bytes(0))


# Refusals, and answers that cannot be decoded.


@pytest.mark.parametrize(
    "answer",
    [http(refusal(), 403), http(refusal(), 200), http(b"<html>", 404), http(b"", 302)],
    ids=["403", "success: false", "a page", "a redirect"],
)
def test_what_the_service_refuses_is_raised_by_the_raw_call(run: Run, answer: bytes) -> None:
    with Server((Peer.request, send(answer))) as server, pytest.raises(APIStatusError):
        run(
            lambda client: balance(client.with_raw_response),
            base_url=server.base_url,
            api_token=TOKEN,
        )


def test_a_refusal_within_a_200_is_raised_by_parse_of_a_stream(run: Run) -> None:
    with Server((Peer.request, send(http(refusal())))) as server:
        options = {"base_url": server.base_url, "api_token": TOKEN}
        with pytest.raises(APIStatusError, match="says no"):
            run(streaming(lambda response: response.parse()), **options)
        with pytest.raises(APIStatusError, match="says no"):
            run(
                streaming(
                    lambda response: pytest.fail("entered"),
                    streamed_topup,
                ),
                **options,
            )


def test_a_broken_off_answer_is_raised_by_the_raw_call(run: Run) -> None:
    with (
        Server((Peer.request, send(HALF), Peer.close)) as server,
        pytest.raises(APIResponseValidationError, match="broke off"),
    ):
        run(
            lambda client: balance(client.with_raw_response),
            base_url=server.base_url,
            api_token=TOKEN,
            max_retries=0,
        )


@pytest.mark.parametrize("body", [envelope({"balance": "7"}), b"<html>", b"[]", b"{}"])
def test_what_cannot_be_decoded_is_raised_by_parse_alone(run: Run, body: bytes) -> None:
    async def on_async(client: Any) -> Any:
        response = await balance(client.with_raw_response)
        assert await response.read() == body
        return await response.parse()

    def on_sync(client: Any) -> Any:
        response = balance(client.with_raw_response)
        assert response.read() == body
        return response.parse()

    with Server((Peer.request, send(http(body)))) as server:
        options = {"base_url": server.base_url, "api_token": TOKEN}
        path = r"result\.balance: expected a finite number" if b"balance" in body else None
        with pytest.raises(APIResponseValidationError, match=path):
            run(both(on_async, on_sync), **options)
        with pytest.raises(APIResponseValidationError, match=path):
            run(streaming(lambda response: response.parse()), **options)


# Streams.


def test_a_stream_that_is_read_gives_its_connection_back(run: Run) -> None:
    async def on_async(client: Any) -> Any:
        async with balance(client.with_streaming_response) as response:
            assert b"".join([part async for part in response.iter_bytes(7)]) == BALANCE
            with pytest.raises(RuntimeError, match="read with"):
                await response.parse()
        assert connections(client) == (1, 0)
        async with balance(client.with_streaming_response) as response:
            return await response.parse()

    def on_sync(client: Any) -> Any:
        with balance(client.with_streaming_response) as response:
            assert b"".join(response.iter_bytes(7)) == BALANCE
            with pytest.raises(RuntimeError, match="read with"):
                response.parse()
        assert connections(client) == (1, 0)
        with balance(client.with_streaming_response) as response:
            return response.parse()

    with Server((Peer.request, send(GOOD))) as server:
        run(both(on_async, on_sync), base_url=server.base_url, api_token=TOKEN)
        assert [request.connection for request in server.requests] == [1, 1]


@pytest.mark.parametrize("why", ["nothing read", "a break", "an exception"])
def test_a_stream_that_is_left_early_is_closed(run: Run, why: str) -> None:
    class OursError(Exception):
        pass

    def leave() -> None:
        if why == "an exception":
            raise OursError

    async def on_async(client: Any) -> Any:
        parts: Any = None
        response: Any = None
        try:
            async with balance(client.with_streaming_response) as response:
                if why == "a break":
                    parts = response.iter_bytes()
                    await anext(parts)
                leave()
        except OursError:
            pass
        assert response.is_closed
        with pytest.raises(RuntimeError, match="closed"):
            await response.read()
        if parts is not None:
            with pytest.raises(RuntimeError, match="closed"):
                await anext(parts)
        assert connections(client) == (0, 0)

    def on_sync(client: Any) -> Any:
        parts: Any = None
        response: Any = None
        try:
            with balance(client.with_streaming_response) as response:
                if why == "a break":
                    parts = response.iter_bytes()
                    next(parts)
                leave()
        except OursError:
            pass
        assert response.is_closed
        with pytest.raises(RuntimeError, match="closed"):
            response.read()
        if parts is not None:
            with pytest.raises(RuntimeError, match="closed"):
                next(parts)
        assert connections(client) == (0, 0)

    with Server((Peer.request, send(HALF), Peer.hang)) as server:
        run(both(on_async, on_sync), base_url=server.base_url, api_token=TOKEN)
        assert server.wait_for(lambda: server.departed == 1)
    gc.collect()


def test_parts_that_are_dropped_after_the_client_is_closed_say_nothing() -> None:
    with Server((Peer.request, send(HALF), Peer.hang)) as server:
        with (
            Cloudflare(base_url=server.base_url, api_token=TOKEN) as client,
            balance(client.with_streaming_response) as response,
        ):
            parts = response.iter_bytes()
            next(parts)
        del parts
        gc.collect()


async def test_a_cancelled_reader_leaves_nothing_open() -> None:
    responses: list[Any] = []

    async def read(client: AsyncCloudflare) -> None:
        async with (
            asyncio.timeout(None) as limit,
            balance(client.with_streaming_response) as response,
        ):
            responses.append(response)
            limit.reschedule(asyncio.get_running_loop().time() + 0.01)
            await response.read()

    with Server((Peer.request, send(HALF), Peer.hang)) as server:
        async with AsyncCloudflare(base_url=server.base_url, api_token=TOKEN) as client:
            with pytest.raises(TimeoutError):
                await read(client)
            assert responses[0].is_closed
            assert connections(client) == (0, 0)


READS: dict[str, Callable[[Any], Any]] = {
    "read": lambda response: response.read(),
    "parse": lambda response: response.parse(),
    "json": lambda response: response.json(),
    "text": lambda response: response.text(),
}


async def consume(response: Any) -> bytes:
    return b"".join([part async for part in response.iter_bytes()])


def iterate(response: Any) -> Any:
    parts = response.iter_bytes()
    return consume(response) if inspect.isasyncgen(parts) else b"".join(parts)


READS["iter_bytes"] = iterate


@pytest.mark.parametrize("read", READS)
def test_what_breaks_off_while_it_is_read_is_an_error_of_ours(run: Run, read: str) -> None:
    with Server((Peer.request, send(HALF), Peer.close)) as server:
        with pytest.raises((APIConnectionError, APIResponseValidationError), match="broke off"):
            run(streaming(READS[read]), base_url=server.base_url, api_token=TOKEN)
        assert len(server.requests) == 1


@pytest.mark.parametrize("read", ["read", "iter_bytes"])
def test_the_timeout_bounds_the_reading(run: Run, read: str) -> None:
    with (
        Server((Peer.request, send(GOOD[:-30]), drip(GOOD[-30:], 0.05))) as server,
        pytest.raises(APITimeoutError) as caught,
    ):
        run(streaming(READS[read]), base_url=server.base_url, api_token=TOKEN, timeout=0.2)
    assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.mark.parametrize("body", [gzip.compress(BALANCE), b"this is no gzip"])
def test_a_compressed_stream(run: Run, body: bytes) -> None:
    with Server((Peer.request, send(http(body, 200, "Content-Encoding: gzip")))) as server:
        options = {"base_url": server.base_url, "api_token": TOKEN}
        for read in ("read", "iter_bytes"):
            if body.startswith(b"\x1f\x8b"):
                assert run(streaming(READS[read]), **options) == BALANCE
            else:
                with pytest.raises((APIConnectionError, APIResponseValidationError), match="gzip"):
                    run(streaming(READS[read]), **options)


def test_the_limit_of_a_body_holds_for_what_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "MAX_BODY", 50)
    with Server((Peer.request, send(GOOD))) as server:
        options = {"base_url": server.base_url, "api_token": TOKEN}
        for read in ("read", "parse"):
            with pytest.raises(APIResponseValidationError, match="larger"):
                run(streaming(READS[read]), **options)
        assert run(streaming(READS["iter_bytes"]), **options) == BALANCE


def test_not_now_is_repeated_before_the_block_is_entered(
    ask: Run, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("acc", balance=5)
    for way in ("raw", "streaming"):
        for status in (503, 429):
            fault = Fault(status=status, headers={"Retry-After": "0"})
            billing_emulator.inject(fault)

        async def raw(client: Any) -> Any:
            return (await balance(client.with_raw_response)).retries_taken

        call = (
            both(raw, raw_retries)
            if way == "raw"
            else streaming(lambda response: response.retries_taken)
        )
        assert ask(call) == 2


# Charges.


@pytest.mark.parametrize("way", ["with_raw_response", "with_streaming_response"])
@pytest.mark.parametrize("answer", [HALF, http(b"<html>", 502), http(b"[]"), None])
def test_a_charge_of_unknown_outcome_is_one_request(
    run: Run, way: str, answer: bytes | None
) -> None:
    steps = (Peer.request, send(answer), Peer.close) if answer else (Peer.request, Peer.reset)
    call = (
        raw_topup
        if way == "with_raw_response"
        else streaming(
            lambda response: pytest.fail("entered"),
            streamed_topup,
        )
    )
    with Server(steps) as server:
        with pytest.raises(TopupOutcomeUnknownError) as caught:
            run(call, base_url=server.base_url, api_token=TOKEN)
        assert caught.value.amount == 1000
        assert len(server.requests) == server.charges == 1


@pytest.mark.parametrize("way", ["with_raw_response", "with_streaming_response"])
def test_max_charge_holds_and_a_charge_within_it_is_made_once(
    ask: Run, billing_emulator: Emulator, way: str
) -> None:
    billing_emulator.add_account("acc", first_topup_success=True)

    async def raw(client: Any) -> Any:
        return await (await topup(client.with_raw_response)).parse()

    call = (
        both(raw, raw_topup_parsed)
        if way == "with_raw_response"
        else streaming(
            lambda response: response.parse(),
            streamed_topup,
        )
    )
    with pytest.raises(ValueError, match="max_charge"):
        ask(call, max_charge=999)
    assert billing_emulator.requests == []
    assert ask(call, max_charge=1000).payment_intent_id
    assert [charge.amount for charge in billing_emulator.charges] == [1000]


def test_a_streaming_charge_is_sent_once_however_often_it_is_entered(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("acc")
    with billing_emulator.client() as client:
        manager = topup(client.with_streaming_response)
        with manager:
            pass
        with pytest.raises(RuntimeError, match="once"), manager:
            pass
    assert len(billing_emulator.charges) == 1
