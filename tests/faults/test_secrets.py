"""No token, key or `client_secret` is shown anywhere: not even to what captures local variables."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import pickle
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext, suppress
from functools import partial
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from attrs import field, frozen
from leaping import impatient

from cfaigw_billing import (
    APIConnectionError,
    AsyncCloudflare,
    Cloudflare,
    TopupOutcomeUnknownError,
)
from cfaigw_billing._core.options import RequestOptions
from cfaigw_billing.errors import APIResponseError, CloudflareError
from cfaigw_billing.types import (
    BillingInvoiceHistoryParams,
    Params,
    Response,
    TopupCreateResponse,
)

from .misbehaving import Peer, Request, Server, Turn, envelope, http, refusal, send
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
    """The source of the credentials."""

    arguments: Mapping[str, Any] = field(factory=dict[str, Any])
    environment: Mapping[str, str] = field(factory=dict[str, str])
    options: RequestOptions = field(factory=lambda: RequestOptions())
    sent: str = TOKEN
    """Return the request that reaches the server."""


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
    server: Server,
    source: Source,
    params: Params[Any],
    scheme: str = "http",
    *,
    proxy: Server | None = None,
    **options: Any,
) -> Any:
    async def main() -> Any:
        base_url = server.base_url.replace("http", scheme, 1)
        async with AsyncCloudflare(base_url=base_url, **source.arguments, **options) as client:
            send = impatient(
                lambda c: c.send(params, **source.options), lambda: (proxy or server).hanging
            )
            return await send(client)

    return asyncio.run(main())


def provoke_sync(
    server: Server,
    source: Source,
    params: Params[Any],
    scheme: str = "http",
    *,
    proxy: Server | None = None,
    **options: Any,
) -> Any:
    base_url = server.base_url.replace("http", scheme, 1)
    with Cloudflare(base_url=base_url, **source.arguments, **options) as client:
        send = impatient(
            lambda c: c.send(params, **source.options), lambda: (proxy or server).hanging
        )
        return send(client)


@pytest.fixture(params=[provoke_async, provoke_sync], ids=["async", "sync"])
def provoke(request: pytest.FixtureRequest) -> Provoke:
    """Make one call, without repeats; a server that hangs ends its time."""
    return partial(request.param, max_retries=0)


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
        if isinstance(error, APIResponseError):
            yield from (repr(error.body), repr(error.response.body), repr(error.response.headers))
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
    """Check the error, its causes, their frames and the log."""
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


# A response may repeat the request.

DIFFICULT = f"{SECRET}/to<k>&'e\"n\\+=%2F;{SECRET}"
"""A credential that looks another way in a URL, in JSON and in a page."""
ECHOING = {
    "a token": Source(arguments={"api_token": TOKEN}),
    "a difficult token": Source(arguments={"api_token": DIFFICULT}, sent=DIFFICULT),
    "a key": Source(arguments={"api_email": "a@b.c", "api_key": DIFFICULT}, sent=DIFFICULT),
    "headers of the client": Source(
        arguments={"api_token": "other", "default_headers": BEARER | {"apikey": DIFFICULT}},
    ),
    "headers of the call": Source(
        arguments={"api_token": "other"},
        options={"extra_headers": BEARER | {"Cookie": f"a=b; session={DIFFICULT}"}},
    ),
}
LONG = 9000 * "-"
WRONG_VALUE: dict[str, object] = {"balance": [], "has_default_payment_method": True}


def _in_errors(head: str) -> bytes:
    inner = [{"code": 2, "message": head, "documentation_url": f"https://a.test/?{head}"}]
    entry = {"code": 1, "message": {"headers": [head]}, "error_chain": inner}
    return json.dumps({"success": False, "errors": [entry, head]}).encode()


ECHOES: Mapping[str, Callable[[str], bytes]] = {
    "a text": lambda head: http(head.encode(), 502, content_type="text/plain"),
    "a page": lambda head: http(f"<pre>{html.escape(head)}</pre>".encode(), 502),
    "a page with a 200": lambda head: http(f"<pre>{html.escape(head)}</pre>".encode()),
    "an address": lambda head: http(f"?{quote(head)}&{quote(head, safe='')}".encode(), 502),
    "a large page": lambda head: http((head + LONG + head).encode(), 502),
    "a page, cut where an error cuts it": lambda head: http(
        (LONG[: 8192 - head.index(SECRET) - 9] + head).encode(), 502
    ),
    "half a page": lambda head: http(
        head[: head.index(SECRET) + 10].encode(), 502, content_type="text/plain"
    ),
    "a page that breaks off": lambda head: http(
        head[: head.index(SECRET) + 10].encode(), 502, length=9999
    ),
    "errors": lambda head: http(_in_errors(head), 400),
    "errors with escapes": lambda head: http(
        _in_errors(head).replace(b"/", b"\\/").replace(b"E", b"\\u0045"), 400
    ),
    "a long message": lambda head: http(refusal(1, 590 * "-" + head), 400),
    "a value": lambda head: http(envelope({**WRONG_VALUE, "more": {head: [head]}})),
    "a time": lambda head: http(envelope([{"id": "a", "name": "b", "created_on": head}])),
    "a header": lambda head: http(
        HTML, 502, *(f"X-Echo-{i}: {line}" for i, line in enumerate(head.split("\r\n")))
    ),
    "a content type": lambda head: http(HTML, 502, content_type=head.split("\r\n")[-2]),
    "a reason": lambda head: f"HTTP/1.1 502 {' '.join(head.split())}\r\n\r\n".encode(),
    "no HTTP": lambda head: head.encode() + b"\r\n\r\n",
    "a broken header": lambda head: f"HTTP/1.1 200 OK\r\n{head[-300:]}\x00\r\n\r\n".encode(),
    "half a head": lambda head: f"HTTP/1.1 200 OK\r\n{head.partition(chr(10))[2]}\r\n".encode(),
    "a broken chunk": lambda head: chunked(head.encode()),
}


@pytest.mark.parametrize("source", ECHOING.values(), ids=ECHOING)
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_an_answer_that_repeats_the_credentials_is_shown_without_them(
    provoke: Provoke, source: Source, echo: Callable[[str], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    def answer(peer: Peer) -> None:
        peer.send(echo(peer.server.requests[-1].head.decode()))

    caplog.set_level(logging.DEBUG)
    for params in (BALANCE, CHARGE):
        with (
            Server((Peer.request, answer, Peer.close)) as server,
            pytest.raises(CloudflareError) as caught,
        ):
            provoke(server, source, params)
        assert source.sent.encode() in server.requests[0].head
        assert leaks(caught.value) == []
    assert SECRET not in caplog.text


@pytest.mark.parametrize("name", ["a broken chunk", "a page that breaks off"])
def test_a_stream_that_repeats_the_credentials_is_shown_without_them(name: str) -> None:
    def answer(peer: Peer) -> None:
        page = ECHOES[name](peer.server.requests[-1].head.decode())
        peer.send(page.replace(b" 502 ", b" 200 "))

    async def stream(client: AsyncCloudflare, *, parsed: bool) -> None:
        billing = client.ai_gateway.billing.with_streaming_response
        async with client, billing.credit_balance(account_id="acc") as response:
            if not parsed:
                async for _ in response.iter_bytes():
                    pass
            await response.parse()

    def stream_sync(client: Cloudflare, *, parsed: bool) -> None:
        billing = client.ai_gateway.billing.with_streaming_response
        with client, billing.credit_balance(account_id="acc") as response:
            if not parsed:
                for _ in response.iter_bytes():
                    pass
            response.parse()

    for parsed in (True, False):
        with Server((Peer.request, answer, Peer.close)) as server:
            given: Any = {"base_url": server.base_url, "api_token": DIFFICULT}
            with pytest.raises(CloudflareError) as caught:
                asyncio.run(stream(AsyncCloudflare(**given), parsed=parsed))
            assert leaks(caught.value) == []
            with pytest.raises(CloudflareError) as caught:
                stream_sync(Cloudflare(**given), parsed=parsed)
            assert leaks(caught.value) == []


def test_a_short_value_does_not_mask_the_words_of_an_error(provoke: Provoke) -> None:
    source = Source(arguments={"api_token": "a"}, options={"extra_headers": {"X-Token": "message"}})
    said = "a message that says what is the matter"
    with (
        Server(answers(http(refusal(1, said), 400))) as server,
        pytest.raises(APIResponseError, match=said) as caught,
    ):
        provoke(server, source, BALANCE)
    assert "[redacted]" not in repr(caught.value.body)


SECRET_HEADERS = [
    *("apikey", "X-ApiKey", "Token", "X-Auth", "X-Auth-Anything", "X-Password", "passwd"),
    *("Cookie", "Set-Cookie", "X-Secret-Thing", "X-Session-Id", "Cf-Access-Jwt-Assertion"),
]
PLAIN_HEADERS = ["Accept-Language", "X-Request-Id", "X-Author", "WWW-Authenticate", "Keep-Alive"]


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", [*SECRET_HEADERS, *PLAIN_HEADERS])
def test_a_header_is_masked_by_its_name(provoke: Provoke, name: str, *, short: bool) -> None:
    """Short or long, in the request and in the response, whoever sent it."""
    sent, answered = ("s", "a") if short else (f"sent-{SECRET}", f"answered-{SECRET}")
    source = Source(arguments={"api_token": "other"}, options={"extra_headers": {name: sent}})
    with (
        Server(answers(http(refusal(), 400, f"{name}: {answered}"))) as server,
        pytest.raises(APIResponseError) as caught,
    ):
        provoke(server, source, BALANCE)
    assert f"{name}: {sent}".encode() in server.requests[0].head
    shown = caught.value.request.headers[name], caught.value.response.headers[name]
    secret = name in SECRET_HEADERS
    assert shown == (("[redacted]", "[redacted]") if secret else (sent, answered))
    assert bool(leaks(caught.value)) == (not (secret or short))


async def test_the_headers_of_a_raw_response_are_true_and_its_repr_has_none() -> None:
    cookie = f"Set-Cookie: a={SECRET}"
    with Server(answers(http(envelope(WRONG_VALUE), 200, cookie))) as server:
        async with AsyncCloudflare(base_url=server.base_url, api_token=TOKEN) as client:
            billing = client.ai_gateway.billing.with_raw_response
            response = await billing.credit_balance(account_id="acc")
            with pytest.raises(APIResponseError) as caught:
                await response.parse()
    assert response.headers["set-cookie"] == f"a={SECRET}"
    assert SECRET not in repr(response) + repr(response._answer)
    assert leaks(caught.value) == []


@pytest.mark.parametrize("option", ["default_headers", "set_default_headers"])
@pytest.mark.parametrize("method", ["with_options", "copy"])
@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_a_copy_with_a_secret_header_shows_no_credentials(
    cls: Any, method: str, option: str
) -> None:
    """Also if making the copy fails, or a call of the copy."""
    client = cls(api_token="other", base_url="http://localhost:1", max_retries=0)
    given = {option: {**BEARER, "apikey": KEY}}
    for wrong in ({"max_retries": -1}, {"unknown": 1}, {"trace_configs": [1]}):
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(client, method)(**given, **wrong)
        assert leaks(caught.value) == []
    copy = getattr(client, method)(**given)

    async def use() -> None:
        outcome = copy.send(BALANCE)
        if cls is AsyncCloudflare:
            async with client:
                await outcome

    with (
        closing(client) if cls is Cloudflare else nullcontext(),
        pytest.raises(CloudflareError) as failed,
    ):
        asyncio.run(use())
    assert leaks(failed.value) == []


# Proxies.

NO_REQUEST = Request(method="", path="", head=b"", body=b"", connection=0, at=0)
PASSWORD = f"pass-{SECRET}"
MALFORMED = {
    "a port that is none": "http://user:{}@proxy.test:port",
    "a port that is too large": "http://user:{}@proxy.test:99999",
    "a # in the password": "http://user:#{}@proxy.test:8080",
    "a number and a # in the password": "http://user:1#{}@proxy.test:8080",
    "a ? in the password": "http://user:1?{}@proxy.test:8080",
    "a / in the password": "http://user:1/{}@proxy.test:8080",
    "no host": "http://user:{}@",
    "half a scheme": "http//user:{}@proxy.test:8080",
    "another scheme": "socks5://user:{}@proxy.test:1080",
    "an open bracket": "http://user:{}@[::1:8080",
    "a path": "http://user:{}@proxy.test/path",
}


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
@pytest.mark.parametrize("address", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_proxy_is_named_and_not_shown(
    cls: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address.format(PASSWORD))
    with pytest.raises(ValueError, match="HTTPS_PROXY") as caught:
        cls(api_token=TOKEN)
    assert leaks(caught.value) == []


def repeat(before: str, after: str = "\r\n\r\n") -> Turn:
    """Answer with what came in, in one line."""

    def step(peer: Peer) -> None:
        [came] = [line for line in peer._received.split(b"\r\n") if line.startswith(b"Proxy-Auth")]
        peer.send(before.encode() + came + after.encode())

    return Peer.head, step, Peer.close


REFUSING: Mapping[str, Turn] = {
    "refuses": repeat("HTTP/1.1 407 "),
    "refuses with a header": repeat("HTTP/1.1 407 No\r\n"),
    "hangs": (Peer.head, Peer.hang),
    "resets": (Peer.head, Peer.reset),
    "answers no HTTP": repeat(""),
    "answers no TLS": repeat("HTTP/1.1 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("params", [BALANCE, CHARGE], ids=["a read", "a charge"])
@pytest.mark.parametrize("turn", [*REFUSING.values(), None], ids=[*REFUSING, "is not there"])
def test_the_password_of_a_proxy_is_shown_nowhere(
    provoke: Provoke,
    turn: Turn | None,
    params: Params[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    basic = b64encode(f"user:{PASSWORD}".encode()).decode()
    with Server(turn or (), listening=turn is not None) as proxy, Server() as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@{proxy.origin}")
        with pytest.raises(APIConnectionError) as caught:
            provoke(server, SOURCES["an argument"], params, scheme="https", proxy=proxy)
    shown = list(places(caught.value))
    assert not [place for place in shown if SECRET in place or basic in place]
    assert SECRET not in caplog.text


async def test_a_cancelled_call_shows_no_password_of_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its frames are those of the connection to the proxy."""
    basic = b64encode(f"user:{PASSWORD}".encode()).decode()
    heads: list[bytes] = []

    def note(peer: Peer) -> None:
        heads.append(peer._received)
        peer.server.saw(attrs.evolve(NO_REQUEST, head=peer._received), charges=False)

    with Server((Peer.head, note, Peer.hang)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@{proxy.origin}")
        async with AsyncCloudflare(base_url="https://localhost:1", api_token=TOKEN) as client:
            call = asyncio.create_task(client.send(BALANCE))
            await asyncio.to_thread(proxy.wait_for, lambda: proxy.requests)
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
    assert basic.encode() in heads[0]
    assert len(caught.traceback) > 5
    assert not [place for place in places(caught.value) if SECRET in place or basic in place]


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


@pytest.mark.parametrize("params", [BALANCE, CHARGE], ids=["a read", "a charge"])
async def test_a_cancellation_in_the_middle_of_an_answer_shows_nothing_of_it(
    params: Params[Any],
) -> None:
    """Check its headers, and the received part of its body."""
    half = http(PAYMENT, 200, f"X-Echo: Bearer {TOKEN}", f"Set-Cookie: a={SECRET}", length=9999)

    def answer(peer: Peer) -> None:
        peer.send(half)

    with Server((Peer.request, answer, Peer.hang)) as server:
        async with AsyncCloudflare(base_url=server.base_url, api_token=TOKEN) as client:
            call = asyncio.create_task(client.send(params))
            await asyncio.to_thread(server.wait_for, lambda: server.requests)
            while "_read" not in stack_of(call):  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
    assert "_read" in [entry.name for entry in caught.traceback]
    assert leaks(caught.value) == []


def stack_of(task: asyncio.Task[Any]) -> Iterator[str]:
    """The names of the functions that a task waits in."""
    waiting: Any = task.get_coro()
    while waiting is not None:
        if code := getattr(waiting, "cr_code", None):
            yield code.co_name
        waiting = getattr(waiting, "cr_await", None)


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
    "a base_url that is not a URL": {"base_url": "http://[:"},
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
    """Also not those in other arguments, in the frames of the constructor."""
    given = {"api_token": TOKEN, "api_email": "a@b.c", "api_key": KEY, "default_headers": headers}
    found: dict[str, list[str]] = {}
    for name, wrong in WRONG.items():
        with pytest.raises((ValueError, TypeError)) as caught:
            cls(**{**given, **wrong})
        if leaked := leaks(caught.value):
            found[name] = leaked
    assert found == {}


SECRET_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "default_headers": {"default_headers": {**BEARER, "X-Auth-Key": KEY}},
    "set_default_headers": {"set_default_headers": BEARER},
    "api_token": {"api_token": TOKEN},
    "api_key": {"api_email": "a@b.c", "api_key": KEY},
    "user_service_key": {"user_service_key": SERVICE_KEY},
}


@pytest.mark.parametrize("method", ["with_options", "copy"])
@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
def test_a_wrong_option_of_a_copy_shows_no_credentials(cls: Any, method: str) -> None:
    """Also not those in other options, in the frames below the call."""
    client, found = cls(api_token="other"), dict[str, list[str]]()
    for name, given in SECRET_OPTIONS.items():
        for wrong in ({"max_retries": 0.5}, {"no_such_option": 1}, {"timeout": "soon"}):
            with pytest.raises((ValueError, TypeError)) as caught:
                getattr(client, method)(**given, **wrong)
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
    with pytest.raises(ValueError, match=f"^{name} holds more .* the line breaks$") as caught:
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


DEEP: Mapping[str, object] = {
    "in a mapping": {"payment": {"client_secret": CLIENT_SECRET}},
    "in a list": [[{"payments": [{"client_secret": CLIENT_SECRET}]}]],
    "a list": {"client_secret": [CLIENT_SECRET, {"value": CLIENT_SECRET}]},
    "another spelling": {"clientSecret": CLIENT_SECRET, "setup_client_secret": CLIENT_SECRET},
}


def deep_answers(more: object) -> Iterator[tuple[Params[Any], object]]:
    """Answers with something that this version does not know, at any place."""
    invoice = {"amount_due": 1, "amount_paid": 1, "amount_remaining": 0, "currency": "usd"}
    pages = {"has_more": False, "page": 1, "per_page": 1, "total_count": 1}
    payment = {"client_secret": None, "onboarding": True, "payment_intent_id": "in_1"}
    history = {"invoices": [{**invoice, "more": more}], "pagination": {**pages, "more": more}}
    balance = {"balance": 1, "has_default_payment_method": True}
    card = {"brand": "visa", "last4": "1234", "more": more}
    yield CHARGE, {**payment, "more": more}
    yield BillingInvoiceHistoryParams(account_id="acc"), {**history, "more": more}
    yield BALANCE, {**balance, "payment_method": card, "more": more}


@pytest.mark.parametrize("more", DEEP.values(), ids=DEEP)
def test_the_secret_of_a_payment_is_masked_wherever_it_is_in_an_answer(
    provoke: Provoke, more: object
) -> None:
    for params, result in deep_answers(more):
        with Server(answers(http(envelope(result)))) as server:
            value = provoke(server, SOURCES["an argument"], params)
        assert isinstance(value, Response)
        assert value.extra == {"more": more}
        assert json.dumps(value.extra["more"]) == json.dumps(more)
        again = pickle.loads(pickle.dumps(value))  # noqa: S301  # of this test
        assert SECRET.encode() not in pickle.dumps(value) + pickle.dumps(again)
        shown = repr(value) + repr(value.extra) + repr(attrs.asdict(value)) + repr(again.extra)
        assert SECRET not in shown
