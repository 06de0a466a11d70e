"""`with_options` and `copy`: a client with other options, on the same connections."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Generator
from typing import Any

import aiohttp
import pytest

from cfaigw_billing import AsyncCloudflare, Cloudflare
from cfaigw_billing._core.options import AsyncClientOptions, ClientOptions
from cfaigw_billing._io.clock import Clock
from cfaigw_billing.testing import Emulator, Fault

TOKEN = "emulator-token"
OTHER = "another-token-that-nobody-may-see"

Steps = Generator[Any, Any, None]


def no_jitter(_: Clock) -> float:
    return 0.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for before a repeat."""
    monkeypatch.setattr(Clock, "jitter", no_jitter)


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    billing_emulator.add_account("acc", balance=1)
    billing_emulator.add_account("other", balance=2)
    return billing_emulator


@pytest.fixture(params=[AsyncCloudflare, Cloudflare])
def make(request: pytest.FixtureRequest, emulator: Emulator) -> Callable[..., Any]:
    """Makes a client of either kind, which speaks to the emulator."""

    def make(**options: Any) -> Any:
        given = {"base_url": emulator.base_url, "api_token": TOKEN, "account_id": "acc"}
        return request.param(**{**given, **options})

    return make


def within(make: Callable[..., Any], body: Callable[..., Steps], **options: Any) -> None:
    """Run `body(client)`, awaiting whatever it yields where the client is async."""

    async def main() -> None:
        client, error = make(**options), None
        steps = body(client)
        try:
            value = None
            while True:
                try:
                    step = steps.throw(error) if error else steps.send(value)
                except StopIteration:
                    return
                error = None
                try:
                    value = await step() if inspect.iscoroutinefunction(step) else step()
                    value = await value if inspect.isawaitable(value) else value
                except Exception as raised:
                    error = raised
        finally:
            closed = client.close()
            if inspect.isawaitable(closed):
                await closed

    asyncio.run(main())


def inner(client: Any) -> Any:
    """The executor that sends."""
    return getattr(client._executor, "inner", client._executor)


def balance(client: Any) -> Callable[[], Any]:
    return lambda: client.ai_gateway.billing.credit_balance()


# Which options there are.


@pytest.mark.parametrize(
    ("cls", "options"), [(AsyncCloudflare, AsyncClientOptions), (Cloudflare, ClientOptions)]
)
def test_there_is_every_option_of_the_constructor_and_two_more(cls: Any, options: Any) -> None:
    parameters = inspect.signature(cls).parameters.keys()
    assert set(inspect.get_annotations(options)) | set(options.__annotations__) == {
        *parameters,
        "set_default_headers",
        "set_default_query",
    }


def test_an_unknown_option_is_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="unknown option `tiemout`"):
        make().with_options(tiemout=3)
    with pytest.raises(TypeError, match="http_client"):
        Cloudflare(api_token=TOKEN).with_options(http_client=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": -1}, ValueError),
        ({"max_retries": "2"}, TypeError),
        ({"max_charge": -1}, ValueError),
        ({"base_url": "http://example.com"}, ValueError),
        ({"default_headers": {"Host": "x"}}, ValueError),
        ({"default_headers": [("a", "b")]}, TypeError),
        ({"default_query": 5}, TypeError),
        ({"default_headers": {}, "set_default_headers": {}}, ValueError),
        ({"api_token": "with space"}, ValueError),
        ({"api_token": b"bytes"}, TypeError),
        ({"trace_configs": ["x"]}, TypeError),
    ],
)
def test_a_wrong_option_is_refused_as_by_the_constructor(
    make: Callable[..., Any], options: Any, error: Any
) -> None:
    with pytest.raises(error):
        make().with_options(**options)


@pytest.mark.parametrize("way", ["with_options", "copy"])
def test_what_is_given_changes_and_all_else_stays(make: Callable[..., Any], way: str) -> None:
    client = make(timeout=5, max_retries=4, max_charge=100, total_timeout=9, max_retry_wait=3)
    unlimited = {"max_charge": None, "max_requests_per_second": None}
    other = inner(getattr(client, way)(timeout=None, total_timeout=None, **unlimited))
    assert type(other) is type(inner(client))
    config, before = other.config, inner(client).config
    assert (config.timeout, config.total_timeout, config.max_charge) == (None, None, None)
    assert (config.max_requests_per_second, before.max_requests_per_second) == (None, 150)
    assert (config.max_retries, config.max_retry_wait) == (4, 3)
    assert (config.account_id, config.base_url) == (before.account_id, before.base_url)
    assert (before.timeout, before.max_charge) == (5, 100)
    for empty in (None, ""):
        same = inner(getattr(client, way)(account_id=empty, base_url=empty, api_token=empty))
        assert same.config == before


def test_the_environment_does_not_replace_what_the_client_has(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make()
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "environment")
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", "https://environment.test")
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "environment")
    copy = client.with_options(account_id="", base_url="", api_token="", timeout=3)
    assert inner(copy).config.account_id == "acc"
    assert inner(copy).config.base_url == inner(client).config.base_url
    assert inner(copy).config.credentials == inner(client).config.credentials


def test_headers_and_query_are_added_removed_and_replaced(
    make: Callable[..., Any], emulator: Emulator
) -> None:
    def body(client: Any) -> Steps:
        more = client.with_options(
            default_headers={"x-a": "2", "X-B": None, "X-C": "3", "User-Agent": None},
            default_query={"a": 2, "b": None},
        )
        again = more.copy(default_headers={"X-B": "5", "X-A": None}, default_query={"b": 5})
        third = again.copy(default_headers={"x-a": "6"})
        instead = again.with_options(set_default_headers={"X-D": "1"}, set_default_query={})
        for it in (client, more, again, third, instead):
            yield balance(it)

    headers, query = {"X-A": "1", "X-B": "1"}, {"a": 1, "b": 1}
    within(make, body, default_headers=headers, default_query=query)
    seen = [
        ({k: v for k, v in sent.headers.items() if k.startswith(("X-", "x-"))}, dict(sent.query))
        for sent in emulator.requests
    ]
    assert [({k.upper(): v for k, v in h.items()}, q) for h, q in seen] == [
        ({"X-A": "1", "X-B": "1"}, {"a": "1", "b": "1"}),
        ({"X-A": "2", "X-C": "3"}, {"a": "2"}),
        ({"X-B": "5", "X-C": "3"}, {"a": "2", "b": "5"}),
        ({"X-A": "6", "X-B": "5", "X-C": "3"}, {"a": "2", "b": "5"}),
        ({"X-D": "1"}, {}),
    ]
    assert "cfaigw" not in emulator.requests[1].headers.get("User-Agent", "")
    assert "cfaigw" in emulator.requests[4].headers["User-Agent"]
    assert all(sent.headers["Authorization"] == f"Bearer {TOKEN}" for sent in emulator.requests)


# Credentials.


def test_credentials_given_beat_the_old_ones_as_a_whole(
    make: Callable[..., Any], emulator: Emulator
) -> None:
    def body(client: Any) -> Steps:
        yield balance(client.with_options(api_email=emulator.api_email, api_key=emulator.api_key))

    within(make, body)
    [sent] = emulator.requests
    assert "Authorization" not in sent.headers
    assert sent.headers["X-Auth-Key"] == emulator.api_key


def test_the_rate_limit_is_that_of_the_credentials(make: Callable[..., Any]) -> None:
    client = make()
    limiter = inner(client).logins.fallback.limiter
    for options in (
        {},
        {"timeout": 1},
        {"api_token": TOKEN},
        {"default_headers": {"X-Team": "billing"}},
        {"trace_configs": [aiohttp.TraceConfig()]},
    ):
        assert inner(client.copy(**options).copy()).logins.fallback.limiter is limiter
    for options in (
        {"api_token": OTHER},
        {"base_url": "https://elsewhere.test"},
        {"default_headers": {"authorization": f"Bearer {OTHER}"}},
        {"set_default_headers": {"X-Auth-Key": OTHER, "X-Auth-Email": "me@example.com"}},
    ):
        copy = client.copy(**options)
        assert inner(copy).logins.fallback.limiter is not limiter
        assert (
            inner(copy.copy(timeout=1)).logins.fallback.limiter
            is inner(copy).logins.fallback.limiter
        )


@pytest.mark.parametrize("way", ["with_options", "copy"])
def test_no_secret_is_in_a_repr_or_a_frame(make: Callable[..., Any], way: str) -> None:
    secret = {
        "api_token": OTHER,
        "default_headers": {"X-Auth-Key": OTHER, "Authorization": OTHER},
    }
    client = getattr(make(), way)(**secret)
    shown: list[Any] = [
        client,
        vars(client),
        inner(client),
        vars(inner(client)),
        inner(client).config,
    ]
    assert OTHER not in repr(shown)
    wrong: list[dict[str, Any]] = [
        {"timeout": -1},
        {"api_key": 5},
        {"set_default_headers": {}},
        {"nope": 1},
    ]
    for more in wrong:
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(client, way)(**secret, **more)
        ours = list(traceback.walk_tb(caught.value.__traceback__))[1:]
        assert ours
        assert OTHER not in repr([frame.f_locals for frame, _ in ours])
        assert OTHER not in str(caught.value)


# Connections.


def test_copies_share_the_connections_and_end_with_the_original(
    make: Callable[..., Any], emulator: Emulator
) -> None:
    def body(client: Any) -> Steps:
        one = client.with_options(timeout=9, trace_configs=())
        two = one.with_options(max_retries=0)
        three = client.with_options(max_retries=0)
        for it in (client, one, two, three):
            assert (yield balance(it)).balance == 1
        [session] = inner(client)._transport._sessions.values()
        assert sum(map(len, session.connector._conns.values())) == 1
        yield one.close
        yield one.close
        for it in (one, two):
            with pytest.raises(RuntimeError, match="closed"):
                yield balance(it)
            with pytest.raises(RuntimeError, match="closed"):
                it.copy()
        assert (yield balance(client)).balance == (yield balance(three)).balance == 1
        yield client.close
        with pytest.raises(RuntimeError, match="closed"):
            yield balance(three)
        yield three.close

    within(make, body)


@pytest.mark.parametrize("first", ["copy", "original"])
def test_a_copy_with_other_tracing_has_connections_of_its_own(
    make: Callable[..., Any], first: str
) -> None:
    def body(client: Any) -> Steps:
        copy = client.with_options(trace_configs=[aiohttp.TraceConfig()])
        again = copy.with_options(timeout=3)
        for it in (client, copy, again):
            yield balance(it)
        [session] = inner(copy)._transport._sessions.values()
        [others] = inner(client)._transport._sessions.values()
        assert session is not others
        assert inner(again)._transport._lender is inner(copy)._transport
        yield (copy if first == "copy" else client).close
        assert session.closed
        assert others.closed is (first == "original")
        for it in (copy, again):
            with pytest.raises(RuntimeError, match="closed"):
                yield balance(it)
        if first == "copy":
            yield balance(client)
        yield copy.close

    within(make, body)
    gc.collect()


def test_another_address_has_connections_of_its_own(
    make: Callable[..., Any], emulator: Emulator
) -> None:
    with Emulator() as elsewhere:
        elsewhere.add_account("acc", balance=9)

        def body(client: Any) -> Steps:
            same = client.with_options(base_url=emulator.base_url + "/")
            assert inner(same)._transport._lender is inner(client)._transport
            copy = client.with_options(base_url=elsewhere.base_url)
            assert (yield balance(copy)).balance == 9
            assert (yield balance(client)).balance == 1
            yield copy.close

        within(make, body)
    gc.collect()


async def test_a_session_of_the_callers_is_used_and_left_open(emulator: Emulator) -> None:
    options: dict[str, Any] = {"base_url": emulator.base_url, "account_id": "acc"}
    async with (
        aiohttp.ClientSession(headers={"X-Session": "1"}) as session,
        AsyncCloudflare(
            api_token=TOKEN, trace_configs=[aiohttp.TraceConfig()], **options
        ) as client,
    ):
        async with client.with_options(http_client=session) as copy:
            await copy.ai_gateway.billing.credit_balance()
            with pytest.raises(ValueError, match="trace_configs"):
                copy.with_options(trace_configs=[aiohttp.TraceConfig()])
            same = copy.with_options(http_client=session, timeout=3)
            await same.ai_gateway.billing.credit_balance()
        assert not session.closed
        async with copy_of_its_own(client, session) as copy:
            await copy.ai_gateway.billing.credit_balance()
    assert [sent.headers.get("X-Session") for sent in emulator.requests] == ["1", "1", None]


def copy_of_its_own(client: AsyncCloudflare, session: aiohttp.ClientSession) -> AsyncCloudflare:
    return client.with_options(http_client=session).with_options(http_client=None)


# Options in effect.


def test_the_options_of_a_copy_are_in_effect(make: Callable[..., Any], emulator: Emulator) -> None:
    def body(client: Any) -> Steps:
        assert (yield balance(client.copy(account_id="other"))).balance == 2
        emulator.inject(Fault(status=503), times=2)
        with pytest.raises(Exception, match="503"):
            yield balance(client.copy(max_retries=0))
        assert (yield balance(client.copy(max_retries=1, max_retry_wait=5))).balance == 1
        limited = client.copy(max_charge=0)
        with pytest.raises(ValueError, match="max_charge"):
            yield lambda: limited.ai_gateway.billing.topup.create(amount=1000)
        with pytest.raises(ValueError, match="max_charge"):
            yield lambda: limited.copy().with_raw_response.ai_gateway.billing.topup.create(
                amount=1000
            )
        emulator.inject(Fault(delay=60))
        with pytest.raises(Exception, match="time"):
            yield balance(client.copy(timeout=0.05, max_retries=0))

    within(make, body)
    assert not emulator.charges


# The sync client.


def test_a_sync_copy_shares_the_loop_and_survives_the_original_object(emulator: Emulator) -> None:
    options: dict[str, Any] = {"base_url": emulator.base_url, "account_id": "acc"}
    original = Cloudflare(api_token=TOKEN, **options)
    copy = original.with_options(timeout=5)
    portal = original._executor.portal
    assert copy._executor.portal is portal
    del original
    gc.collect()
    assert copy.ai_gateway.billing.credit_balance().balance == 1
    copy.close()
    with pytest.raises(RuntimeError, match="closed"):
        copy.ai_gateway.billing.credit_balance()
    portal.close()
    copy.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a fork with threads warns there")
def test_a_copy_works_in_a_forked_child(emulator: Emulator) -> None:
    options: dict[str, Any] = {"base_url": emulator.base_url, "account_id": "acc"}
    with Cloudflare(api_token=TOKEN, **options) as client:
        copies = [client.copy(timeout=5), client.copy(trace_configs=[aiohttp.TraceConfig()])]
        for copy in copies:
            assert copy.ai_gateway.billing.credit_balance().balance == 1
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                found = [copy.ai_gateway.billing.credit_balance().balance for copy in copies]
                status = 0 if found == [1, 1] else 2
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        for copy in copies:
            assert copy.ai_gateway.billing.credit_balance().balance == 1
            copy.close()
