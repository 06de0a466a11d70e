"""No token, key or `client_secret` is shown anywhere: not even to what captures local variables."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import pytest
from attrs import field, frozen

from cfaigw_billing import AsyncCloudflare, Cloudflare, TopupOutcomeUnknownError
from cfaigw_billing._core.options import RequestOptions
from cfaigw_billing.errors import APIResponseError, CloudflareError
from cfaigw_billing.types import Params, TopupCreateResponse

from .misbehaving import Peer, Server, Turn, http, refusal, send
from .test_table import BALANCE, CHARGE, CHARGE_JSON, HTML, answers, chunked, good

SECRET = "SECRET"
"""Part of every secret of these tests, and of nothing else."""
TOKEN = f"token-{SECRET}-1"
KEY = f"key-{SECRET}-2"
SERVICE_KEY = f"service-{SECRET}-3"
CLIENT_SECRET = f"pi_{SECRET}_4"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAYMENT = CHARGE_JSON.replace(b"null", f'"{CLIENT_SECRET}"'.encode())


@frozen(kw_only=True)
class Source:
    """Where the credentials come from."""

    arguments: Mapping[str, Any] = field(factory=dict[str, Any])
    environment: Mapping[str, str] = field(factory=dict[str, str])
    options: RequestOptions = field(factory=lambda: RequestOptions())
    sent: str = TOKEN
    """What reaches the server."""


SOURCES = {
    "an argument": Source(arguments={"api_token": TOKEN}),
    "a key": Source(arguments={"api_email": "a@b.c", "api_key": KEY}, sent=KEY),
    "a service key": Source(arguments={"user_service_key": SERVICE_KEY}, sent=SERVICE_KEY),
    "the environment": Source(environment={"CLOUDFLARE_API_TOKEN": TOKEN}),
    "a key of the environment": Source(
        environment={"CLOUDFLARE_EMAIL": "a@b.c", "CLOUDFLARE_API_KEY": KEY}, sent=KEY
    ),
    "headers of the client": Source(
        arguments={"api_token": "other", "default_headers": BEARER},
    ),
    "headers of the call": Source(
        arguments={"api_token": "other"}, options={"extra_headers": BEARER}
    ),
}
every_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)

FAULTS: Mapping[str, tuple[Turn, str]] = {
    "refused": (answers(http(refusal(10000, "Authentication error"), 401)), "http"),
    "a page": (answers(http(HTML, 502, content_type="text/html")), "http"),
    "a wrong value": (answers(http(b'{"success": true, "result": {"balance": []}}')), "http"),
    "reset": ((Peer.request, Peer.reset), "http"),
    "no answer": ((Peer.request, Peer.hang), "http"),
    "half a head": ((*answers(b"HTTP/1.1 200 OK\r\nA: "), Peer.close), "http"),
    "half a body": ((*answers(http(HTML, length=999)), Peer.close), "http"),
    "no HTTP": (answers(b"no HTTP\r\n\r\n"), "http"),
    "chunk garbage": (answers(chunked(b"zz\r\n")), "http"),
    "no TLS": ((Peer.wait, send(b"no TLS\r\n"), Peer.close), "https"),
}

Provoke = Callable[..., Any]


def provoke_async(
    server: Server, source: Source, params: Params[Any], scheme: str = "http", **options: Any
) -> Any:
    async def main() -> Any:
        base_url = server.base_url.replace("http", scheme, 1)
        async with AsyncCloudflare(base_url=base_url, **source.arguments, **options) as client:
            return await client.send(params, **source.options)

    return asyncio.run(main())


def provoke_sync(
    server: Server, source: Source, params: Params[Any], scheme: str = "http", **options: Any
) -> Any:
    base_url = server.base_url.replace("http", scheme, 1)
    with Cloudflare(base_url=base_url, **source.arguments, **options) as client:
        return client.send(params, **source.options)


@pytest.fixture(params=[provoke_async, provoke_sync], ids=["async", "sync"])
def provoke(request: pytest.FixtureRequest) -> Provoke:
    """Make one call, without repeats."""
    return partial(request.param, max_retries=0, timeout=0.1)


def use(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in source.environment.items():
        monkeypatch.setenv(name, value)


def places(error: BaseException | None) -> Iterator[str]:
    """Everything that a reporter of errors can show of it, but for the frames of this module.

    As `traceback.TracebackException(…, capture_locals=True)` has it, which before Python 3.12
    gives up at the first object that has no repr, such as one that is half made.
    """
    while error is not None:
        yield from (str(error), repr(error), *getattr(error, "__notes__", []))
        yield from (f"{name}: {value!r}" for name, value in vars(error).items())
        for frame, _ in traceback.walk_tb(error.__traceback__):
            code = frame.f_code
            if code.co_filename != __file__:
                for name, value in frame.f_locals.items():
                    with suppress(AttributeError):
                        yield f"{name} of {code.co_name} in {code.co_filename}: {value!r}"
        if isinstance(error, CloudflareError):
            yield repr(pickle.dumps(error))
        error = error.__cause__ or error.__context__


def leaks(error: BaseException) -> list[str]:
    return [place[:300] for place in places(error) if SECRET in place]


@pytest.mark.parametrize(
    ("source", "params"),
    [
        *((source, BALANCE) for source in SOURCES.values()),
        (SOURCES["an argument"], CHARGE),
        (SOURCES["headers of the call"], CHARGE),
    ],
    ids=[*SOURCES, "an argument, for a charge", "headers of the call, for a charge"],
)
def test_an_error_shows_no_credentials(
    provoke: Provoke,
    source: Source,
    params: Params[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither itself, nor its causes, nor their frames, nor what was logged on the way."""
    use(source, monkeypatch)
    caplog.set_level(logging.DEBUG)
    found: dict[str, list[str]] = {}
    for fault, (turn, scheme) in FAULTS.items():
        with Server(turn) as server, pytest.raises(CloudflareError) as caught:
            provoke(server, source, params, scheme)
        assert all(source.sent.encode() in request.head for request in server.requests)
        assert len(server.requests) > 0 or scheme == "https"
        if leaked := leaks(caught.value):
            found[fault] = leaked
    assert found == {}
    assert SECRET not in caplog.text


def test_the_check_finds_what_is_there() -> None:
    """A check of the check: a token in a local variable of somebody else's frame is found."""
    namespace: dict[str, Any] = {}
    code = compile("def fail(token):\n    raise ValueError('wrong')\n", "elsewhere.py", "exec")
    exec(code, namespace)  # noqa: S102
    with pytest.raises(ValueError, match="wrong") as caught:
        namespace["fail"](TOKEN)
    assert leaks(caught.value) == [f"token of fail in elsewhere.py: {TOKEN!r}"]


@every_source
async def test_a_cancellation_shows_no_credentials(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frames reach down to where the request is being sent."""
    use(source, monkeypatch)
    with Server((Peer.request, Peer.hang)) as server:
        async with AsyncCloudflare(base_url=server.base_url, **source.arguments) as client:
            call = asyncio.create_task(client.send(CHARGE, **source.options))
            await asyncio.to_thread(server.wait_for, lambda: server.requests)
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
    assert isinstance(caught.value.__cause__, TopupOutcomeUnknownError)
    assert len(caught.traceback) > 3
    assert leaks(caught.value) == []


@every_source
async def test_what_stands_for_a_client_shows_no_credentials(
    source: Source, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(source, monkeypatch)
    caplog.set_level(logging.DEBUG)
    with Server(good()) as server:
        async with AsyncCloudflare(base_url=server.base_url, **source.arguments) as client:
            response = await client._executor.execute(BALANCE, source.options)
            executor = client._executor
            shown = [client, executor, executor.config, executor.config.credentials]
            shown += [response, response.http_request, response.http_request.headers]
            shown += [response.parse(), BALANCE, client.ai_gateway.billing]
        with Cloudflare(base_url=server.base_url, **source.arguments) as sync_client:
            sync_client.send(BALANCE, **source.options)
            shown += [sync_client, sync_client._executor.portal, sync_client.ai_gateway.billing]
    assert [text for text in map(repr, shown) if SECRET in text] == []
    assert SECRET not in caplog.text
    assert all(source.sent.encode() in request.head for request in server.requests)


WRONG: Mapping[str, Mapping[str, Any]] = {
    "base_url": {"base_url": "ftp://nowhere"},
    "a base_url that is no address": {"base_url": "http://[:"},
    "a base_url in the clear": {"base_url": "http://example.com"},
    "timeout": {"timeout": "soon"},
    "max_retries": {"max_retries": None},
    "max_charge": {"max_charge": 0.5},
    "account_id": {"account_id": "../else"},
    "default_headers": {"default_headers": {"Authorization": f"Bearer {TOKEN}\n"}},
    "default_headers of a wrong type": {"default_headers": [("Authorization", TOKEN)]},
    "default_query": {"default_query": "a=b"},
    "a token with a newline": {"api_token": f"{TOKEN}\n"},
    "a token that is not ASCII": {"api_token": f"{TOKEN}é"},
    "a token of bytes": {"api_token": TOKEN.encode()},
    "a key with a newline": {"api_key": f"{KEY}\n"},
    "a service key with a space": {"user_service_key": f"{SERVICE_KEY} "},
}


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
@pytest.mark.parametrize("headers", [{}, BEARER], ids=["arguments", "headers"])
def test_a_wrong_argument_shows_no_credentials(cls: Any, headers: Mapping[str, str]) -> None:
    """Of the other arguments neither, in the frames of the constructor."""
    given = {"api_token": TOKEN, "api_email": "a@b.c", "api_key": KEY, "default_headers": headers}
    found: dict[str, list[str]] = {}
    for name, wrong in WRONG.items():
        with pytest.raises((ValueError, TypeError)) as caught:
            cls(**{**given, **wrong})
        if leaked := leaks(caught.value):
            found[name] = leaked
    assert found == {}


@pytest.mark.parametrize("url", ["https://user:{}@example.com", "https://example.com/?token={}"])
def test_a_secret_in_a_base_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        AsyncCloudflare(base_url=url.format(TOKEN))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
@pytest.mark.parametrize(
    "name", ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY", "CLOUDFLARE_API_USER_SERVICE_KEY"]
)
def test_a_wrong_variable_shows_no_credentials(
    cls: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"{TOKEN}\n")
    with pytest.raises(ValueError, match="must be printable ASCII") as caught:
        cls()
    assert leaks(caught.value) == []


# The secret of a payment.


def test_a_payment_is_shown_without_its_secret(
    provoke: Provoke, caplog: pytest.LogCaptureFixture
) -> None:
    """The secret is there to be handed on, and nowhere else."""
    caplog.set_level(logging.DEBUG)
    with Server(answers(http(PAYMENT))) as server:
        payment = provoke(server, SOURCES["an argument"], CHARGE)
    assert isinstance(payment, TopupCreateResponse)
    assert payment.client_secret == CLIENT_SECRET
    for text in (repr(payment), str(payment), repr(attrs.asdict(payment)), caplog.text):
        assert SECRET not in text
    assert SECRET.encode() not in pickle.dumps(payment)


IN_QUOTES = f'"{CLIENT_SECRET}"'.encode()
UNREADABLE = {
    "a missing field": PAYMENT.replace(b"payment_intent_id", b"other"),
    "a wrong type": PAYMENT.replace(b"true}", b"[]}").replace(b'"in_1"', b"7"),
    "no envelope": PAYMENT.replace(b"success", b"other"),
    "a refusal": PAYMENT.replace(b'"success": true', b'"success": false'),
    "half of it": PAYMENT[: PAYMENT.index(SECRET.encode()) + len(SECRET)],
    "broken JSON": PAYMENT.replace(b"true", b"tru"),
    "a BOM": b"\xef\xbb\xbf" + PAYMENT,
    "with spaces": PAYMENT.replace(b'"client_secret": ', b'"client_secret"\n\t :\r\n ')[:-1],
    "with an escaped quote": PAYMENT.replace(b'"pi_', b'"pi_\\"')[:-1],
    "with an escaped name": PAYMENT.replace(b"client_secret", b"client\\u005fsecret")[:-1],
    "as a list": PAYMENT.replace(IN_QUOTES, b"[%b]" % IN_QUOTES),
    "as an object": PAYMENT.replace(IN_QUOTES, b'{"value": %b}' % IN_QUOTES),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_cannot_be_read_is_shown_without_the_secret(
    provoke: Provoke, body: bytes
) -> None:
    """In the excerpt, in the body that the error keeps, in the frames: nowhere."""
    assert SECRET.encode() in body
    for status in (200, 400, 502):
        with (
            Server(answers(http(body, status))) as server,
            pytest.raises(CloudflareError) as caught,
        ):
            provoke(server, SOURCES["an argument"], CHARGE)
        assert leaks(caught.value) == []
        answered = caught.value.__cause__ or caught.value
        assert isinstance(answered, APIResponseError)
        assert SECRET.encode() not in answered.response.body
