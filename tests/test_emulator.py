"""The emulator keeps to the service's own rules, seen through the wire by a bare HTTP client."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import attrs
import pytest
from leaping import AHEAD, leap

from cfaigw_billing import Money
from cfaigw_billing._pytest_plugin import billing_emulator  # noqa: F401  # pyright: ignore[reportUnusedImport]  # registered or not
from cfaigw_billing.testing import EmulatedAccount, EmulatedInvoice, Emulator, Fault

HOUR = 3_600_000
DAY = 24 * HOUR
MIDNIGHT = 20_000 * DAY  # some midnight (UTC), in milliseconds
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PROMPT = 30.0  # seconds, half of the shortest delay, in which all that must not wait is over


@attrs.frozen
class Answer:
    status: int
    body: dict[str, Any]
    headers: Any

    @property
    def result(self) -> Any:
        assert self.body["success"] is True, self.body
        assert self.body["errors"] == []
        return self.body["result"]

    @property
    def error(self) -> tuple[int, int]:
        """The HTTP status and the code of the error."""
        assert self.body["success"] is False, self.body
        assert self.body["result"] is None
        return self.status, self.body["errors"][0]["code"]

    @property
    def message(self) -> str:
        return str(self.body["errors"][0]["message"])


Call = Callable[..., Awaitable[Answer]]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator with a fixed time, so that no test runs past midnight."""
    async with Emulator(at=NOW) as emulator:
        yield emulator


@pytest.fixture
def account(emulator: Emulator) -> EmulatedAccount:
    return emulator.add_account("acc", balance=640.19)


@pytest.fixture
async def session(emulator: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {emulator.api_token}"}
    async with aiohttp.ClientSession(emulator.base_url + "/", headers=headers) as session:
        yield session


@pytest.fixture
def call(session: aiohttp.ClientSession, account: EmulatedAccount) -> Call:
    """Calls a billing endpoint of the account; `base` reaches other endpoints."""

    async def call(
        method: str, path: str, *, base: str = "accounts/acc/ai-gateway/billing/", **more: Any
    ) -> Answer:
        async with session.request(method, base + path, **more) as response:
            return Answer(response.status, await response.json(), response.headers)

    return call


async def topup(call: Call, amount: int = 5000, **more: Any) -> str:
    answer = await call("POST", "topup", json={"amount": amount, **more})
    return str(answer.result["payment_intent_id"])


async def status_of(call: Call, payment_intent_id: str) -> str:
    answer = await call("POST", "topup/status", json={"payment_intent_id": payment_intent_id})
    assert answer.result["payment_intent_id"] == payment_intent_id
    return str(answer.result["status"])


# Common to every call.


async def test_an_answer_is_an_envelope_with_a_ray_of_its_own(call: Call) -> None:
    first, second = await call("GET", "credit-balance"), await call("GET", "nowhere")
    assert first.body.keys() >= {"success", "errors", "messages", "result"}
    assert first.headers["CF-Ray"] != second.headers["CF-Ray"]


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"Authorization": "Bearer emulator-token"}, None),
        ({"X-Auth-Email": "emulator@example.com", "X-Auth-Key": "emulator-key"}, None),
        ({}, (401, 10000)),
        ({"Authorization": "Bearer wrong"}, (401, 10000)),
        ({"X-Auth-Email": "emulator@example.com"}, (401, 10000)),
        ({"X-Auth-Email": "emulator@example.com", "X-Auth-Key": "wrong"}, (401, 10000)),
        ({"Authorization": "emulator-token"}, (400, 6003)),
        ({"Authorization": "Basic emulator-token"}, (400, 6003)),
    ],
)
async def test_credentials_are_checked(
    emulator: Emulator, headers: dict[str, str], error: tuple[int, int] | None
) -> None:
    url = f"{emulator.base_url}/accounts"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        answer = Answer(response.status, await response.json(), response.headers)
    if error is None:
        assert answer.result == []
    else:
        assert answer.error == error
        assert ("error_chain" in answer.body["errors"][0]) == (error == (400, 6003))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "accounts/unknown/ai-gateway/billing/credit-balance"),
        ("GET", "accounts/acc/ai-gateway/billing/nowhere"),
        ("PUT", "accounts/acc/ai-gateway/billing/topup/config"),
        ("GET", "zones"),
    ],
)
async def test_what_does_not_exist_is_not_routed(call: Call, method: str, path: str) -> None:
    answer = await call(method, path, base="")
    assert answer.error == (404, 7003)
    assert answer.message.startswith(f"Could not route to /client/v4/{path}")


REFUSED: list[tuple[str, Any, str]] = [
    # where, what is sent, what the refusal names
    ("topup", {}, "amount"),
    ("topup", {"amount": 999}, "amount"),
    ("topup", {"amount": True}, "amount"),
    ("topup", {"amount": 5000.0}, "amount"),
    ("topup", {"amount": "5000"}, "amount"),
    ("topup", {"amount": None}, "amount"),
    ("topup", {"amount": 5000, "currency": "usd"}, "currency"),
    ("topup", {"amount": 5000, "payment_method_id": "card_1"}, "payment_method_id"),
    ("topup", {"amount": 5000, "payment_method_id": None}, "payment_method_id"),
    ("topup", [], "object"),
    ("topup/status", {}, "payment_intent_id"),
    ("topup/status", {"payment_intent_id": 1}, "payment_intent_id"),
    ("topup/config", {"amount": 1000}, "threshold"),
    ("topup/config", {"amount": 1000, "threshold": 499}, "threshold"),
    ("topup/config", {"amount": 999, "threshold": 500}, "amount"),
    ("topup/eligibility", {"payment_methods": {}}, "payment_methods"),
    ("topup/eligibility", {"payment_methods": [{}] * 101}, "payment_methods"),
    ("topup/eligibility", {"payment_methods": ["card"]}, "object"),
    ("topup/eligibility", {"payment_methods": [{"type": "CASH"}]}, "type"),
    ("topup/eligibility", {"payment_methods": [{"default": 1}]}, "default"),
    ("topup/eligibility", {"payment_methods": [{"last4": "4242"}]}, "last4"),
    ("spending-limit", {"amount": 99, "duration": "daily", "strategy": "fixed"}, "amount"),
    ("spending-limit", {"amount": 100, "duration": "hourly", "strategy": "fixed"}, "duration"),
    ("spending-limit", {"amount": 100, "duration": "daily", "strategy": ["x"]}, "strategy"),
]


@pytest.mark.parametrize(("path", "body", "named"), REFUSED)
async def test_a_wrong_body_is_refused_by_name(
    call: Call, emulator: Emulator, path: str, body: Any, named: str
) -> None:
    answer = await call("POST", path, json=body)
    assert answer.error == (400, 7001)
    assert named in answer.message
    assert emulator.charges == []


@pytest.mark.parametrize(
    "body",
    [
        {"data": b'{"amount": 5000}'},
        {"data": b'{"amount": 5000}', "headers": {"Content-Type": "text/plain"}},
        {"data": b"{amount: 5000}", "headers": {"Content-Type": "application/json"}},
        {"data": b"", "headers": {"Content-Type": "application/json"}},
        {"data": b"\xff", "headers": {"Content-Type": "application/json"}},
    ],
)
async def test_a_body_must_be_json_and_say_so(call: Call, body: dict[str, Any]) -> None:
    assert (await call("POST", "topup", **body)).error == (400, 7001)


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("usage-history", {}, "value_grouping_window"),
        ("usage-history", {"value_grouping_window": "week"}, "value_grouping_window"),
        ("usage-history", {"value_grouping_window": "day", "start_time": "today"}, "start_time"),
        ("usage-history", {"value_grouping_window": "day", "end_time": "true"}, "end_time"),
        ("invoice-history", {"type": "none"}, "type"),
        ("invoice-history", {"page": "0"}, "page"),
        ("invoice-history", {"page": "1.5"}, "page"),
        ("invoice-history", {"per_page": "51"}, "per_page"),
    ],
)
async def test_a_wrong_query_is_refused_by_name(
    call: Call, path: str, query: dict[str, str], named: str
) -> None:
    answer = await call("GET", path, params=query)
    assert answer.error == (400, 7001)
    assert named in answer.message


async def test_an_unknown_query_parameter_is_ignored(call: Call) -> None:
    assert (await call("GET", "credit-balance", params={"x": "1"})).result["balance"] == 640.19


# Balance and top-ups.


async def test_a_new_account_has_nothing(call: Call, emulator: Emulator) -> None:
    emulator.add_account("new", payment_method=None)
    answer = await call("GET", "credit-balance", base="accounts/new/ai-gateway/billing/")
    assert answer.result == {
        "balance": 0,
        "has_default_payment_method": False,
        "payment_method": None,
        "topup_config": {
            "amount": 0,
            "threshold": 0,
            "disabledReason": None,
            "error": None,
            "lastFailedAt": None,
        },
        "first_topup_success": False,
    }


async def test_a_balance_may_be_negative(call: Call, account: EmulatedAccount) -> None:
    account.balance = -12.5
    assert (await call("GET", "credit-balance")).result["balance"] == -12.5


async def test_a_topup_completes_when_its_time_has_come(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    answer = await call("POST", "topup", json={"amount": 5000})
    payment_intent_id = answer.result["payment_intent_id"]
    assert answer.result == {
        "client_secret": None,
        "onboarding": False,
        "payment_intent_id": payment_intent_id,
        "brand": "visa",
        "last4": "4242",
    }
    assert await status_of(call, payment_intent_id) == "pending"
    assert (account.balance, account.first_topup_success) == (640.19, False)
    assert (await call("GET", "invoice-history")).result["invoices"] == []

    emulator.advance(seconds=2)
    assert await status_of(call, payment_intent_id) == "completed"
    balance = (await call("GET", "credit-balance")).result
    assert (balance["balance"], balance["first_topup_success"]) == (5640.19, True)
    [invoice] = (await call("GET", "invoice-history", params={"type": "manual"})).result["invoices"]
    assert (invoice["id"], invoice["amount_paid"]) == (payment_intent_id, 5250)
    assert invoice["status"] == "paid"
    assert invoice["created"] == NOW.timestamp()  # and not when it completed


@pytest.mark.parametrize(
    ("fee", "tax", "credit", "customer_credit", "price"),
    [
        (0.05, 0.0, 5000, 0, 5250),
        (0.05, 0.0, 1010, 0, 1061),  # half a cent is rounded up
        (0.05, 0.19, 5000, 0, 6248),
        (0.05, 0.2, 5000, 1000, 6300),
        (0.05, 0.0, 5000, 99_999, 5250),
        (0.0, 0.0, 5000, 0, 5000),
    ],
)
def test_a_topup_costs_its_fee_and_tax_less_the_customer_credit(
    fee: float, tax: float, credit: int, customer_credit: int, price: int
) -> None:
    emulator = Emulator(fee=fee, tax=tax, topup_seconds=0)
    account = emulator.add_account("acc")
    account.customer_credit = customer_credit
    account.start_topup(credit)
    due = max(price - customer_credit, 0)
    [invoice] = account.invoices
    assert (invoice.fields["amount_due"], invoice.fields["amount_paid"]) == (due, due)
    assert invoice.fields.get("total", due) == price
    assert account.customer_credit == max(customer_credit - price, 0)
    assert account.balance == credit
    [charge] = emulator.charges
    assert (charge.amount, charge.paid_money) == (credit, Money(cents=due))
    assert emulator.charged("acc") == Money(cents=credit)


@pytest.mark.parametrize("setting", ["fee", "tax"])
@pytest.mark.parametrize("rate", [-0.1, 5, math.nan, math.inf])
def test_a_rate_is_a_part_and_no_percentage(setting: str, rate: float) -> None:
    emulator = Emulator()
    with pytest.raises(ValueError, match=setting):
        setattr(emulator, setting, rate)
    with pytest.raises(ValueError, match="fee"):
        Emulator(fee=rate, tax=rate)


async def test_every_answer_says_the_time_of_the_emulator() -> None:
    at = datetime(2026, 2, 28, 23, 59, 58, tzinfo=UTC)
    async with Emulator(at=at) as emulator, aiohttp.ClientSession() as session:
        emulator.inject(Fault(status=503))
        dates: list[str] = []
        for _ in range(3):
            async with session.get(f"{emulator.base_url}/accounts") as response:
                dates.append(response.headers["Date"])
            emulator.advance(2)
    assert dates == [
        f"{day} 2026 {time} GMT"
        for day, time in [
            ("Sat, 28 Feb", "23:59:58"),
            ("Sun, 01 Mar", "00:00:00"),
            ("Sun, 01 Mar", "00:00:02"),
        ]
    ]


async def test_a_topup_counts_once_however_often_it_is_looked_at(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    await topup(call, 5000)
    emulator.advance(2)
    assert [account.balance for _ in range(3)] == [5640.19] * 3
    account.balance = 1.0
    assert account.balance == 1.0


async def test_how_long_topups_take_may_be_changed_and_differ(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    emulator.topup_seconds = 600
    slow = await topup(call)
    account.topup_seconds = 60
    own = await topup(call)
    emulator.advance(59)
    assert [await status_of(call, each) for each in (slow, own)] == ["pending", "pending"]
    emulator.advance(1)
    assert [await status_of(call, each) for each in (slow, own)] == ["pending", "completed"]
    emulator.advance(540)
    assert await status_of(call, slow) == "completed"
    account.topup_seconds = 0
    assert await status_of(call, await topup(call)) == "completed"


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 1e12])
def test_a_clock_goes_to_no_time_that_cannot_be_told(seconds: float) -> None:
    emulator = Emulator(at=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="clock"):
        emulator.advance(seconds)
    assert emulator.now == emulator.at


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_topup_does_not_complete_before_it_is_made(seconds: float) -> None:
    emulator = Emulator()
    for owner in (emulator, emulator.add_account("a")):
        with pytest.raises(ValueError, match="topup_seconds"):
            owner.topup_seconds = seconds
    with pytest.raises(ValueError, match="topup_seconds"):
        Emulator(topup_seconds=seconds)


async def test_every_topup_is_a_charge_of_its_own(call: Call, emulator: Emulator) -> None:
    first = await topup(call, 5000)
    second = await topup(call, 1000, payment_method_id="pm_1")
    assert first != second
    assert [attrs.astuple(charge)[:4] for charge in emulator.charges] == [
        ("acc", 5000, first, None),
        ("acc", 1000, second, "pm_1"),
    ]
    assert [charge.at for charge in emulator.charges] == [NOW.timestamp()] * 2


async def test_payment_intent_ids_come_in_the_same_order_every_time() -> None:
    def ids() -> list[str]:
        accounts = [Emulator().add_account("acc")]
        return [account.start_topup(1000).payment_intent_id for account in accounts * 2]

    assert ids() == ids()
    assert all(payment_intent_id.startswith("in_") for payment_intent_id in ids())


async def test_a_topup_that_needs_confirmation_waits_for_it(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    account.needs_confirmation = True
    answer = await call("POST", "topup", json={"amount": 5000})
    assert answer.result["client_secret"]
    payment_intent_id = answer.result["payment_intent_id"]
    emulator.advance(3600)
    assert await status_of(call, payment_intent_id) == "pending"
    account.confirm(payment_intent_id)
    assert await status_of(call, payment_intent_id) == "completed"
    assert account.balance == 5640.19


@pytest.mark.parametrize(
    ("state", "amount", "status"),
    [
        ({"payment_method": None}, 5000, 400),
        ({"declines": True}, 5000, 402),
        ({"topup_limits": {"min_cents": 2000, "max_cents": 3000, "currency": "usd"}}, 1000, 400),
        ({"topup_limits": {"min_cents": 2000, "max_cents": 3000, "currency": "usd"}}, 5000, 400),
    ],
)
async def test_a_refused_topup_charges_nothing(
    call: Call,
    emulator: Emulator,
    account: EmulatedAccount,
    state: dict[str, Any],
    amount: int,
    status: int,
) -> None:
    for name, value in state.items():
        setattr(account, name, value)
    answer = await call("POST", "topup", json={"amount": amount})
    assert answer.error[0] == status
    emulator.advance(60)
    assert (emulator.charges, account.balance) == ([], 640.19)


async def test_the_status_of_an_unknown_topup_is_not_found(call: Call) -> None:
    answer = await call("POST", "topup/status", json={"payment_intent_id": "in_unknown"})
    assert answer.error[0] == 404


async def test_limits_are_those_of_the_account(call: Call, account: EmulatedAccount) -> None:
    assert (await call("GET", "topup/limits")).result["currency"] == "usd"
    account.topup_limits = {"min_cents": 2000, "max_cents": 3000, "currency": "eur"}
    assert (await call("GET", "topup/limits")).result == account.topup_limits


@pytest.mark.parametrize(
    ("methods", "reason", "action"),
    [
        ([], "NO_ACCOUNT_PAYMENT_METHOD", "ADD_SUPPORTED_PAYMENT_METHOD"),
        (
            [{"type": "PAYPAL"}],
            "UNSUPPORTED_ACCOUNT_PAYMENT_METHOD",
            "ADD_SUPPORTED_PAYMENT_METHOD",
        ),
        ([{"last_four": "4242"}], "ACCOUNT_PAYMENT_METHOD_NOT_DEFAULT", "SET_CARD_AS_DEFAULT"),
        ([{"default": True}], "ACCOUNT_PAYMENT_METHOD_NOT_LINKED_TO_AIG", "USE_EXISTING_CARD"),
    ],
)
async def test_an_account_without_a_card_is_told_how_to_become_eligible(
    call: Call, account: EmulatedAccount, methods: list[Any], reason: str, action: str
) -> None:
    account.payment_method = None
    answer = await call("POST", "topup/eligibility", json={"payment_methods": methods})
    assert answer.result["eligible"] is False
    assert (answer.result["reason"], answer.result["recommended_action"]) == (reason, action)
    assert answer.result["aig_default_payment_method_state"] == "MISSING"


async def test_eligibility_follows_the_account(call: Call, account: EmulatedAccount) -> None:
    async def eligibility() -> Any:
        return (await call("POST", "topup/eligibility", json={})).result

    assert (await eligibility())["eligible"] is True
    assert (await eligibility())["display_payment_method"] == {"brand": "visa", "last4": "4242"}
    account.needs_confirmation = True
    await topup(call)
    assert (await eligibility())["reason"] == "PENDING_3DS_AUTHENTICATION"
    account.eligibility = {"eligible": False, "reason": "CONTRACT_BILLING_NOT_SELF_SERVE"}
    assert await eligibility() == account.eligibility


# Automatic top-ups.


async def test_the_topup_configuration_is_stored_and_deleted(call: Call) -> None:
    created = await call("POST", "topup/config", json={"amount": 5000, "threshold": 500})
    assert created.result == {"amount": 5000, "threshold": 500}
    config = (await call("GET", "topup/config")).result
    assert (config["amount"], config["threshold"], config["error"]) == (5000, 500, None)
    assert (await call("GET", "credit-balance")).result["topup_config"] == config
    assert (await call("DELETE", "topup/config")).result == {}
    assert (await call("GET", "topup/config")).result["amount"] == 0


async def test_the_topup_configuration_can_be_kept_from_tokens(
    call: Call, emulator: Emulator
) -> None:
    emulator.topup_config_dashboard_only = True
    body = {"amount": 5000, "threshold": 500}
    assert (await call("POST", "topup/config", json=body)).error[0] == 403
    assert (await call("DELETE", "topup/config")).error[0] == 403
    assert (await call("GET", "topup/config")).status == 200
    headers = {"X-Auth-Email": emulator.api_email, "X-Auth-Key": emulator.api_key}
    async with aiohttp.ClientSession(headers=headers) as session:
        url = f"{emulator.base_url}/accounts/acc/ai-gateway/billing/topup/config"
        assert (await session.post(url, json=body)).status == 200


async def test_spending_below_the_threshold_tops_up(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    await call("POST", "topup/config", json={"amount": 5000, "threshold": 600})
    account.spend(40)
    assert emulator.charges == []
    account.spend(0.19)
    account.spend(0.5)  # one top-up at a time
    assert [charge.amount for charge in emulator.charges] == [5000]
    emulator.advance(2)
    assert account.balance == 5599.5
    history = await call("GET", "invoice-history", params={"type": "auto"})
    assert history.result["pagination"]["total_count"] == 1
    usage = await call("GET", "usage-history", params={"value_grouping_window": "day"})
    assert usage.result["history"][0]["aggregated_value"] == 40.69
    assert account.first_topup_success is False  # which speaks of manual top-ups


async def test_a_failed_automatic_topup_disables_itself(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    await call("POST", "topup/config", json={"amount": 5000, "threshold": 600})
    account.declines = True
    account.spend(100)
    config = (await call("GET", "topup/config")).result
    assert config["disabledReason"]
    assert config["error"]
    assert config["lastFailedAt"] == NOW.timestamp() * 1000
    assert emulator.charges == []


# The spending limit.


async def test_a_spending_limit_needs_a_completed_topup(call: Call, emulator: Emulator) -> None:
    limit = {"amount": 10_000, "duration": "monthly", "strategy": "sliding"}
    unset = {"enabled": False, "config": dict.fromkeys(limit)}
    assert (await call("GET", "spending-limit")).result == unset
    await topup(call)
    refused = await call("POST", "spending-limit", json=limit)
    assert (*refused.error, refused.message) == (400, 1000, "NO_MANUAL_TOPUP")

    emulator.advance(2)
    created = await call("POST", "spending-limit", json=limit)
    assert (created.status, created.result) == (201, {})
    assert (await call("GET", "spending-limit")).result == {"enabled": True, "config": limit}
    for _ in range(2):  # deleting an absent limit succeeds
        assert (await call("DELETE", "spending-limit")).result == {}
    assert (await call("GET", "spending-limit")).result == unset


async def test_a_retired_spending_limit_can_only_be_read_and_deleted(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    account.first_topup_success = True
    emulator.spending_limit_retired = True
    limit = {"amount": 10_000, "duration": "monthly", "strategy": "fixed"}
    assert (await call("POST", "spending-limit", json=limit)).error[0] == 403
    assert (await call("GET", "spending-limit")).status == 200
    assert (await call("DELETE", "spending-limit")).status == 200


# Usage and invoices.


async def test_usage_is_grouped_by_hour_or_day(call: Call, account: EmulatedAccount) -> None:
    account.usage = {
        MIDNIGHT + DAY: 4.0,
        MIDNIGHT: 1.0,
        MIDNIGHT + HOUR: 2.5,
    }

    async def history(window: str, **bounds: float) -> list[tuple[float, float, float]]:
        query = {"value_grouping_window": window, **bounds}
        answer = await call("GET", "usage-history", params=query)
        buckets = answer.result["history"]
        assert len({bucket["id"] for bucket in buckets}) == len(buckets)
        return [(b["start_time"], b["end_time"], b["aggregated_value"]) for b in buckets]

    today = (MIDNIGHT, MIDNIGHT + DAY, 3.5)
    tomorrow = (MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, 4.0)
    assert await history("day") == [today, tomorrow]
    assert await history("day", start_time=MIDNIGHT + DAY) == [tomorrow]
    assert await history("day", end_time=MIDNIGHT + DAY) == [today]
    assert await history("day", end_time=MIDNIGHT + DAY + 0.5) == [today, tomorrow]
    assert await history("hour", start_time=MIDNIGHT + 1, end_time=MIDNIGHT + DAY) == [
        (MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, 2.5)
    ]
    account.usage = {}
    assert await history("day") == []


def test_filled_usage_is_the_same_every_time_and_adds_up() -> None:
    accounts = [Emulator().add_account("acc") for _ in range(2)]
    for account in accounts:
        account.fill_usage(days=2, cents_per_day=100, until=MIDNIGHT + HOUR)
    usage = accounts[0].usage
    assert usage == accounts[1].usage
    assert (min(usage), max(usage)) == (MIDNIGHT - 2 * DAY, MIDNIGHT - HOUR)
    assert math.fsum(usage.values()) == pytest.approx(200)
    assert min(usage.values()) >= 0


async def test_an_account_spends_by_a_profile_as_the_clock_moves(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    account.spend_hourly(lambda hour: 10.0 if hour.hour % 2 else 0.0)
    assert (account.balance, account.usage) == (640.19, {})
    start = emulator.now.replace(minute=0, second=0, microsecond=0)
    emulator.advance((start + timedelta(hours=4) - emulator.now).total_seconds())
    spent = sum(account.usage.values())
    assert account.balance == round(640.19 - spent, 6)
    assert 10 <= spent <= 20
    assert {datetime.fromtimestamp(at / 1000, UTC).hour % 2 for at in account.usage} == {1}
    query = {"value_grouping_window": "day"}
    days = (await call("GET", "usage-history", params=query)).result["history"]
    assert sum(day["aggregated_value"] for day in days) == spent
    account.spend_hourly(None)
    emulator.advance(10 * 3600)
    assert sum(account.usage.values()) == spent


def test_looking_often_changes_nothing_of_what_is_spent(emulator: Emulator) -> None:
    often, once = (emulator.add_account(name, balance=500) for name in ("often", "once"))
    for account in (often, once):
        account.spend_hourly([1 / 3] * 24)
    for _ in range(200):
        emulator.advance(18.5)
        assert often.balance < 500
    assert often.balance == pytest.approx(once.balance, abs=0.001)
    assert once.balance == pytest.approx(500 - 200 * 18.5 / 3600 / 3)


def test_the_past_follows_the_profile_and_leaves_the_balance(emulator: Emulator) -> None:
    account = emulator.add_account("past", balance=500)
    account.spend_hourly([float(hour) for hour in range(24)], days=2)
    assert account.balance == 500
    assert sum(account.usage.values()) == pytest.approx(2 * sum(range(24)))
    midnight = int(emulator.now.replace(hour=0, minute=0, second=0).timestamp() * 1000)
    assert midnight - DAY not in account.usage  # a row only where something was billed
    assert account.usage[midnight - DAY + 5 * HOUR] == 5


def test_a_profile_sets_off_topups_when_they_are_due(
    emulator: Emulator, account: EmulatedAccount
) -> None:
    account.balance = 1000
    account.topup_config |= {"amount": 1000, "threshold": 500}
    account.spend_hourly([100.0] * 24)
    began = emulator.now.timestamp()
    emulator.advance(24 * 3600)
    assert [charge.amount for charge in emulator.charges] == [1000, 1000]
    assert [(charge.at - began) // 3600 for charge in emulator.charges] == [5, 15]
    assert account.balance == pytest.approx(3000 - 2400)


@pytest.mark.parametrize("hours", [0, 23, 168])
def test_a_profile_is_a_function_or_a_day(account: EmulatedAccount, hours: int) -> None:
    with pytest.raises(ValueError, match=f"24 amounts by the hour of the day .*, not {hours}"):
        account.spend_hourly([1.0] * hours)


async def test_invoices_are_filtered_and_paged(call: Call, account: EmulatedAccount) -> None:
    account.add_invoice(1000, type="auto")
    account.add_invoice(2000, type="manual", status="open")
    account.invoices.append(EmulatedInvoice(type="auto", fields={"amount_due": 3000}))

    async def history(**query: Any) -> tuple[list[int], dict[str, Any]]:
        result = (await call("GET", "invoice-history", params=query)).result
        return [invoice["amount_due"] for invoice in result["invoices"]], result["pagination"]

    pagination = {"page": 1, "per_page": 20, "total_count": 3, "has_more": False}
    assert await history() == ([2000, 1000, 3000], pagination)
    assert (await history(type="auto"))[0] == [1000, 3000]
    assert (await history(type="manual"))[0] == [2000]
    pagination = {"page": 1, "per_page": 2, "total_count": 3, "has_more": True}
    assert await history(page=1, per_page=2) == ([2000, 1000], pagination)
    assert await history(page=2, per_page=2) == (
        [3000],
        pagination | {"page": 2, "has_more": False},
    )
    assert (await history(page=3, per_page=2))[0] == []


async def test_the_preview_drafts_the_usage_of_this_month(
    call: Call, account: EmulatedAccount
) -> None:
    account.usage = {MIDNIGHT: 1.0}  # long ago
    account.spend(12.5)
    preview = (await call("GET", "invoice-preview")).result
    assert (preview["amount_due"], preview["status"]) == (12.5, "draft")
    assert [line["amount"] for line in preview["invoice_lines"]] == [12.5]
    period = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    assert (preview["period_start"], preview["period_end"]) == tuple(d.timestamp() for d in period)
    account.invoice_preview = {"id": "in_1"}
    assert (await call("GET", "invoice-preview")).result == {"id": "in_1"}


# Accounts.


async def test_accounts_are_listed_page_by_page(call: Call, emulator: Emulator) -> None:
    for number in range(24):
        emulator.add_account(str(number), name=f"Number {number}")

    async def page(**query: int) -> tuple[list[str], dict[str, int]]:
        answer = await call("GET", "accounts", base="", params=query)
        return [row["id"] for row in answer.result], answer.body["result_info"]

    ids = list(emulator.accounts)
    info = {"page": 1, "per_page": 20, "count": 20, "total_count": 25, "total_pages": 2}
    assert await page() == (ids[:20], info)
    assert await page(page=2) == (ids[20:], info | {"page": 2, "count": 5})
    assert (await page(per_page=50))[0] == ids
    emulator.ignores_page = True
    assert await page(page=2) == (ids[:20], info)
    rows = (await call("GET", "accounts", base="", params={"per_page": 2})).result
    assert (rows[1]["name"], rows[1]["type"]) == ("Number 0", "standard")
    assert datetime.fromisoformat(rows[1]["created_on"]).tzinfo is not None


def test_an_account_is_added_once() -> None:
    emulator = Emulator()
    emulator.add_account("acc")
    with pytest.raises(ValueError, match="acc"):
        emulator.add_account("acc")


# Recording and faults.


async def test_requests_are_recorded_as_they_were_sent(call: Call, emulator: Emulator) -> None:
    await call("GET", "caf%C3%A9", params={"a": "1"}, headers={"X-Test": "yes"})
    await topup(call, 5000)
    first, second = emulator.requests
    assert (first.method, first.query["a"], first.headers["x-test"]) == ("GET", "1", "yes")
    assert first.path == "/accounts/acc/ai-gateway/billing/caf%C3%A9"
    assert (second.method, second.json) == ("POST", {"amount": 5000})
    assert json.loads(second.body) == {"amount": 5000}


async def test_a_fault_answers_a_status_in_the_envelope(call: Call, emulator: Emulator) -> None:
    emulator.inject(Fault(status=429, code=971, message="slow", headers={"Retry-After": "7"}))
    answer = await call("POST", "topup", json={"amount": 5000})
    assert (answer.error, answer.message) == ((429, 971), "slow")
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["CF-Ray"]
    assert emulator.charges == []
    assert (await call("GET", "credit-balance")).status == 200


async def test_a_fault_answers_exactly_its_body(
    session: aiohttp.ClientSession, emulator: Emulator
) -> None:
    emulator.inject(Fault(status=502, body=b"<html>", content_type="text/html; charset=utf-8"))
    async with session.get("accounts") as response:
        assert (response.status, await response.read()) == (502, b"<html>")
        assert response.content_type == "text/html"


async def test_a_fault_may_only_delay_and_add_headers(call: Call, emulator: Emulator) -> None:
    emulator.inject(Fault(delay=0.05, headers={"Ratelimit": '"default";r=0;t=1'}))
    started = time.monotonic()
    answer = await call("GET", "credit-balance")
    assert time.monotonic() - started >= 0.05
    assert answer.result["balance"] == 640.19
    assert answer.headers["Ratelimit"] == '"default";r=0;t=1'


async def test_a_fault_meets_the_requests_it_is_for(call: Call, emulator: Emulator) -> None:
    emulator.inject(Fault(status=500), method="POST", path="/topup", times=2)
    body = {"amount": 5000, "threshold": 500}
    assert (await call("GET", "topup")).status == 404
    assert (await call("POST", "topup/config", json=body)).status == 200
    statuses = [(await call("POST", "topup", json={"amount": 5000})).status for _ in range(3)]
    assert statuses == [500, 500, 200]


async def test_a_fault_may_last_until_it_is_cleared(call: Call, emulator: Emulator) -> None:
    emulator.inject(Fault(status=503), times=None)
    assert [(await call("GET", "credit-balance")).status for _ in range(3)] == [503] * 3
    emulator.clear_faults()
    assert (await call("GET", "credit-balance")).status == 200


async def answer_is_lost(call: Call, until: Callable[[], object]) -> None:
    """Send a top-up that gets no proper answer, and is waited for until it is true."""
    leaping = asyncio.create_task(leap(until))
    try:
        answer = await call("POST", "topup", json={"amount": 5000})
    except (aiohttp.ServerDisconnectedError, TimeoutError):
        return
    finally:
        leaping.cancel()
    assert answer.status == 502


LOSSES = [
    {"silence": "close"},
    {"silence": "hang"},
    {"delay": 2 * AHEAD},  # the emulator is on the loop whose time leaps
    {"status": 502},
]


@pytest.mark.parametrize("loss", LOSSES)
async def test_the_answer_may_be_lost_after_the_charge_was_made(
    call: Call, emulator: Emulator, loss: dict[str, Any]
) -> None:
    emulator.inject(Fault(after=True, **loss))
    await answer_is_lost(call, lambda: emulator.charges)
    assert [charge.amount for charge in emulator.charges] == [5000]


@pytest.mark.parametrize("loss", LOSSES)
async def test_no_charge_is_made_when_the_request_fails_before(
    call: Call, emulator: Emulator, loss: dict[str, Any]
) -> None:
    emulator.inject(Fault(**loss))
    await answer_is_lost(call, lambda: emulator.requests)
    assert emulator.charges == []


async def test_reset_forgets_all_but_the_accounts(
    call: Call, emulator: Emulator, account: EmulatedAccount
) -> None:
    await topup(call)
    emulator.inject(Fault(status=500))
    emulator.reset()
    assert (emulator.requests, emulator.charges) == ([], [])
    assert (await call("GET", "credit-balance")).status == 200
    assert emulator.accounts == {"acc": account}


def test_the_clock_does_not_go_back() -> None:
    for seconds in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="ahead"):
            Emulator().advance(seconds)


def test_the_clock_goes_with_that_of_the_machine_where_nothing_is_said() -> None:
    assert abs(Emulator().now - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_clock_that_stands_still_moves_only_when_it_is_told_to() -> None:
    moment = datetime(2026, 3, 31, 23, 59, 30, tzinfo=UTC)
    emulator = Emulator(at=moment)
    account = emulator.add_account("acc")
    account.spend(5)
    account.start_topup(1000)
    assert emulator.now == moment
    emulator.advance(30)
    assert emulator.now == datetime(2026, 4, 1, tzinfo=UTC)
    assert account.created_on == "2026-03-31T23:59:30+00:00"
    assert account.usage == {int(datetime(2026, 3, 31, 23, tzinfo=UTC).timestamp()) * 1000: 5}
    assert [charge.at for charge in emulator.charges] == [moment.timestamp()]
    assert [invoice.fields["created"] for invoice in account.invoices] == [moment.timestamp()]


def test_a_clock_stands_still_at_a_moment_that_is_the_same_everywhere() -> None:
    with pytest.raises(ValueError, match="aware"):
        Emulator(at=datetime(2026, 3, 31))


def test_what_was_charged_is_added_up() -> None:
    emulator = Emulator()
    assert emulator.charged() == Money(cents=0)
    for account_id, cents in (("a", 1000), ("a", 2500), ("b", 5000)):
        account = emulator.accounts.get(account_id) or emulator.add_account(account_id)
        account.start_topup(cents)
    assert [charge.amount_money.cents for charge in emulator.charges] == [1000, 2500, 5000]
    assert emulator.charged() == Money.dollars(85)
    assert (emulator.charged("a"), emulator.charged("c")) == (Money.dollars(35), Money(cents=0))


# Lifetime.


@pytest.mark.parametrize("fault", [Fault(silence="hang"), Fault(delay=60)])
async def test_stopping_ends_what_is_still_waiting(fault: Fault) -> None:
    async with aiohttp.ClientSession() as session:
        async with Emulator() as emulator:
            async with session.get(f"{emulator.base_url}/accounts") as answered:
                assert answered.status == 401  # and leaves an idle connection behind
            emulator.inject(fault, times=2)
            hanging = [
                asyncio.create_task(session.get(f"{emulator.base_url}/accounts")) for _ in range(2)
            ]
            while len(emulator.requests) < 3:  # noqa: ASYNC110  # the emulator has no event for it
                await asyncio.sleep(0.001)
            hanging[0].cancel()  # a client that left must not hold up the stop either
            stopping = time.monotonic()
        assert time.monotonic() - stopping < PROMPT
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging[1]


async def test_an_emulator_runs_once_at_a_time_and_may_start_again() -> None:
    emulator = Emulator()
    emulator.add_account("acc")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not running"):
            _ = emulator.base_url
        async with emulator:
            assert emulator.base_url.startswith("http://127.0.0.1:")
            assert emulator.base_url.endswith("/client/v4")
            with pytest.raises(RuntimeError, match="already"):
                await emulator.__aenter__()
    assert list(emulator.accounts) == ["acc"]


async def test_a_port_that_is_taken_is_an_error_and_nothing_is_left_running() -> None:
    async with Emulator() as first:
        port = int(first.base_url.split(":")[2].split("/")[0])
        second = Emulator(port=port)
        with pytest.raises(OSError, match=str(port)):
            await second.__aenter__()
        with pytest.raises(RuntimeError):
            _ = second.base_url
    async with second:
        assert str(port) in second.base_url


async def get(emulator: Emulator, path: str) -> Any:
    headers = {"Authorization": f"Bearer {emulator.api_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(emulator.base_url + path) as response,
    ):
        return (await response.json())["result"]


def test_blocking_code_is_served_from_a_thread() -> None:
    emulator = Emulator()
    for _ in range(2):
        with emulator:
            assert asyncio.run(get(emulator, "/accounts")) == []
    with pytest.raises(RuntimeError):
        _ = emulator.base_url


def test_the_fixture_is_a_running_emulator(billing_emulator: Emulator) -> None:  # noqa: F811
    billing_emulator.add_account("acc", balance=-1)
    path = "/accounts/acc/ai-gateway/billing/credit-balance"
    assert asyncio.run(get(billing_emulator, path))["balance"] == -1


async def test_the_fixture_serves_async_tests_too(
    billing_emulator: Emulator,  # noqa: F811
) -> None:
    assert await get(billing_emulator, "/accounts") == []


def test_the_plugin_costs_nothing_until_it_is_used() -> None:
    program = (
        "import sys, pytest, cfaigw_billing; before = set(sys.modules);"
        "import cfaigw_billing._pytest_plugin; print(*set(sys.modules) - before)"
    )
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    assert loaded.stdout.split() == [b"cfaigw_billing._pytest_plugin"]
