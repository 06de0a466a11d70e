"""Shared fixtures: a clean environment, both clients as one, and aioresponses."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp
import attrs
import pytest
from aioresponses import CallbackResult, aioresponses
from hypothesis import HealthCheck, settings
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from cfaigw_billing import AsyncCloudflare, Cloudflare
from cfaigw_billing._io import pace
from cfaigw_billing._sync.paging import AccountPaginator
from cfaigw_billing.testing import Emulator
from cfaigw_billing.types import AccountListResponse

# Neither an example nor making one has to be fast: a busy machine may pause in it.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure() -> None:
    """Let a SIGINT interrupt the tests and what they start, also where a shell has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a background job, and in some CI
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the thousands of tests, which are there until the end."""
    gc.collect()
    gc.freeze()


class Run(Protocol):
    """Runs `call(client)` with a client made of the options; either client, so it is `Any`."""

    def __call__(self, call: Callable[[Any], Any], **options: Any) -> Any: ...


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, account, address or proxy of the machine reaches a test."""
    for name in os.environ:
        if name.startswith("CLOUDFLARE_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def own_paces() -> None:
    """The requests of other tests, which may have been sent by other clocks, do not count."""
    pace._paces._by_url.clear()
    pace._paces._recent.clear()


# The two clients as one: a test says what to do with a client and runs with either.


@pytest.fixture
def run_async() -> Run:
    """Runs `call(client)` with an async client made of the options, and awaits what it gives."""

    def run(call: Callable[[AsyncCloudflare], Any], **options: Any) -> Any:
        async def main() -> Any:
            async with AsyncCloudflare(**options) as client:
                return await call(client)

        return asyncio.run(main())

    return run


@pytest.fixture
def run_sync() -> Run:
    """Runs `call(client)` with a sync client made of the options."""

    def run(call: Callable[[Cloudflare], Any], **options: Any) -> Any:
        with Cloudflare(**options) as client:
            answer = call(client)
            if isinstance(answer, AccountPaginator):  # asks when it is looked at
                return AccountListResponse(result=answer.result, result_info=answer.result_info)
            return answer

    return run


@pytest.fixture(params=["async", "sync"])
def run(request: pytest.FixtureRequest) -> Run:
    """`run_async` and `run_sync`, one after the other."""
    chosen: Run = request.getfixturevalue(f"run_{request.param}")
    return chosen


@pytest.fixture
def ask(run: Run, billing_emulator: Emulator) -> Run:
    """Like `run`, on the emulator with a valid token, and without deprecation warnings."""

    def ask(call: Callable[[Any], Any], **options: Any) -> Any:
        given = {"base_url": billing_emulator.base_url, "api_token": billing_emulator.api_token}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return run(call, **{**given, **options})

    return ask


# aioresponses.


class Response(aiohttp.ClientResponse):
    """The response that aioresponses 0.7.9 fails to make: aiohttp 3.14 wants a `stream_writer`.

    Delete this class when a release has the fix:
    https://github.com/pnuckowski/aioresponses/issues/289
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        # A mock's `get_debug()` is true, and has each response take a picture of the stack.
        super().__init__(*args, **{**kwargs, "loop": asyncio.get_running_loop()})


@attrs.frozen(kw_only=True)
class SentRequest:
    """A request as aiohttp got it from the SDK, in the terms of the emulator's `requests`."""

    method: str
    path: str
    query: MultiMapping[str]
    headers: CIMultiDict[str]
    body: bytes


@attrs.define
class MockedService:
    """The service in aioresponses: every request is answered as `answer` last said."""

    mocked: aioresponses
    requests: list[SentRequest] = attrs.field(factory=list[SentRequest])
    base_url: str = "https://api.test/client/v4"
    api_token: str = "mocked-token"

    def answer(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer everything from now on with exactly this."""
        self.mocked.clear()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            self.mocked.add(  # pyright: ignore[reportUnknownMemberType]  # a bare `Pattern` there
                re.compile(""),
                method,
                callback=partial(self._record, method),
                status=status,
                body=body,
                content_type=content_type,
                headers=dict(headers or {}),
                response_class=Response,
                repeat=True,
            )

    def _record(
        self,
        method: str,
        url: URL,
        *,
        headers: CIMultiDict[str],
        data: bytes | None = None,
        **_: object,
    ) -> CallbackResult | None:
        path = url.raw_path.removeprefix(URL(self.base_url).path)
        self.requests.append(
            SentRequest(
                method=method, path=path, query=url.query, headers=headers, body=data or b""
            )
        )
        return None  # answer as registered


@pytest.fixture
def mocked_service() -> Iterator[MockedService]:
    """The service in aioresponses."""
    with aioresponses() as mocked:
        yield MockedService(mocked)
