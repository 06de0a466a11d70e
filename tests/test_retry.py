"""Retries: which calls, and after how long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from leaping import leap

from cfaigw_billing import APIError, AsyncCloudflare, TopupOutcomeUnknownError
from cfaigw_billing._core.answer import Answer
from cfaigw_billing._core.operations import ALL, Operation, Safety
from cfaigw_billing._core.retry import Verdict, decide, retry_after
from cfaigw_billing._wire.messages import HTTPRequest, HTTPResponse
from cfaigw_billing.testing import Emulator, Fault

REPEATED = {408, 425, 429, 500, 502, 503, 504, *range(520, 525), 530}
"""After these the same request may succeed."""


@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.name)
def test_which_statuses_are_repeated(operation: Operation[Any]) -> None:
    """The status alone decides, whatever the body; of what charges, the limiter's alone."""
    charges = operation.safety is Safety.CHARGES
    assert repeated(operation) == (set() if charges else REPEATED)
    told = '"default";r=0;t=1'
    for headers in ({"Retry-After": "1"}, {"Retry-After": "1", "Ratelimit": told}):
        assert repeated(operation, headers) == ({429} if charges else REPEATED)
    # `Ratelimit` is on every answer, and one that tells of room speaks against the limiter.
    for headers in ({"Ratelimit": told}, {"Retry-After": "1", "Ratelimit": '"default";r=9;t=1'}):
        assert repeated(operation, headers) == (set() if charges else REPEATED)


def repeated(operation: Operation[Any], headers: Mapping[str, str] | None = None) -> set[int]:
    statuses = range(100, 600)
    return {s for s in statuses if verdict(operation, s, headers or {}) is Verdict.RETRY}


def verdict(operation: Operation[Any], status: int, headers: Mapping[str, str]) -> Verdict | None:
    request = HTTPRequest(method=operation.method, url="https://localhost/", headers={})
    response = HTTPResponse(status_code=status, headers=headers, body=b"<html>")
    failure = Answer(operation, request, response, 0).failure()
    return None if failure is None else decide(operation.safety, failure)


def test_only_the_top_up_charges() -> None:
    charging = [operation.name for operation in ALL if operation.safety is Safety.CHARGES]
    assert charging == ["ai_gateway.billing.topup.create"]


# What `Retry-After` says.

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

HEADERS: list[tuple[str | None, float | None]] = [
    (None, None),
    ("0", 0),
    ("17", 17),
    (" 17 ", 17),
    ("0.25", 0.25),
    ("-3", 0),
    ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
    ("Sat, 21 Nov 2026 12:00:30 +0000", 30),
    ("Sat, 21 Nov 2026 13:00:30 +0100", 30),
    ("Saturday, 21-Nov-26 12:00:30 GMT", 30),
    ("Sat Nov 21 12:00:30 2026", 30),
    ("Sat, 21 Nov 2026 11:59:30 GMT", 0),
    ("", None),
    ("soon", None),
    ("inf", None),
    ("-inf", None),
    ("nan", None),
    ("1e400", None),
    ("Sat, 99 Nov 2026 12:00:30 GMT", None),
    ("Sat, 21 Nov 99999 12:00:30 GMT", None),
    ("Sat, 21 Nov 2026 12:00:30 +99999999999999", None),
]


@pytest.mark.parametrize(("header", "seconds"), HEADERS)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    assert retry_after(headers, NOW) == seconds


# On the wire.

CHARGE_FAILURES = {
    "an edge error": Fault(status=502),
    "busy": Fault(status=503, headers={"Retry-After": "0"}),
    "a 429 that is not the limiter's": Fault(status=429),
    "a 429 after it was carried out": Fault(status=429, after=True),
    "a broken connection": Fault(silence="close"),
    "an answer that is lost": Fault(silence="close", after=True),
    "an answer that does not come": Fault(silence="hang", after=True),
}


@pytest.mark.parametrize("failure", CHARGE_FAILURES)
async def test_a_charge_is_sent_once_whatever_happens_to_it(
    failure: str, billing_emulator: Emulator
) -> None:
    fault = CHARGE_FAILURES[failure]
    billing_emulator.add_account("acc")
    billing_emulator.inject(fault, path="/topup", times=None)
    async with client_of(billing_emulator, max_retries=5) as client:
        # On a connection that is kept, which HTTP clients are tempted to replace and try again.
        await client.ai_gateway.billing.credit_balance()
        hangs = fault.silence == "hang"
        leaping = asyncio.create_task(leap(lambda: hangs and billing_emulator.charges))
        with pytest.raises(TopupOutcomeUnknownError) as caught:
            await client.ai_gateway.billing.topup.create(amount=1000)
        leaping.cancel()
    assert caught.value.retries_taken == 0
    assert [request.method for request in billing_emulator.requests] == ["GET", "POST"]
    assert len(billing_emulator.charges) == fault.after


async def test_a_read_is_repeated_until_it_succeeds_or_the_repeats_are_used_up(
    billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    billing_emulator.add_account("acc", balance=1)
    async with client_of(billing_emulator, max_retries=2) as client:
        billing_emulator.inject(Fault(status=503), times=2)
        assert (await client.ai_gateway.billing.credit_balance()).balance == 1
        assert len(billing_emulator.requests) == 3

        billing_emulator.inject(Fault(status=503), times=None)
        with pytest.raises(APIError) as caught:
            await client.ai_gateway.billing.credit_balance()
    assert caught.value.retries_taken == 2
    assert len(billing_emulator.requests) == 6


async def test_a_wait_that_is_too_long_is_no_wait(billing_emulator: Emulator) -> None:
    billing_emulator.add_account("acc")
    billing_emulator.inject(Fault(status=429, headers={"Retry-After": "120"}))
    async with client_of(billing_emulator, max_retry_wait=119) as client:
        with pytest.raises(APIError, match="429"):
            await client.ai_gateway.billing.credit_balance()
    assert len(billing_emulator.requests) == 1


def client_of(emulator: Emulator, **options: Any) -> AsyncCloudflare:
    return AsyncCloudflare(
        base_url=emulator.base_url, api_token=emulator.api_token, account_id="acc", **options
    )
