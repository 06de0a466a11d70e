"""A service in virtual time: its accounts spend, its rate limit is the emulator's."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
from multidict import CIMultiDict
from transports import FakeTransport
from virtual import VirtualClock
from yarl import URL

from cfaigw_billing import AsyncCloudflare
from cfaigw_billing._wire.messages import HTTPRequest, HTTPResponse
from cfaigw_billing.testing import RequestLimit

BEGAN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
"""The moment at which virtual time begins."""
HOUR = 3600.0


class Clock(VirtualClock):
    """Virtual time, of the day too."""

    def now(self) -> datetime:
        return moment(self.monotonic())


def moment(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


@attrs.define(eq=False)
class VirtualAccount:
    """An account that spends steadily."""

    balance: float = 5000.0
    """In cents, at time 0."""
    per_hour: float = 0.0
    """Its spending, in cents."""
    topup: dict[str, Any] = attrs.field(factory=dict[str, Any])
    name: str = "Acme"
    status: int = 200
    """The answer for its balance."""

    def at(self, now: float) -> float:
        return self.balance - self.per_hour * now / HOUR


@attrs.define(eq=False)
class VirtualService(FakeTransport):
    """Answers the calls that looks make."""

    accounts: dict[str, VirtualAccount] = attrs.field(factory=dict[str, VirtualAccount])
    limit: RequestLimit = attrs.field(factory=RequestLimit)
    asked: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict[str, list[float]](list))
    """When each account's balance was asked for."""
    usage_asked: dict[str, list[float]] = attrs.field(
        factory=lambda: defaultdict[str, list[float]](list)
    )
    listed: list[float] = attrs.field(factory=list[float])
    per_window: defaultdict[int, int] = attrs.field(factory=lambda: defaultdict[int, int](int))
    status: int = 200
    """The status of all answers."""
    list_status: int = 200
    hours: int = 0
    """How far back the usage goes."""
    meanwhile: Callable[[float], None] = lambda _: None
    """Called before each answer, with the time."""

    async def send(self, request: HTTPRequest, *_: object, **__: object) -> HTTPResponse:
        request.attempts += 1
        request.may_have_arrived = True
        await asyncio.sleep(self.latency)
        now = asyncio.get_running_loop().time()
        self.sent += 1
        self.per_window[int(now // self.limit.window)] += 1
        self.meanwhile(now)
        status, result = 429, None
        if self.limit.take(now):
            status, result = self._answer(request, now)
        if self.status != 200:
            status = self.status
        errors = [] if status == 200 else [{"code": 1000, "message": "refused"}]
        body = {"success": status == 200, "errors": errors, "messages": [], **(result or {})}
        date = format_datetime(moment(now), usegmt=True)
        headers = CIMultiDict({"Content-Type": "application/json", "Date": date})
        headers.update(self.limit.headers(now))
        return HTTPResponse(status_code=status, headers=headers, body=json.dumps(body).encode())

    def _answer(self, request: HTTPRequest, now: float) -> tuple[int, dict[str, Any]]:
        path = request.path.split("/")
        if path[-1] == "accounts":
            return self._list(request, now)
        account_id = path[path.index("accounts") + 1]
        if (account := self.accounts.get(account_id)) is None:
            return 404, {}
        if path[-1] == "usage-history":
            self.usage_asked[account_id].append(now)
            return 200, {"result": {"history": self._usage(account, now)}}
        self.asked[account_id].append(now)
        result = {
            "balance": account.at(now),
            "has_default_payment_method": False,
            "payment_method": None,
            "topup_config": account.topup or None,
            "first_topup_success": False,
        }
        return account.status, {"result": result}

    def _list(self, request: HTTPRequest, now: float) -> tuple[int, dict[str, Any]]:
        self.listed.append(now)
        page, ids = int(URL(request.url).query.get("page", 1)), [*self.accounts]
        shown = ids[(page - 1) * 50 : page * 50]
        info = {"page": page, "per_page": 50, "count": len(shown), "total_count": len(ids)}
        result = [{"id": name, "name": self.accounts[name].name} for name in shown]
        return self.list_status, {"result": result, "result_info": info}

    def _usage(self, account: VirtualAccount, now: float) -> list[dict[str, Any]]:
        last = int((BEGAN.timestamp() + now) // HOUR)
        return [
            {
                "id": str(hour),
                "start_time": hour * HOUR * 1000,
                "end_time": (hour + 1) * HOUR * 1000,
                "aggregated_value": account.per_hour,
            }
            for hour in range(last - self.hours, last)
        ]


def client_of(service: VirtualService) -> AsyncCloudflare:
    """A client of it, in virtual time."""
    client = AsyncCloudflare(api_token="t", max_requests_per_second=None)
    executor: Any = client._executor
    executor._transport, executor.clock = service, Clock(7)
    return client
