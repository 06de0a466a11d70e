"""A client as an object: what it shows of itself, what it has not, and what entering it checks."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from cfaigw_billing import AsyncCloudflare, BadRequestError, Cloudflare, CloudflareError
from cfaigw_billing.testing import Emulator

CLIENTS = [AsyncCloudflare, Cloudflare]
SECRET = "s3cr3t-v4lue"
ACCOUNT = "0123456789abcdef0123456789abcdef"
CLOUDFLARE = "https://api.cloudflare.com/client/v4"

SHOWN: dict[str, dict[str, Any]] = {
    f"{CLOUDFLARE}, no account, no credentials": {},
    f"{CLOUDFLARE}, account {ACCOUNT}, API token ****": {
        "api_token": SECRET,
        "account_id": ACCOUNT,
    },
    f"{CLOUDFLARE}, no account, e-mail and API key ****": {
        "api_email": "me@example.com",
        "api_key": SECRET,
    },
    f"{CLOUDFLARE}, no account, no credentials ": {"api_key": SECRET},
    "http://localhost:1/v4, no account, service key ****": {
        "user_service_key": SECRET,
        "base_url": "http://localhost:1/v4/",
    },
}


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize("expected", SHOWN)
def test_a_client_shows_its_address_its_account_and_the_kind_of_its_credentials(
    cls: Any, expected: str
) -> None:
    shown = repr(cls(**SHOWN[expected]))
    assert shown == f"<{cls.__name__} {expected.strip()}>"
    assert SECRET not in shown


def test_a_client_shows_that_it_is_closed() -> None:
    with Cloudflare(api_token=SECRET) as client:
        kept, ended = client.copy(), client.copy()
        ended.close()
        assert [repr(c).endswith("****, closed>") for c in (client, kept, ended)] == [
            False,
            False,
            True,
        ]
    assert all(repr(c).endswith("****, closed>") for c in (client, kept, ended))


async def test_an_async_client_shows_that_it_is_closed() -> None:
    async with AsyncCloudflare(api_token=SECRET) as client:
        kept = client.copy()
        assert not repr(client).endswith("closed>")
    assert all(repr(c).endswith("****, closed>") for c in (client, kept))


@pytest.mark.parametrize("cls", CLIENTS)
def test_a_client_that_is_half_made_is_shown_too(cls: Any) -> None:
    assert cls.__name__ in repr(object.__new__(cls))


# Credentials.


async def test_entering_a_client_without_credentials_says_so() -> None:
    with pytest.raises(CloudflareError, match="no credentials: pass `api_token` or set"):
        async with AsyncCloudflare():
            pytest.fail("the block began")
    with pytest.raises(CloudflareError, match="`api_email` is missing"), Cloudflare(api_key="k"):
        pytest.fail("the block began")


# Missing attributes.

OFFICIAL = ["zones", "dns", "workers", "r2", "user", "memberships"]


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize("name", OFFICIAL)
def test_a_resource_of_the_official_package_is_named_with_ways_to_reach_it(
    cls: Any, name: str
) -> None:
    client = cls()
    for it in (client, client.ai_gateway, client.accounts, client.ai_gateway.billing.topup):
        assert not hasattr(it, name)
        with pytest.raises(AttributeError) as caught:
            getattr(it, name)
        assert (caught.value.name, caught.value.obj) == (name, it)
        for part in (f"'{name}'", "`client.get(path, cast_to=…)`", "package `cloudflare`"):
            assert part in str(caught.value)


def failing(_: object) -> None:
    raise AttributeError("of the property itself")


@pytest.mark.parametrize("cls", CLIENTS)
def test_other_missing_attributes_are_missing_as_anywhere(cls: Any) -> None:
    client = cls()
    for name in ("_ipython_display_", "__array__", "_executors"):
        with pytest.raises(AttributeError, match=f"object has no attribute '{name}'"):
            getattr(client, name)
    with pytest.raises(AttributeError, match="'_executor'"):  # and not 'accounts'
        _ = object.__new__(cls).accounts
    kind = type("Kind", (cls,), {"balance": property(failing)})
    with pytest.raises(AttributeError, match="of the property itself"):
        _ = kind().balance


COPIES: list[Callable[[Any], Any]] = [pickle.dumps, copy.copy, copy.deepcopy]


@pytest.mark.parametrize("cls", CLIENTS)
def test_copy_pickle_and_inspect_find_what_they_found_before(cls: Any) -> None:
    client = cls(api_token=SECRET)
    for copied in COPIES:
        with pytest.raises(TypeError, match="does not pickle"):
            copied(client)
    found = dict(inspect.getmembers(client))
    assert {"accounts", "ai_gateway", "send", "copy"} <= found.keys()
    assert found.keys() == set(dir(client))
    assert inspect.getsource(cls).startswith(f"class {cls.__name__}")


# A token that belongs to one account.


LISTS: dict[str, Callable[[Cloudflare], object]] = {
    "the list": lambda c: list(c.accounts.list()),
    "a sweep over all accounts": lambda c: c.ai_gateway.billing.credit_balances(),
    "an untyped call": lambda c: c.get("/accounts", cast_to=object),
}


@pytest.mark.parametrize("way", LISTS)
def test_a_token_of_one_account_is_told_to_name_the_account(way: str) -> None:
    step = "this token belongs to one account and cannot list accounts; pass the account ids"
    with Emulator(account_owned_token=True) as emulator:
        emulator.add_account("acc", balance=5)
        with emulator.client() as client:
            assert client.ai_gateway.billing.credit_balance(account_id="acc").balance == 5
            with pytest.raises(BadRequestError, match=rf"\(1001\) · {step} · CF-Ray"):
                LISTS[way](client)
            keyed = client.copy(api_email=emulator.api_email, api_key=emulator.api_key)
            assert [account.id for account in keyed.accounts.list()] == ["acc"]
