"""A web app that charges once for each order, whatever crashes: FastAPI and a journal.

    pip install cfaigw_billing fastapi uvicorn
    export CLOUDFLARE_API_TOKEN=…      # with AI Gateway Read, and AI Gateway Write to charge
    uvicorn topup_app:app

It asks nobody who they are: put your login in front of it, and let that decide whose account may be
seen and whose card charged. The key is the number of an order, so that a page, a proxy or a worker
that asks again gets the answer of the first time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse

from cfaigw_billing import AsyncCloudflare, CloudflareError
from cfaigw_billing.journal import SQLiteJournal

log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    journal = SQLiteJournal(os.environ.get("TOPUPS", "topups.sqlite3"))
    async with AsyncCloudflare(journal=journal, max_charge=100_00, total_timeout=30) as client:
        app.state.topup = client.ai_gateway.billing.topup
        for left in await app.state.topup.recover():
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


@app.put("/accounts/{account_id}/topups/{order}")
async def top_up(
    account_id: str, order: str, amount: Annotated[int, Body(embed=True, strict=True)]
) -> dict[str, object]:
    made = await app.state.topup.create(account_id=account_id, amount=amount, idempotency_key=order)
    return {"payment_intent_id": made.payment_intent_id, "client_secret": made.client_secret}
