"""The command `balance`: the credit left in one account or in many."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..types import Money
from ._errors import ExitCode, fail, show_error
from ._inputs import (
    TEN_DOLLARS,
    chosen_accounts,
    concurrency,
    dollars,
    everyone,
    low,
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
    "--fail-below",
    metavar="DOLLARS",
    callback=dollars,
    help="End with exit code 5 if a balance is below this.",
)
@low
@concurrency
@with_form
def balance(
    accounts: Sequence[str],
    everyone: bool,
    fail_below: Money | None,
    threshold: Money | None,
    concurrency: int,
    form: Form,
) -> ExitCode:
    """Show the balance of one account or of many.

    One ACCOUNT is shown with its card and its automatic top-up (in JSON, an object). Many accounts
    are shown as a table, the lowest balance first (in JSON, a list).

    A FILE has one id per line (or CSV with the ids first); blank lines and # comments are skipped.
    FILE - is stdin.
    """
    chosen = chosen_accounts(accounts, everyone)
    if isinstance(chosen, str):
        if threshold is not None:
            fail("--threshold marks rows of many accounts; use --fail-below", ExitCode.USAGE)
        return show_balance(chosen, form, fail_below)
    with session() as client, progress_bar("Balances") as report:
        found = client.ai_gateway.billing.credit_balances(
            chosen, concurrency=concurrency, progress=report
        )
    found.low = TEN_DOLLARS if threshold is None else threshold
    show_answers(found, form)
    if fail_below is None:
        return verdict(found)
    below = len(found.below(fail_below))
    crossed = f"{below:,} of {len(found):,} balances are below {fail_below}" if below else ""
    return verdict_of_check(found, crossed, ExitCode.BELOW)


def show_balance(account: str, form: Form, fail_below: Money | None) -> ExitCode:
    """Print the balance of one account."""
    with session() as client:
        answer = client.ai_gateway.billing.credit_balance(account_id=account)
    show(answer, form, account)
    if fail_below is not None and answer.balance_money < fail_below:
        balance, limit = answer.balance_money.told_apart(fail_below)
        show_error(f"the balance {balance} is below {limit}")
        return ExitCode.BELOW
    return ExitCode.OK
