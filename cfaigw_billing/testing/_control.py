"""The control API: what programs in other languages set up, inject and look at, over HTTP.

It is served beside the service, below `/_emulator`, in plain JSON without an envelope. What it is
asked is no request to the service: not recorded, not counted, and no fault meets it. It needs no
credentials, so it answers this machine alone, and no page in a browser.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import attrs
from aiohttp import web
from attrs.validators import and_, ge, le, lt, optional

from .._core.config import is_loopback
from ..types._validators import of_type, one_of
from ._faults import Fault
from ._service import Service
from ._state import JSON, EmulatedAccount, InvoiceType
from ._validation import INVALID, NOT_FOUND, NULLABLE, RefusedError, number, parse, whole_number

CONTROL_PATH = "/_emulator"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MOST = 1e15
"""Of cents or seconds: what is added up stays a number that JSON knows."""
_amount = and_(number, ge(-_MOST), le(_MOST))
_rate = and_(number, ge(0), le(1))
_not_negative = and_(number, ge(0), le(_MOST))


# What may be sent: amounts are in cents, times in seconds unless they say otherwise.


@attrs.frozen(kw_only=True)
class Card:
    brand: str = attrs.field(validator=of_type(str))
    last4: str = attrs.field(validator=of_type(str))


@attrs.frozen(kw_only=True)
class Limits:
    min_cents: int = attrs.field(validator=and_(whole_number, ge(0)))
    max_cents: int = attrs.field(validator=and_(whole_number, ge(0)))
    currency: str = attrs.field(default="usd", validator=of_type(str))


def _card(given: Any) -> JSON | None:
    return None if given is None else attrs.asdict(parse(Card, given))


def _limits(given: Any) -> JSON | None:
    return None if given is None else attrs.asdict(parse(Limits, given))


@attrs.frozen(kw_only=True)
class AccountChange:
    """A change of an account; only the fields that are given change."""

    name: str = attrs.field(default="", validator=of_type(str))
    balance: float = attrs.field(default=0.0, validator=_amount)
    payment_method: JSON | None = attrs.field(default=None, converter=_card, metadata=NULLABLE)
    declines: bool = attrs.field(default=False, validator=of_type(bool))
    needs_confirmation: bool = attrs.field(default=False, validator=of_type(bool))
    first_topup_success: bool = attrs.field(default=False, validator=of_type(bool))
    customer_credit: int = attrs.field(
        default=0, validator=and_(whole_number, ge(0), le(int(_MOST)))
    )
    topup_seconds: float | None = attrs.field(
        default=None, validator=optional(_not_negative), metadata=NULLABLE
    )
    topup_limits: JSON | None = attrs.field(default=None, converter=_limits)


@attrs.frozen(kw_only=True)
class SettingsChange:
    """A change of the emulator; only the fields that are given change."""

    topup_seconds: float = attrs.field(default=0.0, validator=_not_negative)
    fee: float = attrs.field(default=0.0, validator=_rate)
    tax: float = attrs.field(default=0.0, validator=_rate)
    ignores_page: bool = attrs.field(default=False, validator=of_type(bool))
    spending_limit_retired: bool = attrs.field(default=False, validator=of_type(bool))
    topup_config_dashboard_only: bool = attrs.field(default=False, validator=of_type(bool))
    account_owned_token: bool = attrs.field(default=False, validator=of_type(bool))


@attrs.frozen(kw_only=True)
class Spending:
    cents: float = attrs.field(validator=_not_negative)


@attrs.frozen(kw_only=True)
class Confirmation:
    payment_intent_id: str = attrs.field(validator=of_type(str))


@attrs.frozen(kw_only=True)
class Usage:
    days: int = attrs.field(validator=and_(whole_number, ge(0), lt(10_000)))
    cents_per_day: float = attrs.field(default=240.0, validator=_not_negative)


@attrs.frozen(kw_only=True)
class Invoice:
    amount: float = attrs.field(validator=_amount)
    type: InvoiceType = attrs.field(default="manual", validator=one_of("auto", "manual"))


@attrs.frozen(kw_only=True)
class Advance:
    seconds: float = attrs.field(validator=_not_negative)


@attrs.frozen(kw_only=True)
class Selection:
    """Which requests meet a fault, and how many; null: all, until the faults are cleared."""

    times: int | None = attrs.field(
        default=cast("int | None", 1),
        validator=optional(and_(whole_number, ge(1))),
        metadata=NULLABLE,
    )
    method: str | None = attrs.field(default=None, validator=of_type(str))
    path: str | None = attrs.field(default=None, validator=of_type(str))


@attrs.frozen(kw_only=True)
class Reset:
    accounts: bool = attrs.field(default=False, validator=of_type(bool))


# What is done with it. The docstrings are what the list of endpoints says.


@attrs.frozen
class Call:
    """A request to the control API."""

    emulator: Service
    account_id: str
    """As it stands in the path, if it does."""
    given: JSON
    """The body."""

    @property
    def account(self) -> EmulatedAccount:
        """The account of the path."""
        account = self.emulator.accounts.get(self.account_id)
        if account is None:
            raise RefusedError(404, NOT_FOUND, f"there is no account {self.account_id!r}")
        return account


def list_endpoints(_: Call) -> JSON:
    """The list of endpoints."""
    return {"endpoints": [endpoint.described() for endpoint in ENDPOINTS]}


def list_accounts(call: Call) -> JSON:
    """The accounts."""
    return {"accounts": [_shown(account) for account in call.emulator.accounts.values()]}


def show_account(call: Call) -> JSON:
    """One account."""
    return _shown(call.account)


def put_account(call: Call, change: AccountChange) -> JSON:
    """Create an account, or change what is given of it; balance in cents."""
    if call.account_id not in call.emulator.accounts:
        call.emulator.add_account(call.account_id)
    _set(call.account, change, call.given)
    return _shown(call.account)


def spend(call: Call, spending: Spending) -> JSON:
    """Use up credit of the account, as requests through the gateway do."""
    call.account.spend(spending.cents)
    return _shown(call.account)


def confirm(call: Call, confirmation: Confirmation) -> JSON:
    """Confirm a payment as its payer would (3-D Secure)."""
    if call.account.topup(confirmation.payment_intent_id) is None:
        raise RefusedError(404, NOT_FOUND, "there is no top-up of this 'payment_intent_id'")
    call.account.confirm(confirmation.payment_intent_id)
    return _shown(call.account)


def fill_usage(call: Call, usage: Usage) -> JSON:
    """Give the account a plausible usage over the last whole days (UTC)."""
    call.account.fill_usage(usage.days, cents_per_day=usage.cents_per_day)
    return _shown(call.account)


def add_invoice(call: Call, invoice: Invoice) -> JSON:
    """Give the account a paid invoice; amount, fee and tax included, in cents."""
    return call.account.add_invoice(invoice.amount, type=invoice.type).fields


def show_settings(call: Call) -> JSON:
    """The settings of all accounts."""
    return {name: getattr(call.emulator, name) for name in attrs.fields_dict(SettingsChange)}


def put_settings(call: Call, change: SettingsChange) -> JSON:
    """Change what holds for all accounts."""
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
    """Let the next requests meet a fault; times: how many of them, null for all."""
    call.emulator.inject(fault, times=selection.times, method=selection.method, path=selection.path)
    return {}


def clear_faults(call: Call) -> JSON:
    """Forget the faults that are left."""
    call.emulator.clear_faults()
    return {}


def list_charges(call: Call) -> JSON:
    """Every charge, in order: the credit (amount) and what the card paid, in cents; at, seconds."""
    return {
        "charges": [attrs.asdict(charge) for charge in call.emulator.charges],
        "total_cents": sum(charge.amount for charge in call.emulator.charges),
    }


def list_requests(call: Call) -> JSON:
    """Every request to the service, in order, without its headers: they hold credentials."""
    return {
        "requests": [
            {
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "body": request.body.decode(errors="replace"),
            }
            for request in call.emulator.requests
        ]
    }


def reset(call: Call, reset: Reset) -> JSON:
    """Forget requests, charges and faults, and if told so, the accounts."""
    call.emulator.reset(accounts=reset.accounts)
    return {}


def _set(target: object, change: attrs.AttrsInstance, given: JSON) -> None:
    for name in given:
        setattr(target, name, getattr(change, name))


def _shown(account: EmulatedAccount) -> JSON:
    names = ("id", *attrs.fields_dict(AccountChange), "topup_config", "spending_limit")
    return {name: getattr(account, name) for name in names}


# How it is served.


@attrs.frozen
class Endpoint:
    """One call of the control API; several classes share the properties of its body out."""

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
    """The control API of an emulator, to be mounted at `CONTROL_PATH`."""
    app = web.Application(middlewares=[_guard])
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, partial(endpoint.answer, emulator))
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _refuse_strangers(request)
        return await handler(request)
    except RefusedError as refused:
        return web.json_response({"error": refused.message}, status=refused.status)
    except web.HTTPException as error:
        error_line = f"{error.reason}: {request.method} {request.path}"
        answer = {"error": error_line, "endpoints": [e.described() for e in ENDPOINTS]}
        return web.json_response(answer, status=error.status)


def _refuse_strangers(request: web.Request) -> None:
    """Pages in a browser of this machine are strangers too: they send `Origin`, or a false host."""
    if "Origin" in request.headers:
        raise RefusedError(
            403, INVALID, "pages in a browser are refused: 'Origin' must not be sent"
        )
    if not is_loopback(request.remote or "") or not is_loopback(request.url.host or ""):
        raise RefusedError(403, INVALID, "only this machine is answered, by a name of its own")


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
