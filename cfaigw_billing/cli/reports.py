"""Commands that report accounts, usage, invoices and top-up limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import click

from .._show.table import Column, Table, counted
from ..types._records import record
from ._errors import ExitCode, fail
from ._inputs import (
    account,
    chosen_accounts,
    concurrency,
    day,
    everyone,
    several_accounts,
    tokens,
    with_form,
)
from ._output import (
    Form,
    progress_bar,
    show,
    show_answers,
    show_csv,
    show_json,
    show_table,
    verdict,
)
from ._session import session

DAYS = 30
"""How many days `usage` shows by default."""


@click.command()
@tokens
@with_form
def accounts(form: Form) -> None:
    """List the accounts that the credentials can see: their ids and names."""
    with session() as client:
        found = [{"id": each.id, "name": each.name} for each in client.accounts.list()]
    if form is Form.JSON:
        show_json(found)
    elif form is Form.CSV:
        show_csv(found, ["id", "name"])
    else:
        columns = Column("Account"), Column("Name", least=8)
        rows = [list(each.values()) for each in found]
        show_table(Table(title=counted(len(rows), "account"), columns=columns, rows=rows))


@click.command()
@several_accounts
@everyone
@tokens
@click.option(
    "--by",
    type=click.Choice(["day", "hour"]),
    default="day",
    show_default=True,
    help="The length of one row.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    metavar="N",
    help="The last N days, today included.",
)
@click.option("--since", metavar="DATE", callback=day, help="The first day, such as 2026-01-01.")
@click.option("--until", metavar="DATE", callback=day, help="The last day, included.")
@click.option("--all-time", is_flag=True, help="From the beginning until now.")
@concurrency
@with_form
def usage(
    accounts: Sequence[str],
    everyone: bool,
    by: Literal["day", "hour"],
    days: int | None,
    since: date | None,
    until: date | None,
    all_time: bool,
    concurrency: int,
    form: Form,
) -> ExitCode:
    """Show the usage of one account or of many; all times are UTC.

    One ACCOUNT is shown by day or hour, the newest first. For many accounts, the table has one row
    per account, the highest usage first; CSV and JSON have each day or hour of each account.

    Without any of --days, --since, --until and --all-time: the last 30 days.

    A FILE has one id per line (or CSV with the ids first); blank lines and # comments are skipped.
    FILE - is stdin.
    """
    start, end = period(days, since, until, all_time)
    chosen = chosen_accounts(accounts, everyone)
    if isinstance(chosen, str):
        with session() as client:
            answer = client.ai_gateway.billing.usage_history(
                account_id=chosen, value_grouping_window=by, start_time=start, end_time=end
            )
        show(answer, form, chosen)
        return ExitCode.OK
    with session() as client, progress_bar("Usage") as report:
        found = client.ai_gateway.billing.usage_histories(
            chosen,
            value_grouping_window=by,
            start_time=start,
            end_time=end,
            concurrency=concurrency,
            progress=report,
        )
    show_answers(found, form)
    return verdict(found)


def period(
    days: int | None, since: date | None, until: date | None, all_time: bool
) -> tuple[datetime | None, datetime | None]:
    """Return the start and the end of the period that the options select, in UTC."""
    if (days is not None) + bool(since or until) + all_time > 1:
        fail("--days, --since with --until, and --all-time exclude each other", ExitCode.USAGE)
    if since and until and until < since:
        fail(f"--until {until} is before --since {since}", ExitCode.USAGE)
    if not (since or until or all_time):
        since = datetime.now(UTC).date() - timedelta(days=(days or DAYS) - 1)
    end = None if until is None else _midnight(until + timedelta(days=1))
    return None if since is None else _midnight(since), end


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@click.command()
@account
@tokens
@click.option(
    "--type",
    type=click.Choice(["auto", "manual", "all"]),
    default="all",
    show_default=True,
    help="Invoices of automatic top-ups, of manual ones, or all.",
)
@with_form
def invoices(account: str, type: Literal["auto", "manual", "all"], form: Form) -> None:
    """Show all past invoices, the newest first; times are UTC."""
    with session() as client:
        answer = client.ai_gateway.billing.iter_invoices(account_id=account, type=type).collect()
    show(answer, form, account)


@click.command()
@account
@tokens
@with_form
def preview(account: str, form: Form) -> None:
    """Show the next invoice so far: its lines, and in JSON also its sums."""
    with session() as client:
        answer = client.ai_gateway.billing.invoice_preview(account_id=account)
    if form is Form.JSON:
        show_json({**record(answer), "lines": answer.to_records()})
    else:
        show(answer, form, account)


@click.command()
@account
@tokens
@with_form
def limits(account: str, form: Form) -> None:
    """Show the smallest and the largest top-up that the service accepts."""
    with session() as client:
        answer = client.ai_gateway.billing.topup.limits(account_id=account)
    show(answer, form, account)
