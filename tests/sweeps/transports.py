"""A transport without a network."""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any

import attrs
from multidict import CIMultiDict

from cfaigw_billing import AsyncCloudflare
from cfaigw_billing._wire.messages import HTTPRequest, HTTPResponse

BALANCE = (
    b'{"success": true, "errors": [], "messages": [], "result": {"balance": 640.19, '
    b'"has_default_payment_method": false, "payment_method": null, "topup_config": null, '
    b'"first_topup_success": false}}'
)


@attrs.define(eq=False)
class FakeTransport:
    """Answers every request with a balance, after up to `latency` seconds."""

    latency: float = 0.0
    sent: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    async def send(
        self, request: HTTPRequest, *_: object, remaining: float = inf, **__: object
    ) -> HTTPResponse:
        assert remaining > 0
        request.attempts += 1
        request.may_have_arrived = True
        self.sent += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(random.random() * self.latency)
        finally:
            self.in_flight -= 1
        headers = CIMultiDict({"Content-Type": "application/json"})
        return HTTPResponse(status_code=200, headers=headers, body=BALANCE)

    def widened(self, _: int) -> AbstractContextManager[None]:
        """Do nothing: connections are unlimited."""
        return nullcontext()

    def lend(self, *_: object) -> FakeTransport:
        """A copy of the client has the same."""
        return self

    def check_open(self) -> None:
        """It always is."""

    async def close(self) -> None:
        """Do nothing."""


def faked(latency: float = 0.0, **options: Any) -> tuple[AsyncCloudflare, FakeTransport]:
    """A client, and the transport that it has."""
    given: dict[str, Any] = {"api_token": "t", "max_requests_per_second": None, **options}
    client: Any = AsyncCloudflare(**given)
    client._executor._transport = transport = FakeTransport(latency)
    return client, transport
