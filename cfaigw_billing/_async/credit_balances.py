"""The balances of many accounts at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from .._core.credit_balances import CreditBalances, Sweep
from .._io.executor import Executor
from .._show.progress import Progress, reporting
from ..types import BillingCreditBalanceParams
from .send_many import AsyncOutcomes


async def credit_balances(
    executor: Executor,
    account_ids: Iterable[str] | None,
    *,
    concurrency: int,
    reserve: float,
    progress: Progress,
) -> CreditBalances:
    """Ask for the balances of many accounts; `None`: of all that the credentials can see."""
    sweep = Sweep(account_ids)

    async def all_accounts() -> AsyncGenerator[BillingCreditBalanceParams]:
        while sweep.pages.params is not None:
            # A sweep of its own, because that waits for the rate limit and a single call does not.
            async with AsyncOutcomes(executor, [sweep.pages.params], reserve=reserve) as outcomes:
                page = (await anext(outcomes)).unwrap()
            for request in sweep.ask_page(page):
                yield request

    requests = all_accounts() if sweep.requests is None else sweep.requests
    outcomes = AsyncOutcomes(executor, requests, concurrency=concurrency, reserve=reserve)
    total = None if sweep.requests is None else len(sweep.requests)
    with reporting(progress, total) as report, sweep.kept(lambda: outcomes.unread):
        async with outcomes:
            async for outcome in outcomes:
                report(sweep.take(outcome))
    return sweep.result()
