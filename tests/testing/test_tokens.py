"""Tokens that belong to accounts: what each opens, and the rate limit of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from cfaigw_billing import (
    AuthenticationError,
    BadRequestError,
    CloudflareError,
    PermissionDeniedError,
    RateLimitError,
)
from cfaigw_billing.testing import AddressLimit, EmulatedAccount, Emulator, RequestLimit

Ask = Callable[[str | None, str], float]
"""Asks for the balance of an account with a token; `None`: with the email and the key."""


@pytest.fixture
def billing_emulator() -> Iterator[Emulator]:
    """An emulator whose clock stands still, so that no window ends by itself."""
    with Emulator(at=datetime(2026, 11, 21, 12, tzinfo=UTC)) as emulator:
        yield emulator


@pytest.fixture
def ask(billing_emulator: Emulator) -> Ask:
    def ask(token: str | None, account_id: str) -> float:
        key = {"api_email": billing_emulator.api_email, "api_key": billing_emulator.api_key}
        credentials: Any = key if token is None else {"api_token": token}
        with billing_emulator.client(max_retries=0, **credentials) as client:
            return client.ai_gateway.billing.credit_balance(account_id=account_id).balance

    return ask


@pytest.fixture
def account(billing_emulator: Emulator) -> EmulatedAccount:
    """An account with a token, beside one with another token and one with none."""
    account = billing_emulator.add_account("a", balance=1, api_token="token-of-a")
    billing_emulator.add_account("b", balance=2, api_token="token-of-b")
    billing_emulator.add_account("plain", balance=3)
    return account


@pytest.mark.usefixtures("account")
def test_a_token_opens_the_account_that_it_belongs_to(billing_emulator: Emulator, ask: Ask) -> None:
    assert (ask("token-of-a", "a"), ask("token-of-b", "b")) == (1, 2)
    for account_id in ("b", "plain", "unknown"):
        with pytest.raises(PermissionDeniedError) as refused:
            ask("token-of-a", account_id)
        assert [(e.code, e.message) for e in refused.value.errors] == [
            (10000, "Authentication error")
        ]
    for token in (billing_emulator.api_token, None):
        assert [ask(token, account_id) for account_id in ("a", "b", "plain")] == [1, 2, 3]


@pytest.mark.usefixtures("account")
def test_a_token_changes_its_own_account_alone(billing_emulator: Emulator) -> None:
    with billing_emulator.client(api_token="token-of-a") as client:
        topup = client.ai_gateway.billing.topup
        topup.create(account_id="a", amount=1000)
        with pytest.raises(PermissionDeniedError):
            topup.create(account_id="b", amount=1000)
    assert [charge.account_id for charge in billing_emulator.charges] == ["a"]


@pytest.mark.usefixtures("account")
def test_a_token_of_an_account_lists_no_accounts(billing_emulator: Emulator) -> None:
    with billing_emulator.client(api_token="token-of-a") as client:
        with pytest.raises(BadRequestError) as refused:
            list(client.accounts.list())
        assert [error.code for error in refused.value.errors] == [1001]
    with billing_emulator.client() as client:
        assert [row.id for row in client.accounts.list()] == ["a", "b", "plain"]


def test_a_token_is_revoked_and_replaced(account: EmulatedAccount, ask: Ask) -> None:
    account.api_token = "new"
    with pytest.raises(AuthenticationError):
        ask("token-of-a", "a")
    assert ask("new", "a") == 1
    account.api_token = None
    for account_id in ("a", "b"):
        with pytest.raises(AuthenticationError):
            ask("new", account_id)
    assert account.api_token is None


def test_several_accounts_may_have_the_same_token(
    account: EmulatedAccount, billing_emulator: Emulator, ask: Ask
) -> None:
    other = billing_emulator.add_account("other", balance=4, api_token="token-of-a")
    assert (ask("token-of-a", "a"), ask("token-of-a", "other")) == (1, 4)
    account.limit = RequestLimit(quota=1)
    assert other.limit is account.limit
    ask("token-of-a", "other")
    with pytest.raises(RateLimitError):
        ask("token-of-a", "a")
    account.api_token = None
    with pytest.raises(RateLimitError):
        ask("token-of-a", "other")
    other.limit = None
    with pytest.raises(PermissionDeniedError):
        ask("token-of-a", "a")
    assert ask("token-of-a", "other") == 4


# The limits.


def refused(limit: RequestLimit | None) -> int:
    assert limit is not None
    return limit.refused


def test_each_token_has_a_limit_of_its_own(
    account: EmulatedAccount, billing_emulator: Emulator, ask: Ask
) -> None:
    usual = billing_emulator.limit = RequestLimit(quota=2, window=60, block=30)
    b = billing_emulator.accounts["b"]
    b.limit = RequestLimit(quota=1)
    for token, account_id, quota in (
        ("token-of-a", "a", 2),
        ("token-of-b", "b", 1),
        (billing_emulator.api_token, "plain", 2),
    ):
        for _ in range(quota):
            ask(token, account_id)
        with pytest.raises(RateLimitError):
            ask(token, account_id)
    with pytest.raises(RateLimitError):
        ask(None, "plain")  # the key is counted with the token of the user
    assert (refused(account.limit), refused(b.limit), usual.refused) == (1, 1, 2)
    assert billing_emulator.accounts["plain"].limit is None
    billing_emulator.advance(60)
    assert [ask("token-of-a", "a"), ask(None, "plain")] == [1, 3]
    with pytest.raises(RateLimitError):
        ask("token-of-b", "b")


async def test_the_headers_are_those_of_the_limit_of_the_token(
    account: EmulatedAccount, billing_emulator: Emulator
) -> None:
    billing_emulator.limit = RequestLimit(quota=10, window=60)
    account.limit = RequestLimit(quota=1, window=30, block=7)
    path = "/accounts/{}/ai-gateway/billing/credit-balance"

    async def headers(token: str, account_id: str) -> list[str | None]:
        url = billing_emulator.base_url + path.format(account_id)
        bearer = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=bearer) as session, session.get(url) as response:
            names = ("Ratelimit", "Ratelimit-Policy", "Retry-After")
            return [response.headers.get(name) for name in names]

    used_up = '"default";r=0;t=30', '"default";q=1;w=30'
    assert await headers("token-of-a", "a") == [*used_up, None]
    assert await headers("token-of-a", "a") == [*used_up, "7"]
    of_ten = '"default";q=10;w=60'
    assert await headers("token-of-b", "b") == ['"default";r=9;t=60', of_ten, None]
    assert await headers("token-of-b", "a") == ['"default";r=8;t=60', of_ten, None]  # refused
    assert await headers("token-of-nobody", "a") == ['"default";r=9;t=60', of_ten, None]
    user = await headers(billing_emulator.api_token, "a")
    assert user == ['"default";r=9;t=60', of_ten, None]
    billing_emulator.limit = None
    assert await headers("token-of-b", "b") == [None, None, None]
    assert await headers("token-of-a", "a") == [*used_up, "7"]


def test_a_new_limit_of_the_emulator_is_that_of_all_tokens(
    account: EmulatedAccount, billing_emulator: Emulator, ask: Ask
) -> None:
    assert account.limit is None
    for quota in (1, 2):
        billing_emulator.limit = RequestLimit(quota=quota)
        for _ in range(quota):
            ask("token-of-a", "a")
        with pytest.raises(RateLimitError):
            ask("token-of-a", "a")
        assert refused(account.limit) == 1
    account.api_token = "new"
    assert refused(account.limit) == 0
    ask("new", "a")


def test_the_limit_of_an_address_counts_all_tokens(
    account: EmulatedAccount, billing_emulator: Emulator, ask: Ask
) -> None:
    billing_emulator.address_limit = AddressLimit()
    account.limit = RequestLimit()
    ask("token-of-a", "a")
    ask("token-of-b", "b")
    assert billing_emulator.address_limit.most == 2
    billing_emulator.address_limit.per_second = 0
    with pytest.raises(RateLimitError):
        ask("token-of-a", "a")
    assert (billing_emulator.address_limit.refused, account.limit.refused) == (1, 0)


# What is set, and what is told.


def test_the_tokens_are_told_by_account(
    account: EmulatedAccount, billing_emulator: Emulator
) -> None:
    tokens = billing_emulator.api_tokens
    assert tokens == {"a": "token-of-a", "b": "token-of-b"}
    tokens.clear()  # a copy
    account.api_token = None
    assert billing_emulator.api_tokens == {"b": "token-of-b"}
    billing_emulator.reset()
    assert billing_emulator.api_tokens == {"b": "token-of-b"}
    billing_emulator.reset(accounts=True)
    assert billing_emulator.api_tokens == {}


@pytest.mark.usefixtures("account")
def test_a_request_tells_its_token_and_does_not_show_it(
    billing_emulator: Emulator, ask: Ask
) -> None:
    for token in ("token-of-a", None, billing_emulator.api_token):
        ask(token, "a")
    tokens = [request.api_token for request in billing_emulator.requests]
    assert tokens == ["token-of-a", None, billing_emulator.api_token]
    assert "token" not in repr(billing_emulator.requests)
    assert "token" not in repr(billing_emulator.accounts)


@pytest.mark.usefixtures("account")
def test_a_client_has_the_tokens_of_accounts(billing_emulator: Emulator) -> None:
    tokens = billing_emulator.api_tokens
    with billing_emulator.client(api_tokens=tokens) as client:
        assert client.ai_gateway.billing.credit_balances().keys() == {"a", "b"}
        with pytest.raises(CloudflareError, match="no token for the account 'plain'"):
            client.ai_gateway.billing.credit_balance(account_id="plain")
    assert {request.api_token for request in billing_emulator.requests} == {*tokens.values()}
    fallback = billing_emulator.api_token
    with billing_emulator.client(api_tokens=tokens, api_token=fallback) as client:
        balances = client.ai_gateway.billing.credit_balances()
    assert balances.keys() == {"a", "b", "plain"}
    used = {request.path: request.api_token for request in billing_emulator.requests}
    assert used["/accounts/plain/ai-gateway/billing/credit-balance"] == fallback
    assert used["/accounts/a/ai-gateway/billing/credit-balance"] == tokens["a"]


@pytest.mark.parametrize("token", ["", " ", "two words", "line\n"])
def test_a_token_is_one_word(account: EmulatedAccount, token: str) -> None:
    with pytest.raises(ValueError, match="`api_token`") as caught:
        account.api_token = token
    assert "two" not in str(caught.value)
    assert account.api_token == "token-of-a"


def test_a_token_is_a_str(billing_emulator: Emulator) -> None:
    wrong: Any = b"token"
    with pytest.raises(TypeError, match="`api_token` must be a str, not bytes"):
        billing_emulator.add_account("a", api_token=wrong)
    assert billing_emulator.accounts == {}


def test_a_limit_is_that_of_a_token(billing_emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="'a' needs an `api_token`"):
        billing_emulator.add_account("a", limit=RequestLimit())
    account = billing_emulator.add_account("a")
    with pytest.raises(ValueError, match="'a' needs an `api_token`"):
        account.limit = RequestLimit()


WRONG: list[dict[str, Any]] = [
    {"quota": -1},
    {"quota": 1.5},
    {"window": 0},
    {"window": "60"},
    {"block": -1},
]


@pytest.mark.parametrize("settings", WRONG)
def test_a_limit_is_checked_when_it_is_made(settings: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(settings))):
        RequestLimit(**settings)
