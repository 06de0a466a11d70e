"""Make the two calls for a forecast, at the same time if the service's clock is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio

from .._core.runway import check_history, forecast_runway, runway_requests
from .._io.executor import Executor
from ..types import BillingCreditBalanceParams, Params, Runway


async def runway(executor: Executor, *, account_id: str | None, history: timedelta) -> Runway:
    """Forecast when the credit of an account runs out."""
    check_history(history)
    if executor.service_clock.is_known(executor.clock):
        requests = runway_requests(account_id, history, executor.now())
        balance, usage = await _both(executor, *requests)
    else:  # one after the other: the answer to the first has the right time
        balance = await executor.send(BillingCreditBalanceParams(account_id=account_id), {})
        _, request = runway_requests(account_id, history, executor.now())
        usage = await executor.send(request, {})
    return forecast_runway(balance, usage, now=executor.now())


async def _both(executor: Executor, *requests: Params[Any]) -> list[Any]:
    """Return the answers in the order of the requests; raise the first error as it is."""
    answers: dict[Params[Any], Any] = {}
    errors: list[Exception] = []

    async def ask(request: Params[Any]) -> None:
        try:
            answers[request] = await executor.send(request, {})
        except Exception as error:
            errors.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for request in requests:
            tasks.start_soon(ask, request)
    try:
        if errors:
            raise errors[0]
        return [answers[request] for request in requests]
    finally:
        errors.clear()  # the raised error refers to this frame, so the frame must not refer to it
