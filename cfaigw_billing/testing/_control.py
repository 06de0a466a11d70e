"""The control API: programs in other languages control the emulator over HTTP.

It is served below `/_emulator`, in plain JSON without an envelope. Its requests are not recorded or
counted, and faults do not affect them. It needs no credentials, so it refuses other machines and
web pages.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import attrs
from aiohttp import web

from .._core.config import is_loopback
from .._wire.secrets import REDACTED
from ._changes import (
    AccountChange,
    Advance,
    Confirmation,
    HourlySpending,
    Invoice,
    Reset,
    Selection,
    SettingsChange,
    Spending,
    Usage,
)
from ._faults import Fault
from ._limit import RequestLimit
from ._service import Service
from ._state import JSON, EmulatedAccount
from ._validation import INVALID, NOT_FOUND, RefusedError, parse

CONTROL_PATH = "/_emulator"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


# The operations. The list of endpoints shows their docstrings.


@attrs.frozen
class Call:
    """A request to the control API."""

    emulator: Service
    account_id: str
    """The account id in the path; empty if the path has none."""
    given: JSON
    """The body."""

    @property
    def account(self) -> EmulatedAccount:
        """The account of the path."""
        account = self.emulator.accounts.get(self.account_id)
        if account is None:
            raise RefusedError(404, NOT_FOUND, f"account {self.account_id!r} does not exist")
        return account


def list_endpoints(_: Call) -> JSON:
    """List the endpoints."""
    return {"endpoints": [endpoint.described() for endpoint in ENDPOINTS]}


def list_accounts(call: Call) -> JSON:
    """List the accounts."""
    return {"accounts": [_shown(account) for account in call.emulator.accounts.values()]}


def show_account(call: Call) -> JSON:
    """Show one account."""
    return _shown(call.account)


def put_account(call: Call, change: AccountChange) -> JSON:
    """Create an account, or change the given fields; balance in cents; limit: of its token."""
    try:
        if call.account_id not in call.emulator.accounts:
            call.emulator.add_account(
                call.account_id, api_token=change.api_token, limit=change.limit
            )
        _set(call.account, change, call.given)
    except ValueError as error:
        raise RefusedError(400, INVALID, str(error)) from None
    return _shown(call.account)


def spend(call: Call, spending: Spending) -> JSON:
    """Use up credit of the account, as requests through the gateway do."""
    call.account.spend(spending.cents)
    return _shown(call.account)


def spend_hourly(call: Call, spending: HourlySpending) -> JSON:
    """Spend these cents in each of the 24 hours of a day (UTC) as the clock moves; null: stop."""
    call.account.spend_hourly(spending.cents, days=spending.days)
    return _shown(call.account)


def confirm(call: Call, confirmation: Confirmation) -> JSON:
    """Confirm a payment as its payer would (3-D Secure)."""
    if call.account.topup(confirmation.payment_intent_id) is None:
        raise RefusedError(404, NOT_FOUND, "no top-up has this 'payment_intent_id'")
    call.account.confirm(confirmation.payment_intent_id)
    return _shown(call.account)


def fill_usage(call: Call, usage: Usage) -> JSON:
    """Fill the usage of the last whole days (UTC) with plausible values."""
    call.account.fill_usage(usage.days, cents_per_day=usage.cents_per_day)
    return _shown(call.account)


def add_invoice(call: Call, invoice: Invoice) -> JSON:
    """Add a paid invoice; amount in cents, with fee and tax."""
    return call.account.add_invoice(invoice.amount, type=invoice.type).fields


def show_settings(call: Call) -> JSON:
    """Show the settings of the emulator."""
    settings = {name: getattr(call.emulator, name) for name in attrs.fields_dict(SettingsChange)}
    return settings | {"limit": _shown_limit(call.emulator.limit)}


def put_settings(call: Call, change: SettingsChange) -> JSON:
    """Change settings of the emulator."""
    _set(call.emulator, change, call.given)
    return show_settings(call)


def advance(call: Call, advance: Advance) -> JSON:
    """Move the emulator's clock ahead."""
    try:
        call.emulator.advance(advance.seconds)
    except ValueError as error:
        raise RefusedError(400, INVALID, str(error)) from None
    return {"now": call.emulator.now.isoformat()}


def inject(call: Call, fault: Fault, selection: Selection) -> JSON:
    """Inject a fault into the next requests; times: the number of requests, null for all."""
    call.emulator.inject(fault, times=selection.times, method=selection.method, path=selection.path)
    return {}


def clear_faults(call: Call) -> JSON:
    """Remove the remaining faults."""
    call.emulator.clear_faults()
    return {}


def list_charges(call: Call) -> JSON:
    """List the charges in order: credit (amount) and paid in cents, at in Unix seconds."""
    return {
        "charges": [attrs.asdict(charge) for charge in call.emulator.charges],
        "total_cents": sum(charge.amount for charge in call.emulator.charges),
    }


def list_requests(call: Call) -> JSON:
    """List the requests in order, with the accounts of their token, without headers."""
    owners: dict[str | None, list[str]] = {}
    for account_id, token in call.emulator.api_tokens.items():
        owners.setdefault(token, []).append(account_id)
    return {
        "requests": [
            {
                "token_of": owners.get(request.api_token, []),
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "body": request.body.decode(errors="replace"),
            }
            for request in call.emulator.requests
        ]
    }


def reset(call: Call, reset: Reset) -> JSON:
    """Remove requests, charges and faults; with accounts: true, also the accounts."""
    call.emulator.reset(accounts=reset.accounts)
    return {}


def _set(target: object, change: attrs.AttrsInstance, given: JSON) -> None:
    for name in attrs.fields_dict(type(change)):  # in this order: the limit needs the new token
        if name in given:
            setattr(target, name, getattr(change, name))


def _shown(account: EmulatedAccount) -> JSON:
    names = ("id", *attrs.fields_dict(AccountChange), "topup_config", "spending_limit")
    shown = {name: getattr(account, name) for name in names}
    token = None if account.api_token is None else REDACTED
    return shown | {"api_token": token, "limit": _shown_limit(account.limit)}


def _shown_limit(limit: RequestLimit | None) -> JSON | None:
    names = ("quota", "window", "block", "refused")
    return None if limit is None else {name: getattr(limit, name) for name in names}


# The HTTP side.


@attrs.frozen
class Endpoint:
    """One endpoint of the control API; several classes may each take a part of the body."""

    method: str
    path: str
    perform: Callable[..., JSON]
    body: tuple[type[attrs.AttrsInstance], ...] = ()

    def described(self) -> JSON:
        """Return its entry in the list of endpoints."""
        fields = [name for cls in self.body for name in attrs.fields_dict(cls)]
        return {
            "method": self.method,
            "path": CONTROL_PATH + self.path,
            "does": self.perform.__doc__,
            **({"fields": fields} if fields else {}),
        }

    async def answer(self, emulator: Service, request: web.Request) -> web.Response:
        """Carry the request out."""
        given = await _given(request) if self.body else {}
        call = Call(emulator, request.match_info.get("account_id", ""), given)
        return web.json_response(self.perform(call, *self._parts(given)))

    def _parts(self, given: JSON) -> list[attrs.AttrsInstance]:
        rest = dict(given)
        others: list[attrs.AttrsInstance] = []
        for cls in self.body[1:]:
            own = attrs.fields_dict(cls).keys() & rest.keys()
            others.append(parse(cls, {name: rest.pop(name) for name in own}))
        return [*(parse(cls, rest) for cls in self.body[:1]), *others]


ENDPOINTS = (
    Endpoint("GET", "/", list_endpoints),
    Endpoint("GET", "/accounts", list_accounts),
    Endpoint("GET", "/accounts/{account_id}", show_account),
    Endpoint("PUT", "/accounts/{account_id}", put_account, (AccountChange,)),
    Endpoint("POST", "/accounts/{account_id}/spend", spend, (Spending,)),
    Endpoint("POST", "/accounts/{account_id}/spend_hourly", spend_hourly, (HourlySpending,)),
    Endpoint("POST", "/accounts/{account_id}/confirm", confirm, (Confirmation,)),
    Endpoint("POST", "/accounts/{account_id}/usage", fill_usage, (Usage,)),
    Endpoint("POST", "/accounts/{account_id}/invoices", add_invoice, (Invoice,)),
    Endpoint("GET", "/settings", show_settings),
    Endpoint("PUT", "/settings", put_settings, (SettingsChange,)),
    Endpoint("POST", "/advance", advance, (Advance,)),
    Endpoint("POST", "/faults", inject, (Fault, Selection)),
    Endpoint("DELETE", "/faults", clear_faults),
    Endpoint("GET", "/charges", list_charges),
    Endpoint("GET", "/requests", list_requests),
    Endpoint("POST", "/reset", reset, (Reset,)),
)


def control_app(emulator: Service) -> web.Application:
    """Return the control API of an emulator, to be mounted at `CONTROL_PATH`."""
    app = web.Application(middlewares=[_guard])
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, partial(endpoint.answer, emulator))
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _refuse_others(request)
        return await handler(request)
    except RefusedError as refused:
        return web.json_response({"error": refused.message}, status=refused.status)
    except web.HTTPException as error:
        error_line = f"{error.reason}: {request.method} {request.path}"
        answer = {"error": error_line, "endpoints": [e.described() for e in ENDPOINTS]}
        return web.json_response(answer, status=error.status)


def _refuse_others(request: web.Request) -> None:
    """Refuse other machines, and web pages: they send `Origin` or another host."""
    if "Origin" in request.headers:
        raise RefusedError(
            403, INVALID, "requests of web pages are refused: 'Origin' must not be sent"
        )
    if not is_loopback(request.remote or "") or not is_loopback(request.url.host or ""):
        raise RefusedError(403, INVALID, "only requests from and to localhost are accepted")


async def _given(request: web.Request) -> JSON:
    if request.content_type != "application/json":
        raise RefusedError(415, INVALID, "the Content-Type must be application/json")
    try:
        given: Any = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, INVALID, f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise RefusedError(400, INVALID, "the body must be a JSON object")
    return cast("JSON", given)
