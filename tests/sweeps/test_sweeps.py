"""`credit_balances` and the rate limit, over HTTP: every account answered, the limit kept."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from faults.misbehaving import Peer, Server, http, send
from virtual import EmulatorClock

from cfaigw_billing import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AsyncCloudflare,
    AuthenticationError,
    BadRequestError,
    Cloudflare,
    CreditBalances,
    Money,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from cfaigw_billing._core.answer import BAD_CREDENTIALS
from cfaigw_billing._core.ratelimit import RateLimit
from cfaigw_billing._io import many_calls
from cfaigw_billing._io.clock import Clock
from cfaigw_billing._show.progress import Progress
from cfaigw_billing.testing import Emulator, Fault, RequestLimit

if TYPE_CHECKING:
    from conftest import Run

BALANCE = "/ai-gateway/billing/credit-balance"
SUCCESS = b'{"success": true, "result": {"balance": 1, "has_default_payment_method": false}}'


def at(emulator: Emulator, **options: Any) -> dict[str, Any]:
    """Options of a client of it, without a pace: these sweeps are to be as fast as they can."""
    where = {"base_url": emulator.base_url, "api_token": emulator.api_token}
    return {**where, "max_requests_per_second": None, **options}


def client_of(emulator: Emulator, **options: Any) -> AsyncCloudflare:
    return AsyncCloudflare(**{**at(emulator), **options})


NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


@asynccontextmanager
async def standing_still(
    limit: RequestLimit | None = None, **options: Any
) -> AsyncGenerator[tuple[Emulator, AsyncCloudflare]]:
    """An emulator and a client in a time that goes on when the client sleeps, and not else."""
    async with Emulator(at=NOW, limit=limit) as emulator, client_of(emulator, **options) as client:
        client._executor.clock = EmulatorClock(emulator)
        yield emulator, client


def add_accounts(emulator: Emulator, number: int) -> list[str]:
    """Accounts whose balance is their number, in cents."""
    names = [f"{index:04}" for index in range(number)]
    for index, name in enumerate(names):
        emulator.add_account(name, balance=float(index))
    return names


def asked(emulator: Emulator) -> Counter[str]:
    """How often each account was asked for its balance."""
    paths = (request.path for request in emulator.requests if request.path.endswith(BALANCE))
    return Counter(path.split("/")[2] for path in paths)


class Sweep(Protocol):
    """`credit_balances` of either client, run to its end."""

    def __call__(
        self,
        account_ids: Any,
        *,
        token: str | None = None,
        progress: Progress = False,
        **options: Any,
    ) -> CreditBalances: ...


def balances(client: Any, account_ids: Any = None, **options: Any) -> Any:
    return client.ai_gateway.billing.credit_balances(account_ids, **options)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call, which proves the credentials, is waited for however slow the machine is."""
    monkeypatch.setattr(many_calls, "HEAD_START", 60.0)


@pytest.fixture
def sweep(run: Run, billing_emulator: Emulator) -> Sweep:
    """`credit_balances` of either client."""

    def sweep(account_ids: Any, *, token: str | None = None, **options: Any) -> CreditBalances:
        where = at(billing_emulator) | ({"api_token": token} if token else {})
        found = run(lambda client: balances(client, account_ids, **options), **where)
        assert isinstance(found, CreditBalances)
        return found

    return sweep


# Inside the rate limit.


async def test_a_sweep_larger_than_the_quota_stays_inside_it() -> None:
    """Three windows, and a part of a fourth, each used but for a tenth."""
    calls = 3 * 108 + 60
    limit = RequestLimit(quota=120, window=300)
    async with standing_still(limit) as (emulator, client):
        names = add_accounts(emulator, calls)
        result = await balances(client, names)
        assert list(result) == names
        assert limit.refused <= 1
        assert len(emulator.requests) == calls + limit.refused


async def test_a_policy_under_another_name_gives_the_quota_and_the_reserve() -> None:
    """As in the service's reference: the count is "default", the policy "burst"."""
    told = {"Ratelimit": '"default";r=50;t=800', "Ratelimit-Policy": '"burst";q=100;w=800'}
    async with Emulator() as emulator, client_of(emulator) as client:
        names = add_accounts(emulator, 20)
        emulator.inject(Fault(headers=told), times=None)
        await client.ai_gateway.billing.credit_balance(account_id=names[0])
        limit = client.rate_limit
        assert (limit.remaining, limit.quota, limit.window) == (50, 100, 800)
        result = await balances(client, names, reserve=0.5)
        assert list(result.failed) == names
        assert len(emulator.requests) == 1, "the sweep leaves the 50 to others"


async def test_one_answer_without_a_limit_is_enough_for_a_sweep_to_go_at_full_speed() -> None:
    """The few calls at once are for the time before anything is known, the first answer too."""
    async with Emulator() as emulator, client_of(emulator) as client:
        names = add_accounts(emulator, 30)
        emulator.inject(Fault(), path=f"/{names[0]}{BALANCE}")
        emulator.inject(Fault(silence="hang"), times=None, path=BALANCE)
        sweep = asyncio.create_task(balances(client, names, concurrency=20))
        async with asyncio.timeout(30):
            while len(emulator.requests) < 1 + 20:  # noqa: ASYNC110  # it has no event for it
                await asyncio.sleep(0.01)
        sweep.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sweep


async def test_one_429_parks_all_callers_once() -> None:
    """All calls wait until the same time; no other call runs into a 429."""
    async with Emulator() as emulator, client_of(emulator, max_retries=1) as client:
        names = add_accounts(emulator, 200)
        await balances(client, names[:20])
        block = {"Retry-After": "0.4"}
        emulator.inject(Fault(status=429, headers=block))
        started = time.monotonic()
        emulator.requests.clear()
        result = await balances(client, names, concurrency=4)
        assert time.monotonic() - started > 0.4
        assert list(result) == names
        assert len(emulator.requests) == 201


@pytest.mark.parametrize("why", ["headers", "429"])
async def test_a_single_call_that_would_wait_too_long_fails_at_once_and_sends_nothing(
    why: str,
) -> None:
    async with Emulator(at=NOW, limit=RequestLimit(quota=3, window=1e6)) as emulator:
        emulator.add_account("a")
        if why == "429":
            emulator.limit = None
            emulator.inject(Fault(status=429, headers={"Retry-After": "5000"}))
        async with client_of(emulator) as client:
            ask = client.ai_gateway.billing.credit_balance
            if why == "429":
                with pytest.raises(RateLimitError):
                    await ask(account_id="a")
            else:
                for _ in range(3):
                    await ask(account_id="a")
            emulator.requests.clear()
            with pytest.raises(RateLimitError, match="not sent") as caught:
                await asyncio.wait_for(ask(account_id="a"), 30)
        assert emulator.requests == []
        assert caught.value.retry_after is not None
        assert 60 < caught.value.retry_after <= 1e6


async def test_a_sweep_waits_where_a_single_call_does_not() -> None:
    limit = RequestLimit(quota=10, window=60)
    async with standing_still(limit, max_retry_wait=0) as (emulator, client):
        names = add_accounts(emulator, 15)
        assert list(await balances(client, names)) == names
        calls = (client.ai_gateway.billing.credit_balance(account_id="0000") for _ in range(11))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert any(isinstance(answer, RateLimitError) for answer in answers)
    assert limit.refused == 0


async def test_a_sweep_waits_outside_the_time_of_its_calls() -> None:
    """`total_timeout` is for a call once it is its turn: a window is longer than any."""
    limit = RequestLimit(quota=6, window=60)
    async with standing_still(limit, total_timeout=30) as (emulator, client):
        names = add_accounts(emulator, 14)
        result = await balances(client, names)
        assert list(result) == names, result.failed
    assert limit.refused == 0


async def test_a_sweep_waits_for_a_429_outside_that_time_too() -> None:
    async with standing_still(total_timeout=30) as (emulator, client):
        names = add_accounts(emulator, 5)
        emulator.inject(Fault(status=429, headers={"Retry-After": "50"}))
        assert list(await balances(client, names)) == names
    assert len(emulator.requests) == 6


@pytest.mark.parametrize("header", ["Retry-After: 86400", 'Ratelimit: "default";r=0;t=86400'])
async def test_a_sweep_does_not_wait_for_days(header: str) -> None:
    """Every account that is not asked has an error that says why."""
    name, _, value = header.partition(": ")
    status = 429 if name == "Retry-After" else 200
    body = None if status == 429 else SUCCESS
    async with Emulator() as emulator, client_of(emulator) as client:
        names = add_accounts(emulator, 20)
        emulator.inject(Fault(status=status, body=body, headers={name: value}), times=None)
        async with asyncio.timeout(30):
            result = await balances(client, names)
        assert len(emulator.requests) < 10
    assert len(result) + len(result.failed) == 20
    assert len(result.failed) > 10
    assert {type(error) for error in result.failed.values()} == {RateLimitError}


class Recorded(Clock):
    """A clock that keeps for how long it was asked to sleep."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await super().sleep(seconds)


async def test_calls_that_a_429_parked_do_not_come_back_together() -> None:
    async with Emulator() as emulator, client_of(emulator, max_retry_wait=4) as client:
        emulator.add_account("a")
        client._executor.clock = clock = Recorded()
        ask = client.ai_gateway.billing.credit_balance
        await asyncio.gather(*(ask(account_id="a") for _ in range(30)))
        emulator.inject(Fault(status=429, headers={"Retry-After": "1.5"}), times=30)
        await asyncio.gather(*(ask(account_id="a") for _ in range(30)))
    parked = [seconds for seconds in clock.asked if seconds > 0.3]
    assert len(parked) == 30
    assert max(parked) - min(parked) > 0.02, "4 % of the wait is 60 ms"


async def test_a_call_behind_others_ends_with_its_total_timeout() -> None:
    """Also if it waits for one of their answers, which may come at any time."""
    async with Emulator() as emulator, client_of(emulator) as client:
        emulator.add_account("a")
        emulator.inject(Fault(headers={"Ratelimit": '"default";r=1;t=1000'}))
        await client.ai_gateway.billing.credit_balance(account_id="a")
        executor = client._executor
        await executor.logins.fallback.limiter.enter(
            executor.clock, reserve=None, patience=math.inf, deadline=math.inf
        )
        brief = client.with_options(total_timeout=0.3)
        with pytest.raises(RateLimitError, match="total_timeout"):
            async with asyncio.timeout(30):
                await brief.ai_gateway.billing.credit_balance(account_id="a")
        assert len(emulator.requests) == 1


async def test_calls_that_end_together_at_their_total_timeout_do_not_outlive_it() -> None:
    """Those that waited for the first ones get their places when no time is left."""
    async with Emulator() as emulator, client_of(emulator, total_timeout=0.3) as client:
        emulator.add_account("a")
        emulator.inject(Fault(silence="hang"), times=None)
        async with asyncio.timeout(30):
            results = await asyncio.gather(
                *(client.ai_gateway.billing.credit_balance(account_id="a") for _ in range(60)),
                return_exceptions=True,
            )
        assert all(isinstance(each, APITimeoutError | RateLimitError) for each in results)


async def test_the_client_shows_where_the_limit_stands() -> None:
    limit = RequestLimit(quota=30, window=1e4)
    async with Emulator(at=NOW, limit=limit) as emulator, client_of(emulator) as client:
        assert client.rate_limit == RateLimit(
            remaining=None, quota=None, window=None, resets_in=0, blocked=False
        )
        await balances(client, add_accounts(emulator, 7))
        state = client.rate_limit
        assert (state.remaining, state.quota, state.window) == (23, 30, 1e4)
        assert 0 < state.resets_in <= 1e4
        assert not state.blocked


async def test_a_limit_that_is_told_in_several_lines_is_read_whole() -> None:
    """As proxies forward it; the second line stops the next call."""
    lines = (
        'Ratelimit: "burst";r=90;t=1',
        'Ratelimit: "default";r=0;t=500',
        'Ratelimit-Policy: "burst";q=100;w=1',
        'Ratelimit-Policy: "default";q=1200;w=300',
    )
    with Server((Peer.request, send(http(SUCCESS, 200, *lines)))) as server:
        async with AsyncCloudflare(base_url=server.base_url, api_token="token") as client:
            ask = client.ai_gateway.billing.credit_balance
            await ask(account_id="a")
            assert (client.rate_limit.remaining, client.rate_limit.quota) == (0, 1200)
            with pytest.raises(RateLimitError, match="not sent"):
                await ask(account_id="a")
        assert len(server.requests) == 1


def test_the_sync_client_shows_it_too(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault(status=429, headers={"Retry-After": "500"}))
    with Cloudflare(**at(billing_emulator)) as client:
        with pytest.raises(RateLimitError):
            client.ai_gateway.billing.credit_balance(account_id="a")
        assert client.rate_limit.blocked
        assert 400 < client.rate_limit.resets_in <= 500


FORKED = """
import asyncio, os, sys
from cfaigw_billing import AsyncCloudflare
client = AsyncCloudflare(api_token="t")
limiter = client._executor.logins.fallback.limiter
asyncio.run(limiter.enter(client._executor.clock, reserve=None, patience=1, deadline=1e18))
assert limiter.budget.in_flight == 1
child = os.fork()
if not child:
    os._exit(limiter.budget.in_flight)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_does_not_wait_for_its_parents_calls() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=True, timeout=60)  # noqa: S603


async def test_what_another_client_takes_is_seen_in_the_servers_count() -> None:
    """They share nothing but the token, as two processes do; see test_ratelimit.py for many."""
    limit = RequestLimit(quota=60, window=300)
    async with standing_still(limit) as (emulator, one), client_of(emulator) as other:
        other._executor.clock = EmulatorClock(emulator)
        names = add_accounts(emulator, 50)
        assert list(await balances(one, names[:40])) == names[:40]
        began = emulator.now
        assert list(await balances(other, names)) == names
        assert emulator.now > began, "the 20 that were left are not enough"
    assert limit.refused == 0


# Every answer is kept.

FAILURES: tuple[tuple[Fault, type[Exception]], ...] = (
    (Fault(status=404), NotFoundError),
    (Fault(status=403), PermissionDeniedError),
    (Fault(silence="close"), APIConnectionError),
    (Fault(body=b'{"success": true, "result": {}}'), APIResponseValidationError),
    (Fault(status=429, headers={"Retry-After": "0"}), RateLimitError),
)


async def test_each_account_has_its_value_or_its_error() -> None:
    async with Emulator() as emulator, client_of(emulator, max_retries=0) as client:
        order = add_accounts(emulator, 500)[::-1]
        expected: dict[str, type[Exception]] = {}
        for index, name in enumerate(order[7::20]):
            fault, kind = FAILURES[index % len(FAILURES)]
            emulator.inject(fault, times=None, path=f"/{name}{BALANCE}")
            expected[name] = kind
        result = await balances(client, order)
        assert list(result) == [name for name in order if name not in expected]
        assert list(result.failed) == list(expected)
        assert (len(result), len(result.failed)) == (475, 25)
        for name, kind in expected.items():
            assert isinstance(result.failed[name], kind)
            assert f"/{name}/" in str(result.failed[name])
        assert all(answer.balance == float(name) for name, answer in result.items())


def test_duplicates_are_asked_once(sweep: Sweep, billing_emulator: Emulator) -> None:
    names = add_accounts(billing_emulator, 3)
    given = [*names[::-1], *names, names[1]]
    assert list(sweep(given)) == names[::-1]
    assert asked(billing_emulator) == dict.fromkeys(names, 1)


def test_none_means_every_account(sweep: Sweep, billing_emulator: Emulator) -> None:
    names = add_accounts(billing_emulator, 120)
    assert list(sweep(None)) == names
    assert len(billing_emulator.requests) == 120 + 3


def test_an_account_that_the_list_names_twice_is_asked_once(
    sweep: Sweep, billing_emulator: Emulator
) -> None:
    """This happens if accounts are added while the pages are read."""
    names = add_accounts(billing_emulator, 3)
    for rows, more in ((names[:2], "true"), (names[1:], "false")):
        page = ",".join(f'{{"id": "{name}", "name": "a"}}' for name in rows)
        body = f'{{"success": true, "result": [{page}], "result_info": {{"has_more": {more}}}}}'
        billing_emulator.inject(Fault(body=body.encode()), path="/accounts")
    done: list[int] = []
    assert list(sweep(None, progress=lambda count, _: done.append(count))) == names
    assert asked(billing_emulator)[names[1]] == 1
    assert done == [1, 2, 3]


@pytest.mark.parametrize("account_ids", [None, []])
def test_no_accounts_are_no_error(account_ids: list[str] | None, sweep: Sweep) -> None:
    result = sweep(account_ids)
    assert (dict(result), result.failed, result.total) == ({}, {}, Money(cents=0))


@pytest.mark.parametrize("listed", [True, False])
def test_wrong_credentials_are_found_out_once(
    listed: bool, sweep: Sweep, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 300)
    billing_emulator.api_token = "another"
    with pytest.raises(AuthenticationError):
        sweep(names if listed else None, token="wrong")
    assert 1 <= len(billing_emulator.requests) <= 2


@pytest.mark.parametrize("code", sorted(BAD_CREDENTIALS))
def test_wrong_credentials_may_have_another_status(
    code: int, sweep: Sweep, billing_emulator: Emulator
) -> None:
    body = f'{{"success": false, "errors": [{{"code": {code}, "message": "bad"}}]}}'.encode()
    billing_emulator.inject(Fault(status=400, body=body), times=None)
    with pytest.raises(BadRequestError, match=str(code)):
        sweep(add_accounts(billing_emulator, 300))
    assert len(billing_emulator.requests) == 1


def test_a_401_stays_with_its_account_once_another_was_accepted(
    sweep: Sweep, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 30)
    billing_emulator.inject(Fault(status=401, code=10000), path=f"/0007{BALANCE}")
    result = sweep(names)
    assert list(result.failed) == ["0007"]
    assert isinstance(result.failed["0007"], AuthenticationError)
    assert len(result) == 29
    assert result.missing == ()


async def test_credentials_that_are_revoked_meanwhile_lose_no_answer() -> None:
    """One cannot tell them from accounts that the credentials are not for."""
    async with Emulator() as emulator, client_of(emulator) as client:
        names = add_accounts(emulator, 100)

        def revoke(done: int, _: int | None) -> None:
            emulator.api_token = "another"

        result = await balances(client, names, concurrency=10, progress=revoke)
    assert 1 <= len(result) <= 12
    assert len(result.failed) == 100 - len(result)
    assert {type(error) for error in result.failed.values()} == {AuthenticationError}


def test_a_generator_over_the_sync_client_can_name_the_accounts(
    billing_emulator: Emulator,
) -> None:
    """As users write it: `credit_balances(a.id for a in client.accounts.list() if …)`."""
    names = add_accounts(billing_emulator, 4)
    with Cloudflare(**at(billing_emulator)) as client:
        account_ids = (account.id for account in client.accounts.list())
        assert list(balances(client, account_ids)) == names


# An error that ends a sweep has the answers so far.


def ended(
    run: Run, emulator: Emulator, kind: type[BaseException], account_ids: Any, **options: Any
) -> Any:
    """The error that a sweep of either client ends with."""
    with pytest.raises(kind) as caught:
        run(lambda client: balances(client, account_ids, **options), **at(emulator))
    return caught.value


def test_a_page_of_accounts_that_fails_keeps_what_was_answered(
    run: Run, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 120)

    def fail(done: int, _: int | None) -> None:
        if done == 1:
            billing_emulator.inject(Fault(status=403), path="/accounts")

    error = ended(run, billing_emulator, PermissionDeniedError, None, concurrency=10, progress=fail)
    found: CreditBalances = error.partial
    assert list(found) == names[:50]
    assert (found.missing, found.listed) == ((), False)
    assert found.names["0000"]
    assert "incomplete" in repr(found)
    assert "incomplete" in found._repr_html_()


def test_the_rest_of_a_page_is_missing_where_the_sweep_ends_within_it(
    run: Run, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 50)

    def fail(*_: object) -> None:
        raise LookupError("mine")

    error = ended(run, billing_emulator, LookupError, None, concurrency=3, progress=fail)
    assert sorted([*error.partial, *error.partial.missing]) == names
    assert error.partial.listed


def test_wrong_credentials_leave_every_account_to_be_asked(
    run: Run, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 5)
    billing_emulator.inject(Fault(status=401, code=10000))
    error = ended(run, billing_emulator, AuthenticationError, names)
    assert (dict(error.partial), error.partial.failed) == ({}, {})
    assert error.partial.missing == tuple(names)
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert copied.partial.missing == tuple(names)
    assert "5 missing" in repr(copied.partial)


def test_a_sweep_goes_on_with_the_accounts_that_are_missing(
    run: Run, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 40)

    def stop(done: int, _: int | None) -> None:
        if done == 15:
            raise LookupError

    def whole(client: Any) -> Any:
        return twice(client) if isinstance(client, AsyncCloudflare) else twice_sync(client)

    def twice_sync(client: Any) -> Any:
        with pytest.raises(LookupError) as caught:
            balances(client, names, concurrency=4, progress=stop)
        found: Any = getattr(caught.value, "partial")  # noqa: B009  # it has been put there
        return found, balances(client, found.missing)

    async def twice(client: Any) -> Any:
        with pytest.raises(LookupError) as caught:
            await balances(client, names, concurrency=4, progress=stop)
        found: Any = getattr(caught.value, "partial")  # noqa: B009  # it has been put there
        return found, await balances(client, found.missing)

    first, second = run(whole, **at(billing_emulator))
    assert len(first) >= 15
    assert sorted([*first, *second]) == names


async def test_a_time_limit_keeps_what_was_answered() -> None:
    async with Emulator() as emulator, client_of(emulator) as client:
        names = add_accounts(emulator, 30)
        emulator.inject(Fault(silence="hang"), path=f"/0012{BALANCE}")

        async def limited() -> None:
            async with asyncio.timeout(None) as limit:

                def end(done: int, _: int | None) -> None:
                    if done == 29:
                        limit.reschedule(asyncio.get_running_loop().time())

                await balances(client, names, progress=end)

        with pytest.raises(TimeoutError) as caught:
            await limited()
    cancelled: Any = caught.value.__cause__
    assert len(cancelled.partial) == 29
    assert cancelled.partial.missing == ("0012",)
    assert "partial" in cancelled.__notes__[-1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals")
@pytest.mark.parametrize("where", ["while it waits", "in the caller's code"])
def test_ctrl_c_keeps_what_was_answered(where: str, billing_emulator: Emulator) -> None:
    names = add_accounts(billing_emulator, 30)
    billing_emulator.inject(Fault(silence="hang"), path=f"/0012{BALANCE}")

    def interrupt(done: int, _: int | None) -> None:
        if done == 29 and where == "while it waits":
            signal.setitimer(signal.ITIMER_REAL, 0.2)
        elif done == 29:
            signal.raise_signal(signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with (
            Cloudflare(**at(billing_emulator)) as client,
            pytest.raises(KeyboardInterrupt) as caught,
        ):
            balances(client, names, progress=interrupt)
    finally:
        signal.signal(signal.SIGALRM, before)
    interrupted: Any = caught.value
    assert len(interrupted.partial) == 29
    assert interrupted.partial.missing == ("0012",)
    assert any("partial" in note for note in interrupted.__notes__)


# A block of the rate limit that is not lifted.


@pytest.mark.parametrize("max_retries", [0, 2])
@pytest.mark.parametrize("answered", [0, 20])
def test_a_block_that_is_there_again_after_a_full_wait_ends_the_sweep(
    answered: int, max_retries: int, run: Run, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 300)

    def block(done: int = 0, _: int | None = None) -> None:
        if done == answered:
            billing_emulator.inject(Fault.rate_limited(0.4), times=None)

    block()
    with pytest.raises(RateLimitError, match="even after the full wait") as caught:
        run(
            lambda client: balances(client, names, concurrency=20, progress=block),
            **at(billing_emulator, max_retries=max_retries),
        )
    found: CreditBalances = caught.value.partial
    assert answered <= len(found) <= answered + 20
    assert {type(error) for error in found.failed.values()} == {RateLimitError}
    assert sorted([*found, *found.failed, *found.missing]) == names
    assert len(found.missing) > 200
    assert len(billing_emulator.requests) < len(found) + 60
    assert caught.value.retry_after == 0.4


class Leaping(Clock):
    """A clock whose sleeps take no time."""

    elapsed = 0.0

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        await asyncio.sleep(0)


BLOCKS = {
    "Retry-After": Fault.rate_limited(300),
    "Ratelimit": Fault(
        status=429,
        headers={
            "Ratelimit": '"default";r=0;t=300',
            "Ratelimit-Policy": '"default";q=1200;w=300',
        },
    ),
}


@pytest.mark.parametrize("told", BLOCKS)
async def test_a_sweep_into_a_lasting_block_ends_after_one_full_wait(told: str) -> None:
    async with Emulator() as emulator, client_of(emulator) as client:
        emulator.inject(BLOCKS[told], times=None)
        client._executor.clock = clock = Leaping()
        with pytest.raises(RateLimitError, match="even after the full wait"):
            await balances(client, add_accounts(emulator, 100))
    assert 300 <= clock.elapsed < 600
    assert len(emulator.requests) <= 60


def test_a_block_that_is_lifted_now_and_then_does_not_end_the_sweep(
    sweep: Sweep, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 60)

    def block(done: int, _: int | None) -> None:
        if done in (10, 25, 40):
            billing_emulator.inject(Fault.rate_limited(0.2))

    assert list(sweep(names, concurrency=3, progress=block)) == names


# Arguments.

REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "a str": ("0000", {}, TypeError, "account_ids"),
    "an id that is none": (["0000", "a/b"], {}, ValueError, "account_id"),
    "an empty id": (["0000", ""], {}, ValueError, "account_id"),
    "a number": (["0000", 7], {}, TypeError, "account_id"),
    "no concurrency": (["0000"], {"concurrency": 0}, ValueError, "concurrency"),
    "a concurrency of text": (["0000"], {"concurrency": "2"}, TypeError, "concurrency"),
    "all in reserve": (["0000"], {"reserve": 1}, ValueError, "reserve"),
    "a negative reserve": (["0000"], {"reserve": -0.1}, ValueError, "reserve"),
    "a reserve that is no number": (["0000"], {"reserve": "1"}, TypeError, "`reserve`"),
    "a reserve of nan": (["0000"], {"reserve": math.nan}, ValueError, "reserve"),
    "a bar without tqdm": (["0000"], {"progress": True}, ImportError, "notebook"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    case: str, sweep: Sweep, billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    add_accounts(billing_emulator, 1)
    account_ids, options, kind, name = REFUSED[case]
    with pytest.raises(kind, match=name):
        sweep(account_ids, **options)
    assert billing_emulator.requests == []


# Progress.


@pytest.mark.parametrize("listed", [True, False])
def test_progress_is_called_with_what_is_done_and_all(
    listed: bool, sweep: Sweep, billing_emulator: Emulator
) -> None:
    names = add_accounts(billing_emulator, 6)
    billing_emulator.inject(Fault(status=404), path=f"/0003{BALANCE}")
    seen: list[tuple[int, int | None]] = []
    sweep(names if listed else None, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6 if listed else None) for done in range(1, 7)]


def test_an_error_of_progress_arrives_as_it_is(sweep: Sweep, billing_emulator: Emulator) -> None:
    names = add_accounts(billing_emulator, 300)

    def fail(*_: object) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        sweep(names, progress=fail)
    assert len(billing_emulator.requests) < 200


class Bar:
    """The used part of tqdm's bar."""

    made: list[Bar]

    def __init__(self, *, total: int | None, **_: object) -> None:
        self.total, self.n, self.closed = total, 0, False
        self.made.append(self)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def update(self, n: int) -> None:
        self.n += n


def test_progress_true_shows_the_bar_of_tqdm(
    sweep: Sweep, billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tqdm: Any = ModuleType("tqdm.auto")
    tqdm.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", tqdm)
    monkeypatch.setattr(Bar, "made", [], raising=False)
    sweep(add_accounts(billing_emulator, 6), progress=True)
    [bar] = Bar.made
    assert (bar.total, bar.n, bar.closed) == (6, 6, True)


# Results.


@pytest.fixture
def result(sweep: Sweep, billing_emulator: Emulator) -> CreditBalances:
    """-$1.00, $0.00, $6.40 and $10.00, and an account that fails."""
    for name, balance in {"c": 640.19, "a": -100, "d": 1000, "b": 0}.items():
        billing_emulator.add_account(name, balance=balance)
    found = sweep(["c", "x", "a", "d", "b"])
    assert isinstance(found, CreditBalances)
    return found


def test_the_total_is_that_of_what_was_answered(result: CreditBalances) -> None:
    assert result.total == Money(cents="1540.19")
    assert CreditBalances({}, {}).total == Money(cents=0)


@pytest.mark.parametrize(
    ("cents", "names"), [(-100, ""), (0, "a"), (1, "ab"), (641, "cab"), (1001, "cadb")]
)
def test_below_is_less_than_and_in_order(cents: int, names: str, result: CreditBalances) -> None:
    assert list(result.below(Money(cents=cents))) == list(names)


def test_below_takes_money_alone(result: CreditBalances) -> None:
    with pytest.raises(TypeError, match="`threshold` must be Money, not int"):
        result.below(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_it_is_a_mapping_of_the_accounts_that_answered(result: CreditBalances) -> None:
    assert list(result) == ["c", "a", "d", "b"]
    assert result["c"].balance == 640.19
    assert "x" not in result
    with pytest.raises(NotFoundError, match="/x/") as caught:
        result["x"]
    assert caught.value is result.failed["x"]


def test_records_are_flat_and_hold_every_account(result: CreditBalances) -> None:
    records = result.to_records()
    balances = {record["account_id"]: record["balance"] for record in records}
    assert balances == {"c": 640.19, "a": -100, "d": 1000, "b": 0, "x": None}
    assert len({frozenset(record) for record in records}) == 1, "all have the same fields"
    errors = {record["account_id"]: record["error"] for record in records}
    assert errors == dict.fromkeys("cadb") | {"x": str(result.failed["x"])}


def test_the_repr_says_what_matters_in_one_line(result: CreditBalances) -> None:
    assert repr(result) == "<CreditBalances: 4 accounts, 1 failed, $15.40>"


def test_the_result_pickles(result: CreditBalances) -> None:
    copied = pickle.loads(pickle.dumps(result))  # noqa: S301  # our own
    assert dict(copied) == dict(result)
    assert str(copied.failed["x"]) == str(result.failed["x"])


def test_a_listed_account_with_an_odd_id_fails_by_itself(run: Run) -> None:
    with Emulator() as emulator:
        for name in ("a1", "b/c", "a2"):
            emulator.add_account(name, balance=100)
        balances = run(lambda client: client.ai_gateway.billing.credit_balances(), **at(emulator))
    assert set(balances) == {"a1", "a2"}
    assert "account_id" in str(balances.failed["b/c"])
    assert balances.missing == ()
