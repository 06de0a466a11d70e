"""The places of a sweep whose accounts have tokens of their own, in virtual time."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

import attrs
import pytest
from multidict import CIMultiDict
from transports import BALANCE, FakeTransport
from virtual import VirtualClock, virtually

from cfaigw_billing import (
    APITokens,
    AsyncCloudflare,
    AsyncOutcomes,
    AuthenticationError,
    InternalServerError,
    Outcome,
    RateLimitError,
)
from cfaigw_billing._wire.messages import HTTPRequest, HTTPResponse
from cfaigw_billing.testing import RequestLimit
from cfaigw_billing.types import BillingCreditBalanceParams

WINDOW = 10.0


@attrs.define(eq=False)
class TokenService(FakeTransport):
    """Counts the requests of each token for itself. Accounts have the token that is their id."""

    quota: int = 1000
    blocked: set[str] = attrs.field(factory=set[str])
    """Tokens that are refused for a second, again and again."""
    revoked: set[str] = attrs.field(factory=set[str])
    down: set[str] = attrs.field(factory=set[str])
    """Tokens with which the service fails."""
    limits: dict[str, RequestLimit] = attrs.field(factory=dict[str, RequestLimit])
    refused: int = 0

    async def send(self, request: HTTPRequest, *_: object, **__: object) -> HTTPResponse:
        await super().send(request)
        token = request.headers["Authorization"].removeprefix("Bearer ")
        now = asyncio.get_running_loop().time()
        limit = self.limits.setdefault(token, RequestLimit(quota=self.quota, window=WINDOW))
        status, headers = self._status(token, limit.take(now)), limit.headers(now)
        if token in self.blocked:
            status, headers = 429, {"Retry-After": "1"}
        self.refused += status == 429
        body = json.dumps({"success": False, "errors": []}).encode()
        return HTTPResponse(
            status_code=status,
            headers=CIMultiDict({"Content-Type": "application/json", **headers}),
            body=BALANCE if status == 200 else body,
        )

    def _status(self, token: str, is_within_the_limit: bool) -> int:
        if not is_within_the_limit:
            return 429
        return 401 if token in self.revoked else 503 if token in self.down else 200


def client_of(service: TokenService, tokens: APITokens, **options: Any) -> AsyncCloudflare:
    client = AsyncCloudflare(api_tokens=tokens, max_requests_per_second=None, **options)
    executor: Any = client._executor
    executor._transport, executor.clock = service, VirtualClock(7)
    return client


def asks(accounts: Iterable[str]) -> list[BillingCreditBalanceParams]:
    return [BillingCreditBalanceParams(account_id=account) for account in accounts]


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_a_call_that_has_given_its_place_away_gets_one_after_the_last_request(
    concurrency: int,
) -> None:
    async def main() -> None:
        service = TokenService(latency=0.1, quota=3)
        client = client_of(service, dict.fromkeys("abcdefgh", "x"))
        async with client.send_many(asks("abcdefgh"), concurrency=concurrency) as outcomes:
            found = {str(outcome.account_id) async for outcome in outcomes}
        assert found == set("abcdefgh")
        assert service.refused == 0

    virtually(main())


def test_calls_that_end_without_a_place_make_no_more_of_them() -> None:
    async def main() -> None:
        service = TokenService(latency=0.1, blocked={"x"})
        bad, good = [f"bad-{number}" for number in range(9)], [f"{n}" for n in range(60)]
        tokens = dict.fromkeys(bad, "x") | {name: name for name in good}
        client = client_of(service, tokens)
        failed: list[str] = []
        async with client.send_many(asks([*bad, *good]), concurrency=3) as outcomes:
            async for outcome in outcomes:
                if outcome.error is not None:
                    assert isinstance(outcome.error, RateLimitError)
                    failed.append(str(outcome.account_id))
        assert sorted(failed) == bad
        assert service.most_in_flight == 3

    virtually(main())


def test_an_outcome_that_is_put_back_keeps_its_place() -> None:
    async def main() -> None:
        service = TokenService(latency=0.1)
        client = client_of(service, {f"{n}": f"{n}" for n in range(20)})
        async with client.send_many(asks(f"{n}" for n in range(20)), concurrency=2) as outcomes:
            for _ in range(3):  # as Ctrl-C does it
                outcomes._calls.put_back(await anext(outcomes))
            assert len([outcome async for outcome in outcomes]) == 20
        assert service.most_in_flight == 2

    virtually(main())


def test_a_request_that_waits_for_its_place_is_unsent_where_the_block_is_left() -> None:
    async def main() -> None:
        service = TokenService(latency=0.1, quota=1)
        client = client_of(service, {"a": "x", "b": "x", "c": "c", "d": "d"})
        taken: list[str] = []

        def requests() -> Iterable[BillingCreditBalanceParams]:
            for each in asks("abcd"):
                taken.append(str(each.account_id))
                yield each

        async with client.send_many(requests(), concurrency=1) as outcomes:
            assert (await anext(outcomes)).account_id == "a"
            await asyncio.sleep(WINDOW * 2)  # `c` has ended and is not read: `b` has no place
        ended = [str(outcome.account_id) for outcome in outcomes.unread]
        unsent = [str(attrs.asdict(request)["account_id"]) for request in outcomes.unsent]
        assert sorted(["a", *ended, *unsent]) == taken
        assert "b" in unsent

    virtually(main())


async def steps(task: asyncio.Task[Any], number: int) -> None:
    for _ in range(number):
        if not task.done():
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(40))
def test_wherever_a_sweep_is_cancelled_nothing_is_left_and_nothing_sent_after(seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        service = TokenService(latency=0.1, quota=3, blocked={"y"})
        accounts = [f"{chance.choice('xyz')}{number}" for number in range(40)]

        async def vault(account_id: str) -> str:
            await asyncio.sleep(chance.choice([0, 0, 0.05]))
            return account_id[0]

        client = client_of(service, vault)
        concurrency = chance.randint(1, 6)

        async def sweep() -> None:
            async with client.send_many(asks(accounts), concurrency=concurrency) as outcomes:
                async for _ in outcomes:
                    await asyncio.sleep(chance.choice([0, 0.01]))

        task = asyncio.create_task(sweep())
        await asyncio.sleep(chance.choice([0, 0.05, 0.1, 0.5, 3, WINDOW, WINDOW * 1.01]))
        await steps(task, chance.randint(0, 40))
        task.cancel()
        await asyncio.wait([task])
        sent = service.sent
        assert service.in_flight == 0
        assert len(asyncio.all_tasks()) == 1
        logins = client._executor.logins
        assert not any(login.limiter.budget.in_flight for _, login in logins.used())
        assert logins._asking == {}
        await asyncio.sleep(100)
        assert service.sent == sent

    virtually(main())


@pytest.mark.parametrize("seed", range(20))
def test_every_call_of_a_sweep_ends_once_within_its_places_and_limits(seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        service = TokenService(latency=0.1, quota=chance.randint(6, 12), blocked={"y"})
        accounts = [f"{chance.choice('vwxyz')}{number}" for number in range(60)]
        client = client_of(service, {name: name[0] for name in accounts})
        concurrency = chance.randint(1, 6)

        async def requests() -> AsyncIterator[BillingCreditBalanceParams]:
            for each in asks(accounts):
                await asyncio.sleep(chance.choice([0, 0, 0.2, 3]))
                yield each

        found: dict[str, list[Exception | None]] = defaultdict(list)
        async with client.send_many(requests(), concurrency=concurrency) as outcomes:
            async for outcome in outcomes:
                found[str(outcome.account_id)].append(outcome.error)
                await asyncio.sleep(chance.choice([0, 0, 0.5]))
        assert sorted(found) == sorted(accounts)
        for name, errors in found.items():
            (error,) = errors
            assert isinstance(error, RateLimitError) == (name[0] == "y")
        assert service.most_in_flight <= concurrency
        assert sum(limit.refused for limit in service.limits.values()) == 0

    virtually(main())


# The end of a sweep.


async def read(outcomes: AsyncOutcomes[Any]) -> list[Outcome[Any]]:
    return [outcome async for outcome in outcomes]


def test_a_refused_token_beside_one_that_the_service_fails_with_is_no_end_of_all() -> None:
    async def main() -> None:
        service = TokenService(revoked={"a"}, down={"b"})
        client = client_of(service, {"a": "a", "b": "b"}, max_retries=0)
        balances = await client.ai_gateway.billing.credit_balances(["a", "b"])
        assert {name: type(error) for name, error in balances.failed.items()} == {
            "a": AuthenticationError,
            "b": InternalServerError,
        }

    virtually(main())


@pytest.mark.parametrize("again", [False, True])
def test_the_end_of_a_sweep_does_not_wait_for_a_function_of_tokens(again: bool) -> None:
    async def main() -> None:
        service = TokenService(revoked={"a"} if again else set())
        asked: list[str] = []

        async def vault(account_id: str) -> str:
            asked.append(account_id)
            if len(asked) > again:
                await asyncio.get_running_loop().create_future()
            return account_id

        async def requests() -> AsyncIterator[BillingCreditBalanceParams]:
            yield asks("a")[0]
            await asyncio.sleep(1)
            raise LookupError

        async with client_of(service, vault).send_many(requests()) as outcomes:
            with pytest.raises(LookupError):
                await asyncio.wait_for(read(outcomes), 100)
        assert len(asked) == 1 + again

    virtually(main())
