"""Inputs of the commands: options, amounts, days, accounts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from ..types import BillingCreditBalanceParams, Money
from ._errors import ExitCode, fail

NO_ACCOUNT = (
    "no account: name one as ACCOUNT or set CLOUDFLARE_ACCOUNT_ID; `balances --all` shows the ids"
)
_WHOLE_CENTS = re.compile(r"\$?[0-9]{1,9}(\.[0-9]{1,2})?")


def dollars(value: str | Money) -> Money:
    """An amount as people write it, "10.00" or "$10"; Typer passes the default through here too."""
    try:
        return Money.from_major(str(value).removeprefix("$"))
    except (ArithmeticError, ValueError) as error:
        raise typer.BadParameter(f"{value!r} is not an amount in dollars") from error


def whole_cents(value: str) -> Money:
    """An amount to charge; no spelling of it may be read in two ways, as "10.000" may."""
    if not _WHOLE_CENTS.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not an amount in dollars and whole cents (50.00)")
    return dollars(value)


def day(value: str) -> date:
    """A day as ISO 8601 writes it."""
    try:
        found = date.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} is not a date such as 2026-01-31") from error
    if found == date.max:  # there is no day after it
        raise typer.BadParameter(f"{value} is too late")
    return found


def one_account(context: typer.Context, account: str) -> str:
    """The account of a command; what cannot be one is refused before anything is sent."""
    if not account and not context.resilient_parsing:  # that is a shell completing a line
        fail(NO_ACCOUNT, ExitCode.USAGE)
    if complaint := _complaint(account):
        raise typer.BadParameter(complaint)
    return account


def listed_accounts(source: Path) -> list[str]:
    """The accounts in a file, or on stdin where it is `-`: one a line, with `#` comments."""
    name = "stdin" if str(source) == "-" else str(source)
    found: list[str] = []
    for number, account in enumerate(_lines(source, name), start=1):
        if account and (complaint := _complaint(account)):
            fail(f"{name}, line {number}: {complaint}", ExitCode.USAGE)
        found += [account] if account else []
    return found or fail(f"{name} names no account", ExitCode.USAGE)


def _lines(source: Path, name: str) -> Iterator[str]:
    """The lines without comments and blanks."""
    try:
        stdin = str(source) == "-"
        given: TextIO | None = sys.stdin  # `None` if the shell has closed it
        text = (given.read() if given else "") if stdin else source.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{name}: {error.strerror}", ExitCode.USAGE)
    except UnicodeDecodeError:
        fail(f"{name} is no text in UTF-8", ExitCode.USAGE)
    for line in text.removeprefix("\ufeff").split("\n"):
        yield line.partition("#")[0].strip()


def _complaint(account: str) -> str | None:
    try:
        BillingCreditBalanceParams(account_id=account or "-")
    except ValueError as error:
        return str(error)
    return None


def _amount(help: str, parser: Any = dollars) -> Any:
    return typer.Option(parser=parser, metavar="DOLLARS", help=help)


Account = Annotated[
    str,
    typer.Argument(
        metavar="ACCOUNT",
        envvar="CLOUDFLARE_ACCOUNT_ID",
        callback=one_account,
        show_default=False,
        help="The id of the account.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: amounts in cents and dollars.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, with the same names as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go ahead.")]
Low = Annotated[Money, _amount("Mark balances below it as LOW.")]
FailBelow = Annotated[Money | None, _amount("End with exit code 5 if a balance is below it.")]
Concurrency = Annotated[int, typer.Option(min=1, help="How many requests to make at a time.")]
TEN_DOLLARS = Money.dollars(10)
