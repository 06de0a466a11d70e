"""A FastAPI app with one client and a journal: an order is charged once, whatever crashes.

    pip install cfaigw_billing fastapi uvicorn
    export CLOUDFLARE_API_TOKEN=…      # with AI Gateway Read, and AI Gateway Write to charge
    uvicorn fastapi_app:app

Put your login in front of it: it asks nobody who they are. The key is the number of an order, so a
page, a proxy or a worker that asks again gets the first answer.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse

from cfaigw_billing import AsyncCloudflare, CloudflareError
from cfaigw_billing.journal import SQLiteJournal
from cfaigw_billing.types import BillingCreditBalanceResponse

log = logging.getLogger(__name__)
Amount = Annotated[int, Body(embed=True, strict=True)]  # cents; the package knows the limits


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    journal = SQLiteJournal("topups.sqlite3")
    async with AsyncCloudflare(journal=journal, max_charge=100_00, total_timeout=30) as client:
        app.state.billing = client.ai_gateway.billing
        for left in await client.ai_gateway.billing.topup.recover():
            log.warning("left by an earlier process: %s is %s", left.entry.key, left.entry.state)
        yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(CloudflareError)
async def failed(_: Request, error: CloudflareError) -> JSONResponse:
    log.warning("answered %d: %s", error.answer_status, error)  # the words are for the log
    return JSONResponse({"order": error.idempotency_key}, error.answer_status)


@app.exception_handler(ValueError)
async def refused(_: Request, error: ValueError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)  # names the argument and the limit


@app.get("/accounts/{account_id}/balance", response_model=BillingCreditBalanceResponse)
async def balance(account_id: str) -> object:
    return await app.state.billing.credit_balance(account_id=account_id, max_age=30)


@app.put("/accounts/{account_id}/topups/{order}")
async def top_up(account_id: str, order: str, amount: Amount) -> dict[str, object]:
    topup = app.state.billing.topup
    made = await topup.create(account_id=account_id, amount=amount, idempotency_key=order)
    return {"payment_intent_id": made.payment_intent_id, "client_secret": made.client_secret}
