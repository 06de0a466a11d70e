"""The control API, as a program in another language uses it: plain HTTP and JSON."""

from __future__ import annotations

import http.client
import json
from typing import Any

import attrs
import pytest

from cfaigw_billing import InternalServerError, RateLimitError
from cfaigw_billing.testing import EmulatedAccount, Emulator, Fault

JSON = {"Content-Type": "application/json"}


@attrs.frozen
class Control:
    emulator: Emulator

    def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        """The status and the decoded answer of a request below `/_emulator`."""
        address = self.emulator.base_url.removeprefix("http://").split("/")[0]
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            connection.request(method, f"/_emulator{path}", body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def ask(self, method: str, path: str, /, **fields: Any) -> Any:
        """The answer to a request that is right."""
        status, answer = self.send(method, path, json.dumps(fields).encode(), **JSON)
        assert status == 200, answer
        return answer


@pytest.fixture
def control(billing_emulator: Emulator) -> Control:
    return Control(billing_emulator)


@pytest.fixture
def account(billing_emulator: Emulator) -> EmulatedAccount:
    return billing_emulator.add_account("a", balance=640.19)


def test_an_account_is_created_and_changed(control: Control, billing_emulator: Emulator) -> None:
    card = {"brand": "visa", "last4": "1881"}
    limits = {"min_cents": 2000, "max_cents": 3000, "currency": "eur"}
    given: dict[str, Any] = {
        "name": "Ours",
        "balance": 12.5,
        "payment_method": card,
        "declines": True,
        "needs_confirmation": True,
        "first_topup_success": True,
        "topup_seconds": 60,
        "topup_limits": limits,
    }
    assert control.ask("PUT", "/accounts/a", **given).items() >= given.items()
    account = billing_emulator.accounts["a"]
    assert {name: getattr(account, name) for name in given} == given
    control.ask("PUT", "/accounts/a", payment_method=None, topup_seconds=None)
    assert (account.payment_method, account.topup_seconds) == (None, None)
    assert (account.name, account.balance, account.declines) == ("Ours", 12.5, True)
    control.ask("PUT", "/accounts/b")
    listed = control.ask("GET", "/accounts")["accounts"]
    assert [(row["id"], row["balance"]) for row in listed] == [("a", 12.5), ("b", 0)]
    assert control.ask("GET", "/accounts/a") == listed[0]


def test_credit_is_spent_and_usage_and_invoices_are_made_up(
    control: Control, account: EmulatedAccount
) -> None:
    assert control.ask("POST", "/accounts/a/spend", cents=40.19)["balance"] == 600
    assert sum(account.usage.values()) == 40.19
    control.ask("POST", "/accounts/a/usage", days=2, cents_per_day=100)
    assert sum(account.usage.values()) == pytest.approx(240.19)
    invoice = control.ask("POST", "/accounts/a/invoices", amount=2500, type="auto")
    assert [each.fields for each in account.invoices] == [invoice]
    assert (invoice["amount_paid"], account.invoices[0].type) == (2500, "auto")


def test_credit_is_spent_by_a_profile(control: Control, account: EmulatedAccount) -> None:
    control.ask("POST", "/accounts/a/spend_hourly", cents=[2.0] * 24, days=3)
    assert sum(account.usage.values()) == pytest.approx(144, rel=0.01)
    control.ask("POST", "/advance", seconds=36_000)
    assert control.ask("GET", "/accounts/a")["balance"] == pytest.approx(620.19, abs=0.1)
    control.ask("POST", "/accounts/a/spend_hourly", cents=None)
    for wrong in ([1.0] * 23, [-1.0] * 24, ["1"] * 24, "1"):
        body = json.dumps({"cents": wrong}).encode()
        status, answer = control.send("POST", "/accounts/a/spend_hourly", body, **JSON)
        assert status == 400, answer
        assert "cents" in answer["error"]


def test_time_passes_and_payments_are_confirmed(
    control: Control, account: EmulatedAccount, billing_emulator: Emulator
) -> None:
    control.ask("PUT", "/settings", topup_seconds=600)
    account.start_topup(1000)
    control.ask("POST", "/advance", seconds=599)
    assert control.ask("GET", "/accounts/a")["balance"] == 640.19
    now = control.ask("POST", "/advance", seconds=1)["now"]
    assert now.endswith("+00:00")
    assert control.ask("GET", "/accounts/a")["balance"] == 1640.19
    control.ask("PUT", "/accounts/a", needs_confirmation=True)
    topup = account.start_topup(5000)
    answer = control.ask("POST", "/accounts/a/confirm", payment_intent_id=topup.payment_intent_id)
    assert answer["balance"] == 6640.19


def test_settings_are_those_of_the_emulator(control: Control, billing_emulator: Emulator) -> None:
    before = control.ask("GET", "/settings")
    assert before == {
        "topup_seconds": 2.0,
        "fee": 0.05,
        "tax": 0.0,
        "ignores_page": False,
        "spending_limit_retired": False,
        "topup_config_dashboard_only": False,
        "account_owned_token": False,
        "limit": None,
    }
    after = control.ask("PUT", "/settings", spending_limit_retired=True)
    assert after == before | {"spending_limit_retired": True}
    assert billing_emulator.spending_limit_retired
    control.ask("PUT", "/settings", tax=0.2)
    billing_emulator.add_account("a").start_topup(5000)
    assert [charge["paid"] for charge in control.ask("GET", "/charges")["charges"]] == [6300]


def test_a_fault_is_injected_and_forgotten(
    control: Control, account: EmulatedAccount, billing_emulator: Emulator
) -> None:
    with billing_emulator.client(account_id="a", max_retries=0) as client:
        control.ask("POST", "/faults", status=503, path="/credit-balance", method="GET")
        assert client.ai_gateway.billing.topup.limits().currency == "usd"
        with pytest.raises(InternalServerError, match="503"):
            client.ai_gateway.billing.credit_balance()
        assert client.ai_gateway.billing.credit_balance().balance == 640.19
        control.ask("POST", "/faults", status=500, body="<html>", times=None)
        for _ in range(3):
            with pytest.raises(InternalServerError, match="<html>"):
                client.ai_gateway.billing.credit_balance()
        control.ask("DELETE", "/faults")
        assert client.ai_gateway.billing.credit_balance().balance == 640.19


def test_charges_and_requests_are_shown_without_credentials(
    control: Control, account: EmulatedAccount, billing_emulator: Emulator
) -> None:
    with billing_emulator.client(account_id="a") as client:
        client.ai_gateway.billing.topup.create(amount=5000)
        client.ai_gateway.billing.invoice_history(per_page=5)
    charges = control.ask("GET", "/charges")
    assert charges["total_cents"] == 5000
    assert charges["charges"] == [attrs.asdict(charge) for charge in billing_emulator.charges]
    requests = control.ask("GET", "/requests")["requests"]
    billing = "/accounts/a/ai-gateway/billing"
    assert requests == [
        {
            "token_of": [],
            "method": "POST",
            "path": f"{billing}/topup",
            "query": {},
            "body": '{"amount":5000}',
        },
        {
            "token_of": [],
            "method": "GET",
            "path": f"{billing}/invoice-history",
            "query": {"per_page": "5"},
            "body": "",
        },
    ]
    assert billing_emulator.api_token not in json.dumps(requests)


def test_an_account_has_a_token_that_is_never_shown(
    control: Control, billing_emulator: Emulator
) -> None:
    limit = {"quota": 1, "window": 1e6, "block": None}
    control.ask("PUT", "/settings", limit=limit)
    billing_emulator.add_account("plain")
    shown = control.ask("PUT", "/accounts/a", limit=limit | {"quota": 2}, api_token="secret-of-a")
    assert shown["limit"] == limit | {"quota": 2, "refused": 0}
    control.ask("PUT", "/accounts/b", api_token="secret-of-b")
    assert billing_emulator.api_tokens == {"a": "secret-of-a", "b": "secret-of-b"}
    tokens = {"plain": billing_emulator.api_token, **billing_emulator.api_tokens}
    for account_id, token in tokens.items():
        with billing_emulator.client(api_token=token, account_id=account_id) as client:
            client.ai_gateway.billing.credit_balance()
    with (
        billing_emulator.client(api_token="secret-of-b", max_retries=0) as client,
        pytest.raises(RateLimitError),
    ):
        client.ai_gateway.billing.credit_balance(account_id="b")
    requests = control.ask("GET", "/requests")["requests"]
    assert [row["token_of"] for row in requests] == [[], ["a"], ["b"], ["b"]]
    shown = control.ask("GET", "/accounts")["accounts"]
    assert {row["id"]: row["limit"] for row in shown} == {
        "plain": None,
        "a": limit | {"quota": 2, "refused": 0},
        "b": limit | {"refused": 1},
    }
    assert control.ask("GET", "/settings")["limit"] == limit | {"refused": 0}
    assert "secret" not in json.dumps([shown, requests])
    assert control.ask("PUT", "/accounts/b", api_token=None)["api_token"] is None
    assert billing_emulator.api_tokens == {"a": "secret-of-a"}


def test_reset_forgets_what_it_is_told_to(
    control: Control, account: EmulatedAccount, billing_emulator: Emulator
) -> None:
    account.start_topup(1000)
    billing_emulator.inject(Fault(status=500))
    control.ask("POST", "/reset")
    assert control.ask("GET", "/charges") == {"charges": [], "total_cents": 0}
    assert control.ask("GET", "/accounts/a")["balance"] == 640.19
    control.ask("POST", "/reset", accounts=True)
    assert control.ask("GET", "/accounts") == {"accounts": []}


def test_what_is_asked_here_is_no_request_to_the_service(
    control: Control, billing_emulator: Emulator
) -> None:
    billing_emulator.inject(Fault.edge_page(), times=None)
    assert control.ask("GET", "/accounts") == {"accounts": []}
    assert billing_emulator.requests == []


def test_the_list_says_what_there_is(control: Control) -> None:
    endpoints = control.ask("GET", "/")["endpoints"]
    assert all(endpoint["does"].endswith(".") for endpoint in endpoints)
    by_name = {f"{row['method']} {row['path']}": row.get("fields", []) for row in endpoints}
    assert {"status", "silence", "truncate", "raw", "times", "path"} <= {
        *by_name["POST /_emulator/faults"]
    }
    assert "balance" in by_name["PUT /_emulator/accounts/{account_id}"]
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "", 404), ("PUT", "/", 405)):
        answered, answer = control.send(method, path)
        assert answered == status
        assert path in answer["error"]
        assert answer["endpoints"] == endpoints


WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    # the request, and what the error names
    ("PUT", "/accounts/a", {"balance": "5"}, "balance"),
    ("PUT", "/accounts/a", {"balance": None}, "balance"),
    ("PUT", "/accounts/a", {"balance": float("nan")}, "balance"),
    ("PUT", "/accounts/a", {"declines": 1}, "declines"),
    ("PUT", "/accounts/a", {"payment_method": "visa"}, "visa"),
    ("PUT", "/accounts/a", {"payment_method": {"brand": "visa"}}, "last4"),
    ("PUT", "/accounts/a", {"topup_limits": {"min_cents": 1}}, "max_cents"),
    ("PUT", "/accounts/a", {"topup_seconds": -1}, "topup_seconds"),
    ("PUT", "/accounts/a", {"money": 5}, "money"),
    ("PUT", "/accounts/a", {"name": "B", "api_token": 5}, "api_token"),
    ("PUT", "/accounts/a", {"name": "B", "api_token": "two words"}, "api_token"),
    ("PUT", "/accounts/new", {"api_token": ""}, "api_token"),
    ("PUT", "/accounts/new", {"limit": {"quota": 5}}, "api_token"),
    ("PUT", "/accounts/a", {"name": "B", "limit": {"quota": 5}}, "api_token"),
    ("PUT", "/accounts/a", {"api_token": "t", "limit": {"quota": -1}}, "quota"),
    ("PUT", "/accounts/a", {"api_token": "t", "limit": {"refused": 1}}, "refused"),
    ("PUT", "/settings", {"limit": {"window": 0}}, "window"),
    ("POST", "/accounts/a/spend", {}, "cents"),
    ("POST", "/accounts/a/spend", {"cents": -1}, "cents"),
    ("POST", "/accounts/a/confirm", {"payment_intent_id": 1}, "payment_intent_id"),
    ("POST", "/accounts/a/usage", {"days": 1.5}, "days"),
    ("POST", "/accounts/a/invoices", {"amount": 1, "type": "x"}, "type"),
    ("PUT", "/settings", {"ignores_page": "yes"}, "ignores_page"),
    ("POST", "/accounts/a/spend", {"cents": 1e308}, "cents"),
    ("POST", "/advance", {"seconds": -1}, "seconds"),
    ("POST", "/advance", {"seconds": 1e12}, "seconds"),
    ("POST", "/advance", {"seconds": 1e300}, "seconds"),
    ("POST", "/faults", {"status": 42}, "status"),
    ("POST", "/faults", {"silence": "sleep"}, "silence"),
    ("POST", "/faults", {"times": 0}, "times"),
    ("POST", "/faults", {"path": 1}, "path"),
    ("POST", "/faults", {"fault": "hang"}, "fault"),
    ("POST", "/faults", {"silence": "hang", "status": 500}, "status"),
    ("POST", "/reset", {"accounts": 1}, "accounts"),
]


@pytest.mark.parametrize(("method", "path", "fields", "named"), WRONG)
def test_a_wrong_field_is_refused_by_name_and_nothing_is_changed(
    control: Control,
    account: EmulatedAccount,
    method: str,
    path: str,
    fields: dict[str, Any],
    named: str,
) -> None:
    before = control.ask("GET", "/accounts"), control.ask("GET", "/settings")
    status, answer = control.send(method, path, json.dumps(fields).encode(), **JSON)
    assert status == 400
    assert list(answer) == ["error"]
    assert named in answer["error"]
    assert (control.ask("GET", "/accounts"), control.ask("GET", "/settings")) == before


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_must_be_an_object_in_json(control: Control, body: bytes) -> None:
    status, answer = control.send("POST", "/advance", body, **JSON)
    assert (status, list(answer)) == (400, ["error"])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/spend"), ("POST", "/confirm"), ("POST", "/usage")],
)
def test_an_account_must_be_there(control: Control, method: str, path: str) -> None:
    body = {"/spend": {"cents": 1}, "/confirm": {"payment_intent_id": "x"}, "/usage": {"days": 1}}
    sent = json.dumps(body.get(path, {})).encode()
    status, answer = control.send(method, f"/accounts/nobody{path}", sent, **JSON)
    assert status == 404
    assert "'nobody'" in answer["error"]


def test_a_payment_must_be_there_to_be_confirmed(
    control: Control, account: EmulatedAccount
) -> None:
    body = b'{"payment_intent_id": "in_unknown"}'
    status, answer = control.send("POST", "/accounts/a/confirm", body, **JSON)
    assert status == 404
    assert "payment_intent_id" in answer["error"]


STRANGERS: list[tuple[str, str, dict[str, str], int]] = [
    # what a page in a browser can send without asking first, or after asking
    ("POST", "/reset", {"Content-Type": "text/plain"}, 415),
    ("POST", "/reset", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ("POST", "/reset", {}, 415),
    ("POST", "/reset", {**JSON, "Origin": "https://example.com"}, 403),
    ("DELETE", "/faults", {"Origin": "null"}, 403),
    ("OPTIONS", "/faults", {"Origin": "https://example.com"}, 403),
    ("GET", "/requests", {"Origin": "http://127.0.0.1"}, 403),
    ("GET", "/requests", {"Host": "rebound.example.com"}, 403),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), STRANGERS)
def test_pages_in_a_browser_are_refused(
    control: Control,
    account: EmulatedAccount,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    account.start_topup(1000)
    answered, answer = control.send(method, path, b"{}", **headers)
    assert (answered, list(answer)) == (status, ["error"])
    assert control.ask("GET", "/charges")["total_cents"] == 1000


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]"])
def test_this_machine_has_several_names(control: Control, host: str) -> None:
    assert control.send("GET", "/accounts", Host=host) == (200, {"accounts": []})
