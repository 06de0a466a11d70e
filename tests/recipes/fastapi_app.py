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
from typing import Annotated, TypedDict

from charges import Charges
from error_status import ArgumentError, answer_to, browser_arguments
from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from cfaigw_billing import AsyncCloudflare, CloudflareError

MAX_CHARGE = 100_00  # cents of credit: the client refuses to buy more at once, whoever asks.
# $100.00 of credit; the card is charged about $105.00, plus tax where due.
LONGEST_CALL = 30.0  # seconds, repeats included; so long may a shutdown wait for a charge

log = logging.getLogger(__name__)


class State(TypedDict):
    """What lives as long as the app."""

    client: AsyncCloudflare
    charges: Charges


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
    client = AsyncCloudflare(max_charge=MAX_CHARGE, total_timeout=LONGEST_CALL)
    async with client, Charges() as charges:  # which end first
        yield {"client": client, "charges": charges}


# These are `async` because FastAPI runs others in a thread.


async def get_client(request: Request) -> AsyncCloudflare:
    client: AsyncCloudflare = request.state.client
    return client


async def get_charges(request: Request) -> Charges:
    charges: Charges = request.state.charges
    return charges


Client = Annotated[AsyncCloudflare, Depends(get_client)]
Amount = Annotated[int, Body(embed=True, strict=True)]  # cents; the SDK knows the limits

app = FastAPI(lifespan=lifespan)


@app.exception_handler(CloudflareError)
@app.exception_handler(ArgumentError)
async def on_error(_: Request, error: Exception) -> JSONResponse:
    answer = answer_to(error)
    log.warning("answered %d: %s", answer.status, error)
    return JSONResponse(answer.body, answer.status, answer.headers)


@app.get("/accounts/{account_id}/balance")
async def balance(account_id: str, client: Client) -> dict[str, object]:
    # When the browser goes away, uvicorn lets this run to its end, which is near: LONGEST_CALL.
    with browser_arguments():
        answer = await client.ai_gateway.billing.credit_balance(account_id=account_id)
    return {"balance": str(answer.balance_money), "cents": answer.balance}


@app.post("/accounts/{account_id}/topups", status_code=201)
async def top_up(
    account_id: str,
    amount: Amount,
    client: Client,
    charges: Annotated[Charges, Depends(get_charges)],
) -> dict[str, object]:
    # uvicorn would cancel this when a shutdown takes longer than --timeout-graceful-shutdown.
    topup = client.ai_gateway.billing.topup
    with browser_arguments():
        made = await charges.run(topup.create(account_id=account_id, amount=amount))
    # A `client_secret` is for the page in which the payer confirms the payment (3-D Secure).
    return {"payment_intent_id": made.payment_intent_id, "client_secret": made.client_secret}
