"""The command `runway`: when the credit of one account or of many runs out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import click

from .._core.sweeps.runways import days_text
from ._errors import ExitCode, show_error
from ._inputs import (
    chosen_accounts,
    concurrency,
    duration,
    everyone,
    several_accounts,
    tokens,
    with_form,
)
from ._output import Form, progress_bar, show, show_answers, verdict, verdict_of_check
from ._session import session


@click.command()
@several_accounts
@everyone
@tokens
@click.option(
    "--fail-within",
    metavar="TIME",
    callback=duration,
    help="End with exit code 7 if credit is gone or may run out within it, such as 3d or 12h.",
)
@concurrency
@with_form
def runway(
    accounts: Sequence[str],
    everyone: bool,
    fail_within: timedelta | None,
    concurrency: int,
    form: Form,
) -> ExitCode:
    """Forecast when the credit of one account or of many runs out; times are UTC.

    The forecast uses the usage of the last 56 days. In 9 of 10 cases the credit lasts at least
    until the first date shown (in JSON, `empties_after`). If an automatic top-up is on, the dates
    hold only if it fails.

    One ACCOUNT is shown in full (in JSON, an object). Many accounts are shown as a table, ordered
    by when they run out (in JSON, a list); SOON marks those within --fail-within, or 7 days.

    A FILE has one id per line (or CSV with the ids first); blank lines and # comments are skipped.
    FILE - is stdin.
    """
    chosen = chosen_accounts(accounts, everyone)
    if isinstance(chosen, str):
        return show_runway(chosen, form, fail_within)
    with session() as client, progress_bar("Runways") as report:
        found = client.ai_gateway.billing.runways(chosen, concurrency=concurrency, progress=report)
    if fail_within is not None:
        found.soon = fail_within
    show_answers(found, form)
    if fail_within is None:
        return verdict(found)
    soon, limit = len(found.within(fail_within)), days_text(fail_within)
    crossed = f"{soon:,} of {len(found):,} accounts may be empty within {limit}" if soon else ""
    return verdict_of_check(found, crossed, ExitCode.SOON)


def show_runway(account: str, form: Form, fail_within: timedelta | None) -> ExitCode:
    """Print the forecast of one account."""
    with session() as client:
        answer = client.ai_gateway.billing.runway(account_id=account)
    show(answer, form, account)
    if fail_within is not None and answer.empties_within(fail_within):
        gone, limit = answer.outcome == "empty", days_text(fail_within)
        show_error("the credit is gone" if gone else f"the credit may run out within {limit}")
        return ExitCode.SOON
    return ExitCode.OK
