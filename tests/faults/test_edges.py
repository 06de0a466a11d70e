"""Cases that do not fit into the table: limits, clocks, messages and leaks."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import zlib
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.compression_utils import HAS_BROTLI, HAS_ZSTD

from cfaigw_billing import AsyncCloudflare
from cfaigw_billing._io import sessions as _sessions
from cfaigw_billing._io import transport as _transport
from cfaigw_billing.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIResponseValidationError,
    APITimeoutError,
    BadRequestError,
    InternalServerError,
    TopupOutcomeUnknownError,
)
from cfaigw_billing.types import BillingUsageHistoryParams, Params

from .misbehaving import RAY, Peer, Server, Turn, VirtualClock, envelope, http, refusal, send
from .test_table import BALANCE, BALANCE_JSON, CHARGE, GONE, HTML, answers, busy, good, limited

NOTHING: dict[str, object] = {}
HANGS: Turn = (Peer.request, Peer.hang)
PROMPT = 30.0
"""Seconds after which a call is taken to hang, on a slow machine too."""


def client_of(server: Server, clock: VirtualClock | None = None, **options: Any) -> AsyncCloudflare:
    options = {"timeout": 60.0, **options}
    client = AsyncCloudflare(base_url=server.base_url, api_token="token", **options)
    if clock is not None:
        client._executor.clock = clock
    return client


# Time.


async def test_a_sleep_that_takes_too_long_does_not_lift_the_deadline() -> None:
    """The rest of `total_timeout` may be 0, which aiohttp treats as unlimited."""
    clock = VirtualClock()
    clock.overshoot = 0.01
    with Server(busy(503, "Retry-After: 1"), HANGS) as server:
        async with client_of(server, clock, total_timeout=1.005, timeout=None) as client:
            with pytest.raises((APITimeoutError, InternalServerError)):
                await asyncio.wait_for(client.send(BALANCE), PROMPT)


async def test_a_total_timeout_of_nothing_is_no_freedom() -> None:
    with Server(HANGS) as server, pytest.raises((ValueError, APITimeoutError)):
        async with client_of(server, total_timeout=0, timeout=None) as client:
            await asyncio.wait_for(client.send(BALANCE), PROMPT)


async def test_a_client_timeout_without_a_total_does_not_lift_the_deadline() -> None:
    """aiohttp treats a total of 0 as unlimited."""
    timeout = aiohttp.ClientTimeout(total=0)
    with Server(HANGS) as server:
        async with client_of(server, total_timeout=0.1, timeout=timeout) as client:
            with pytest.raises(APITimeoutError):
                await asyncio.wait_for(client.send(BALANCE), PROMPT)


async def test_the_timeout_of_a_call_goes_before_that_of_the_client() -> None:
    with Server(HANGS) as server:
        async with client_of(server, timeout=None, max_retries=0) as client:
            with pytest.raises(APITimeoutError, match="no answer in time"):
                await asyncio.wait_for(client.send(BALANCE, timeout=0.1), PROMPT)


async def test_a_limit_that_shares_its_timer_is_a_timeout_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_transport, "SHORTEST", 0.0)
    with Server(HANGS) as server:
        async with client_of(server, timeout=0.01, max_retries=0) as client:
            with pytest.raises(APITimeoutError, match="no answer in time") as caught:
                await asyncio.wait_for(client.send(BALANCE), PROMPT)
            transport: Any = client._executor._transport
            assert not transport._deadlines._due
    assert caught.value.retries_taken == 0
    assert caught.value.request.may_have_arrived


@pytest.mark.parametrize("max_retries", [0, 1, 2])
@pytest.mark.parametrize("switch", [True, False], ids=["with the switch", "without the switch"])
async def test_a_get_comes_no_more_often_than_max_retries_allows(
    max_retries: int, switch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever repeats it, the SDK or aiohttp on its own account, which has a switch for that."""
    monkeypatch.setattr(_sessions, "_HAS_SWITCH", switch)
    with Server(GONE) as server:
        async with client_of(server, VirtualClock(), max_retries=max_retries) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.send(BALANCE)
    assert caught.value.retries_taken == len(server.requests) - 1
    assert len(server.requests) <= max_retries + 1


async def test_a_charge_was_sent_when_the_last_attempt_was() -> None:
    """`reconcile` goes by that moment: an earlier one lets somebody else's top-up in."""
    clock = VirtualClock()
    with Server(limited("Retry-After: 30"), GONE) as server:
        async with client_of(server, clock) as client:
            with pytest.raises(TopupOutcomeUnknownError) as caught:
                await client.send(CHARGE)
    assert caught.value.sent_at == clock.START + timedelta(seconds=sum(clock.sleeps))
    assert sum(clock.sleeps) >= 30


# Limits.


@pytest.mark.parametrize("max_charge", [0, 4999])
async def test_more_than_max_charge_is_refused_before_a_byte_is_sent(max_charge: int) -> None:
    with Server(HANGS) as server:
        async with client_of(server, max_charge=max_charge) as client:
            with pytest.raises(
                ValueError, match=rf"`amount` is 5000 .* `max_charge` of {max_charge} "
            ):
                await client.send(CHARGE)
            with pytest.raises(ValueError, match="extra_body"):
                await client.send(CHARGE, extra_body={"amount": 1})
        assert not server.turns


BOMB = """
import resource, sys
from cfaigw_billing import APIResponseValidationError, Cloudflare
with Cloudflare(base_url=sys.argv[1], api_token="t", account_id="a") as client:
    client.ai_gateway.billing.credit_balance()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        client.ai_gateway.billing.credit_balance()
    except APIResponseValidationError as error:
        assert "larger than any" in str(error), error
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs elsewhere")
def test_a_small_gzip_that_unpacks_to_a_gigabyte_does_not_take_the_memory() -> None:
    compress = zlib.compressobj(wbits=31)
    mebibyte = bytes(1 << 20)
    bomb = compress.compress(mebibyte) + compress.flush(zlib.Z_FULL_FLUSH)
    bomb += 1024 * (compress.compress(mebibyte) + compress.flush(zlib.Z_FULL_FLUSH))
    assert len(bomb) < 2 << 20
    with Server(good(), answers(http(bomb, 200, "Content-Encoding: gzip"))) as server:
        command = [sys.executable, "-c", BOMB, server.base_url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert int(done.stdout) < 110 * 1024  # of 1024 bytes


# Words.


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nX-Half: a", b"no HTTP\r\n\r\n", b"HTTP/1.1 99 No\r\n\r\n"],
)
async def test_a_connection_error_is_in_the_words_of_this_package(answer: bytes) -> None:
    """Without objects of aiohttp, and without a status that the service did not send."""
    with Server((Peer.request, send(answer), Peer.close)) as server:
        async with client_of(server, max_retries=0) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.send(BALANCE)
    reason = str(caught.value).partition(": ")[2]
    for foreign in ("RawResponseMessage", "CIMultiDict", "400", "url="):
        assert foreign not in reason


@pytest.mark.parametrize("params", [BALANCE, CHARGE], ids=["a read", "a charge"])
@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, br", "unheard-of"])
async def test_an_encoding_that_cannot_be_decoded_is_named(
    encoding: str, params: Params[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the SDK ask for one that it cannot decode."""
    monkeypatch.setattr("aiohttp.http_parser.HAS_BROTLI", False)
    monkeypatch.setattr("aiohttp.http_parser.HAS_ZSTD", False)
    packed = http(b"\x0b\x02\x80hello\x03", 200, f"Content-Encoding: {encoding}")
    with Server(answers(packed)) as server:
        async with client_of(server, max_retries=0) as client:
            with pytest.raises(APIError) as caught:
                await client.send(params)
    assert isinstance(caught.value, TopupOutcomeUnknownError) == (params is CHARGE)
    said = str(caught.value)
    assert re.search("content-encoding", said, re.IGNORECASE)
    assert f"({encoding})" in said
    asked = re.search(rb"Accept-Encoding: ([^\r\n]+)", server.requests[0].head)
    assert asked
    can = {"gzip": True, "deflate": True, "br": HAS_BROTLI, "zstd": HAS_ZSTD}
    assert all(can[name] for name in asked[1].decode().split(", "))


async def test_a_page_is_quoted_with_its_first_two_hundred_characters() -> None:
    page = "é" * 150 + "<p>" * 50
    with Server(answers(http(page.encode(), content_type="text/html"))) as server:
        async with client_of(server) as client:
            with pytest.raises(APIResponseValidationError) as caught:
                await client.send(BALANCE)
    assert f"text/html {page[:200]!r} ·" in str(caught.value)
    assert caught.value.body == page


@pytest.mark.parametrize(
    "message", ["two\r\nlines", "\x1b[31mred", "a\u2028b", "\ud800", "x" * 5000]
)
async def test_whatever_the_service_says_the_error_is_one_short_line(message: str) -> None:
    with Server(answers(http(refusal(1, message), 400))) as server:
        async with client_of(server) as client:
            with pytest.raises(BadRequestError) as caught:
                await client.send(BALANCE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert caught.value.errors[0].message == message


async def test_many_faults_make_no_long_message() -> None:
    history = BillingUsageHistoryParams(account_id="acc", value_grouping_window="hour")
    with Server(answers(http(envelope({"history": 2000 * [NOTHING]})))) as server:
        async with client_of(server) as client:
            with pytest.raises(APIResponseValidationError) as caught:
                await client.send(history)
    assert "result.history[0].id: missing" in str(caught.value)
    assert len(str(caught.value)) < 1000


async def test_an_unknown_outcome_keeps_what_the_answer_said() -> None:
    with Server(answers(http(refusal(), 502))) as server:
        async with client_of(server) as client:
            with pytest.raises(TopupOutcomeUnknownError) as caught:
                await client.send(CHARGE)
    assert caught.value.cf_ray == RAY
    assert [error.code for error in caught.value.errors] == [1234]


async def test_a_redirect_shows_no_page_and_keeps_its_location() -> None:
    moved = http(HTML, 302, "Location: https://elsewhere.test/", content_type="text/html")
    with Server(answers(moved)) as server:
        async with client_of(server) as client:
            with pytest.raises(APIResponseError, match=r"^302 GET ") as caught:
                await client.send(BALANCE)
    assert "\n" not in str(caught.value)
    assert caught.value.response.headers["Location"] == "https://elsewhere.test/"


# Leaks.


async def test_cookies_are_not_sent_back() -> None:
    with Server(answers(http(BALANCE_JSON, 200, "Set-Cookie: a=b; Path=/"))) as server:
        async with client_of(server) as client:
            await client.send(BALANCE)
            await client.send(BALANCE)
    assert [b"cookie" in request.head.lower() for request in server.requests] == [False, False]


class ClosingClock(VirtualClock):
    """A clock on which the client is closed while it waits."""

    client: AsyncCloudflare

    async def sleep(self, seconds: float) -> None:
        await self.client.close()
        await super().sleep(seconds)


async def test_a_repeat_after_the_close_opens_no_connection() -> None:
    """The call may fail, but must not open a session that is never closed."""
    clock = ClosingClock()
    with Server(busy(), good()) as server:
        clock.client = client = client_of(server, clock)
        outcome = await asyncio.gather(client.send(BALANCE), return_exceptions=True)
        transport: Any = client._executor._transport
        left = list(transport._sessions.values())
        await client.close()
    assert not left, outcome
    assert len(server.requests) == 1
