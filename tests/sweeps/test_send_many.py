"""`send_many`: lazy, bounded, and leaving it leaves nothing behind."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, closing, nullcontext, suppress
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aiohttp
import attrs
import pytest
from holding import held
from transports import BALANCE, faked

from cfaigw_billing import (
    AsyncCloudflare,
    AuthenticationError,
    BadRequestError,
    Cloudflare,
    CloudflareError,
    NotFoundError,
    RateLimitError,
    TopupOutcomeUnknownError,
)
from cfaigw_billing._core.ratelimit import FIRST_CALLS
from cfaigw_billing._io import many_calls
from cfaigw_billing._io.many_calls import ManyCalls
from cfaigw_billing._io.transport import Transport
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    ConfigDeleteParams,
    Params,
    TopupCreateParams,
    TopupCreateResponse,
    TopupLimitsParams,
    TopupLimitsResponse,
)

if TYPE_CHECKING:
    from conftest import Run

T = TypeVar("T")

TOPUP = TopupCreateParams(account_id="a", amount=1000)


def client_of(emulator: Emulator, **options: Any) -> AsyncCloudflare:
    return AsyncCloudflare(**{**at(emulator), **options})


def at(emulator: Emulator) -> dict[str, Any]:
    """Options of a client of it, without a pace: sweeps here are to be as fast as they can."""
    where = {"base_url": emulator.base_url, "api_token": emulator.api_token}
    return {**where, "max_requests_per_second": None}


def sync_client_of(emulator: Emulator) -> Cloudflare:
    return Cloudflare(**at(emulator))


def asks(number: int | None = None) -> Iterator[BillingCreditBalanceParams]:
    """Requests, one for each account; `None`: without end."""
    for index in itertools.count() if number is None else range(number):
        yield BillingCreditBalanceParams(account_id=f"{index}")


def none_is_left() -> bool:
    """Whether the running task is the only one."""
    return asyncio.all_tasks() == {asyncio.current_task()}


# Input.


class Counting:
    """Endless requests that count how many were read, as an iterable of either kind."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[BillingCreditBalanceParams]:
        for params in asks():
            self.read += 1
            yield params


class CountingAsync:
    def __init__(self) -> None:
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[BillingCreditBalanceParams]:
        for params in asks():
            await asyncio.sleep(0)
            self.read += 1
            yield params


@pytest.mark.parametrize("kind", [Counting, CountingAsync])
@pytest.mark.parametrize("concurrency", [1, 3, 10])
async def test_endless_input_is_read_as_its_outcomes_are(
    kind: type[Counting], concurrency: int
) -> None:
    """However slow the reader: never more than the concurrency ahead of it."""
    client, transport = faked()
    requests = kind()
    async with client.send_many(requests, concurrency=concurrency) as outcomes:
        for taken in range(1, 30):
            await anext(outcomes)
            for _ in range(20):
                await asyncio.sleep(0)
            assert requests.read <= taken + concurrency
    assert transport.sent <= 29 + concurrency
    assert none_is_left()


@pytest.mark.parametrize("concurrency", [1, 7, 50])
async def test_concurrency_is_used_and_kept(concurrency: int) -> None:
    """Without a rate limit in the answers, the first one lifts the limit of eight calls."""
    client, transport = faked(0.002)
    async with client.send_many(asks(200), concurrency=concurrency) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 200
    assert transport.most_in_flight == concurrency


@attrs.define
class Gate:
    """A server that keeps all answers but the first back until so many requests wait for them."""

    number: int
    waiting: int = 0
    answered: int = 0
    opened: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                if self.answered:
                    self.waiting += 1
                    if self.waiting >= self.number:
                        self.opened.set()
                    await self.opened.wait()
                self.answered += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(BALANCE), BALANCE))


@pytest.mark.parametrize("kind", ["client", "copy", "two sweeps"])
async def test_no_call_of_a_large_concurrency_waits_for_a_connection(kind: str) -> None:
    """150 calls are with the server at once, and none of them has run out of its time before."""
    gate = Gate(150)
    async with await asyncio.start_server(gate.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = AsyncCloudflare(
            base_url=f"http://127.0.0.1:{port}", api_token="t", timeout=60, max_retries=0
        )
        async with client:
            await client.send(BillingCreditBalanceParams(account_id="a"))
            user = client.copy() if kind == "copy" else client
            shares = [75, 75] if kind == "two sweeps" else [150]
            found = await asyncio.gather(*(_errors(user, share) for share in shares))
        assert [error for errors in found for error in errors] == [None] * 150


async def _errors(client: AsyncCloudflare, number: int) -> list[Exception | None]:
    async with client.send_many(asks(number), concurrency=number) as outcomes:
        return [outcome.error async for outcome in outcomes]


@pytest.mark.parametrize("requests", [[], (), iter(())])
async def test_no_requests_have_no_outcomes(requests: Iterable[Params[object]]) -> None:
    client, _ = faked()
    async with client.send_many(requests) as outcomes:
        assert [outcome async for outcome in outcomes] == []


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no concurrency": ({"concurrency": 0}, ValueError, "concurrency"),
    "half a concurrency": ({"concurrency": 1.5}, TypeError, "concurrency"),
    "a concurrency of True": ({"concurrency": True}, TypeError, "concurrency"),
    "all in reserve": ({"reserve": 1.0}, ValueError, "reserve"),
    "less than no reserve": ({"reserve": -0.01}, ValueError, "reserve"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_refused_by_name(case: str) -> None:
    options, kind, name = REFUSED[case]
    for client in (AsyncCloudflare(api_token="t"), Cloudflare(api_token="t")):
        with pytest.raises(kind, match=name):
            client.send_many([], **options)


@pytest.mark.parametrize("wrong", [None, 5])
def test_what_is_no_iterable_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(TypeError, match="requests"):
        AsyncCloudflare(api_token="t").send_many(wrong)


@pytest.mark.parametrize("wrong", ["0123", {"account_id": "a"}])
async def test_items_that_are_no_requests_are_a_type_error(wrong: Any) -> None:
    client, transport = faked()
    with pytest.raises(TypeError):
        async with client.send_many(wrong) as outcomes:
            await anext(outcomes)
    assert transport.sent == 0


# Output.


def mix() -> list[Params[Any]]:
    return [
        BillingCreditBalanceParams(account_id="a"),
        TopupLimitsParams(account_id="a"),
        ConfigDeleteParams(account_id="a"),
        BillingCreditBalanceParams(account_id="missing"),
    ]


async def test_each_request_has_its_outcome(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    async with (
        client_of(billing_emulator) as client,
        client.send_many(mix(), concurrency=2) as outcomes,
    ):
        found = {outcome.request: outcome async for outcome in outcomes}
    balance, limits, deleted, missing = (found[request] for request in mix())
    assert isinstance(balance.unwrap(), BillingCreditBalanceResponse)
    assert isinstance(limits.response, TopupLimitsResponse)
    assert (deleted.unwrap(), deleted.error) == ({}, None)
    assert (missing.response, type(missing.error)) == (None, NotFoundError)
    with pytest.raises(NotFoundError):
        missing.unwrap()


async def test_outcomes_come_in_the_order_in_which_the_calls_end(
    billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = list[str | None]()
    held(billing_emulator, monkeypatch, {1: lambda: len(order) == 1, 2: lambda: len(order) == 2})
    for name, delay in {"0": 2.0, "1": 0.0, "2": 1.0}.items():
        billing_emulator.add_account(name)
        path = f"/{name}/ai-gateway/billing/credit-balance"
        billing_emulator.inject(Fault(delay=delay), path=path)
    async with client_of(billing_emulator) as client:
        await client.accounts.list()
        async with client.send_many(asks(3)) as outcomes:
            async for outcome in outcomes:
                order.append(outcome.account_id)  # the emulator looks at it
    assert order == ["1", "2", "0"]


async def test_several_may_read_the_outcomes() -> None:
    client, _ = faked(0.001)

    async def read() -> int:
        return len([outcome async for outcome in outcomes])

    async with client.send_many(asks(100), concurrency=5) as outcomes:
        shares = await asyncio.gather(read(), read(), read())
    assert sum(shares) == 100


# Leaving early, at whatever point.


class OwnError(Exception):
    """The caller's."""


async def broken_input(number: int) -> AsyncIterator[BillingCreditBalanceParams]:
    for params in asks(number):
        yield params
        await asyncio.sleep(0)
    raise OwnError


Leave = Callable[[AsyncCloudflare, random.Random], Any]


async def by_break(client: AsyncCloudflare, chance: random.Random) -> None:
    async with client.send_many(asks(), concurrency=chance.randint(1, 9)) as outcomes:
        for _ in range(chance.randint(0, 20)):
            await anext(outcomes)


async def by_error(client: AsyncCloudflare, chance: random.Random) -> None:
    last = chance.randint(1, 20)
    with pytest.raises(OwnError):
        await read(client, asks(), chance, last)


async def by_fault_of_the_input(client: AsyncCloudflare, chance: random.Random) -> None:
    requests = broken_input(chance.randint(0, 20))
    with pytest.raises(OwnError):
        await read(client, requests, chance)


async def read(
    client: AsyncCloudflare, requests: Any, chance: random.Random, last: float = inf
) -> None:
    """Read the outcomes, and fail at the last."""
    async with client.send_many(requests, concurrency=chance.randint(1, 9)) as outcomes:
        async for _ in outcomes:
            await asyncio.sleep(chance.random() * 0.001)
            last -= 1
            if last <= 0:
                raise OwnError


async def endlessly(client: AsyncCloudflare, chance: random.Random) -> None:
    await read(client, asks() if chance.random() < 0.5 else CountingAsync(), chance)


async def by_cancellation(client: AsyncCloudflare, chance: random.Random) -> None:
    task = asyncio.create_task(endlessly(client, chance))
    for _ in range(chance.randint(0, 30)):
        await asyncio.sleep(0)
    await asyncio.sleep(chance.choice([0, 0.002, 0.01]))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_time_out(client: AsyncCloudflare, chance: random.Random) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(chance.random() * 0.01):
            await endlessly(client, chance)


WAYS: list[Leave] = [by_break, by_error, by_fault_of_the_input, by_cancellation, by_time_out]


@pytest.mark.parametrize("leave", WAYS)
async def test_leaving_leaves_nothing_and_the_client_goes_on(leave: Leave) -> None:
    """The caller's own exception arrives as it is; no task and no call is left."""
    client, transport = faked(0.002)
    for seed in range(25):
        client._executor.logins.fallback.accepted = seed % 2 == 0
        await leave(client, random.Random(seed))
        assert none_is_left(), seed
        assert transport.in_flight == 0, seed
        assert client._executor.logins.fallback.limiter.budget.in_flight == 0, seed
    assert (await client.send(BillingCreditBalanceParams(account_id="a"))).balance == 640.19


@pytest.mark.parametrize("leave", WAYS)
async def test_leaving_leaves_no_connection(leave: Leave, billing_emulator: Emulator) -> None:
    async with client_of(billing_emulator) as client:
        for seed in range(5):
            await leave(client, random.Random(seed))
            [session] = cast("Transport", client._executor._transport)._sessions.values() or [None]
            if session is not None:
                assert session.connector is not None
                assert not session.connector._acquired, seed
        assert none_is_left()
        with pytest.raises(NotFoundError):
            await client.send(BillingCreditBalanceParams(account_id="a"))


class Held:
    """Requests that hold something, such as a cursor, while they are iterated over."""

    def __init__(self) -> None:
        self.let_go = False


class HeldPlain(Held):
    def __iter__(self) -> Iterator[BillingCreditBalanceParams]:
        try:
            yield from asks()
        finally:
            self.let_go = True


class HeldAsync(Held):
    async def __aiter__(self) -> AsyncIterator[BillingCreditBalanceParams]:
        try:
            for params in asks():
                yield params
        finally:
            self.let_go = True


@pytest.mark.parametrize("kind", [HeldPlain, HeldAsync])
async def test_the_input_lets_go_when_the_block_is_left(kind: type[Held]) -> None:
    """Then, and not when it is collected."""
    client, _ = faked()
    requests: Any = kind()
    async with client.send_many(requests, concurrency=2) as outcomes:
        await anext(outcomes)
        assert not requests.let_go
    assert requests.let_go


async def test_what_ended_unread_can_be_looked_at_afterwards() -> None:
    client, _ = faked()
    async with client.send_many(asks(10), concurrency=4) as outcomes:
        first = await anext(outcomes)
        for _ in range(20):
            await asyncio.sleep(0)
        assert outcomes.unread == ()
    names = {outcome.account_id for outcome in (first, *outcomes.unread)}
    assert len(names) == 1 + len(outcomes.unread) > 3


@pytest.mark.parametrize("how", ["outside", "twice"])
async def test_a_sweep_lives_in_one_block(how: str) -> None:
    client, _ = faked()
    outcomes = client.send_many(asks(3))
    if how == "outside":
        with pytest.raises(RuntimeError, match="async with"):
            await anext(outcomes)
        return
    async with outcomes:
        with pytest.raises(RuntimeError, match="once"):
            await outcomes.__aenter__()


async def test_a_request_that_cannot_be_sent_fails_by_itself(billing_emulator: Emulator) -> None:
    """Nothing of it is sent, and the charges beside it are made and told of."""
    billing_emulator.add_account("a")
    requests = [
        TOPUP,
        TopupCreateParams(account_id="a", amount=9000),
        TopupCreateParams(amount=1000),
    ]
    async with (
        client_of(billing_emulator, max_charge=5000) as client,
        client.send_many(requests, allow_charges=True) as outcomes,
    ):
        found = {outcome.request: outcome.error async for outcome in outcomes}
    assert [type(found[request]) for request in requests] == [type(None), ValueError, ValueError]
    assert [charge.amount for charge in billing_emulator.charges] == [1000]


async def test_missing_credentials_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN", raising=False)
    client = AsyncCloudflare()  # to enter it would say so, too
    async with client.send_many(asks()) as outcomes:
        with pytest.raises(CloudflareError, match="CLOUDFLARE_API_TOKEN"):
            await anext(outcomes)


async def test_a_first_call_that_hangs_holds_the_others_up_for_a_moment_only(
    billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_calls, "HEAD_START", 0.1)
    billing_emulator.inject(
        Fault(silence="hang"), path="/accounts/0/ai-gateway/billing/credit-balance"
    )
    async with (
        client_of(billing_emulator) as client,
        client.send_many(asks(5), concurrency=2) as outcomes,
    ):
        async with asyncio.timeout(30):
            names = [(await anext(outcomes)).account_id for _ in range(4)]
    assert sorted(filter(None, names)) == ["1", "2", "3", "4"]


async def test_a_block_that_was_left_has_no_more_outcomes() -> None:
    client, _ = faked()
    async with client.send_many(asks()) as outcomes:
        await anext(outcomes)
    [ended] = await asyncio.gather(
        asyncio.wait_for(anext(outcomes, None), 30), return_exceptions=True
    )
    assert not isinstance(ended, TimeoutError)
    assert ended is None or isinstance(ended, Exception)


# Charges.


@pytest.mark.parametrize("first", [True, False])
async def test_a_charge_is_refused_unless_it_is_meant(
    first: bool, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("a")
    requests: list[Params[Any]] = [BillingCreditBalanceParams(account_id="a"), TOPUP]
    async with client_of(billing_emulator) as client:
        with pytest.raises(ValueError, match="allow_charges"):
            await read(client, requests[::-1] if first else requests, random.Random(0))
    assert billing_emulator.charges == []


async def test_charges_that_are_meant_are_made_once_each(billing_emulator: Emulator) -> None:
    names = [f"{index}" for index in range(20)]
    for name in names:
        billing_emulator.add_account(name)
    charges = [TopupCreateParams(account_id=name, amount=1000) for name in names]
    async with (
        client_of(billing_emulator) as client,
        client.send_many(charges, concurrency=5, allow_charges=True) as outcomes,
    ):
        answers = [outcome.unwrap() async for outcome in outcomes]
    assert all(isinstance(answer, TopupCreateResponse) for answer in answers)
    assert sorted(charge.account_id for charge in billing_emulator.charges) == sorted(names)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # mostly another thread makes it true
            await asyncio.sleep(0.005)


def hanging_charges(emulator: Emulator, number: int) -> list[Params[Any]]:
    """A call that is answered, then charges that are made and never answered."""
    emulator.inject(Fault(after=True, silence="hang"), times=None, path="/topup")
    requests: list[Params[Any]] = [BillingCreditBalanceParams(account_id="0")]
    for index in range(number):
        emulator.add_account(f"{index}")
        requests.append(TopupCreateParams(account_id=f"{index}", amount=1000 + index))
    return requests


@pytest.mark.parametrize("number", [1, 3])
async def test_leaving_while_charges_are_in_flight_says_that_they_may_have_been_made(
    number: int, billing_emulator: Emulator
) -> None:
    """Each of them: with the error or in its notes."""
    requests = hanging_charges(billing_emulator, number)

    async def leave(client: AsyncCloudflare) -> None:
        async with client.send_many(requests, allow_charges=True) as outcomes:
            await anext(outcomes)
            await until(lambda: len(billing_emulator.charges) == number)

    async with client_of(billing_emulator) as client:
        with pytest.raises(TopupOutcomeUnknownError) as caught:
            await leave(client)
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert all(f"top-up of {1000 + index} cents" in told for index in range(number))


@pytest.mark.parametrize("how", ["error", "cancellation"])
async def test_an_exception_on_the_way_out_carries_a_note_of_every_charge(
    how: str, billing_emulator: Emulator
) -> None:
    requests = hanging_charges(billing_emulator, 3)
    seen: list[BaseException] = []

    async def leave(client: AsyncCloudflare) -> None:
        try:
            async with client.send_many(requests, allow_charges=True) as outcomes:
                await anext(outcomes)
                await until(lambda: len(billing_emulator.charges) == 3)
                if how == "error":
                    raise OwnError  # noqa: TRY301
                await anext(outcomes)
        except BaseException as error:
            seen.append(error)
            raise

    async with client_of(billing_emulator) as client:
        task = asyncio.create_task(leave(client))
        await until(lambda: len(billing_emulator.charges) == 3)
        if how == "cancellation":
            await asyncio.sleep(0.05)
            task.cancel()
        with pytest.raises((OwnError, asyncio.CancelledError)):
            await task
    told = "\n".join(seen[0].__notes__)
    assert all(f"top-up of {1000 + index} cents" in told for index in range(3))
    assert len(billing_emulator.charges) == 3


async def test_charges_that_were_made_and_not_read_are_told_of(
    billing_emulator: Emulator,
) -> None:
    """The answers have come, and the reader leaves before it sees them: money has moved."""
    for index in range(4):
        billing_emulator.add_account(f"{index}")
    charges = [TopupCreateParams(account_id=f"{index}", amount=1000) for index in range(4)]
    read: list[Any] = []

    async def leave(client: AsyncCloudflare) -> None:
        async with client.send_many(charges, concurrency=2, allow_charges=True) as outcomes:
            read.append(await anext(outcomes))
            await until(lambda: len(outcomes._calls._ended) == 2)
            raise OwnError

    async with client_of(billing_emulator) as client:
        with pytest.raises(OwnError) as caught:
            await leave(client)
    told = "\n".join([str(read), *getattr(caught.value, "__notes__", [])])
    made = [charge.payment_intent_id for charge in billing_emulator.charges]
    assert len(made) == 3
    assert all(payment_intent_id in told for payment_intent_id in made)


async def test_a_charge_whose_answer_is_lost_is_an_outcome(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault(after=True, silence="close"), path="/topup")
    async with (
        client_of(billing_emulator) as client,
        client.send_many([TOPUP], allow_charges=True) as outcomes,
    ):
        [outcome] = [outcome async for outcome in outcomes]
    assert isinstance(outcome.error, TopupOutcomeUnknownError)
    assert len(billing_emulator.charges) == 1


# A fault while charges are in flight: they end, and are handed over, before it is raised.


@attrs.define
class Read:
    """The outcomes that a reader of `send_many` got."""

    outcomes: list[Any]
    error: BaseException | None
    unread: tuple[Any, ...]
    unsent: tuple[Any, ...]


def read_all(client: Any, requests: Any, **options: Any) -> Any:
    """Read with either client until there is no more, or an error."""
    options = {"concurrency": 30, "allow_charges": True, **options}
    if isinstance(client, Cloudflare):
        return _read_all(client, _one_by_one(requests), **options)
    return _read_all_async(client, _bit_by_bit(requests), **options)


async def _bit_by_bit(requests: Iterable[T | None]) -> AsyncIterator[T]:
    """Each request has time to be sent before the next is read; `None`: there is none yet."""
    for request in requests:
        if request is not None:
            yield request
        await asyncio.sleep(0.01)


def _one_by_one(requests: Iterable[T | None]) -> Iterator[T]:
    for request in requests:
        if request is not None:
            yield request
        else:
            time.sleep(0.01)


def _read_all(client: Cloudflare, requests: Any, **options: Any) -> Read:
    found: list[Any] = []
    outcomes = client.send_many(requests, **options)
    error: BaseException | None = None
    try:
        with outcomes:
            found.extend(outcomes)
    except Exception as caught:
        error = caught
    return Read(found, error, outcomes.unread, outcomes.unsent)


async def _read_all_async(client: AsyncCloudflare, requests: Any, **options: Any) -> Read:
    found: list[Any] = []
    outcomes = client.send_many(requests, **options)
    error: BaseException | None = None
    try:
        async with outcomes:
            async for outcome in outcomes:
                found.append(outcome)
    except Exception as caught:
        error = caught
    return Read(found, error, outcomes.unread, outcomes.unsent)


def slow_charges(emulator: Emulator, number: int, delay: float = 0.5) -> list[TopupCreateParams]:
    """Charges that are made and answered so many seconds later."""
    emulator.inject(Fault(after=True, delay=delay), times=None, path="/topup")
    for index in range(number):
        emulator.add_account(f"{index}")
    return [TopupCreateParams(account_id=f"{i}", amount=1000 + i) for i in range(number)]


def accounts_of(items: Iterable[Any]) -> list[str]:
    return sorted(str(item.account_id) for item in items)


FAULTS: dict[str, tuple[Fault | None, type[Exception]]] = {
    "of the input": (None, OwnError),
    "a 401": (Fault(status=401, code=10000, delay=1), AuthenticationError),
    "another refusal of the credentials": (
        Fault(status=400, code=6003, delay=1),
        BadRequestError,
    ),
    "a charge's own 401": (Fault(status=401, code=10000, delay=1), AuthenticationError),
}


@pytest.mark.parametrize("why", FAULTS)
def test_charges_in_flight_end_before_a_fault_is_raised(
    why: str, run: Run, billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first answer eight calls are in flight; what waits behind them is not sent."""
    monkeypatch.setattr(many_calls, "HEAD_START", 0.01)
    fault, kind = FAULTS[why]
    refused: Params[Any] = BillingCreditBalanceParams(account_id="refused")
    if "charge" in why:
        refused = TopupCreateParams(account_id="refused", amount=1000)
    if fault is not None:
        billing_emulator.inject(fault, path=f"/refused/ai-gateway/billing/{_last_part(refused)}")
    charges = slow_charges(billing_emulator, 18, delay=2)
    entered, read_to_the_end = list[ManyCalls[Any]](), threading.Event()

    async def enter(calls: ManyCalls[Any]) -> None:
        entered.append(calls)
        await really_enter(calls)

    really_enter: Any = vars(ManyCalls)["enter"]
    monkeypatch.setattr(ManyCalls, "enter", enter)

    def it_is_over() -> bool:
        return entered[0]._fault is not None

    held(billing_emulator, monkeypatch, {1: read_to_the_end.is_set, 2: it_is_over})

    def requests() -> Iterator[Params[Any] | None]:
        if fault is not None:
            yield refused
        yield from charges
        while len(billing_emulator.requests) < FIRST_CALLS:
            yield None
        read_to_the_end.set()
        if fault is None:
            raise OwnError

    seen: Read = run(lambda client: read_all(client, requests()), **at(billing_emulator))
    assert isinstance(seen.error, kind)
    assert seen.unread == ()
    made = [outcome.request for outcome in seen.outcomes if outcome.error is None]
    assert accounts_of(made) == accounts_of(billing_emulator.charges)
    taken = [*charges] if fault is None else [refused, *charges]
    read = [outcome.request for outcome in seen.outcomes]
    assert accounts_of([*read, *seen.unsent]) == accounts_of(taken)
    assert len(seen.unsent) == len(taken) - FIRST_CALLS
    assert len(made) == FIRST_CALLS - (fault is not None)


def _last_part(request: Params[Any]) -> str:
    return "topup" if isinstance(request, TopupCreateParams) else "credit-balance"


def test_a_bad_row_after_the_credentials_were_accepted_cuts_no_charge_off(
    run: Run, billing_emulator: Emulator
) -> None:
    charges = slow_charges(billing_emulator, 18)

    def requests() -> Iterator[Params[Any]]:
        yield BillingCreditBalanceParams(account_id="0")
        yield from charges
        raise OwnError

    seen: Read = run(lambda client: read_all(client, requests()), **at(billing_emulator))
    assert isinstance(seen.error, OwnError)
    assert [outcome.error for outcome in seen.outcomes] == [None] * 19
    assert len(billing_emulator.charges) == 18
    assert (seen.unread, seen.unsent) == ((), ())


def test_an_answer_that_is_lost_is_handed_over_too(run: Run, billing_emulator: Emulator) -> None:
    path = "/accounts/2/ai-gateway/billing/topup"
    billing_emulator.inject(Fault(after=True, delay=0.5, silence="close"), path=path)
    charges = slow_charges(billing_emulator, 3)

    def requests() -> Iterator[Params[Any]]:
        yield from charges
        raise OwnError

    seen: Read = run(lambda client: read_all(client, requests()), **at(billing_emulator))
    assert isinstance(seen.error, OwnError)
    errors = {str(each.account_id): each.error for each in seen.outcomes}
    assert isinstance(errors.pop("2"), TopupOutcomeUnknownError)
    assert errors == {"0": None, "1": None}


@pytest.mark.parametrize("charge", [True, False])
def test_what_waits_to_be_repeated_ends_with_what_it_was_told(
    charge: bool, run: Run, billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent again, and not waited for."""
    monkeypatch.setattr(many_calls, "HEAD_START", 0.05)
    billing_emulator.inject(Fault.rate_limited(30))
    [request] = slow_charges(billing_emulator, 1)
    asked: Params[Any] = request if charge else BillingCreditBalanceParams(account_id="0")

    def requests(client: Any) -> Iterator[Params[Any] | None]:
        yield asked
        while not client.rate_limit.blocked:
            yield None
        raise OwnError

    started = time.monotonic()
    seen: Read = run(lambda client: read_all(client, requests(client)), **at(billing_emulator))
    assert time.monotonic() - started < 20
    assert isinstance(seen.error, OwnError)
    assert [type(outcome.error) for outcome in seen.outcomes] == [RateLimitError]
    assert len(billing_emulator.requests) == 1
    assert billing_emulator.charges == []


@pytest.mark.parametrize("sync", [True, False])
async def test_leaving_early_lists_what_was_not_sent(
    sync: bool, billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of the rate limit keeps all of them waiting; the block is left meanwhile."""
    monkeypatch.setattr(many_calls, "HEAD_START", 0.05)
    billing_emulator.inject(Fault.rate_limited(30), times=None)
    charges = slow_charges(billing_emulator, 6)

    def blocked(client: Any) -> bool:
        return bool(client.rate_limit.blocked)

    if sync:
        unsent = await asyncio.to_thread(_leave_sync, charges, blocked, at(billing_emulator))
    else:
        async with client_of(billing_emulator) as client:
            unsent = await _leave(charges, blocked, client)
    assert accounts_of(unsent) == accounts_of(charges)
    assert billing_emulator.charges == []


@pytest.mark.parametrize("sync", [True, False])
async def test_a_charge_that_is_cut_off_while_it_connects_was_not_sent(
    sync: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with a full backlog takes no more connections."""
    monkeypatch.setattr(many_calls, "HEAD_START", 0.05)
    connecting, tracing = threading.Event(), aiohttp.TraceConfig()

    async def connects(*_: object) -> None:
        connecting.set()

    def connects_now(_: Any) -> bool:
        return connecting.is_set()

    tracing.on_connection_create_start.append(connects)
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        where: Any = {"base_url": f"http://127.0.0.1:{full.getsockname()[1]}", "api_token": "t"}
        where["trace_configs"] = [tracing]
        if sync:
            unsent = await asyncio.to_thread(_leave_sync, [TOPUP], connects_now, where)
        else:
            async with AsyncCloudflare(**where) as client:
                unsent = await _leave([TOPUP], connects_now, client)
    assert unsent == (TOPUP,)


@pytest.mark.parametrize("how", ["break", "error", "cancellation", "input"])
async def test_every_charge_is_told_of_once_however_the_block_is_left(
    how: str, billing_emulator: Emulator
) -> None:
    for seed in range(8):
        chance = random.Random(seed)
        billing_emulator.clear_faults()
        billing_emulator.inject(Fault(after=True, delay=0.05), times=None, path="/topup")
        before, taken = len(billing_emulator.charges), list[TopupCreateParams]()
        async with client_of(billing_emulator) as client:
            client._executor.logins.fallback.accepted = chance.random() < 0.5
            requests = _taken(billing_emulator, seed, how, chance.randint(1, 25), taken)
            outcomes = client.send_many(
                requests, concurrency=chance.randint(1, 12), allow_charges=True
            )
            read: list[Any] = []
            with suppress(OwnError, TimeoutError, TopupOutcomeUnknownError):
                async with asyncio.timeout(
                    chance.random() * 0.3 if how == "cancellation" else None
                ):
                    await _read_some(outcomes, read, how, chance.randint(1, 10))
        told = [outcome.request for outcome in (*read, *outcomes.unread)] + [*outcomes.unsent]
        assert accounts_of(told) == accounts_of(taken), seed
        made = accounts_of(billing_emulator.charges[before:])
        assert not {*made} & {*accounts_of(outcomes.unsent)}, seed


async def _taken(
    emulator: Emulator, seed: int, how: str, number: int, taken: list[TopupCreateParams]
) -> AsyncIterator[TopupCreateParams]:
    for index in range(number if how == "input" else 1000):
        name = f"{seed}-{index}"
        emulator.add_account(name)
        request = TopupCreateParams(account_id=name, amount=1000)
        taken.append(request)
        yield request
        await asyncio.sleep(0)
    raise OwnError


async def _read_some(outcomes: Any, read: list[Any], how: str, number: int) -> None:
    async with outcomes:
        async for outcome in outcomes:
            read.append(outcome)
            if how == "break" and len(read) == number:
                break
            if how == "error" and len(read) == number:
                raise OwnError


async def _leave(
    charges: list[TopupCreateParams], moment: Callable[[Any], bool], client: AsyncCloudflare
) -> Any:
    """Leave the block at a moment after the last request was read."""
    left = list(charges)
    outcomes = client.send_many((left.pop(0) for _ in charges), allow_charges=True)
    async with outcomes:
        await until(lambda: not left and moment(client))
    return outcomes.unsent


def _leave_sync(
    charges: list[TopupCreateParams], moment: Callable[[Any], bool], where: dict[str, Any]
) -> Any:
    def requests() -> Iterator[TopupCreateParams]:
        yield from charges
        while not moment(client):
            time.sleep(0.005)
        raise KeyboardInterrupt

    with Cloudflare(**where) as client:
        outcomes = client.send_many(requests(), allow_charges=True)
        with suppress(KeyboardInterrupt), outcomes:
            list(outcomes)
        return outcomes.unsent


# The sync facade.


def test_the_sync_facade_has_the_same_with_plain_with_and_for(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("a")
    with sync_client_of(billing_emulator) as client, client.send_many(mix()) as outcomes:
        found = {outcome.request: outcome for outcome in outcomes}
    assert [found[request].error is None for request in mix()] == [True, True, True, False]


async def test_the_sync_facade_works_under_a_running_loop(billing_emulator: Emulator) -> None:
    with sync_client_of(billing_emulator) as client, client.send_many(asks(3)) as outcomes:
        assert isinstance(next(outcomes).error, NotFoundError)


def test_the_sync_facade_takes_no_async_input(billing_emulator: Emulator) -> None:
    requests: Any = CountingAsync()
    with sync_client_of(billing_emulator) as client, pytest.raises(TypeError, match="requests"):
        client.send_many(requests)


@pytest.mark.parametrize("way", ["break", "error", "input", "charge"])
def test_leaving_the_sync_facade_early_leaves_nothing(way: str, billing_emulator: Emulator) -> None:
    def requests() -> Iterator[Params[Any]]:
        yield from asks(30)
        if way == "input":
            raise OwnError
        if way == "charge":
            yield TOPUP
        yield from asks()

    def leave(client: Cloudflare) -> None:
        with client.send_many(requests(), concurrency=4) as outcomes:
            for index, _ in enumerate(outcomes):
                if index == 10 and way == "break":
                    break
                if index == 10 and way == "error":
                    raise OwnError

    expected = {"break": None, "charge": ValueError}.get(way, OwnError)
    with sync_client_of(billing_emulator) as client:
        with nullcontext() if expected is None else pytest.raises(expected):
            leave(client)
        executor = client._executor.inner
        assert executor.logins.fallback.limiter.budget.in_flight == 0

        async def left() -> int:
            return len(asyncio.all_tasks()) - 1

        before = client._executor.portal.call(left)
        with pytest.raises(NotFoundError):
            client.send(BillingCreditBalanceParams(account_id="a"))
        assert client._executor.portal.call(left) == before <= 2, "the portal's own"


def test_the_sync_facade_tells_of_a_charge_in_flight(billing_emulator: Emulator) -> None:
    first, charge = hanging_charges(billing_emulator, 1)
    requests = [charge, first]

    def leave(client: Cloudflare) -> None:
        client.send(first)
        billing_emulator.requests.clear()
        with client.send_many(requests, allow_charges=True) as outcomes:
            next(outcomes)
            asyncio.run(until(lambda: len(billing_emulator.requests) == 2))

    with sync_client_of(billing_emulator) as client, pytest.raises(TopupOutcomeUnknownError):
        leave(client)


def test_the_input_of_the_sync_facade_may_use_the_client(billing_emulator: Emulator) -> None:
    """As users write it: a request for each account of `client.accounts.list()`."""
    for params in asks(3):
        billing_emulator.add_account(str(params.account_id))
    with sync_client_of(billing_emulator) as client:
        requests = (
            BillingCreditBalanceParams(account_id=account.id) for account in client.accounts.list()
        )
        with client.send_many(requests) as outcomes:
            assert len([outcome.unwrap() for outcome in outcomes]) == 3


def test_the_sync_facade_reads_its_input_in_the_callers_thread(
    billing_emulator: Emulator,
) -> None:
    """A database cursor, for one, must not be used from another."""
    with sqlite3.connect(":memory:") as database, sync_client_of(billing_emulator) as client:
        database.execute("create table accounts (id)")
        database.executemany("insert into accounts values (?)", [(f"{i}",) for i in range(70)])
        rows = database.execute("select id from accounts")
        requests = (BillingCreditBalanceParams(account_id=name) for (name,) in rows)
        with client.send_many(requests, concurrency=7) as outcomes:
            found = {outcome.account_id for outcome in outcomes}
        assert len(found) == 70
    database.close()


def test_the_sync_facade_is_lazy_too(billing_emulator: Emulator) -> None:
    requests = Counting()
    with (
        sync_client_of(billing_emulator) as client,
        client.send_many(requests, concurrency=3) as outcomes,
    ):
        for taken in range(1, 20):
            next(outcomes)
            assert requests.read <= taken + 3


def test_an_error_of_the_input_can_be_caught_inside_the_block(billing_emulator: Emulator) -> None:
    """It comes after what was in flight, and again whenever there is nothing else to come."""

    def requests() -> Iterator[BillingCreditBalanceParams]:
        yield from asks(5)
        raise OwnError

    found: list[Any] = []
    with sync_client_of(billing_emulator) as client, client.send_many(requests()) as outcomes:
        for _ in range(2):
            with pytest.raises(OwnError):
                found.extend(outcomes)
    assert len(found) == 5


def test_input_that_takes_its_time_does_not_hold_up_other_threads(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("a")
    reading, called = threading.Event(), threading.Event()

    def slow() -> Iterator[BillingCreditBalanceParams]:
        for params in asks(3):
            reading.set()
            called.wait(60)
            yield params

    with sync_client_of(billing_emulator) as client:
        client.ai_gateway.billing.credit_balance(account_id="a")

        def read() -> None:
            with client.send_many(slow()) as outcomes:
                list(outcomes)
            ended.append("the sweep")

        ended: list[str] = []
        thread = threading.Thread(target=read)
        thread.start()
        reading.wait(60)
        client.ai_gateway.billing.credit_balance(account_id="a")
        ended.append("the call")
        called.set()
        thread.join()
    assert ended == ["the call", "the sweep"]


def test_a_sweep_and_other_calls_run_at_once_on_several_threads(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault(delay=0.2), path="/topup/limits")
    with sync_client_of(billing_emulator) as client:
        limits: list[TopupLimitsResponse] = []
        thread = threading.Thread(
            target=lambda: limits.append(client.ai_gateway.billing.topup.limits(account_id="a"))
        )
        thread.start()
        with client.send_many(asks(100)) as outcomes:
            assert len(list(outcomes)) == 100
        thread.join()
    assert len(limits) == 1


async def test_a_charge_that_a_hook_keeps_from_being_sent_is_unsent(
    billing_emulator: Emulator,
) -> None:
    """The error of the hook ends all calls; its charge is not forgotten."""

    async def fail(*_: object) -> None:
        raise OwnError

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(fail)
    billing_emulator.add_account("a")
    request = TopupCreateParams(account_id="a", amount=1000)
    async with billing_emulator.async_client(trace_configs=[tracing]) as client:
        outcomes = client.send_many([request], allow_charges=True)
        with suppress(OwnError):
            async with outcomes:
                async for _ in outcomes:
                    pass
    assert outcomes.unsent == (request,)
    assert billing_emulator.charges == []


def test_charges_in_flight_are_told_of_where_another_thread_closes_the_client(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault(after=True, delay=60), times=None, path="/topup")
    requests = [TopupCreateParams(account_id="a", amount=1000 + n) for n in range(3)]
    client = billing_emulator.client()
    client.ai_gateway.billing.credit_balance(account_id="a")  # else one call goes ahead
    outcomes = client.send_many(requests, allow_charges=True)

    def close() -> None:
        while len(billing_emulator.charges) < 3:
            time.sleep(0.005)
        client.close()

    def read() -> None:
        with outcomes:
            closer.start()
            next(outcomes)

    closer = threading.Thread(target=close, daemon=True)
    with pytest.raises(RuntimeError, match="closed") as caught:
        read()
    closer.join()
    assert len(outcomes.unread) == len(billing_emulator.charges) == 3
    assert len(caught.value.__notes__) == 3
