"""Every call through both clients: exactly this is sent, and exactly this value comes back."""

from __future__ import annotations

import inspect
import json
import platform
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
from cases import CASES, FIRST, Case, case_named

from cfaigw_billing import AsyncCloudflare, Cloudflare, __version__
from cfaigw_billing._core.operations import ALL, Operation
from cfaigw_billing.testing import Emulator

if TYPE_CHECKING:
    from conftest import MockedService, Run

USER_AGENT = (
    f"cfaigw-billing/{__version__} python/{platform.python_version()} aiohttp/{aiohttp.__version__}"
)


SERVED = [(case, "mocked_service") for case in CASES] + [
    (case, "billing_emulator") for case in CASES if case.seed
]


@pytest.fixture
def service(request: pytest.FixtureRequest, case: Case, served_by: str) -> MockedService | Emulator:
    """A service that gives the answer of the case."""
    service: MockedService | Emulator = request.getfixturevalue(served_by)
    if isinstance(service, Emulator):
        assert case.seed
        case.seed(service)
    else:
        service.answer(json.dumps(case.answer).encode(), status=case.status)
    return service


@pytest.mark.parametrize(
    ("case", "served_by"), SERVED, ids=[f"{case.id}-{served_by}" for case, served_by in SERVED]
)
@pytest.mark.parametrize("way", ["method", "send"])
def test_a_call_sends_exactly_this_and_gives_exactly_this(
    run: Run, service: MockedService | Emulator, case: Case, way: str
) -> None:
    retired = way == "method" and case.call.endswith("spending_limit.create")
    call = {"method": case.on, "send": case.send}[way]
    options = {"base_url": service.base_url, "api_token": service.api_token, "max_retries": 0}
    if retired:
        with pytest.deprecated_call(match="retired") as warned:
            value = run(call, **options)
        assert len(warned) == 1
    else:
        value = run(call, **options)

    [sent] = service.requests
    assert (sent.method, sent.path) == (case.method, case.path)
    assert sorted(sent.query.items()) == sorted(case.query.items())
    if case.body is None:
        assert sent.body == b""
        assert "Content-Type" not in sent.headers
    else:
        assert json.loads(sent.body) == case.body
        assert sent.headers.getall("Content-Type") == ["application/json"]
    assert sent.headers.getall("Authorization") == [f"Bearer {service.api_token}"]
    assert sent.headers.getall("Accept") == ["application/json"]
    assert sent.headers.getall("User-Agent") == [USER_AGENT]

    assert value == case.expected
    assert types_within(value) == types_within(case.expected)
    if hasattr(value, "account_id"):
        assert value.account_id == case.arguments["account_id"]


def types_within(value: Any) -> object:
    """The type of a value and of all that it holds: 1 == 1.0 == True, and they are not the same."""
    kind: type[Any] = value.__class__
    if attrs.has(kind):
        parts = {f.name: getattr(value, f.name) for f in attrs.fields(kind) if f.eq}
        return kind, {name: types_within(part) for name, part in parts.items()}
    if issubclass(kind, tuple):
        return tuple, [types_within(part) for part in value]
    return str if issubclass(kind, str) else kind


def test_every_operation_has_a_case_and_a_row_that_agrees_with_it() -> None:
    assert {operation.name: operation.params for operation in ALL} == {
        call: case.params for call, case in FIRST.items()
    }


@pytest.mark.parametrize("client_class", [AsyncCloudflare, Cloudflare])
@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.name)
def test_every_operation_is_a_method_that_takes_its_parameters_by_keyword(
    client_class: type[AsyncCloudflare | Cloudflare], operation: Operation[Any]
) -> None:
    method = attrgetter(operation.name)(client_class())
    *parameters, options = inspect.signature(method).parameters.values()
    assert options.kind is inspect.Parameter.VAR_KEYWORD
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    names = {field.name for field in attrs.fields(operation.params)}
    assert {parameter.name for parameter in parameters} == names - {"cursor"}


def test_the_options_of_a_call_are_added_to_what_is_sent(
    ask: Run, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("acc")
    more: dict[str, Any] = {
        "extra_headers": {"X-Trace": "1", "Accept": None},
        "extra_query": {"deep": True},
    }
    ask(lambda c: c.ai_gateway.billing.topup.limits(account_id="acc", **more))
    more["extra_body"] = {"payment_methods": [{}]}
    ask(lambda c: c.ai_gateway.billing.topup.eligibility(account_id="acc", **more))

    get, post = billing_emulator.requests
    for request in (get, post):
        assert list(request.query.items()) == [("deep", "true")]
        assert request.headers["X-Trace"] == "1"
        assert request.headers.get("Accept") != "application/json"
    assert "Content-Type" not in get.headers
    assert (post.headers["Content-Type"], post.json) == ("application/json", more["extra_body"])


def test_a_client_with_an_account_needs_none_in_the_call(
    ask: Run, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("acc", balance=1)
    value = ask(lambda client: client.ai_gateway.billing.credit_balance(), account_id="acc")
    assert value.balance == 1.0
    assert billing_emulator.requests[0].path == case_named("credit_balance: full").path
