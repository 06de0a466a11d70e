"""Run a sweep over accounts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from .._core.answer import lists_no_accounts
from .._core.sweeps.answers import AccountAnswers
from .._core.sweeps.sweep import Sweep
from .._io.executor import Executor
from .._show.progress import Progress, reporting
from ..types import Params
from .send_many import AsyncOutcomes

A = TypeVar("A", bound=AccountAnswers[Any])


async def run_sweep(
    executor: Executor,
    sweep: Sweep[A],
    *,
    concurrency: int,
    reserve: float,
    progress: Progress,
) -> A:
    """Send the requests of a sweep, and return the result."""

    async def all_accounts() -> AsyncGenerator[Params[Any]]:
        config = executor.config
        for request in sweep.ask(config.token_accounts):
            yield request
        if not config.lists_accounts:
            sweep.pages.params = None
        while sweep.pages.params is not None:
            # Not `send`: the calls of a sweep wait for the rate limit.
            async with AsyncOutcomes(executor, [sweep.pages.params], reserve=reserve) as outcomes:
                outcome = await anext(outcomes)
            if config.token_accounts and lists_no_accounts(outcome.error):
                sweep.pages.params = None
                return
            for request in sweep.ask_page(outcome.unwrap()):
                yield request

    requests = all_accounts() if sweep.requests is None else sweep.requests
    outcomes = AsyncOutcomes(executor, requests, concurrency=concurrency, reserve=reserve)
    with reporting(progress, sweep.total) as report, sweep.kept(lambda: outcomes.unread):
        async with outcomes:
            async for outcome in outcomes:
                if sweep.take(outcome):
                    report(sweep.done)
    return sweep.result()
