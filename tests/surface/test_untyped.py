"""`client.get`, `post`, `put`, `patch` and `delete`: what has no method is called by its path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import attrs
import pytest
from conftest import MockedService, Run
from faults.misbehaving import BASE_PATH, Peer, Server, VirtualClock, envelope, http, refusal, send

from cfaigw_billing import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
)
from cfaigw_billing.testing import Emulator

METHODS = ("get", "post", "put", "patch", "delete")
GATEWAYS = "/accounts/acc/ai-gateway/gateways"
BODY: dict[str, object] = {
    "success": True,
    "errors": [],
    "messages": [],
    "result": {"id": "g", "rate": 1},
}


@attrs.frozen
class Gateway:
    id: str
    rate: float


@attrs.frozen
class Whole:
    success: bool
    result: Gateway


@dataclass
class Data:
    success: bool
    result: dict[str, Any]


class Typed(TypedDict):
    success: bool
    result: dict[str, Any]


class NoRecord:
    def __init__(self, value: object) -> None: ...


@dataclass
class HoldsNoRecord:
    held: NoRecord


@pytest.fixture
def call(run: Run, mocked_service: MockedService) -> Any:
    """Calls the mocked service by method and path."""

    def call(method: str, path: str, *, client: Mapping[str, Any] = {}, **options: Any) -> Any:
        given = {"base_url": mocked_service.base_url, "api_token": "token", "max_retries": 0}
        options.setdefault("cast_to", object)
        return run(lambda c: getattr(c, method)(path, **options), **{**given, **client})

    return call


# Requests.


@pytest.mark.parametrize("method", METHODS)
def test_the_method_the_path_and_the_body_are_sent(
    call: Any, mocked_service: MockedService, method: str
) -> None:
    mocked_service.answer(json.dumps(BODY).encode())
    options = {} if method == "get" else {"body": {"id": "ä"}}
    assert call(method, GATEWAYS, cast_to=dict, **options) == BODY
    [sent] = mocked_service.requests
    assert (sent.method, sent.path) == (method.upper(), GATEWAYS)
    assert sent.headers["Authorization"] == "Bearer token"
    assert sent.headers.get("Content-Type") == (None if method == "get" else "application/json")
    assert (json.loads(sent.body) if sent.body else {}) == options.get("body", {})


@pytest.mark.parametrize(
    ("path", "options", "query"),
    [
        ("/x?a=1&b=", {}, [("a", "1"), ("b", "")]),
        ("/x?a=1&a=2", {}, [("a", "1"), ("a", "2")]),
        ("/x?a=1&b=2", {"extra_query": {"a": True, "b": None}}, [("a", "true")]),
        ("/x?q=%C3%A4+%26", {}, [("q", "ä &")]),
        ("/x?d=0", {"client": {"default_query": {"d": 1, "e": 2}}}, [("d", "0"), ("e", "2")]),
    ],
)
def test_the_query_of_the_path_joins_that_of_the_options(
    call: Any,
    mocked_service: MockedService,
    path: str,
    options: Any,
    query: list[tuple[str, str]],
) -> None:
    mocked_service.answer(b"{}")
    call("get", path, **options)
    [sent] = mocked_service.requests
    assert (sent.path, list(sent.query.items())) == ("/x", query)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("/x", "/x"),
        ("/x/", "/x/"),
        ("/ä b/日", "/%C3%A4%20b/%E6%97%A5"),
        ("/%C3%A4%2Fb", "/%C3%A4%2Fb"),
        ("/a{b}[c]", "/a%7Bb%7D%5Bc%5D"),
        ("/a:b@c,d;e=f", "/a:b@c,d;e=f"),
    ],
)
def test_the_path_goes_below_the_base_url(run: Run, slash: str, path: str, wire: str) -> None:
    with Server((Peer.request, send(http(b"{}")))) as server:
        options = {"base_url": server.base_url + slash, "api_token": "token"}
        assert run(lambda client: client.get(path, cast_to=dict), **options) == {}
        assert server.requests[0].path == wire
        assert server.requests[0].head.startswith(f"GET {BASE_PATH}{wire} HTTP".encode())


def test_extra_body_joins_a_body_that_is_a_mapping(
    call: Any, mocked_service: MockedService
) -> None:
    mocked_service.answer(b"{}")
    call("post", "/x", body={"a": 1, "b": 1}, extra_body={"b": 2})
    call("post", "/x", body=[1, None])
    call("post", "/x")
    assert [sent.body for sent in mocked_service.requests] == [b'{"a":1,"b":2}', b"[1,null]", b""]
    with pytest.raises(TypeError, match="extra_body"):
        call("post", "/x", body=[1], extra_body={"b": 2})
    with pytest.raises(ValueError, match="cannot be sent"):
        call("post", "/x", body={1, 2})


# Refused before sending.


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "https://example.com/x",
        "//example.com/x",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/%252E./b",
        "/a/..;x/b",
        "/a\\..\\b",
        "/./b",
        "/a#b",
        "/a?b#c",
        "/a\r\nX-Evil: 1",
        "/a\nb",
        "/a\tb",
        "/a\x00b",
        "/a\x7fb",
        "/a?b=\r\n",
        "/\ud800",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(
    call: Any, mocked_service: MockedService, path: str
) -> None:
    mocked_service.answer(b"{}")
    with pytest.raises(ValueError):
        call("get", path)
    assert mocked_service.requests == []


@pytest.mark.parametrize("path", [None, b"/x", 5])
def test_a_path_that_is_no_string_is_refused(call: Any, path: Any) -> None:
    with pytest.raises(TypeError, match="path"):
        call("get", path)


BILLING = "/accounts/acc/ai-gateway/billing"
SPELLINGS = [
    f"{BILLING}/topup",
    f"{BILLING}/topup/",
    f"{BILLING}/topup/config",
    f"{BILLING}//topup",
    f"{BILLING}/topup//config//",
    f"{BILLING}/TopUp",
    "/ACCOUNTS/acc/AI-Gateway/Billing/topup",
    f"{BILLING}/%74opup",
    f"{BILLING}/%2574opup",
    f"{BILLING}%2Ftopup",
    f"{BILLING}%2ftopup%2Fconfig",
    f"{BILLING}/topup?x=1",
    f"{BILLING}/topup%3Fx=1",
    f"{BILLING}/topup%23x",
    f"{BILLING}/topup;x=1",
    f"{BILLING};x/topup;y",
    f"{BILLING}/topup%3Bx",
    f"{BILLING}\\topup",
    f"{BILLING}%5Ctopup",
    f"{BILLING}/topup%20",
    f"{BILLING}/topup ",
    f"{BILLING}/topup%00",
    f"{BILLING}/topup%0D%0A",
    "/accounts/%7Baccount_id%7D/ai-gateway/billing/topup",
    "/x/../accounts/acc/ai-gateway/billing/topup",
    f"{BILLING}/status/%2e%2e/topup",
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_a_path_that_charges_is_sent(
    run_sync: Run, mocked_service: MockedService, path: str
) -> None:
    mocked_service.answer(b"{}")

    def all_methods(client: Any) -> None:
        groups = client, client.with_raw_response
        for send_it in [getattr(group, m) for group in groups for m in ("post", "put", "patch")]:
            with pytest.raises(ValueError, match=r"charges a card; call|must have no"):
                send_it(path, cast_to=object, body={"amount": 1000})
        with (
            pytest.raises(ValueError, match=r"charges a card; call|must have no"),
            client.with_streaming_response.post(path, cast_to=object),
        ):
            pytest.fail("entered")

    run_sync(all_methods, base_url=mocked_service.base_url, api_token="token", max_charge=0)
    assert mocked_service.requests == []


@pytest.mark.parametrize("split", ["/accounts/acc", BILLING, "/accounts"])
def test_a_base_url_that_holds_half_of_the_path_changes_nothing(
    call: Any, mocked_service: MockedService, split: str
) -> None:
    client = {"base_url": mocked_service.base_url + split}
    rest = f"{BILLING}/topup".removeprefix(split)
    with pytest.raises(ValueError, match=r"billing\.topup\.create"):
        call("post", rest, client=client)
    assert mocked_service.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", f"{BILLING}/topup/config"),
        ("delete", f"{BILLING}/topup/config"),
        ("post", f"{BILLING}/topup/status"),
        ("post", f"{BILLING}/topups"),
        ("post", "/zones/topup"),
    ],
)
def test_what_charges_nothing_is_sent(
    call: Any, mocked_service: MockedService, method: str, path: str
) -> None:
    mocked_service.answer(b"{}")
    call(method, path, client={"max_charge": 0})
    assert len(mocked_service.requests) == 1


@pytest.mark.parametrize(
    "cast_to", [NoRecord, HoldsNoRecord, list[NoRecord], 5, "dict", Exception, len]
)
def test_what_nothing_can_be_made_into_is_refused(
    call: Any, mocked_service: MockedService, cast_to: Any
) -> None:
    with pytest.raises(TypeError, match="cast_to"):
        call("get", "/x", cast_to=cast_to)
    assert mocked_service.requests == []


# Answers.


@pytest.mark.parametrize(
    ("cast_to", "expected"),
    [
        (dict, BODY),
        (dict[str, Any], BODY),
        (object, BODY),
        (Whole, Whole(success=True, result=Gateway(id="g", rate=1.0))),
        (Data, Data(success=True, result={"id": "g", "rate": 1})),
        (Typed, {**BODY}),
        (str, json.dumps(BODY)),
        (bytes, json.dumps(BODY).encode()),
    ],
)
def test_the_whole_answer_is_made_into_what_was_asked_for(
    call: Any, mocked_service: MockedService, cast_to: Any, expected: Any
) -> None:
    mocked_service.answer(json.dumps(BODY).encode())
    value = call("get", "/x", cast_to=cast_to)
    if cast_to is Typed:
        expected = {name: expected[name] for name in value}
    assert value == expected


@pytest.mark.parametrize(
    ("body", "cast_to", "expected"),
    [
        (b"[1, 2]", list[int], [1, 2]),
        (b"[1, 2]", list, [1, 2]),
        (b"12.5", float, 12.5),
        (b'"x"', object, "x"),
        (b"null", object, None),
        (b"", object, None),
        (b"", str, ""),
        (b"", bytes, b""),
        (b"", dict[str, int] | None, None),
        (b"\xff\x00", bytes, b"\xff\x00"),
        (b"{half", str, "{half"),
    ],
)
def test_an_answer_need_not_be_an_envelope(
    call: Any, mocked_service: MockedService, body: bytes, cast_to: Any, expected: Any
) -> None:
    mocked_service.answer(body)
    assert call("get", "/x", cast_to=cast_to) == expected


@pytest.mark.parametrize(
    ("body", "cast_to", "fault"),
    [
        (b"", dict, "GET /client/v4/x: expected an object, got null"),
        (b"{half", dict, "not JSON"),
        (b"[1]", dict, "expected an object, got an array"),
        (b'{"success": true, "result": {"id": 5, "rate": 1}}', Whole, r"result\.id: expected a st"),
        (b'{"success": true}', Data, "result: missing"),
        (b'["a"]', list[int], r"\[0\]: expected a whole number"),
    ],
)
def test_what_is_something_else_says_where(
    call: Any, mocked_service: MockedService, body: bytes, cast_to: Any, fault: str
) -> None:
    mocked_service.answer(body)
    with pytest.raises(APIResponseValidationError, match=fault):
        call("get", "/x", cast_to=cast_to)


@pytest.mark.parametrize("cast_to", [dict, object, Whole, str, bytes])
@pytest.mark.parametrize(
    ("status", "error"), [(200, APIStatusError), (403, PermissionDeniedError), (404, NotFoundError)]
)
def test_a_refusal_is_raised_whatever_it_is_cast_to(
    call: Any, mocked_service: MockedService, cast_to: Any, status: int, error: Any
) -> None:
    mocked_service.answer(refusal(), status=status)
    with pytest.raises(error, match="says no"):
        call("post", "/x", cast_to=cast_to)


def test_a_call_of_the_service_by_its_path(ask: Run, billing_emulator: Emulator) -> None:
    billing_emulator.add_account("acc", balance=4)
    path = f"{BILLING}/credit-balance"
    answer = ask(lambda client: client.get(path, cast_to=dict))
    assert answer["result"]["balance"] == 4
    with pytest.raises(NotFoundError):
        ask(lambda client: client.get("/nowhere", cast_to=dict))


# Retries.

FAILURES = {
    "reset": (Peer.request, Peer.reset),
    "half an answer": (Peer.request, send(http(b"{}", length=9)), Peer.close),
    "503": (Peer.request, send(http(refusal(), 503))),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("method", METHODS)
def test_what_may_have_arrived_is_repeated_if_that_changes_nothing(
    run: Run, method: str, failure: str
) -> None:
    repeats = method in ("get", "put", "delete")
    with Server(FAILURES[failure], (Peer.request, send(http(envelope(1))))) as server:

        def call(client: Any) -> Any:
            getattr(client._executor, "inner", client._executor).clock = VirtualClock()
            return getattr(client, method)("/x", cast_to=dict)

        options = {"base_url": server.base_url, "api_token": "token"}
        if repeats:
            assert run(call, **options)["result"] == 1
        else:
            with pytest.raises(
                (APIConnectionError, APIResponseValidationError, InternalServerError)
            ):
                run(call, **options)
        assert len(server.requests) == 1 + repeats


@pytest.mark.parametrize("method", ["post", "patch"])
def test_what_cannot_have_arrived_is_repeated(run: Run, method: str) -> None:
    limited = (Peer.request, send(http(refusal(), 429, "Retry-After: 0")))
    with Server(limited, (Peer.request, send(http(b"{}")))) as server:
        run(
            lambda client: getattr(client, method)("/x", cast_to=dict),
            base_url=server.base_url,
            api_token="token",
        )
        assert [request.connection for request in server.requests] == [1, 2]
