"""How a program can see its requests: aiohttp's tracing, OpenTelemetry, the log, the user agent."""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from conftest import Run
from faults.misbehaving import Peer, Server
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cfaigw_billing import APIConnectionError, AsyncCloudflare, __version__
from cfaigw_billing._io.clock import Clock
from cfaigw_billing.testing import Emulator, Fault

TOKEN = "emulator-token"
BILLING = "/client/v4/accounts/acc/ai-gateway/billing"


def raw_balance(client: Any) -> Any:
    return balance(client.with_raw_response)


def no_jitter(_: Clock) -> float:
    return 0.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for before a repeat."""
    monkeypatch.setattr(Clock, "jitter", no_jitter)


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    billing_emulator.add_account("acc", balance=1, first_topup_success=True)
    return billing_emulator


def balance(client: Any) -> Any:
    return client.ai_gateway.billing.credit_balance(account_id="acc")


def topup(client: Any) -> Any:
    return client.ai_gateway.billing.topup.create(account_id="acc", amount=1000)


class Recorder:
    """A trace config, and what it was told."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str, int]] = []
        self.connections = 0
        self.config = aiohttp.TraceConfig()
        self.config.on_request_end.append(self._end)
        self.config.on_connection_create_end.append(self._connected)

    async def _end(
        self, _: object, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        self.ended.append((params.method, params.url.path, params.response.status))

    async def _connected(self, *_: object) -> None:
        self.connections += 1


# aiohttp's tracing.


def test_trace_configs_see_every_request_that_of_a_charge_included(
    ask: Run, emulator: Emulator
) -> None:
    recorder = Recorder()
    emulator.inject(Fault(status=503, headers={"Retry-After": "0"}))
    for call in (balance, topup):
        ask(call, trace_configs=[recorder.config])
    assert recorder.ended == [
        ("GET", f"{BILLING}/credit-balance", 503),
        ("GET", f"{BILLING}/credit-balance", 200),
        ("POST", f"{BILLING}/topup", 200),
    ]
    assert recorder.connections == 2
    assert len(emulator.charges) == 1


async def test_a_charge_has_a_connection_of_its_own_that_is_seen(emulator: Emulator) -> None:
    recorder, other = Recorder(), Recorder()
    async with AsyncCloudflare(
        api_token=TOKEN, base_url=emulator.base_url, trace_configs=[recorder.config]
    ) as client:
        await balance(client)
        await topup(client)
        await balance(client)
        async with client.with_options(trace_configs=[other.config]) as copy:
            await balance(copy)
    assert recorder.connections == 2
    assert (len(recorder.ended), len(other.ended)) == (3, 1)


async def test_a_session_of_the_callers_with_its_own_trace_configs(emulator: Emulator) -> None:
    recorder = Recorder()
    async with aiohttp.ClientSession(trace_configs=[recorder.config]) as session:
        client = AsyncCloudflare(api_token=TOKEN, base_url=emulator.base_url, http_client=session)
        await balance(client)
        await topup(client)
        await client.close()
        assert not session.closed
    assert [(method, status) for method, _, status in recorder.ended] == [
        ("GET", 200),
        ("POST", 200),
    ]
    with pytest.raises(ValueError, match="http_client"):
        AsyncCloudflare(http_client=session, trace_configs=[recorder.config])


@pytest.mark.parametrize("wrong", [["x"], [aiohttp.TraceConfig], [None]])
def test_what_is_no_trace_config_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="trace_configs"):
        AsyncCloudflare(trace_configs=wrong)


# OpenTelemetry.


@pytest.fixture
def telemetry() -> Iterator[tuple[aiohttp.TraceConfig, InMemorySpanExporter]]:
    """A trace config that makes spans, and where they end up."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield create_trace_config(tracer_provider=provider), exporter
    provider.shutdown()


def test_opentelemetry_has_one_span_for_each_request(
    ask: Run, emulator: Emulator, telemetry: tuple[aiohttp.TraceConfig, InMemorySpanExporter]
) -> None:
    config, exporter = telemetry
    emulator.inject(Fault(status=503, headers={"Retry-After": "0"}))
    for call in (balance, topup, raw_balance):
        ask(call, trace_configs=[config])
    spans = exporter.get_finished_spans()
    assert len(spans) == len(emulator.requests) == 4
    seen = [dict(span.attributes or {}) for span in spans]
    methods = [it.get("http.method") or it.get("http.request.method") for it in seen]
    statuses = [it.get("http.status_code") or it.get("http.response.status_code") for it in seen]
    urls = [str(it.get("http.url") or it.get("url.full")) for it in seen]
    assert methods == ["GET", "GET", "POST", "GET"]
    assert statuses == [503, 200, 200, 200]
    origin = emulator.base_url.removesuffix("/client/v4")
    path = f"{origin}{BILLING}/credit-balance"
    assert urls == [path, path, f"{origin}{BILLING}/topup", path]
    assert {span.kind for span in spans} == {SpanKind.CLIENT}
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR] + 3 * [
        StatusCode.UNSET
    ]
    assert TOKEN not in "".join(span.to_json() for span in spans)
    # The trace can go on in the service.
    assert all("traceparent" in sent.headers for sent in emulator.requests)


def test_opentelemetry_ends_the_span_of_a_request_without_an_answer(
    run: Run, telemetry: tuple[aiohttp.TraceConfig, InMemorySpanExporter]
) -> None:
    config, exporter = telemetry
    with Server((Peer.request, Peer.reset)) as server, pytest.raises(APIConnectionError):
        run(
            balance,
            base_url=server.base_url,
            api_token=TOKEN,
            trace_configs=[config],
            max_retries=0,
        )
    [span] = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert TOKEN not in span.to_json()


# The log.


def test_every_attempt_is_a_line_of_the_debug_log(
    ask: Run, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.inject(Fault(status=503, headers={"Retry-After": "0"}))
    with caplog.at_level(logging.DEBUG, logger="cfaigw_billing"):
        ask(balance, default_headers={"X-Auth-Key": "a-secret"})
        ask(topup)
    ours = [record for record in caplog.records if record.name == "cfaigw_billing"]
    assert {record.levelno for record in ours} == {logging.DEBUG}
    expected = [
        rf"GET {BILLING}/credit-balance: 503 \w+-EMU, attempt 1, \d+ ms",
        rf"GET {BILLING}/credit-balance: 200 \w+-EMU, attempt 2, \d+ ms",
        rf"POST {BILLING}/topup: 200 \w+-EMU, attempt 1, \d+ ms",
    ]
    for record, pattern in zip(ours, expected, strict=True):
        assert re.fullmatch(pattern, record.getMessage())
        assert TOKEN not in repr(vars(record))
        assert "a-secret" not in repr(vars(record))


def test_an_attempt_without_an_answer_says_why(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Server((Peer.request, Peer.reset)) as server,
        caplog.at_level(logging.DEBUG, logger="cfaigw_billing"),
        pytest.raises(APIConnectionError),
    ):
        run(balance, base_url=server.base_url, api_token=TOKEN, max_retries=0)
    [record] = [record for record in caplog.records if record.name == "cfaigw_billing"]
    pattern = r"GET \S+: the connection broke before an answer came, attempt 1, \d+ ms"
    assert re.fullmatch(pattern, record.getMessage())


def test_the_log_is_silent_unless_it_is_asked_for(
    ask: Run, emulator: Emulator, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    ask(balance)
    assert [record for record in caplog.records if record.name == "cfaigw_billing"] == []
    assert capfd.readouterr() == ("", "")


# The agent.


def test_the_user_agent_names_all_that_sends(ask: Run, emulator: Emulator) -> None:
    ask(topup)
    [sent] = emulator.requests
    assert sent.headers["User-Agent"].split() == [
        f"cfaigw-billing/{__version__}",
        f"python/{platform.python_version()}",
        f"aiohttp/{aiohttp.__version__}",
    ]
