"""Commands that report usage, invoices and top-up limits."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from ..types._records import record
from ._errors import ExitCode, fail
from ._inputs import Account, AsCsv, AsJson, day
from ._output import Form, show, show_json
from ._session import session

DAYS = 30
"""The days that `usage` shows by default."""


class Window(StrEnum):
    """The length of one row of usage."""

    DAY = "day"
    HOUR = "hour"


class Origin(StrEnum):
    """The kinds of invoices."""

    AUTO = "auto"
    MANUAL = "manual"
    ALL = "all"


By = Annotated[Window, typer.Option(help="The length of one row.")]
Days = Annotated[
    int | None,
    typer.Option(min=1, max=36_500, help="The last so many days, today included."),
]
Since = Annotated[
    date | None,
    typer.Option(parser=day, metavar="DATE", help="The first day, such as 2026-01-01 (UTC)."),
]
Until = Annotated[
    date | None,
    typer.Option(parser=day, metavar="DATE", help="The last day, included (UTC)."),
]
AllTime = Annotated[bool, typer.Option("--all-time", help="From the beginning until now.")]
OfType = Annotated[
    Origin, typer.Option("--type", help="Those of automatic top-ups, of manual ones, or all.")
]


def usage(
    account: Account = "",
    by: By = Window.DAY,
    days: Days = None,
    since: Since = None,
    until: Until = None,
    all_time: AllTime = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show what was used, by day or hour, the newest first; all times are UTC.

    Without any of --days, --since, --until and --all-time: the last 30 days.
    """
    form = Form.chosen(as_json, as_csv)
    start, end = period(days, since, until, all_time)
    with session() as client:
        answer = client.ai_gateway.billing.usage_history(
            account_id=account,
            value_grouping_window=by.value,
            start_time=start,
            end_time=end,
        )
    show(answer, form, account)


def period(
    days: int | None, since: date | None, until: date | None, all_time: bool
) -> tuple[datetime | None, datetime | None]:
    """The first moment that the options ask for, and the one after the last; in UTC."""
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


def invoices(
    account: Account = "",
    type: OfType = Origin.ALL,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show all past invoices, the newest first; times are UTC."""
    form = Form.chosen(as_json, as_csv)
    with session() as client:
        answer = client.ai_gateway.billing.iter_invoices(
            account_id=account, type=type.value
        ).collect()
    show(answer, form, account)


def preview(account: Account = "", as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Show the invoice that is building up: its lines, and in JSON its head too."""
    form = Form.chosen(as_json, as_csv)
    with session() as client:
        answer = client.ai_gateway.billing.invoice_preview(account_id=account)
    if form is Form.JSON:
        show_json({**record(answer), "lines": answer.to_records()})
    else:
        show(answer, form, account)


def limits(account: Account = "", as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Show the smallest and the largest top-up that the service takes."""
    form = Form.chosen(as_json, as_csv)
    with session() as client:
        answer = client.ai_gateway.billing.topup.limits(account_id=account)
    show(answer, form, account)
