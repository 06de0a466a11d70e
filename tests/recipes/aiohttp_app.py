"""An aiohttp app with one client and a journal: an order is charged once, whatever crashes.

    export CLOUDFLARE_API_TOKEN=…      # with AI Gateway Read, and AI Gateway Write to charge
    python aiohttp_app.py              # serves on http://127.0.0.1:8080

Put your login in front of it: it asks nobody who they are. The key is the number of an order, so a
page, a proxy or a worker that asks again gets the first answer.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from aiohttp import web

from cfaigw_billing import AsyncCloudflare, CloudflareError
from cfaigw_billing.journal import SQLiteJournal

CLIENT = web.AppKey("CLIENT", AsyncCloudflare)

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


async def client_for_life(app: web.Application) -> AsyncGenerator[None]:
    journal = SQLiteJournal("topups.sqlite3")
    async with AsyncCloudflare(journal=journal, max_charge=100_00, total_timeout=30) as client:
        app[CLIENT] = client
        for left in await client.ai_gateway.billing.topup.recover():
            log.warning("left by an earlier process: %s is %s", left.entry.key, left.entry.state)
        yield


@web.middleware
async def errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except CloudflareError as error:
        log.warning("answered %d: %s", error.answer_status, error)  # the words are for the log
        return web.json_response({"order": error.idempotency_key}, status=error.answer_status)
    except (TypeError, ValueError) as error:  # names the argument and the limit
        return web.json_response({"detail": str(error)}, status=422)


@routes.get("/accounts/{account_id}/balance")
async def balance(request: web.Request) -> web.Response:
    billing, account_id = request.app[CLIENT].ai_gateway.billing, request.match_info["account_id"]
    answer = await billing.credit_balance(account_id=account_id, max_age=30)
    return web.json_response(answer.to_dict())


@routes.put("/accounts/{account_id}/topups/{order}")
async def top_up(request: web.Request) -> web.Response:
    match await request.json():
        case {"amount": amount}:  # cents; the package checks the type and the limits
            topup, names = request.app[CLIENT].ai_gateway.billing.topup, request.match_info
            made = await topup.create(
                account_id=names["account_id"], amount=amount, idempotency_key=names["order"]
            )
        case _:
            raise ValueError("the body must be an object with an `amount`")
    answer = {"payment_intent_id": made.payment_intent_id, "client_secret": made.client_secret}
    return web.json_response(answer)


def new_app() -> web.Application:
    app = web.Application(middlewares=[errors])
    app.cleanup_ctx.append(client_for_life)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    # Without `handler_cancellation`, a charge goes on to its end when its browser goes away.
    web.run_app(new_app(), host="127.0.0.1")
