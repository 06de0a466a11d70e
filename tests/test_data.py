"""Answers and money as data: dictionaries, JSON, models of pydantic, and routes of FastAPI."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, cast

import attrs
import pytest
from cases import CASES, Case
from fastapi import Body, FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from cfaigw_billing import Money, types
from cfaigw_billing._core.codec import decode
from cfaigw_billing._core.operations import ALL
from cfaigw_billing.testing import Emulator
from cfaigw_billing.types import (
    Account,
    BillingCreditBalanceResponse,
    BillingUsageHistoryResponse,
    ConfigGetResponse,
    History,
    Invoice,
    Response,
    TopupConfig,
    TopupCreateResponse,
)

ROW = History(id="1", aggregated_value=0.1, start_time=1.8e12, end_time=1e300)
USAGE = BillingUsageHistoryResponse(account_id="a", history=(ROW,))
BALANCE = BillingCreditBalanceResponse(
    account_id="a",
    balance=640.19,
    has_default_payment_method=False,
    topup_config=TopupConfig(disabled_reason="declined", last_failed_at=1.8e9),
    extra={"new": [{"field": 1}]},
)
RESPONSES: list[Any] = [
    cls
    for cls in (getattr(types, name) for name in types.__all__)
    if isinstance(cls, type) and issubclass(cls, Response)
]
ANSWERED = [case for case in CASES if isinstance(case.expected, Response)]


# Dictionaries.


def test_a_dictionary_has_cents_dollars_and_moments_by_the_names_of_the_wire() -> None:
    assert BALANCE.to_dict() == {
        "account_id": "a",
        "balance": 640.19,
        "balance_usd": "6.4019",
        "has_default_payment_method": False,
        "payment_method": None,
        "topup_config": {
            "amount": None,
            "amount_usd": None,
            "threshold": None,
            "threshold_usd": None,
            "disabledReason": "declined",
            "error": None,
            "lastFailedAt": 1.8e9,
            "last_failed_at_datetime": "2027-01-15T08:00:00+00:00",
        },
        "first_topup_success": None,
        "extra": {"new": [{"field": 1}]},
    }


def test_a_list_stays_one_and_a_number_that_is_no_moment_stays_itself() -> None:
    assert USAGE.to_dict() == {
        "account_id": "a",
        "history": [
            {
                "id": "1",
                "aggregated_value": 0.1,
                "aggregated_value_usd": "0.001",
                "start_time": 1.8e12,
                "start_time_datetime": "2027-01-15T08:00:00+00:00",
                "end_time": 1e300,
                "end_time_datetime": None,
            }
        ],
    }


def test_another_currency_has_no_dollars() -> None:
    amounts: Any = dict.fromkeys(("amount_due", "amount_paid", "amount_remaining"), 1000)
    invoice = Invoice(currency="eur", **amounts).to_dict()
    assert (invoice["amount_due"], invoice["amount_due_usd"]) == (1000, None)


def test_no_secret_is_in_the_data() -> None:
    sent = {
        "client_secret": "pi_1_secret_2",
        "onboarding": False,
        "payment_intent_id": "in_1",
        "next": {"client_secret": "pi_1_secret_3", "list": [{"clientSecret": ["secret_4"]}]},
    }
    answer = decode(copy.deepcopy(sent), TopupCreateResponse, "", lambda: sent)
    assert answer.client_secret == "pi_1_secret_2"
    for text in (answer.to_json(), str(answer.to_dict()), json.dumps(answer.to_records())):
        assert "in_1" in text
        assert not {"secret_2", "secret_3", "secret_4"} & {*text.replace('"', "_").split("pi_1_")}
        assert "_secret_" not in text
        assert "secret_4" not in text
    assert "client_secret" not in answer.to_dict()
    assert TypeAdapter(TopupCreateResponse).dump_python(answer) == answer.to_dict()


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.id)
def test_every_answer_is_json_with_all_that_was_sent(case: Case) -> None:
    operation = next(operation for operation in ALL if operation.name == case.call)
    answer: Any = case.expected
    data = answer.to_dict()
    assert json.loads(json.dumps(data)) == json.loads(answer.to_json(indent=2)) == data
    assert json.loads(json.dumps(answer.to_records())) == answer.to_records()
    result: Any = case.answer if operation.envelope else case.answer["result"]
    verdict = ("success", "errors", "messages")
    assert_holds(data, {name: result[name] for name in result if name not in verdict})


def assert_holds(data: Any, sent: Any) -> None:
    """Everything that was sent is in the data, but for secrets."""
    if isinstance(sent, dict):
        everything = {**data, **data.get("extra", {})}
        for name, value in cast("dict[str, object]", sent).items():
            if "secret" not in name:
                assert_holds(everything[name], value)
    elif isinstance(sent, list):
        for item, value in zip(data, cast("list[object]", sent), strict=True):
            assert_holds(item, value)
    elif isinstance(data, str) and data[-6:] == "+00:00":
        assert datetime.fromisoformat(data) == datetime.fromisoformat(sent)
    else:
        assert data == sent


MONEY = [
    (Money(cents=640.19), {"cents": 640.19, "currency": "USD", "major": "6.4019"}),
    (Money.dollars(50), {"cents": 5000, "currency": "USD", "major": "50"}),
    (Money.from_major(500, "JPY"), {"cents": 500, "currency": "JPY", "major": "500"}),
    (Money.from_major("1.5", "KWD"), {"cents": 1500, "currency": "KWD", "major": "1.5"}),
    (
        Money(cents="123456789012345678.12"),
        {"cents": 1.2345678901234568e17, "currency": "USD", "major": "1234567890123456.7812"},
    ),
]


@pytest.mark.parametrize(("money", "data"), MONEY)
def test_money_is_data_and_comes_back_exactly(money: Money, data: dict[str, object]) -> None:
    assert money.to_dict() == json.loads(money.to_json()) == data
    adapter = TypeAdapter(Money)
    assert adapter.dump_python(money) == json.loads(adapter.dump_json(money)) == data
    assert adapter.validate_python(data) == adapter.validate_json(money.to_json()) == money
    assert adapter.validate_python(money) is money


# The account.


def test_an_answer_names_the_account_that_was_asked_about(billing_emulator: Emulator) -> None:
    for name in ("a", "b"):
        billing_emulator.add_account(name)
    with billing_emulator.client(account_id="b") as client:
        billing = client.ai_gateway.billing
        assert billing.credit_balance(account_id="a").account_id == "a"
        assert billing.credit_balance().account_id == "b"
        assert billing.with_raw_response.topup.limits().parse().account_id == "b"
        assert billing.topup.create(amount=1000).account_id == "b"
        assert client.ai_gateway.billing.credit_balances(["a", "b"])["a"].account_id == "a"
        assert not hasattr(client.accounts.list().pages().__next__(), "account_id")
        assert client.get("/accounts", cast_to=dict[str, object])["success"] is True


def test_the_account_is_no_part_of_what_was_answered() -> None:
    other = attrs.evolve(BALANCE, account_id="b")
    assert other == BALANCE
    assert hash(attrs.evolve(other, extra={})) == hash(attrs.evolve(BALANCE, extra={}))
    sent = {"amount": 1, "account_id": "from the wire"}
    config = decode(dict(sent), ConfigGetResponse, "", lambda: sent)
    assert config.account_id is None
    assert config.extra == {"account_id": "from the wire"}


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # our own


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_copies_know_their_account(again: Callable[[Any], Any]) -> None:
    for answer in (BALANCE, USAGE, ConfigGetResponse(account_id="a")):
        assert again(answer).account_id == "a"


# pydantic.


class Report(BaseModel):
    """A model of a user's app."""

    balance: BillingCreditBalanceResponse
    limit: Money
    usage: BillingUsageHistoryResponse | None = None
    accounts: list[Account] = []


REPORT = Report(balance=BALANCE, limit=Money.dollars("9.99"), usage=USAGE)


@pytest.mark.filterwarnings("error")
def test_an_answer_is_a_field_of_a_model() -> None:
    assert REPORT.balance is BALANCE
    expected: dict[str, object] = {
        "balance": BALANCE.to_dict(),
        "limit": REPORT.limit.to_dict(),
        "usage": USAGE.to_dict(),
        "accounts": [],
    }
    assert REPORT.model_dump() == json.loads(REPORT.model_dump_json()) == expected
    for again in (
        Report.model_validate(expected),
        Report.model_validate_json(REPORT.model_dump_json()),
    ):
        assert again == REPORT
        assert again.balance.account_id == "a"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.id)
def test_pydantic_writes_and_reads_every_answer(case: Case) -> None:
    answer: Any = case.expected
    cls: type[Any] = answer.__class__
    adapter: TypeAdapter[Any] = TypeAdapter(cls)
    assert adapter.validate_python(answer) is answer
    assert adapter.dump_python(answer) == answer.to_dict()
    assert json.loads(adapter.dump_json(answer)) == answer.to_dict()
    again = adapter.validate_python(answer.to_dict())
    assert again.to_dict() == answer.to_dict()


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (BillingCreditBalanceResponse, {"balance": "much", "has_default_payment_method": True}),
        (BillingCreditBalanceResponse, {}),
        (BillingCreditBalanceResponse, USAGE),
        (BillingUsageHistoryResponse, {"history": [{"id": "1"}]}),
        (Money, {}),
        (Money, {"cents": 1, "major": "1"}),
        (Money, {"major": "a lot"}),
        (Money, 10),
        (Money, "$10.00"),
    ],
)
def test_what_is_no_such_value_is_a_validation_error(cls: Any, wrong: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(cls).validate_python(wrong)


@pytest.mark.parametrize("cls", RESPONSES, ids=lambda cls: cls.__name__)
def test_a_schema_has_every_property_and_the_units_of_numbers(cls: Any) -> None:
    schema = TypeAdapter(cls).json_schema(mode="serialization")
    assert schema["title"] == cls.__name__
    assert schema["description"] == (cls.__doc__ or "").partition("\n")[0]
    for name, told in schema["properties"].items():
        of_number = told.get("type") == "number" or {"type": "number"} in told.get("anyOf", [])
        if of_number or name.endswith(("_usd", "_datetime")):
            assert any(word in told["description"] for word in UNITS), name
    asked = TypeAdapter(cls).json_schema(mode="validation")
    assert asked["properties"].keys() <= schema["properties"].keys()


UNITS = ("cents", "dollars", "Unix", "ISO 8601", "without a unit")


# FastAPI.

app = FastAPI()


@app.get("/balance")
def balance() -> BillingCreditBalanceResponse:
    return BALANCE


@app.get("/usage", response_model=BillingUsageHistoryResponse | None)
def usage() -> Any:
    return USAGE


@app.get("/report")
def report() -> Report:
    return REPORT


@app.post("/limit")
def limit(amount: Annotated[Money, Body()]) -> Money:
    return amount * 2


async def ask(method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Ask the app as a server does; the status, and the JSON that it answers."""
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await app({**scope, "query_string": b""}, receive, send)
    text = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(text)


@pytest.mark.filterwarnings("error")
async def test_fastapi_returns_and_takes_them() -> None:
    assert await ask("GET", "/balance") == (200, BALANCE.to_dict())
    assert await ask("GET", "/usage") == (200, USAGE.to_dict())
    assert await ask("GET", "/report") == (200, REPORT.model_dump())
    assert await ask("POST", "/limit", MONEY[0][1]) == (200, (MONEY[0][0] * 2).to_dict())
    status, _ = await ask("POST", "/limit", {"major": "ten"})
    assert status == 422


def test_the_page_of_the_app_describes_them() -> None:
    document = app.openapi()
    answered = document["paths"]["/balance"]["get"]["responses"]["200"]["content"]
    reference = answered["application/json"]["schema"]["$ref"]
    assert reference.startswith("#/components/schemas/BillingCreditBalanceResponse")
    schemas = document["components"]["schemas"]
    schema = schemas[reference.rpartition("/")[2]]
    assert "in cents" in schema["properties"]["balance"]["description"]
    assert "US dollars" in schema["properties"]["balance_usd"]["description"]
    assert "History" in schemas


def test_without_pydantic_everything_else_works() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('pydantic', 'pydantic_core')));"
        "from cfaigw_billing import Cloudflare, Money, types;"
        "print(Money.dollars(5).to_json(), types.TopupConfig().to_json())"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)  # noqa: S603


def test_a_client_secret_in_unknown_fields_that_are_read_is_masked() -> None:
    data = {"onboarding": True, "payment_intent_id": "in_1"}
    extra = {"next": [{"client_secret": "pi_1_secret_x"}]}
    found = TypeAdapter(TopupCreateResponse).validate_python({**data, "extra": extra})
    for shown in (repr(found.extra), found.to_json(), str(pickle.dumps(found))):
        assert "pi_1_secret_x" not in shown
    assert extra == {"next": [{"client_secret": "pi_1_secret_x"}]}
    assert type(extra["next"][0]["client_secret"]) is str
