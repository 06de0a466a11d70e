"""Run a sweep over accounts.

@generated from `_async/sweeps.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from .._core.answer import lists_no_accounts
from .._core.sweeps.answers import AccountAnswers
from .._core.sweeps.sweep import Sweep
from .executor import BlockingExecutor
from .._show.progress import Progress, reporting
from ..types import Params
from .send_many import Outcomes

A = TypeVar("A", bound=AccountAnswers[Any])


def run_sweep(
    executor: BlockingExecutor,
    sweep: Sweep[A],
    *,
    concurrency: int,
    reserve: float,
    progress: Progress,
) -> A:
    """Send the requests of a sweep, and return the result."""

    def all_accounts() -> Generator[Params[Any]]:
        config = executor.config
        for request in sweep.ask(config.token_accounts):
            yield request
        if not config.lists_accounts:
            sweep.pages.params = None
        while sweep.pages.params is not None:
            # Not `send`: the calls of a sweep wait for the rate limit.
            with Outcomes(executor, [sweep.pages.params], reserve=reserve) as outcomes:
                outcome = next(outcomes)
            if config.token_accounts and lists_no_accounts(outcome.error):
                sweep.pages.params = None
                return
            for request in sweep.ask_page(outcome.unwrap()):
                yield request

    requests = all_accounts() if sweep.requests is None else sweep.requests
    outcomes = Outcomes(executor, requests, concurrency=concurrency, reserve=reserve)
    with reporting(progress, sweep.total) as report, sweep.kept(lambda: outcomes.unread):
        with outcomes:
            for outcome in outcomes:
                if sweep.take(outcome):
                    report(sweep.done)
    return sweep.result()
