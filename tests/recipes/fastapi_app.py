"""A FastAPI app with one client for its life.

    pip install fastapi uvicorn
    export CLOUDFLARE_API_TOKEN=…      # with AI Gateway Read, and AI Gateway Write to charge
    uvicorn fastapi_app:app

Copy `charges.py` and `error_status.py` with it. It asks nobody who they are: put your login in
front of it, and let that decide whose account may be seen and whose card charged.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

from charges import Charges
from error_status import ArgumentError, answer_to, browser_arguments
from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from cfaigw_billing import AsyncCloudflare, CloudflareError, Money
from cfaigw_billing.types import BillingCreditBalanceResponse

MAX_CHARGE = Money.dollars(100)  # of credit at once; the card pays about $105.00, plus tax
LONGEST_CALL = 30.0  # seconds, repeats included; so long may a shutdown wait for a charge

log = logging.getLogger(__name__)


class State(NamedTuple):
    """What lives as long as the app."""

    client: AsyncCloudflare
    charges: Charges


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, State]]:
    client = AsyncCloudflare(max_charge=MAX_CHARGE, total_timeout=LONGEST_CALL)
    async with client, Charges() as charges:  # which end first
        yield {"shared": State(client, charges)}


async def shared(request: Request) -> State:  # FastAPI runs what is not `async` in a thread
    state: State = request.state.shared
    return state


Shared = Annotated[State, Depends(shared)]
Amount = Annotated[int, Body(embed=True, strict=True)]  # cents; the SDK knows the limits

app = FastAPI(lifespan=lifespan)


@app.exception_handler(CloudflareError)
@app.exception_handler(ArgumentError)
async def on_error(_: Request, error: Exception) -> JSONResponse:
    answer = answer_to(error)
    log.warning("answered %d: %s", answer.status, error)
    return JSONResponse(answer.body, answer.status, answer.headers)


@app.get("/accounts/{account_id}/balance")
async def balance(account_id: str, shared: Shared) -> BillingCreditBalanceResponse:
    # When the browser goes away, uvicorn lets this run to its end, which is near: LONGEST_CALL.
    billing = shared.client.ai_gateway.billing
    with browser_arguments():
        return await billing.credit_balance(account_id=account_id, max_age=30)


@app.post("/accounts/{account_id}/topups", status_code=201)
async def top_up(account_id: str, amount: Amount, shared: Shared) -> dict[str, object]:
    # uvicorn would cancel this when a shutdown takes longer than --timeout-graceful-shutdown.
    topup = shared.client.ai_gateway.billing.topup
    with browser_arguments():
        made = await shared.charges.run(topup.create(account_id=account_id, amount=amount))
    # A `client_secret` is for the page in which the payer confirms the payment (3-D Secure).
    return {"payment_intent_id": made.payment_intent_id, "client_secret": made.client_secret}
