"""The balances of many accounts at once.

@generated from `_async/credit_balances.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from .._core.credit_balances import CreditBalances, Sweep
from .executor import BlockingExecutor
from .._show.progress import Progress, reporting
from ..types import BillingCreditBalanceParams
from .send_many import Outcomes


def credit_balances(
    executor: BlockingExecutor,
    account_ids: Iterable[str] | None,
    *,
    concurrency: int,
    reserve: float,
    progress: Progress,
) -> CreditBalances:
    """Ask for the balances of many accounts; `None`: of all that the credentials can see."""
    sweep = Sweep(account_ids)

    def all_accounts() -> Generator[BillingCreditBalanceParams]:
        while sweep.pages.params is not None:
            # A sweep of its own, because that waits for the rate limit and a single call does not.
            with Outcomes(executor, [sweep.pages.params], reserve=reserve) as outcomes:
                page = (next(outcomes)).unwrap()
            for request in sweep.ask_page(page):
                yield request

    requests = all_accounts() if sweep.requests is None else sweep.requests
    outcomes = Outcomes(executor, requests, concurrency=concurrency, reserve=reserve)
    total = None if sweep.requests is None else len(sweep.requests)
    with reporting(progress, total) as report, sweep.kept(lambda: outcomes.unread):
        with outcomes:
            for outcome in outcomes:
                report(sweep.take(outcome))
    return sweep.result()
