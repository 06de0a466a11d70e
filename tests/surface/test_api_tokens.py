"""`api_tokens`: the token of a call is a function of its account."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import Mock
from urllib.parse import unquote

import anyio
import pytest

from cfaigw_billing import (
    APITokens,
    AsyncCloudflare,
    AuthenticationError,
    Cloudflare,
    CloudflareError,
    Money,
    NotFoundError,
    PermissionDeniedError,
)
from cfaigw_billing.journal import SQLiteJournal
from cfaigw_billing.testing import Emulator, Fault, RequestLimit

ALL = "emulator-token"
"""The token that opens every account."""


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    """`a` and `b` have tokens of their own, `c` has none."""
    billing_emulator.add_account("a", balance=1, api_token="token-of-a")
    billing_emulator.add_account("b", balance=2, api_token="token-of-b")
    billing_emulator.add_account("c", balance=3)
    return billing_emulator


def used(emulator: Emulator) -> list[tuple[str, str | None]]:
    """The account and the token of each request."""
    return [
        (unquote(re.sub("/accounts/?([^/]*).*", r"\1", request.path)), request.api_token)
        for request in emulator.requests
    ]


async def balance(client: AsyncCloudflare, account_id: str) -> float:
    answer = await client.ai_gateway.billing.credit_balance(account_id=account_id)
    return answer.balance


# Which token a call has.


async def test_each_account_is_asked_with_its_token_and_others_with_the_fallback(
    emulator: Emulator,
) -> None:
    tokens = emulator.api_tokens
    async with emulator.async_client(api_tokens=tokens, api_token=ALL) as client:
        assert [await balance(client, name) for name in "abc"] == [1, 2, 3]
        for name in ("a", "%62"):
            await client.get(f"/accounts/{name}/ai-gateway/billing/credit-balance", cast_to=dict)
        assert [account.id async for account in client.accounts.list()] == ["a", "b", "c"]
    owned = [("a", "token-of-a"), ("b", "token-of-b")]
    assert used(emulator)[:2] == owned
    assert used(emulator)[2:5] == [("c", ALL), *owned]
    assert used(emulator)[5] == ("", ALL)


def test_the_sync_client_has_them_too(emulator: Emulator) -> None:
    with emulator.client(api_tokens=emulator.api_tokens, account_id="b") as client:
        assert client.ai_gateway.billing.credit_balance().balance == 2
        assert client.ai_gateway.billing.topup.limits(account_id="a").currency == "usd"
        assert list(client.rate_limits) == ["b", "a"]
    assert used(emulator) == [("b", "token-of-b"), ("a", "token-of-a")]


async def test_the_mapping_is_copied(emulator: Emulator) -> None:
    tokens = emulator.api_tokens
    async with emulator.async_client(api_tokens=tokens) as client:
        tokens["a"] = "another"
        assert await balance(client, "a") == 1


async def test_tokens_of_accounts_replace_the_environment(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", ALL)
    async with AsyncCloudflare(
        base_url=emulator.base_url, api_tokens=emulator.api_tokens
    ) as client:
        with pytest.raises(CloudflareError) as caught:
            await balance(client, "c")
    assert str(caught.value) == (
        "no token for the account 'c': `api_tokens` has none, and `api_token`, for "
        "accounts without one, is not set"
    )
    async with AsyncCloudflare(base_url=emulator.base_url, api_tokens={}) as client:
        assert await balance(client, "c") == 3


async def test_without_a_fallback_accounts_cannot_be_listed(emulator: Emulator) -> None:
    async with emulator.async_client(api_tokens=emulator.api_tokens) as client:
        with pytest.raises(CloudflareError, match="listing accounts, needs `api_token` too"):
            await client.accounts.list()
    assert emulator.requests == []


async def test_a_function_alone_does_not_say_which_accounts_there_are(emulator: Emulator) -> None:
    async with emulator.async_client(api_tokens=emulator.api_tokens.get) as client:
        billing = client.ai_gateway.billing
        with pytest.raises(CloudflareError, match="listing accounts, needs `api_token` too"):
            await billing.credit_balances()
        async with billing.watch() as watch:
            with pytest.raises(CloudflareError, match="listing accounts, needs `api_token` too"):
                await anext(aiter(watch))
        assert (await billing.credit_balances(["a", "b"])).total == Money(cents=3)


async def test_options_replace_keep_and_take_away(emulator: Emulator) -> None:
    async with emulator.async_client(api_tokens={"a": "token-of-a"}, api_token=ALL) as client:
        copies = [
            client.with_options(api_tokens={"b": "token-of-b"}),
            client.with_options(api_tokens=None, timeout=5),
            client.with_options(api_tokens={}),
            client.with_options(api_token="another"),
        ]
        for copy in copies:
            await balance(copy, "a")
    assert used(emulator) == [("a", ALL), ("a", "token-of-a"), ("a", ALL), ("a", "token-of-a")]


async def test_a_refused_token_is_never_replaced_by_the_fallback(emulator: Emulator) -> None:
    async with emulator.async_client(
        api_tokens={"a": "wrong", "b": "token-of-a"}, api_token=ALL
    ) as client:
        with pytest.raises(AuthenticationError):
            await balance(client, "a")
        with pytest.raises(PermissionDeniedError):
            await balance(client, "b")
        with pytest.raises(AuthenticationError):
            await client.ai_gateway.billing.topup.create(account_id="a", amount=1000)
    assert {token for _, token in used(emulator)} == {"wrong", "token-of-a"}
    assert emulator.charges == []


async def test_a_charge_and_what_looks_for_it_use_the_token_of_the_account(
    emulator: Emulator, tmp_path: Any
) -> None:
    journal = SQLiteJournal(tmp_path / "topups.sqlite3")
    async with emulator.async_client(api_tokens=emulator.api_tokens, journal=journal) as client:
        topup = client.ai_gateway.billing.topup
        await topup.create_and_wait(account_id="b", amount=1000, idempotency_key="order-1")
        await topup.create(account_id="b", amount=1000, idempotency_key="order-1")
    assert len(emulator.charges) == 1
    assert set(used(emulator)) == {("b", "token-of-b")}


# Bad arguments.


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ("token", TypeError, "must be a mapping of account ids to tokens, or a function that"),
        (["token"], TypeError, "not list"),
        ({"a": 5}, TypeError, "the token of entry 1 of `api_tokens` must be a str, not int"),
        ({"a": "fine", "b": ""}, ValueError, "the token of entry 2 of `api_tokens` is missing"),
        ({"a": None}, ValueError, "the token of entry 1 of `api_tokens` is missing"),
        ({"a": "Bearer t0ken-SECRET"}, ValueError, "remove the word `Bearer`"),
        ({"t0ken SECRET": "a"}, ValueError, "the key of entry 1 .* is not an account id"),
        ({5: "t0ken-SECRET"}, ValueError, "the key of entry 1 .* is not an account id"),
        (
            {"t0ken-SECRET": "0123456789abcdef" * 2},
            ValueError,
            "entry 1 of `api_tokens` has the account id in the place of the token",
        ),
    ],
)
@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_wrong_tokens_are_refused_without_being_shown(
    cls: Any, tokens: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        cls(api_tokens=tokens)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(error, match=message):
        cls(api_token="t").with_options(api_tokens=tokens)


def test_default_headers_must_not_replace_the_tokens() -> None:
    with pytest.raises(ValueError, match="`default_headers` must not authenticate if"):
        Cloudflare(api_tokens={"a": "t"}, default_headers={"authorization": "Bearer x"})


# A function of tokens.


class Vault:
    """An async function of tokens that counts how often it is asked."""

    def __init__(self, tokens: dict[str, Any]) -> None:
        self.tokens = tokens
        self.asked: list[str] = []
        self.before: Callable[[], Any] = asyncio.Event().set

    async def __call__(self, account_id: str) -> str | None:
        self.asked.append(account_id)
        self.before()
        await asyncio.sleep(0)
        token: Any = self.tokens.get(account_id)
        found: str | None = next(token) if hasattr(token, "__next__") else token
        return found


@pytest.fixture
def vault(emulator: Emulator) -> Vault:
    return Vault(dict(emulator.api_tokens))


@pytest.fixture
async def client(emulator: Emulator, vault: Vault) -> AsyncGenerator[AsyncCloudflare]:
    async with emulator.async_client(api_tokens=vault, api_token=ALL) as client:
        yield client


async def test_a_function_is_asked_once_an_account(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    found = await asyncio.gather(*(balance(client, name) for name in "abcabc"))
    assert found == [1, 2, 3, 1, 2, 3]
    await balance(client, "c")
    assert sorted(vault.asked) == ["a", "b", "c"]
    assert used(emulator)[-1] == ("c", ALL)


async def test_another_call_asks_where_the_one_that_asked_is_cancelled(
    client: AsyncCloudflare, vault: Vault
) -> None:
    first = asyncio.create_task(balance(client, "a"))
    second = asyncio.create_task(balance(client, "a"))
    asked = asyncio.Event()
    vault.before = asked.set
    await asked.wait()
    first.cancel()
    assert await second == 1
    assert vault.asked == ["a", "a"]


@pytest.mark.parametrize("kind", ["function", "function of an awaitable", "async function"])
def test_a_function_may_be_of_any_kind_and_does_not_block_the_loop(
    emulator: Emulator, kind: str
) -> None:
    async def later(account_id: str) -> str:
        await asyncio.sleep(0)
        return f"token-of-{account_id}"

    def at_once(account_id: str) -> str:
        with pytest.raises(RuntimeError):  # it runs in a thread
            asyncio.get_running_loop()
        return f"token-of-{account_id}"

    def promised(account_id: str) -> Awaitable[str]:
        return later(account_id)

    functions: dict[str, APITokens] = {
        "function": at_once,
        "function of an awaitable": promised,
        "async function": later,
    }
    with emulator.client(api_tokens=functions[kind]) as client:
        assert client.ai_gateway.billing.credit_balance(account_id="b").balance == 2
    assert used(emulator) == [("b", "token-of-b")]


async def test_a_token_that_was_replaced_is_asked_for_again_and_the_call_repeated(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    await balance(client, "a")
    emulator.accounts["a"].api_token = vault.tokens["a"] = "newer"
    assert await asyncio.gather(*(balance(client, "a") for _ in range(3))) == [1, 1, 1]
    assert vault.asked == ["a", "a"]
    raw = await client.ai_gateway.billing.with_raw_response.credit_balance(account_id="a")
    assert (raw.retries_taken, emulator.requests[-1].api_token) == (0, "newer")


async def test_a_token_that_stays_refused_is_asked_for_once_a_call(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    emulator.accounts["a"].api_token = "revoked"
    with pytest.raises(AuthenticationError):
        await balance(client, "a")
    assert (vault.asked, len(emulator.requests)) == (["a", "a"], 1)
    vault.tokens["a"] = iter(["wrong-0", "wrong-1", "wrong-2"])
    with pytest.raises(AuthenticationError):
        await balance(client, "a")
    assert [token for _, token in used(emulator)[1:]] == ["token-of-a", "wrong-0"]


async def test_a_charge_that_is_refused_is_not_repeated_and_the_next_has_the_new_token(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    topup = client.ai_gateway.billing.topup
    await balance(client, "a")
    emulator.accounts["a"].api_token = vault.tokens["a"] = "newer"
    with pytest.raises(AuthenticationError):
        await topup.create(account_id="a", amount=1000)
    assert [token for _, token in used(emulator)] == ["token-of-a", "token-of-a"]
    await topup.create(account_id="a", amount=1000)
    assert used(emulator)[-1] == ("a", "newer")
    assert len(emulator.charges) == 1


async def test_headers_of_a_call_are_not_replaced_by_a_new_token(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    vault.tokens["a"] = iter(["token-of-a", "newer"])
    with pytest.raises(AuthenticationError):
        await client.ai_gateway.billing.credit_balance(
            account_id="a", extra_headers={"authorization": "Bearer mine"}
        )
    assert used(emulator) == [("a", "mine")]
    assert await balance(client, "a") == 1
    assert vault.asked == ["a"]


async def test_a_function_that_fails_is_the_cause_and_is_asked_again(
    client: AsyncCloudflare, vault: Vault
) -> None:
    vault.before = Mock(side_effect=[OSError("the vault is sealed"), None])
    with pytest.raises(CloudflareError) as caught:
        await balance(client, "a")
    assert str(caught.value) == "`api_tokens` failed for the account 'a': OSError"
    assert isinstance(caught.value.__cause__, OSError)
    assert await balance(client, "a") == 1


@pytest.mark.parametrize(
    ("token", "error", "message"),
    [
        (
            5,
            TypeError,
            "the token that `api_tokens` returned for the account 'a' must be a str, not int",
        ),
        ("Bearer SECRET", ValueError, "returned for the account 'a' holds more than the cred"),
    ],
)
async def test_a_function_that_returns_no_token_is_refused(
    emulator: Emulator,
    client: AsyncCloudflare,
    vault: Vault,
    token: object,
    error: type[Exception],
    message: str,
) -> None:
    vault.tokens["a"] = token
    with pytest.raises(error, match=message) as caught:
        await balance(client, "a")
    assert "SECRET" not in str(caught.value)
    assert emulator.requests == []


@pytest.mark.parametrize("limit", ["timeout", "total_timeout"])
async def test_the_time_of_a_call_bounds_the_function_too(emulator: Emulator, limit: str) -> None:
    async def never(_: str) -> str:
        await anyio.sleep_forever()
        return ""

    options: Any = {limit: 0.05}
    async with emulator.async_client(api_tokens=never, **options) as client:
        with pytest.raises(
            CloudflareError, match=r"not return the token of the account 'a' in time"
        ):
            await balance(client, "a")


async def test_the_timeout_of_one_call_bounds_the_function_too(emulator: Emulator) -> None:
    async def never(_: str) -> str:
        await anyio.sleep_forever()
        return ""

    wrong: Any = "5"
    async with emulator.async_client(api_tokens=never) as client:
        billing = client.ai_gateway.billing
        with pytest.raises(CloudflareError, match=r"the token of the account 'a' in time"):
            await billing.credit_balance(account_id="a", timeout=0.05)
        with pytest.raises(TypeError, match="`timeout` must be a number of seconds, not str"):
            await billing.credit_balance(account_id="a", timeout=wrong)


# Rate limits.


async def test_each_distinct_token_has_one_budget_in_all_copies(emulator: Emulator) -> None:
    emulator.limit = RequestLimit(quota=100, window=300)
    emulator.advance(-emulator.now.timestamp() % 300)  # no window ends meanwhile
    for account_id in "ab":
        emulator.accounts[account_id].api_token = "token-of-both"
    emulator.accounts["c"].api_token = "token-of-c"
    async with emulator.async_client(api_tokens=emulator.api_tokens, api_token=ALL) as client:
        copy = client.with_options(api_tokens=dict(emulator.api_tokens), default_headers={"X": "y"})
        assert client.rate_limits == {}
        assert client.rate_limit.remaining is None
        for each in (client, copy):
            for account_id in "abc":
                await balance(each, account_id)
        left = {name: limit.remaining for name, limit in client.rate_limits.items()}
        assert left == {"a": 96, "b": 96, "c": 98}
        await client.accounts.list()
        assert client.rate_limit.remaining == 99
        assert client.rate_limits[None].remaining == copy.rate_limit.remaining == 99
        await copy.accounts.list()
        assert client.rate_limit.remaining == copy.rate_limit.remaining == 98


async def test_a_refused_answer_of_one_token_stops_no_other(emulator: Emulator) -> None:
    emulator.inject(Fault.rate_limited(250), path="/accounts/a/ai-gateway/billing/credit-balance")
    async with emulator.async_client(api_tokens=emulator.api_tokens, max_retries=0) as client:
        with pytest.raises(CloudflareError):
            await balance(client, "a")
        assert await balance(client, "b") == 2
        blocked = {name: limit.blocked for name, limit in client.rate_limits.items()}
    assert blocked == {"a": True, "b": False}


# Functions of tokens.


async def test_the_fallback_does_not_stand_in_where_a_function_has_no_other_token(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    topup = client.ai_gateway.billing.topup
    await balance(client, "a")
    emulator.accounts["a"].api_token, vault.tokens["a"] = "revoked", None
    for call in (
        balance(client, "a"),
        topup.create(account_id="a", amount=1000),
        balance(client, "a"),
    ):
        with pytest.raises(CloudflareError, match="the service refused its token"):
            await call
    assert {token for _, token in used(emulator)} == {"token-of-a"}
    vault.tokens["a"] = "revoked"
    assert await balance(client, "a") == 1
    assert await balance(client, "c") == 3


async def test_a_new_token_takes_the_place_of_all_credentials(
    emulator: Emulator, vault: Vault
) -> None:
    vault.tokens["a"] = iter([None, "token-of-a"])
    async with emulator.async_client(
        api_tokens=vault, api_email="me@example.com", api_key="wrong-key"
    ) as client:
        assert await balance(client, "a") == 1
    first, second = (set(request.headers) for request in emulator.requests)
    assert {"X-Auth-Email", "X-Auth-Key"} <= first
    assert "Authorization" in second
    assert not {"X-Auth-Email", "X-Auth-Key"} & second


@pytest.mark.parametrize("path", ["/accounts%2Fa", "//accounts/a", "/accounts//a", "/Accounts/%61"])
async def test_however_a_path_is_spelled_its_account_has_its_token(
    emulator: Emulator, path: str
) -> None:
    async with emulator.async_client(api_tokens=emulator.api_tokens, api_token=ALL) as client:
        with contextlib.suppress(NotFoundError, ValueError):
            await client.get(f"{path}/ai-gateway/billing/credit-balance", cast_to=dict)
    assert {request.api_token for request in emulator.requests} <= {"token-of-a"}


async def test_an_empty_token_is_no_token_and_no_word_for_none(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    vault.tokens["a"] = ""
    with pytest.raises(ValueError, match="returned for the account 'a' is empty; return `None`"):
        await balance(client, "a")
    assert emulator.requests == []


class Cache(dict[str, str]):
    """A function that is empty, and so false, until it is asked."""

    def __call__(self, account_id: str) -> str:
        return self.setdefault(account_id, f"token-of-{account_id}")


async def test_a_function_that_is_false_is_a_function(emulator: Emulator) -> None:
    async with emulator.async_client(api_tokens=Cache(), api_token=ALL) as client:
        assert await balance(client.with_options(timeout=5), "a") == 1
    assert used(emulator) == [("a", "token-of-a")]


async def test_a_failure_is_that_of_all_calls_that_waited_for_it(emulator: Emulator) -> None:
    asked: list[str] = []

    async def vault(account_id: str) -> str:
        asked.append(account_id)
        await asyncio.sleep(0.01)
        if len(asked) == 1:
            raise OSError("sealed")
        return f"token-of-{account_id}"

    async with emulator.async_client(api_tokens=vault) as own:
        calls = [asyncio.create_task(balance(own, "a")) for _ in range(5)]
        await asyncio.wait(calls)
        errors = [call.exception() for call in calls]
        assert len({id(error) for error in errors}) == 5
        assert all(isinstance(error and error.__cause__, OSError) for error in errors)
        assert asked == ["a"]
        assert await balance(own, "a") == 1


async def test_a_function_may_use_the_client_but_not_for_the_same_account(
    emulator: Emulator,
) -> None:
    emulator.accounts["c"].api_token = "token-of-c"

    async def vault(account_id: str) -> str | None:
        if account_id in "ab":  # `b` has its token behind `a`, and `a` behind `b`
            await balance(own, {"a": "b", "b": "a"}[account_id])
        assert [account.id async for account in own.accounts.list()] == ["a", "b", "c"]
        return f"token-of-{account_id}"

    async with emulator.async_client(api_tokens=vault, api_token=ALL) as own:
        assert await balance(own, "c") == 3
        with pytest.raises(CloudflareError) as caught:
            async with asyncio.timeout(30):
                await balance(own, "a")
    error: BaseException | None = caught.value
    for _ in range(3):
        assert error is not None
        error = error.__cause__ or error
    assert "needs the token of the account 'a' to find that token" in str(error)


def test_a_function_of_the_sync_client_does_not_wait_for_itself(emulator: Emulator) -> None:
    def vault(account_id: str) -> str:
        own.ai_gateway.billing.credit_balance(account_id=account_id)
        return "never"

    with (
        emulator.client(api_tokens=vault, total_timeout=10) as own,
        pytest.raises(CloudflareError, match=r"failed for the account 'a': CloudflareError"),
    ):
        own.ai_gateway.billing.credit_balance(account_id="a")


def test_a_function_that_blocks_holds_up_no_close(emulator: Emulator) -> None:
    begun, closed, ended = threading.Event(), threading.Event(), threading.Event()
    in_time: list[bool] = []

    def vault(_: str) -> str:
        begun.set()
        in_time.append(closed.wait(20))
        ended.set()
        return "never"

    def call() -> None:
        with contextlib.suppress(RuntimeError):
            own.ai_gateway.billing.credit_balance(account_id="a")

    own = emulator.client(api_tokens=vault)
    caller = threading.Thread(target=call)
    caller.start()
    begun.wait()
    own.close()
    closed.set()
    caller.join()
    ended.wait()
    assert in_time == [True]


async def test_what_a_function_has_begun_may_use_the_client_later(
    emulator: Emulator,
) -> None:
    begun: list[asyncio.Task[float]] = []

    async def later(account_id: str) -> float:
        await asyncio.sleep(0.01)
        own._executor.logins.forget(account_id, own._executor.logins._by_account[account_id])
        return await balance(own, account_id)

    async def vault(account_id: str) -> str:
        if not begun:
            begun.append(asyncio.create_task(later(account_id)))
        return f"token-of-{account_id}"

    async with emulator.async_client(api_tokens=vault) as own:
        assert await balance(own, "a") == 1
        assert await begun[0] == 1


async def test_a_function_that_meets_a_cancelled_future_fails_by_itself(
    emulator: Emulator, client: AsyncCloudflare, vault: Vault
) -> None:
    vault.before = Mock(side_effect=asyncio.CancelledError)
    balances = await client.ai_gateway.billing.credit_balances(list("ab"))
    assert {str(error) for error in balances.failed.values()} == {
        "`api_tokens` failed for the account 'a': CancelledError",
        "`api_tokens` failed for the account 'b': CancelledError",
    }


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_wherever_a_call_is_cancelled_that_asks_the_others_have_their_token(
    emulator: Emulator, vault: Vault, kind: str, others: int
) -> None:
    tokens: APITokens = vault if kind == "async" else {**vault.tokens}.__getitem__
    for number in range(12):
        async with emulator.async_client(api_tokens=tokens) as client:
            calls = [asyncio.create_task(balance(client, "a")) for _ in range(others + 1)]
            for _ in range(number):
                await asyncio.sleep(0)
            calls[number % (others + 1)].cancel()
            await asyncio.wait(calls)
            found = [call.result() for call in calls if not call.cancelled()]
            assert found in ([1] * others, [1] * (others + 1))
            assert client._executor.logins._asking == {}
            assert await balance(client, "a") == 1


# Many threads and many copies.


def test_threads_that_come_together_share_the_limit_of_a_token(emulator: Emulator) -> None:
    """Each thread has its own event loop; separate limits would run into 429s."""
    client = AsyncCloudflare(base_url=emulator.base_url, api_tokens=dict.fromkeys("abcdefgh", "t"))
    logins, together = client._executor.logins, threading.Barrier(8)
    found: list[Any] = []

    def look(account_id: str) -> None:
        together.wait()
        login = logins.known(account_id)
        assert login is not None
        found.append(login.limiter)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            logins._by_account.clear()
            logins._by_token.clear()
            logins._limiters._limiters.clear()
            threads = [threading.Thread(target=look, args=(name,)) for name in "abcdefgh"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(set(found)) == 1
            found.clear()
    finally:
        sys.setswitchinterval(interval)


def test_a_copy_does_not_check_all_tokens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Cloudflare(api_tokens={"a": "token-of-a"})
    check = Mock()
    monkeypatch.setattr("cfaigw_billing._core.config.check_credential", check)
    client.with_options(timeout=5).with_options(max_retries=1)
    check.assert_not_called()


def test_headers_that_authenticate_are_fine_once_the_tokens_are_taken_away() -> None:
    client = Cloudflare(api_tokens={"a": "t"}).with_options(api_tokens={}, api_token="t")
    client.with_options(default_headers={"Authorization": "Bearer x"})


async def test_old_tokens_are_not_kept(emulator: Emulator, vault: Vault) -> None:
    async with emulator.async_client(api_tokens=vault) as client:
        for number in range(5):
            emulator.accounts["a"].api_token = vault.tokens["a"] = f"token-{number}"
            assert await balance(client, "a") == 1
        gc.collect()
        logins = client._executor.logins
        assert list(logins._by_token) == ["token-4"]
        assert len(logins._limiters._limiters) == 1


# Secrets.

SECRET = "SENTINEL"


def shown(error: BaseException | None) -> Iterator[str]:
    """Return the text of an error, its causes and the local variables of our frames."""
    while error is not None:
        seen = traceback.TracebackException.from_exception(error, capture_locals=True)
        yield from (
            str(frame.locals)
            for frame in seen.stack
            if "/tests/" not in frame.filename or frame.name in {"vault", "asyncly"}
        )
        yield str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("fails", ["by itself", "in a group", "in a return", "late"])
def test_neither_a_function_nor_its_error_shows_what_it_holds(kind: str, fails: str) -> None:
    def vault(tokens: dict[str, str], account_id: str) -> Any:
        token = tokens[account_id]
        if fails == "in a return":
            return [token]
        if fails == "late":
            return later()
        try:
            token.index("what is not in it")
        except ValueError as error:
            if fails == "in a group":
                raise ExceptionGroup("several", [error]) from None
            raise

    async def asyncly(tokens: dict[str, str], account_id: str) -> Any:
        found = vault(tokens, account_id)
        return await found if fails == "late" else found

    async def later() -> None:
        await anyio.sleep_forever()

    function = partial(asyncly if kind == "async" else vault, {"a": SECRET})
    with (
        pytest.raises((CloudflareError, TypeError)) as caught,
        Cloudflare(api_tokens=function, base_url="http://127.0.0.1:9", total_timeout=0.5) as client,
    ):
        client.ai_gateway.billing.credit_balance(account_id="a")
    assert [text for text in shown(caught.value) if SECRET in text] == []
    with pytest.raises(ValueError) as caught:
        Cloudflare(api_tokens=function, timeout=-1)
    assert [text for text in shown(caught.value) if SECRET in text and "partial" in text] == []


async def test_the_debug_mode_of_asyncio_shows_no_token(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    caplog.set_level(logging.DEBUG)
    emulator.accounts["a"].api_token = SECRET
    async with emulator.async_client(api_tokens=lambda _: SECRET) as client:
        assert await balance(client, "a") == 1
    assert "Executing" in caplog.text
    assert SECRET not in caplog.text
