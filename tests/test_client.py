"""The async client: its loops, its credentials and its options, seen from the server's side."""

from __future__ import annotations

import asyncio
import gc
import re
import time
import traceback
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from holding import held

from cfaigw_billing import (
    APIStatusError,
    APITimeoutError,
    AsyncCloudflare,
    AuthenticationError,
    Cloudflare,
    CloudflareError,
    InternalServerError,
    NotFoundError,
)
from cfaigw_billing.testing import Emulator, Fault, RecordedRequest
from cfaigw_billing.types import ConfigDeleteParams, TopupCreateParams

ANYTHING_GOES = Fault(
    body=b'{"success": true, "result": {"payment_intent_id": "in_1", "status": "pending"}}'
)
"""An answer for `delete` and `topup.status`, whatever the request looks like."""

AUTHENTICATION = ("Authorization", "X-Auth-Email", "X-Auth-Key", "X-Auth-User-Service-Key")

SECRET = "s3cr3t-v4lue"


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    billing_emulator.add_account("acc", balance=640.19)
    return billing_emulator


def new_client(emulator: Emulator, **options: Any) -> AsyncCloudflare:
    """A client of the emulator, which repeats nothing unless told to."""
    options = {
        "base_url": emulator.base_url,
        "api_token": emulator.api_token,
        "account_id": "acc",
        "max_retries": 0,
        **options,
    }
    return AsyncCloudflare(**options)


async def balance(client: AsyncCloudflare) -> float:
    return (await client.ai_gateway.billing.credit_balance()).balance


async def sent_by(emulator: Emulator, client: AsyncCloudflare, **options: Any) -> RecordedRequest:
    """What arrives at the server when the client makes a call with the options."""
    emulator.inject(ANYTHING_GOES)
    options = {"account_id": "acc", **options}
    async with client:
        await client.ai_gateway.billing.topup.config.delete(**options)
    return emulator.requests[-1]


# Event loops, opening and closing.


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # nobody could close what the loops left
def test_one_client_works_on_three_event_loops_one_after_another(emulator: Emulator) -> None:
    client = new_client(emulator)
    try:
        assert [asyncio.run(balance(client)) for _ in range(3)] == [640.19] * 3
    finally:
        asyncio.run(client.close())
        gc.collect()  # so that it warns here


async def test_one_client_serves_tasks_at_the_same_time(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is answered before all have asked."""
    emulator.inject(Fault(delay=1), times=None)
    held(emulator, monkeypatch, {1: lambda: len(emulator.requests) == 20})
    async with new_client(emulator) as client:
        assert await asyncio.gather(*(balance(client) for _ in range(20))) == [640.19] * 20


@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
@pytest.mark.parametrize("session", ["its own session", "the caller's session"])
async def test_close_is_idempotent_and_a_call_after_it_says_so(
    emulator: Emulator, used: bool, session: str
) -> None:
    async with aiohttp.ClientSession() as callers:
        client = new_client(emulator, http_client=callers if "caller" in session else None)
        if used:
            await balance(client)
        await client.close()
        await client.close()
        with pytest.raises(RuntimeError, match="has been closed"):
            await balance(client)
        with pytest.raises(RuntimeError, match="has been closed"):
            await client.__aenter__()
    assert len(emulator.requests) == used


async def test_a_cancelled_call_leaves_the_client_usable(emulator: Emulator) -> None:
    emulator.inject(Fault(silence="hang"))
    async with new_client(emulator) as client:
        call = asyncio.create_task(balance(client))
        while not emulator.requests:  # noqa: ASYNC110  # mostly another thread appends
            await asyncio.sleep(0.005)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await balance(client) == 640.19


async def test_the_callers_session_is_used_and_left_open(emulator: Emulator) -> None:
    async with aiohttp.ClientSession(headers={"X-Whose": "the caller's"}) as session:
        request = await sent_by(emulator, new_client(emulator, http_client=session))
        assert request.headers["X-Whose"] == "the caller's"
        assert not session.closed


async def test_a_callers_session_that_raises_for_status_changes_no_error(
    emulator: Emulator,
) -> None:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        new_client(emulator, account_id="nobody", http_client=session) as client,
    ):
        with pytest.raises(NotFoundError):
            await balance(client)


# Credentials.

TOKEN = {"CLOUDFLARE_API_TOKEN": "environment's"}
EMAIL = {"CLOUDFLARE_EMAIL": "environment@example.com"}
KEY = {"CLOUDFLARE_API_KEY": "environment's"}
SERVICE_KEY = {"CLOUDFLARE_API_USER_SERVICE_KEY": "environment's"}
EMPTY = dict.fromkeys([*TOKEN, *EMAIL, *KEY, *SERVICE_KEY], "")

BEARER = {"Authorization": "Bearer mine"}
EMAIL_AND_KEY = {"X-Auth-Email": "me@example.com", "X-Auth-Key": "mine"}

CREDENTIALS: list[tuple[dict[str, Any], dict[str, str], dict[str, str]]] = [
    # arguments, environment, the headers that authenticate
    ({"api_token": "mine"}, {}, BEARER),
    ({"api_email": "me@example.com", "api_key": "mine"}, {}, EMAIL_AND_KEY),
    ({"user_service_key": "mine"}, {}, {"X-Auth-User-Service-Key": "mine"}),
    ({}, TOKEN, {"Authorization": "Bearer environment's"}),
    (
        {},
        {**EMAIL, **KEY},
        {"X-Auth-Email": "environment@example.com", "X-Auth-Key": "environment's"},
    ),
    ({}, SERVICE_KEY, {"X-Auth-User-Service-Key": "environment's"}),
    # the token is the better one
    ({"api_token": "mine", "api_email": "me@example.com", "api_key": "mine"}, {}, BEARER),
    ({}, {**TOKEN, **EMAIL, **KEY, **SERVICE_KEY}, {"Authorization": "Bearer environment's"}),
    # arguments beat the environment as a whole
    ({"api_token": "mine"}, {**TOKEN, **EMAIL, **KEY}, BEARER),
    ({"api_email": "me@example.com", "api_key": "mine"}, TOKEN, EMAIL_AND_KEY),
    ({"user_service_key": "mine"}, TOKEN, {"X-Auth-User-Service-Key": "mine"}),
    # empty is unset
    ({"api_token": "", "api_key": ""}, TOKEN, {"Authorization": "Bearer environment's"}),
    ({}, {**EMPTY, **SERVICE_KEY}, {"X-Auth-User-Service-Key": "environment's"}),
    ({"api_token": "mine", "api_email": ""}, EMPTY, BEARER),
]


@pytest.mark.parametrize(("arguments", "environment", "expected"), CREDENTIALS)
async def test_credentials_are_those_given_or_else_the_environments(
    arguments: dict[str, Any],
    environment: dict[str, str],
    expected: dict[str, str],
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_environment(monkeypatch, environment)
    request = await sent_by(emulator, AsyncCloudflare(base_url=emulator.base_url, **arguments))
    assert {n: request.headers[n] for n in AUTHENTICATION if n in request.headers} == expected


MISSING: list[tuple[dict[str, Any], dict[str, str], list[str]]] = [
    # arguments, environment, what the error names
    ({}, {}, ["`api_token`", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_EMAIL", "CLOUDFLARE_API_KEY"]),
    ({"api_token": ""}, EMPTY, ["`api_token`", "CLOUDFLARE_API_TOKEN"]),
    ({"api_email": "me@example.com"}, {}, ["`api_key`"]),
    ({"api_key": "mine"}, {}, ["`api_email`"]),
    ({"api_key": "mine"}, TOKEN, ["`api_email`"]),
    ({}, EMAIL, ["`api_key`", "CLOUDFLARE_API_KEY"]),
    ({}, KEY, ["`api_email`", "CLOUDFLARE_EMAIL"]),
]


@pytest.mark.parametrize(("arguments", "environment", "names"), MISSING)
async def test_missing_credentials_are_named_at_the_first_call_and_nothing_is_sent(
    arguments: dict[str, Any],
    environment: dict[str, str],
    names: list[str],
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_environment(monkeypatch, environment)
    client = AsyncCloudflare(base_url=emulator.base_url, account_id="acc", **arguments)
    with pytest.raises(CloudflareError) as caught:
        await balance(client)
    assert [name for name in names if name not in str(caught.value)] == []
    assert emulator.requests == []


async def test_an_argument_without_its_twin_is_not_told_to_set_what_is_set(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An e-mail given in code is not completed from the environment, so to set it is no advice."""
    set_environment(monkeypatch, KEY)
    with pytest.raises(CloudflareError, match="`api_key`") as caught:
        await balance(
            AsyncCloudflare(
                base_url=emulator.base_url, account_id="acc", api_email="me@example.com"
            )
        )
    assert "set CLOUDFLARE_API_KEY" not in str(caught.value)


NO_CREDENTIALS: list[tuple[str, str]] = [
    # what is given instead of SECRET, what the error says is to be removed
    (f"Bearer {SECRET}", "the word `Bearer`"),
    (f"bearer: {SECRET}", "the word `Bearer`"),
    (f"Authorization: Bearer {SECRET}", "the word `Bearer`"),
    (f'"{SECRET}"', "the quotes"),
    (f"'{SECRET}", "the quotes"),
    (f'"{SECRET}"\n', "the quotes, the line breaks"),
    (f"{SECRET}\n", "the line breaks"),
    (f"{SECRET}\r\n", "the line breaks"),
    (f"{SECRET[:4]}\n{SECRET[4:]}", "the line breaks"),
    (f" {SECRET}", "the blanks"),
    (f"{SECRET} # of the job", "the blanks"),
    (f"{SECRET}\N{NO-BREAK SPACE}", "the blanks"),
    (f"\N{LEFT DOUBLE QUOTATION MARK}{SECRET}", "the characters that are not printable ASCII"),
    (f"{SECRET}\x1b", "the characters that are not printable ASCII"),
]
GIVEN = {
    "api_token": "CLOUDFLARE_API_TOKEN",
    "api_email": "CLOUDFLARE_EMAIL",
    "api_key": "CLOUDFLARE_API_KEY",
    "user_service_key": "CLOUDFLARE_API_USER_SERVICE_KEY",
}


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
@pytest.mark.parametrize("argument", GIVEN)
@pytest.mark.parametrize(("value", "remedy"), NO_CREDENTIALS)
def test_what_is_no_credential_is_named_where_it_was_given_and_not_shown(
    value: str, remedy: str, argument: str, cls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy)) as caught:
        cls(**{argument: value})
    assert str(caught.value).startswith(f"`{argument}` holds more than the credential: remove ")
    client = cls(api_token="t")
    with pytest.raises(ValueError, match=re.escape(remedy)) as of_copy:
        client.with_options(**{argument: value})
    monkeypatch.setenv(GIVEN[argument], value)
    with pytest.raises(ValueError, match=re.escape(remedy)) as of_variable:
        cls()
    assert str(of_variable.value).startswith(f"{GIVEN[argument]} holds more than the credential")
    for error in (caught.value, of_copy.value, of_variable.value):
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = [frame.locals for frame in told.stack if frame.filename != __file__]
        assert SECRET[:4] not in str(error)
        assert SECRET[:4] not in str(ours) or argument == "api_email"  # which is no secret
        assert "\n" not in str(error)


def test_an_apostrophe_within_an_e_mail_address_is_part_of_it() -> None:
    with Cloudflare(api_email="o'neill@example.com", api_key="k"):
        pass


def set_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


# The account and the address.

ACCOUNTS: list[tuple[str | None, str | None, str | None, str]] = [
    # the call's, the client's, the environment's, what stands in the path
    ("of-call", "of-client", "of-environment", "of-call"),
    (None, "of-client", "of-environment", "of-client"),
    (None, None, "of-environment", "of-environment"),
    (None, "", "of-environment", "of-environment"),
    (None, "of-client", "", "of-client"),
]


@pytest.mark.parametrize(("of_call", "of_client", "of_environment", "expected"), ACCOUNTS)
async def test_the_account_is_the_calls_or_else_the_clients_or_else_the_environments(
    of_call: str | None,
    of_client: str | None,
    of_environment: str | None,
    expected: str,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if of_environment is not None:
        monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", of_environment)
    client = new_client(emulator, account_id=of_client)
    request = await sent_by(emulator, client, account_id=of_call)
    assert request.path == f"/accounts/{expected}/ai-gateway/billing/topup/config"


async def test_without_any_account_the_error_says_where_to_give_one(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"`account_id`.*CLOUDFLARE_ACCOUNT_ID"):
        await balance(new_client(emulator, account_id=None))
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("argument", "variable"),
    [
        ("{}", None),
        ("{}/", "https://nobody.invalid"),
        (None, "{}"),
        (None, "{}//"),
        ("", "{}/"),
    ],
)
async def test_the_address_is_the_one_given_or_else_the_environments(
    argument: str | None,
    variable: str | None,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable is not None:
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", variable.format(emulator.base_url))
    base_url = argument and argument.format(emulator.base_url)
    async with new_client(emulator, base_url=base_url) as client:
        assert await balance(client) == 640.19


# What reaches the wire.

WIRE_HEADERS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    # default_headers, extra_headers, what arrives as X-Team
    ({}, {}, None),
    ({"X-Team": "default"}, {}, "default"),
    ({}, {"X-Team": "extra"}, "extra"),
    ({"X-Team": "default"}, {"x-team": "extra"}, "extra"),
    ({"X-Team": "default"}, {"x-team": None}, None),
    ({"X-Team": None}, {"X-Team": "extra"}, "extra"),
]


@pytest.mark.parametrize(("default", "extra", "expected"), WIRE_HEADERS)
async def test_headers_of_the_client_and_of_the_call(
    default: dict[str, Any], extra: dict[str, Any], expected: str | None, emulator: Emulator
) -> None:
    client = new_client(emulator, default_headers=default)
    request = await sent_by(emulator, client, extra_headers=extra)
    assert request.headers.get("X-Team") == expected


@pytest.mark.parametrize("where", ["default_headers", "extra_headers"])
async def test_none_takes_a_header_of_the_sdk_away(where: str, emulator: Emulator) -> None:
    nothing = {"Authorization": None}
    if where == "default_headers":
        request = await sent_by(emulator, new_client(emulator, default_headers=nothing))
    else:
        request = await sent_by(emulator, new_client(emulator), extra_headers=nothing)
    assert "Authorization" not in request.headers


async def test_headers_that_are_no_mapping_are_refused(emulator: Emulator) -> None:
    wrong: Any = "X-Team: a"
    async with new_client(emulator) as client:
        with pytest.raises(TypeError, match="`extra_headers` must be a mapping, not str"):
            await client.ai_gateway.billing.credit_balance(extra_headers=wrong)


async def test_headers_of_one_call_do_not_stay_with_the_client(emulator: Emulator) -> None:
    async with new_client(emulator) as client:
        for headers in ({"X-Team": "extra"}, {}):
            await client.ai_gateway.billing.credit_balance(extra_headers=headers)
    assert [request.headers.get("X-Team") for request in emulator.requests] == ["extra", None]


WIRE_QUERIES: list[tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = [
    # default_query, extra_query, what arrives
    ({"a": 1}, {}, {"a": "1"}),
    ({"a": 1}, {"a": "ü &=", "b": True}, {"a": "ü &=", "b": "true"}),
    ({"a": 1, "b": 2}, {"a": None}, {"b": "2"}),
]


@pytest.mark.parametrize(("default", "extra", "expected"), WIRE_QUERIES)
async def test_query_parameters_of_the_client_and_of_the_call(
    default: dict[str, Any], extra: dict[str, Any], expected: dict[str, str], emulator: Emulator
) -> None:
    client = new_client(emulator, default_query=default)
    request = await sent_by(emulator, client, extra_query=extra)
    assert dict(request.query) == expected


async def test_extra_query_and_extra_body_join_the_parameters_of_the_call(
    emulator: Emulator,
) -> None:
    emulator.inject(ANYTHING_GOES)
    async with new_client(emulator) as client:
        await client.ai_gateway.billing.topup.status(
            payment_intent_id="in_1", extra_body={"beta": [True]}, extra_query={"v": 2}
        )
        await client.ai_gateway.billing.invoice_history(page=3, extra_query={"v": 2})
    status, history = emulator.requests
    assert status.json == {"payment_intent_id": "in_1", "beta": [True]}
    assert dict(status.query) == {"v": "2"}
    assert dict(history.query) == {"page": "3", "v": "2"}


async def test_redirects_are_not_followed(emulator: Emulator) -> None:
    elsewhere = f"{emulator.base_url}/accounts/acc/ai-gateway/billing/topup/config"
    emulator.inject(Fault(status=307, body=b"", headers={"Location": elsewhere}))
    async with new_client(emulator) as client:
        with pytest.raises(APIStatusError, match=r"^307 GET .* not followed: check `base_url`"):
            await balance(client)
    assert len(emulator.requests) == 1


async def test_cookies_are_neither_kept_nor_sent(emulator: Emulator) -> None:
    emulator.inject(Fault(headers={"Set-Cookie": "session=1; Path=/"}))
    by_name = emulator.base_url.replace("127.0.0.1", "localhost")  # an address sets no cookies
    async with new_client(emulator, base_url=by_name) as client:
        for _ in range(2):
            await balance(client)
    assert [request.headers.get("Cookie") for request in emulator.requests] == [None, None]


# Time.

TIMEOUTS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    # of the client, of the call, whether an answer after 0.3 s is in time
    ({"timeout": 0.1}, {}, False),
    ({"timeout": aiohttp.ClientTimeout(sock_read=0.1)}, {}, False),
    ({}, {"timeout": 0.1}, False),
    ({"timeout": 0.1}, {"timeout": 10}, True),
    ({"timeout": 0.1}, {"timeout": None}, True),
    ({"timeout": None}, {}, True),
]


@pytest.mark.parametrize(("of_client", "of_call", "in_time"), TIMEOUTS)
async def test_the_timeout_is_the_calls_or_else_the_clients(
    of_client: dict[str, Any], of_call: dict[str, Any], in_time: bool, emulator: Emulator
) -> None:
    emulator.inject(Fault(delay=0.3 if in_time else 60))
    async with new_client(emulator, **of_client) as client:
        call = client.ai_gateway.billing.credit_balance(**of_call)
        if in_time:
            assert (await call).balance == 640.19
        else:
            with pytest.raises(APITimeoutError, match="no answer in time"):
                await call


async def test_the_timeout_bounds_an_answer_that_arrives_bit_by_bit() -> None:
    async with dripping_server() as base_url:
        client = AsyncCloudflare(
            base_url=base_url, api_token="t", account_id="acc", timeout=0.3, max_retries=0
        )
        async with client:
            started = time.monotonic()
            with pytest.raises(APITimeoutError):
                await balance(client)
            assert time.monotonic() - started < 30


@asynccontextmanager
async def dripping_server() -> AsyncGenerator[str]:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    app = web.Application()
    app.router.add_get("/{path:.*}", drip)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield str(server.make_url(""))


async def test_the_total_timeout_bounds_waits_and_repeats_too(emulator: Emulator) -> None:
    emulator.inject(Fault(status=503, headers={"Retry-After": "50"}))
    async with new_client(emulator, total_timeout=30, max_retries=1) as client:
        started = time.monotonic()
        with pytest.raises(InternalServerError):  # a wait that cannot end in time is not begun
            await balance(client)
        assert time.monotonic() - started < 30
    emulator.inject(Fault(delay=60))
    async with new_client(emulator, total_timeout=0.3, timeout=60) as client:
        started = time.monotonic()
        with pytest.raises(APITimeoutError):
            await balance(client)
        assert time.monotonic() - started < 30


# The bound on charges.

CHARGES: list[tuple[int | None, int, bool]] = [
    # max_charge, amount, whether it is allowed
    (None, 100_000, True),
    (5000, 1000, True),
    (5000, 5000, True),
    (5000, 5001, False),
    (999, 1000, False),
    (0, 1000, False),
    (0, 99_999_999, False),
]


@pytest.mark.parametrize(("max_charge", "amount", "allowed"), CHARGES)
@pytest.mark.parametrize("way", ["method", "send"])
async def test_max_charge_refuses_a_larger_top_up_before_anything_is_sent(
    way: str, max_charge: int | None, amount: int, allowed: bool, emulator: Emulator
) -> None:
    async with new_client(emulator, max_charge=max_charge) as client:
        topup = client.ai_gateway.billing.topup
        calls = {
            "method": lambda: topup.create(amount=amount),
            "send": lambda: client.send(TopupCreateParams(amount=amount)),
        }
        if allowed:
            await calls[way]()
        else:
            with pytest.raises(ValueError, match="`max_charge`"):
                await calls[way]()
    assert [charge.amount for charge in emulator.charges] == [amount] * allowed
    assert len(emulator.requests) == allowed


async def test_extra_body_cannot_change_what_is_charged(emulator: Emulator) -> None:
    async with new_client(emulator, max_charge=2000) as client:
        topup = client.ai_gateway.billing.topup
        for replaced in (
            {"amount": 50_000},
            {"amount": 1000, "note": 1},
            {"Amount": 50_000},
            {"note": 1, " AMOUNT": 50_000},
        ):
            with pytest.raises(ValueError, match="`extra_body`"):
                await topup.create(amount=1000, extra_body=replaced)
            with pytest.raises(ValueError, match="`extra_body`"):
                await topup.config.create(amount=1000, threshold=500, extra_body=replaced)
    assert emulator.requests == []


# Arguments of the constructor.

WRONG_ARGUMENTS: list[tuple[str, object]] = [
    ("base_url", "api.example.com"),
    ("base_url", "https://"),
    ("base_url", "ftp://api.example.com"),
    ("base_url", "https://user:word@api.example.com"),
    ("base_url", "https://api.example.com/?page=1"),
    ("base_url", "https://api.example.com/?"),
    ("base_url", "https://api.example.com/#top"),
    ("base_url", "https://api.example.com:99999"),
    ("base_url", "http://api.example.com"),
    ("base_url", "http://10.0.0.1"),
    ("base_url", 7),
    ("api_token", "two words"),
    ("api_token", "line\n"),
    ("api_token", "tök"),
    ("api_email", "me\r\n@example.com"),
    ("default_headers", {"X-A": "line\nX-B: smuggled"}),
    ("default_headers", {"X-A": "é"}),
    ("default_headers", {"X A": "b"}),
    ("default_headers", {"X-A": 1}),
    ("default_query", "a=b"),
    ("account_id", "a/b"),
    ("timeout", 0),
    ("timeout", "60"),
    ("timeout", True),
    ("total_timeout", -1),
    ("max_retries", -1),
    ("max_retries", 1.5),
    ("max_retries", None),
    ("max_retries", True),
    ("max_retry_wait", -1),
    ("max_requests_per_second", 0),
    ("max_requests_per_second", -1),
    ("max_requests_per_second", float("inf")),
    ("max_requests_per_second", float("nan")),
    ("max_requests_per_second", 10**400),
    ("max_requests_per_second", True),
    ("max_requests_per_second", "150"),
    ("max_charge", -1),
    ("max_charge", 10.5),
    ("max_charge", True),
]


@pytest.mark.parametrize(("name", "value"), WRONG_ARGUMENTS)
@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_a_wrong_argument_of_the_constructor_is_named(cls: Any, name: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"`{name}[`\[]"):
        cls(**{name: value})


@pytest.mark.parametrize("base_url", ["http://localhost:1", "http://127.0.0.9", "http://[::1]"])
def test_plain_http_is_for_this_machine(base_url: str) -> None:
    assert Cloudflare(base_url=base_url)._executor.inner.config.base_url == base_url


def test_what_is_no_session_is_refused_by_name() -> None:
    wrong: Any = object()
    with pytest.raises(TypeError, match=r"`http_client` must be an aiohttp\.ClientSession"):
        AsyncCloudflare(http_client=wrong)


# Secrets.

SECRETS: list[dict[str, Any]] = [
    {"api_token": SECRET},
    {"api_email": "me@example.com", "api_key": SECRET},
    {"user_service_key": SECRET},
    {"default_headers": {"authorization": f"Bearer {SECRET}"}, "api_token": "another"},
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: next(reversed(secret)))
async def test_a_secret_is_in_no_repr(secret: dict[str, Any], emulator: Emulator) -> None:
    async with new_client(emulator, **{"api_token": None, **secret}) as client:
        with pytest.raises(AuthenticationError) as caught:
            await balance(client)
        answer = await client._executor.execute(ConfigDeleteParams(), {})
        shown = [
            repr(client),
            repr(client._executor.config),
            repr(answer.http_request),
            repr(answer),
            repr(dict(answer.http_request.headers)),
            str(caught.value),
            repr(vars(caught.value)),
            repr(list(caught.value.request.headers.items())),
        ]
    assert any(SECRET in value for value in emulator.requests[-1].headers.values())
    assert [text for text in shown if SECRET in text] == []


async def test_a_secret_among_the_headers_of_one_call_is_in_no_error(emulator: Emulator) -> None:
    async with new_client(emulator) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.ai_gateway.billing.credit_balance(
                extra_headers={"Authorization": f"Bearer {SECRET}"}
            )
    assert SECRET not in repr(list(caught.value.request.headers.items()))


def test_a_secret_is_in_no_repr_of_the_sync_client() -> None:
    with Cloudflare(api_token=SECRET) as client:
        assert SECRET not in repr(client) + repr(vars(client)) + repr(vars(client._executor))
