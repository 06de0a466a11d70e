"""What an application meets when its tests inject a fault: through the wire, with both clients."""

from __future__ import annotations

import gzip
import inspect
import socket
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from conftest import Run
from leaping import impatient

from cfaigw_billing import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    InternalServerError,
    RateLimitError,
    TopupOutcomeUnknownError,
)
from cfaigw_billing._io import exchange as _exchange
from cfaigw_billing._io.clock import Clock
from cfaigw_billing.testing import Emulator, Fault


@attrs.frozen
class Row:
    """What a fault does to a call that reads, and to a charge."""

    fault: Fault
    error: type[APIError]
    """What the call that reads raises."""
    repeated: bool
    """Whether it is made again before that."""
    lost: bool = True
    """Whether it is unknown what became of the charge; otherwise it raises `error` as well."""
    charged: bool = False
    """Whether the charge was made."""


ROWS = {
    "unsuccessful": Row(Fault.unsuccessful("no"), APIStatusError, False, lost=False),
    "rate_limited": Row(Fault.rate_limited(), RateLimitError, False, lost=False),
    "edge_page": Row(Fault.edge_page(), InternalServerError, True),
    "edge_page after it": Row(
        attrs.evolve(Fault.edge_page(504), after=True), InternalServerError, True, charged=True
    ),
    "redirect": Row(Fault.redirect("http://127.0.0.1:9/"), APIStatusError, False),
    "wrong_result": Row(Fault.wrong_result({"balance": "much"}), APIResponseValidationError, False),
    "bad_gzip": Row(Fault.bad_gzip(), APIResponseValidationError, True),
    "oversized": Row(Fault.oversized((1 << 20) + 1), APIResponseValidationError, False),
    "lost_answer": Row(Fault.lost_answer(), APIConnectionError, True, charged=True),
    "reset": Row(Fault.reset(), APIConnectionError, True),
    "reset after it": Row(Fault.reset(after=True), APIConnectionError, True, charged=True),
    "hang": Row(Fault.hang(), APITimeoutError, True),
    "hang after it": Row(Fault.hang(after=True), APITimeoutError, True, charged=True),
    "cut_off": Row(Fault.cut_off(), APIResponseValidationError, True, charged=True),
    "cut_off at once": Row(Fault.cut_off(0), APIResponseValidationError, True, charged=True),
    "cut off by a reset": Row(
        Fault(truncate=20, silence="reset"), APIResponseValidationError, True, charged=True
    ),
    "cut off, and hangs": Row(
        Fault(truncate=20, silence="hang"), APITimeoutError, True, charged=True
    ),
    "slow": Row(Fault.slow(), APITimeoutError, True, charged=True),
    "garbage": Row(Fault.garbage(), APIConnectionError, True),
    "garbage, and hangs": Row(
        Fault(raw="HTTP/1.1 200 OK\r\n", silence="hang"), APITimeoutError, True
    ),
}


OPTIONS: dict[str, Any] = {"account_id": "a", "max_retries": 1, "timeout": 60}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No back-off, and a smaller largest body."""
    monkeypatch.setattr(_exchange, "MAX_BODY", 1 << 20)
    monkeypatch.setattr(Clock, "jitter", lambda self: 0.0)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


def until_it_ends(row: Row, emulator: Emulator, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The call, whose time-outs end as soon as its requests have come, if the fault hangs."""
    if row.error is not APITimeoutError:
        return call
    return impatient(call, lambda: len(emulator.requests) == 1, lambda: len(emulator.requests) == 2)


def wait_until(condition: Callable[[], bool]) -> None:
    """The server may be a moment behind a client that did not wait for its answer."""
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


@pytest.mark.parametrize("name", ROWS)
def test_a_call_that_reads_meets_a_fault(name: str, ask: Run, billing_emulator: Emulator) -> None:
    row = ROWS[name]
    billing_emulator.add_account("a", balance=1)
    billing_emulator.inject(row.fault, times=None)
    with pytest.raises(APIError) as caught:
        ask(
            until_it_ends(row, billing_emulator, lambda c: c.ai_gateway.billing.credit_balance()),
            **OPTIONS,
        )
    assert type(caught.value) is row.error
    expected = 2 if row.repeated else 1
    wait_until(lambda: len(billing_emulator.requests) >= expected)
    assert len(billing_emulator.requests) == expected


@pytest.mark.parametrize("name", ROWS)
def test_a_charge_meets_a_fault_once(name: str, ask: Run, billing_emulator: Emulator) -> None:
    row = ROWS[name]
    billing_emulator.add_account("a", balance=1)
    billing_emulator.inject(row.fault, times=None)
    with pytest.raises(APIError) as caught:
        ask(
            until_it_ends(
                row, billing_emulator, lambda c: c.ai_gateway.billing.topup.create(amount=5000)
            ),
            **OPTIONS,
        )
    assert type(caught.value) is (TopupOutcomeUnknownError if row.lost else row.error)
    wait_until(lambda: len(billing_emulator.charges) >= row.charged)
    assert len(billing_emulator.requests) == 1
    assert [charge.amount for charge in billing_emulator.charges] == [5000] * row.charged


def test_every_constructor_is_in_the_table() -> None:
    constructors = {n for n, value in vars(Fault).items() if isinstance(value, classmethod)}
    assert constructors == {name for name in ROWS if hasattr(Fault, name)}
    assert len(constructors) == 13
    for name in constructors:
        assert "Error" in (inspect.getdoc(getattr(Fault, name)) or "")


def test_what_is_oversized_is_larger_than_the_largest_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    packed = Fault.oversized().body
    assert packed is not None
    assert len(packed) < 1 << 20
    assert len(gzip.decompress(packed)) > _exchange.MAX_BODY


def test_a_short_wait_is_waited_for(ask: Run, billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault.rate_limited(retry_after=0.01))
    answer = ask(lambda client: client.ai_gateway.billing.topup.create(amount=1000), account_id="a")
    assert answer.payment_intent_id == billing_emulator.charges[0].payment_intent_id
    assert len(billing_emulator.requests) == 2


def test_an_answer_that_drips_fast_enough_is_a_good_one(
    ask: Run, billing_emulator: Emulator
) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault(drip=0.0001))
    answer = ask(lambda client: client.ai_gateway.billing.topup.limits(account_id="a"))
    assert answer.currency == "usd"


def test_nothing_is_reached_where_no_emulator_runs(ask: Run, billing_emulator: Emulator) -> None:
    with Emulator() as stopped:
        base_url = stopped.base_url
    with pytest.raises(APIConnectionError, match="Cannot connect"):
        ask(lambda client: client.accounts.list(), base_url=base_url, max_retries=0)


def exchange(emulator: Emulator) -> bytes:
    """What comes over a bare connection in answer to a request, up to its end."""
    host, port = emulator.base_url.removeprefix("http://").split("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(
            b"GET /client/v4/accounts HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer emulator-token\r\n\r\n"
        )
        received = b""
        while data := sock.recv(65536):
            received += data
        return received


def test_a_part_of_the_answer_goes_out_as_it_is_with_the_length_of_the_whole(
    billing_emulator: Emulator,
) -> None:
    billing_emulator.inject(Fault(truncate=8, body="0123456789", headers={"X-Test": "yes"}))
    head, _, body = exchange(billing_emulator).partition(b"\r\n\r\n")
    assert body == b"01234567"
    assert b"\r\nContent-Length: 10" in head
    assert b"\r\nX-Test: yes" in head
    assert b"-EMU" in head


def test_raw_bytes_go_out_as_they_are_and_nothing_else(billing_emulator: Emulator) -> None:
    raw = b"\x00\xff" * 1_000_000  # more than a socket holds
    billing_emulator.inject(Fault(raw=raw))
    assert exchange(billing_emulator) == raw


@pytest.mark.parametrize(
    "fault", [Fault.reset(), Fault(raw=b"HTTP/1.1 200 OK\r\n", silence="reset")]
)
def test_a_reset_tears_the_connection_down(billing_emulator: Emulator, fault: Fault) -> None:
    billing_emulator.inject(fault)
    with pytest.raises(ConnectionResetError):
        exchange(billing_emulator)


def test_a_client_that_leaves_while_it_is_answered_does_no_harm(
    billing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    billing_emulator.add_account("a", balance=1)
    billing_emulator.inject(Fault(drip=0.01), times=None)
    with billing_emulator.client(account_id="a", timeout=0.1, max_retries=0) as client:
        with pytest.raises(APITimeoutError):
            client.ai_gateway.billing.credit_balance()
        billing_emulator.clear_faults()
        patient = client.with_options(timeout=60)
        assert patient.ai_gateway.billing.credit_balance().balance == 1
    assert [r for r in caplog.records if r.name.startswith("aiohttp")] == []


WRONG: list[tuple[dict[str, Any], str]] = [
    # the fields, and which of them the error names
    ({"delay": -1}, "delay"),
    ({"delay": "1"}, "delay"),
    ({"delay": float("nan")}, "delay"),
    ({"status": 199}, "status"),
    ({"status": 600}, "status"),
    ({"status": "500"}, "status"),
    ({"status": True}, "status"),
    ({"code": "1"}, "code"),
    ({"message": 1}, "message"),
    ({"body": 1}, "body"),
    ({"content_type": None}, "content_type"),
    ({"content_type": "a/b\r\nC: d"}, "content_type"),
    ({"headers": []}, "headers"),
    ({"headers": {"A": 1}}, "headers"),
    ({"headers": {"A": "b\r\nC: d"}}, "headers"),
    ({"after": 1}, "after"),
    ({"silence": "sleep"}, "silence"),
    ({"truncate": -1}, "truncate"),
    ({"truncate": 1.5}, "truncate"),
    ({"drip": -1}, "drip"),
    ({"raw": 1}, "raw"),
    ({"raw": b"", "status": 500}, "status"),
    ({"raw": b"", "truncate": 1}, "truncate"),
    ({"silence": "hang", "body": b""}, "body"),
    ({"silence": "close", "headers": {"A": "b"}}, "headers"),
    ({"silence": "reset", "drip": 1}, "drip"),
]


@pytest.mark.parametrize(("fields", "named"), WRONG)
def test_a_fault_that_cannot_be_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"[`']{named}[`']"):
        Fault(**fields)


@pytest.mark.parametrize(
    ("fault", "times", "error", "says"),
    [
        ("503", 1, TypeError, "`fault` must be a Fault, not str"),
        (Fault.reset, 1, TypeError, "`fault` must be a Fault, not method"),
        (Fault(), 0, ValueError, "`times` must be at least 1, got 0"),
        (Fault(), "2", TypeError, "`times` must be a whole number"),
    ],
)
def test_a_fault_that_would_never_come_is_refused(
    fault: Any, times: Any, error: type[Exception], says: str, billing_emulator: Emulator
) -> None:
    with pytest.raises(error, match=says):
        billing_emulator.inject(fault, times=times)


def test_the_method_may_be_in_small_letters(ask: Run, billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a")
    billing_emulator.inject(Fault(status=403), method="get")
    with pytest.raises(APIStatusError, match="403"):
        ask(lambda client: client.ai_gateway.billing.credit_balance(account_id="a"))
