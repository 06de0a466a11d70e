"""The credit that is left: of one account, and of many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._core.sweeps.credit_balances import CreditBalances
from ..types import Money
from ._errors import ExitCode, fail, show_error
from ._inputs import (
    TEN_DOLLARS,
    Account,
    AsCsv,
    AsJson,
    Concurrency,
    FailBelow,
    Low,
    listed_accounts,
)
from ._output import Form, progress_bar, show, show_csv, show_json, show_table
from ._session import session

Source = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE|-",
        show_default=False,
        help="A file of account ids, one a line; - for stdin. Blank lines and # comments are "
        "skipped.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="All accounts that the credentials can see.")]


def balance(
    account: Account = "",
    fail_below: FailBelow = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the balance of one account, its card and its automatic top-up."""
    form = Form.chosen(as_json, as_csv)
    with session() as client:
        answer = client.ai_gateway.billing.credit_balance(account_id=account)
    show(answer, form, account)
    if fail_below is not None and answer.balance_money < fail_below:
        shown, limit = answer.balance_money.told_apart(fail_below)
        fail(f"the balance {shown} is below {limit}", ExitCode.BELOW)


def balances(
    source: Source = None,
    everyone: All = False,
    threshold: Low = TEN_DOLLARS,
    fail_below: FailBelow = None,
    concurrency: Concurrency = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the balances of many accounts; in the table, the lowest first."""
    form = Form.chosen(as_json, as_csv)
    if everyone == (source is not None):
        fail("give either a file of account ids (- for stdin) or --all", ExitCode.USAGE)
    accounts = None if source is None else listed_accounts(source)
    with session() as client, progress_bar("Balances") as report:
        found = client.ai_gateway.billing.credit_balances(
            accounts, concurrency=concurrency, progress=report
        )
    found.low = threshold
    show_balances(found, form)
    raise typer.Exit(verdict(found, fail_below))


def show_balances(found: CreditBalances, form: Form, limit: int | None = None) -> None:
    """Print so many of the lowest balances (`None`: all); the errors go to stderr."""
    if form is Form.JSON:
        show_json(found.to_records())
    elif form is Form.CSV:
        show_csv(found.to_records(), list(found._entries()))  # pyright: ignore[reportPrivateUsage]
    elif found or not found.failed:
        show_table(found._table(limit, failed=False))  # pyright: ignore[reportPrivateUsage]
    for error in list(found.failed.values())[:limit]:
        show_error(error)


def verdict(found: CreditBalances, fail_below: Money | None = None) -> ExitCode:
    """Return the exit code of a sweep over accounts."""
    if found.failed and not found:
        return ExitCode.FAILED
    if fail_below is not None and not found:
        fail("there is no account to check", ExitCode.FAILED)
    below = () if fail_below is None else found.below(fail_below)
    if below:
        show_error(f"{len(below):,} of {len(found):,} balances are below {fail_below}")
        return ExitCode.BELOW
    return ExitCode.PARTLY_FAILED if found.failed else ExitCode.OK
