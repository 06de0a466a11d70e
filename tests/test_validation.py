"""A wrong argument is refused by name, with its limit, and nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, nan
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from cases import BILLING, FIRST, A

from cfaigw_billing import Cloudflare, TopupPendingError
from cfaigw_billing._core.operations import ALL
from cfaigw_billing.testing import Emulator
from cfaigw_billing.types import (
    BillingCreditBalanceParams,
    BillingUsageHistoryParams,
    ConfigCreateParams,
    EligibilityPaymentMethod,
    Money,
    Params,
    SpendingLimitCreateParams,
    TopupCreateParams,
    TopupEligibilityParams,
)

if TYPE_CHECKING:
    from conftest import Run

MAXIMUM = 99_999_999
NAIVE = datetime(2026, 1, 1)
OUTSIDE = "must stay within one path segment"
ACCOUNT = r"`account_id` must be at most 64 letters, digits, .* \(an account id has 32 hex digits\)"


@frozen
class Wrong:
    """A value that an argument must not have, and what the error is and says of it."""

    value: object
    error: type[Exception]
    words: str


def type_errors(words: str, *values: object) -> list[Wrong]:
    return [Wrong(value, TypeError, words) for value in values]


def value_errors(words: str, *values: object) -> list[Wrong]:
    return [Wrong(value, ValueError, words) for value in values]


def whole(minimum: int, maximum: int | None = None, *, optional: bool = False) -> list[Wrong]:
    """Values that are not whole numbers within the limits."""
    wrong = [
        *type_errors("must be a whole number", True, False, 1000.0, 1000.5, "1000", "", [], nan),
        *type_errors("must be a whole number", Decimal(1000)),
        *value_errors(f"must be at least {minimum}", minimum - 1, 0, -1, -(10**30)),
    ]
    if not optional:
        wrong += type_errors("must be a whole number", None)
    if maximum is not None:
        wrong += value_errors(f"must be at most {maximum}", maximum + 1, 10**30)
    return wrong


def cents(minimum: int) -> list[Wrong]:
    """Values that are not amounts within the limits, in cents or as `Money`."""
    return [
        *whole(minimum, MAXIMUM),
        *value_errors("must be in US dollars, got EUR 50.00", Money.from_major(50, "EUR")),
        *value_errors(r"must be in whole cents, got \$50.005", Money.dollars("50.005")),
        *value_errors(f"must be at least {minimum}", Money(cents=minimum - 1), Money(cents=0)),
        *value_errors(f"must be at most {MAXIMUM}", Money(cents=MAXIMUM + 1)),
    ]


def identifier(name: str, *, optional: bool = False) -> list[Wrong]:
    """Values that are not identifiers."""
    wrong = [
        *value_errors(f"Expected a non-empty value for `{name}` but received ''", ""),
        *value_errors(OUTSIDE, ".", "..", "/", "a/b", "../b", "a\\b", "\\"),
        *value_errors(OUTSIDE, "a\nb", "a\n", "\x00", "a\tb", "\r\nX: y", "a\x7f", "\x1b[0m"),
        *type_errors("must be a str", 1, 1.5, True, b"acc", ["acc"]),
    ]
    if not optional:
        received = f"Expected a non-empty value for `{name}` but received None"
        wrong += value_errors(received, None)
    return wrong


NO_ACCOUNT = [
    *identifier("account_id", optional=True)[:1],
    *value_errors(
        ACCOUNT, "a b", " ", "a ", "50%", "%2F", "a?b=c", "a#b", "a+b", "a:b", "a;b", "a@b"
    ),
    *value_errors(
        ACCOUNT, "Zürich", "日本🙂", "\ud800", "٣", "a" * 65, "a" * 10_000, "<account id>"
    ),
    *value_errors(ACCOUNT, ".", "..", "/", "a/b", "../b", "\\", "a\nb", "a\n", "\x00", "\x7f"),
    *type_errors("must be a str", 1, 1.5, True, b"acc", ["acc"]),
]
"""Values that are not account ids."""


def one_of(*choices: str, optional: bool = False) -> list[Wrong]:
    """Values that are not in an enumeration."""
    words = f"must be one of {', '.join(map(repr, choices))}; got "
    bad: list[object] = ["", "x", choices[0].upper() + " ", 1, True, list(choices), b"day"]
    return value_errors(words, *bad, *([] if optional else [None]))


MOMENT = [
    *value_errors("must be an aware datetime", NAIVE),
    *value_errors("must be finite", nan, inf, -inf),
    *type_errors("must be an aware datetime or a number of milliseconds", "2026-01-01", True, []),
    *type_errors("must be an aware datetime or a number of milliseconds", date(2026, 1, 1)),
]

NOTHING: dict[str, object] = {}
WRONG: dict[tuple[str, str], list[Wrong]] = {
    ("accounts.list", "name"): type_errors("must be a str", 1, True, b"x", ["x"]),
    ("accounts.list", "page"): whole(1, optional=True),
    ("accounts.list", "per_page"): whole(1, 50, optional=True),
    (f"{BILLING}.usage_history", "value_grouping_window"): one_of("day", "hour"),
    (f"{BILLING}.usage_history", "start_time"): MOMENT,
    (f"{BILLING}.usage_history", "end_time"): MOMENT,
    (f"{BILLING}.invoice_history", "type"): one_of("auto", "manual", "all", optional=True),
    (f"{BILLING}.invoice_history", "page"): whole(1, optional=True),
    (f"{BILLING}.invoice_history", "per_page"): whole(1, optional=True),
    (f"{BILLING}.topup.create", "amount"): cents(1000),
    (f"{BILLING}.topup.create", "payment_method_id"): identifier(
        "payment_method_id", optional=True
    ),
    (f"{BILLING}.topup.status", "payment_intent_id"): identifier("payment_intent_id"),
    (f"{BILLING}.topup.eligibility", "payment_methods"): [
        *value_errors("must have at most 100 entries, got 101", [NOTHING] * 101),
        *type_errors(
            r"payment_methods\[0\]` must be of type EligibilityPaymentMethod", ["card"], [None], [1]
        ),
        *type_errors(r"`payment_methods` must be an iterable", "card", {"type": "LINK"}),
    ],
    (f"{BILLING}.topup.config.create", "amount"): cents(1000),
    (f"{BILLING}.topup.config.create", "threshold"): cents(500),
    (f"{BILLING}.spending_limit.create", "amount"): cents(100),
    (f"{BILLING}.spending_limit.create", "duration"): one_of("daily", "weekly", "monthly"),
    (f"{BILLING}.spending_limit.create", "strategy"): one_of("fixed", "sliding"),
    **{
        (name, "account_id"): [
            *NO_ACCOUNT,
            *value_errors("Expected a non-empty value for `account_id` but received None", None),
        ]
        for name in FIRST
        if name[:3] == "ai_"
    },
}


def arguments(call: str, **changed: object) -> dict[str, object]:
    """The right arguments of a call, but for these."""
    return {**FIRST[call].arguments, **changed}


def calling(call: str, given: Mapping[str, object]) -> Callable[[Any], Any]:
    return lambda client: attrgetter(call)(client)(**given)


def sending(params: object, **options: object) -> Callable[[Any], Any]:
    return lambda client: client.send(params, **options)


@pytest.mark.parametrize(("call", "argument"), WRONG)
def test_a_wrong_argument_is_refused_by_name_and_nothing_is_sent(
    ask: Run, billing_emulator: Emulator, call: str, argument: str
) -> None:
    for wrong in WRONG[call, argument]:
        with pytest.raises(wrong.error, match=wrong.words) as caught:
            ask(calling(call, arguments(call, **{argument: wrong.value})))
        assert f"`{argument}" in str(caught.value), wrong
        assert len(str(caught.value)) < 300
    assert billing_emulator.requests == []


@pytest.mark.parametrize(("call", "argument"), WRONG)
def test_the_parameters_as_a_value_are_checked_when_they_are_made(call: str, argument: str) -> None:
    for wrong in WRONG[call, argument]:
        if (argument, wrong.value) == ("account_id", None):
            continue  # stands for the client's own, which only the client knows
        with pytest.raises(wrong.error, match=wrong.words):
            FIRST[call].params(**arguments(call, **{argument: wrong.value}))


def test_every_argument_of_every_call_is_in_the_table() -> None:
    checked = {(operation.name, name) for operation in ALL for name in operation.payload}
    checked |= {(o.name, "account_id") for o in ALL if "{account_id}" in o.path}
    assert set(WRONG) == checked - {("accounts.list", "cursor")}  # no argument of the method


@pytest.mark.parametrize(
    "make",
    [
        lambda: TopupCreateParams(amount=1000),
        lambda: TopupCreateParams(amount=MAXIMUM),
        lambda: TopupCreateParams(amount=Money.dollars(10)),
        lambda: BillingCreditBalanceParams(account_id="a" * 64),
        lambda: ConfigCreateParams(amount=1000, threshold=500),
        lambda: ConfigCreateParams(amount=MAXIMUM, threshold=MAXIMUM),
        lambda: SpendingLimitCreateParams(amount=100, duration="daily", strategy="fixed"),
        lambda: TopupEligibilityParams(payment_methods=100 * [EligibilityPaymentMethod()]),
        lambda: BillingUsageHistoryParams(
            value_grouping_window="day", start_time=datetime(1, 1, 1, tzinfo=UTC)
        ),
    ],
)
def test_the_limits_themselves_are_accepted(make: Any) -> None:
    assert isinstance(make(), Params)


@pytest.mark.parametrize(
    ("call", "argument", "value", "text"),
    [
        (
            "credit_balance",
            "account_id",
            "",
            "Expected a non-empty value for `account_id` but received ''",
        ),
        (
            "topup.create",
            "amount",
            999,
            "`amount` must be at least 1000 cents ($10.00), got 999 cents ($9.99)",
        ),
        (
            "topup.create",
            "amount",
            MAXIMUM + 1,
            "`amount` must be at most 99999999 cents ($999,999.99), got 100000000 cents "
            "($1,000,000.00)",
        ),
        (
            "topup.create",
            "amount",
            50.0,
            "`amount` must be a whole number of cents (an int) or Money, not float 50.0",
        ),
        ("invoice_history", "page", 0, "`page` must be at least 1, got 0"),
        (
            "usage_history",
            "value_grouping_window",
            "week",
            "`value_grouping_window` must be one of 'day', 'hour'; got 'week'",
        ),
    ],
)
def test_the_text_word_for_word(
    ask: Run, billing_emulator: Emulator, call: str, argument: str, value: object, text: str
) -> None:
    """The first is the official SDK's, and tests out there look for it."""
    call = f"{BILLING}.{call}"
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(text)}$"):
        ask(calling(call, arguments(call, **{argument: value})))
    assert billing_emulator.requests == []


@pytest.mark.parametrize(
    ("method", "error", "word"),
    [
        ({"type": "CASH"}, ValueError, "type"),
        ({"type": "credit_card"}, ValueError, "type"),
        ({"type": 1}, ValueError, "type"),
        ({"default": 1}, TypeError, "default"),
        ({"default": "yes"}, TypeError, "default"),
        ({"last_four": 4242}, TypeError, "last_four"),
        ({"last4": "4242"}, TypeError, "last4"),
        ({1: True}, TypeError, "keywords must be strings"),
    ],
)
def test_a_wrong_payment_method_is_refused_by_name(
    ask: Run,
    billing_emulator: Emulator,
    method: dict[Any, object],
    error: type[Exception],
    word: str,
) -> None:
    call = f"{BILLING}.topup.eligibility"
    with pytest.raises(error, match=word):
        ask(calling(call, arguments(call, payment_methods=[{}, method])))
    assert billing_emulator.requests == []


@pytest.mark.parametrize(
    ("call", "argument", "value"),
    [
        (f"{BILLING}.credit_balance", "account_id", "\ud800"),
        (f"{BILLING}.topup.create", "payment_method_id", "\ud800"),
        (f"{BILLING}.topup.status", "payment_intent_id", "\ud800"),
        (f"{BILLING}.usage_history", "start_time", 10**400),
        (f"{BILLING}.usage_history", "end_time", -(10**400)),
        (f"{BILLING}.topup.eligibility", "payment_methods", 1),
        (f"{BILLING}.topup.eligibility", "payment_methods", True),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
def test_what_python_itself_chokes_on_is_refused_by_name_too(
    ask: Run, billing_emulator: Emulator, call: str, argument: str, value: object
) -> None:
    """Half a character, a number beyond all floats, what cannot be iterated."""
    with pytest.raises((TypeError, ValueError), match=f"`{argument}"):
        ask(calling(call, arguments(call, **{argument: value})))
    assert billing_emulator.requests == []


# What no call takes.


@pytest.mark.parametrize("call", FIRST)
def test_an_unknown_argument_is_refused_by_name_and_nothing_is_sent(
    ask: Run, billing_emulator: Emulator, call: str
) -> None:
    """A misspelt `payment_method_id` must not charge the default card."""
    for unknown in ("acount_id", "payment_method", "extra_header", "max_retries"):
        with pytest.raises(TypeError, match=unknown):
            ask(calling(call, arguments(call, **{unknown: "x"})))
    assert billing_emulator.requests == []


def test_send_refuses_an_unknown_option_by_name(ask: Run, billing_emulator: Emulator) -> None:
    for case in FIRST.values():
        with pytest.raises(TypeError, match="max_retries"):
            ask(sending(case.value(), max_retries=1))
    assert billing_emulator.requests == []


@pytest.mark.parametrize("timeout", [True, "5", 0, -1, nan, [5]])
def test_a_wrong_timeout_of_a_call_is_refused_by_name(
    ask: Run, billing_emulator: Emulator, timeout: object
) -> None:
    """Like the client's option. aiohttp would treat 0 as unlimited."""
    with pytest.raises((TypeError, ValueError), match="`timeout`"):
        ask(lambda c: c.ai_gateway.billing.credit_balance(account_id="acc", timeout=timeout))
    assert billing_emulator.requests == []


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (f"{BILLING}.usage_history", "value_grouping_window"),
        (f"{BILLING}.topup.create", "amount"),
        (f"{BILLING}.topup.status", "payment_intent_id"),
        (f"{BILLING}.topup.config.create", "threshold"),
        (f"{BILLING}.spending_limit.create", "duration"),
    ],
)
def test_a_missing_argument_is_refused_by_name(
    ask: Run, billing_emulator: Emulator, call: str, missing: str
) -> None:
    given: dict[str, Any] = {k: v for k, v in arguments(call).items() if k != missing}
    with pytest.raises(TypeError, match=missing):
        ask(calling(call, given))
    with pytest.raises(TypeError, match=missing):
        FIRST[call].params(**given)
    assert billing_emulator.requests == []


@pytest.mark.parametrize("call", FIRST)
def test_arguments_are_given_by_keyword_only(
    ask: Run, billing_emulator: Emulator, call: str
) -> None:
    with pytest.raises(TypeError, match="positional"):
        ask(lambda client: attrgetter(call)(client)(*arguments(call).values() or "x"))
    assert billing_emulator.requests == []


NO_PARAMS: list[object] = [None, "acc", {}, Params[object](), TopupCreateParams]


@pytest.mark.parametrize("params", NO_PARAMS)
def test_only_parameters_of_a_call_can_be_sent(
    ask: Run, billing_emulator: Emulator, params: object
) -> None:
    with pytest.raises(TypeError, match="`params` must be the parameters of a call"):
        ask(sending(params))
    assert billing_emulator.requests == []


# Identifiers that are unusual and right.


@pytest.mark.parametrize(
    ("account_id", "segment"),
    [
        ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("A" * 64, "A" * 64),
        ("...", "..."),
        (".a", ".a"),
        ("~a_b-c.d", "~a_b-c.d"),
    ],
)
def test_an_identifier_is_one_segment_of_the_path(
    ask: Run, billing_emulator: Emulator, account_id: str, segment: str
) -> None:
    billing_emulator.add_account(account_id, balance=1)
    value = ask(lambda client: client.ai_gateway.billing.credit_balance(account_id=account_id))
    assert value.balance == 1.0
    [request] = billing_emulator.requests
    assert request.path == A.replace("acc/", f"{segment}/") + "/credit-balance"


def test_an_identifier_in_a_body_is_sent_as_it_is(ask: Run, billing_emulator: Emulator) -> None:
    account = billing_emulator.add_account("acc")
    topup = account.start_topup(1000)
    unusual = 'in_ ü日%?#"'
    account._topups[unusual] = topup  # the emulator gives no such ids itself
    value = ask(
        lambda client: client.ai_gateway.billing.topup.status(
            account_id="acc", payment_intent_id=unusual
        )
    )
    assert value.payment_intent_id == unusual
    assert billing_emulator.requests[0].json == {"payment_intent_id": unusual}


@pytest.mark.parametrize(
    ("amount", "cents"), [(Money.dollars(50), 5000), (Money(cents="5000.00"), 5000), (5000, 5000)]
)
def test_an_amount_may_be_money(
    ask: Run, billing_emulator: Emulator, amount: int | Money, cents: int
) -> None:
    billing_emulator.add_account("a")
    ask(lambda c: c.ai_gateway.billing.topup.create(account_id="a", amount=amount))
    threshold = Money.dollars(5)
    ask(
        lambda c: c.ai_gateway.billing.topup.config.create(
            account_id="a", amount=amount, threshold=threshold
        )
    )
    sent = [request.json for request in billing_emulator.requests]
    assert sent == [{"amount": cents}, {"amount": cents, "threshold": 500}]
    assert type(sent[0]["amount"]) is int


def test_the_largest_charge_may_be_money(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    with billing_emulator.client(account_id="a", max_charge=Money.dollars(20)) as client:
        create = client.ai_gateway.billing.topup.create
        with pytest.raises(ValueError, match="more than this client's `max_charge` of 2000 cents"):
            create(amount=Money.dollars("20.01"))
        create(amount=Money.dollars(20))
        copy = client.with_options(max_charge=Money.dollars(10))
        with pytest.raises(ValueError, match="`max_charge` of 1000 cents"):
            copy.ai_gateway.billing.topup.create(amount=2000)
    assert [charge.amount for charge in billing_emulator.charges] == [2000]
    for wrong in (Money.from_major(20, "EUR"), Money.dollars("20.001")):
        with pytest.raises(ValueError, match="`max_charge` must be in"):
            billing_emulator.client(max_charge=wrong)


def test_a_lost_charge_may_be_described_in_money(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    sent_at = datetime.now(UTC)
    with billing_emulator.client(account_id="a") as client:
        topup = client.ai_gateway.billing.topup
        topup.create(amount=Money.dollars(50))
        billing_emulator.advance(seconds=30)
        found = topup.reconcile(amount=Money.dollars(50), sent_at=sent_at)
        assert found.outcome == "charged"
        with pytest.raises(ValueError, match="`amount` must be in US dollars"):
            topup.reconcile(amount=Money.from_major(50, "EUR"), sent_at=sent_at)


def test_what_waits_for_a_charge_says_its_cents(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a", topup_seconds=3600)
    with (
        billing_emulator.client(account_id="a") as client,
        pytest.raises(TopupPendingError) as caught,
    ):
        client.ai_gateway.billing.topup.create_and_wait(amount=Money.dollars(50), timeout=0.1)
    assert (caught.value.amount, type(caught.value.amount)) == (5000, int)


@pytest.mark.parametrize("wrong", ["a b", "https://dash.cloudflare.com/", "id\n"])
def test_a_wrong_account_of_the_client_is_refused_when_it_is_made(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    with pytest.raises(ValueError, match="`account_id` must be at most 64"):
        Cloudflare(api_token="t", account_id=wrong)
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", wrong)
    with pytest.raises(ValueError, match="`CLOUDFLARE_ACCOUNT_ID` must be at most 64"):
        Cloudflare(api_token="t")
    Cloudflare(api_token="t", account_id="a").close()


@pytest.mark.parametrize(("start", "end"), [(2e12, 1e12), (1e12, 1e12 - 0.5), (0, -1)])
def test_an_end_before_its_start_is_refused_by_name(start: float, end: float) -> None:
    window: dict[str, Any] = {"account_id": "acc", "value_grouping_window": "day"}
    BillingUsageHistoryParams(**window, start_time=end, end_time=start)
    BillingUsageHistoryParams(**window, start_time=end, end_time=end)
    with pytest.raises(ValueError, match="`end_time` must not be before `start_time`"):
        BillingUsageHistoryParams(**window, start_time=start, end_time=end)
