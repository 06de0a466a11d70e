"""An aiohttp app with one client for its life.

    export CLOUDFLARE_API_TOKEN=…      # with AI Gateway Read, and AI Gateway Write to charge
    python aiohttp_app.py              # serves on http://127.0.0.1:8080

Copy `charges.py` and `error_status.py` with it. It asks nobody who they are: put your login in
front of it, and let that decide whose account may be seen and whose card charged.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from charges import Charges
from error_status import ArgumentError, answer_to, browser_arguments

from cfaigw_billing import AsyncCloudflare, CloudflareError, Money

MAX_CHARGE = Money.dollars(100)  # of credit at once; the card pays about $105.00, plus tax
LONGEST_CALL = 30.0  # seconds, repeats included; so long may a shutdown wait for a charge

CLIENT = web.AppKey("CLIENT", AsyncCloudflare)
CHARGES = web.AppKey("CHARGES", Charges)

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


async def billing_for_life(app: web.Application) -> AsyncGenerator[None]:
    client = AsyncCloudflare(max_charge=MAX_CHARGE, total_timeout=LONGEST_CALL)
    async with client, Charges() as charges:  # which end first
        app[CLIENT], app[CHARGES] = client, charges
        yield


@web.middleware
async def errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ArgumentError, CloudflareError) as error:
        answer = answer_to(error)
        log.warning("answered %d: %s", answer.status, error)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


@routes.get("/accounts/{account_id}/balance")
async def balance(request: web.Request) -> web.Response:
    # When the browser goes away, `handler_cancellation` (below) cancels this and the call in it.
    billing, account_id = request.app[CLIENT].ai_gateway.billing, request.match_info["account_id"]
    with browser_arguments():
        answer = await billing.credit_balance(account_id=account_id, max_age=30)
    return web.json_response(answer.to_dict())


@routes.post("/accounts/{account_id}/topups")
async def top_up(request: web.Request) -> web.Response:
    # This is cancelled too. The charge in it is not.
    topup, charges = request.app[CLIENT].ai_gateway.billing.topup, request.app[CHARGES]
    with browser_arguments():
        amount = await amount_of(request)
        charge = topup.create(account_id=request.match_info["account_id"], amount=amount)
        made = await charges.run(charge)
    # A `client_secret` is for the page in which the payer confirms the payment (3-D Secure).
    answer = {"payment_intent_id": made.payment_intent_id, "client_secret": made.client_secret}
    return web.json_response(answer, status=201)


async def amount_of(request: web.Request) -> Any:
    """Cents; the SDK checks the type and the limits."""
    if request.content_type != "application/json":  # a form on any other site can send the rest
        raise web.HTTPUnsupportedMediaType
    body = await request.json()
    if not isinstance(body, dict):
        raise TypeError("the body must be an object with an `amount`")
    return cast("dict[str, Any]", body).get("amount")


def new_app() -> web.Application:
    app = web.Application(middlewares=[errors])
    app.cleanup_ctx.append(billing_for_life)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(new_app(), host="127.0.0.1", handler_cancellation=True)
