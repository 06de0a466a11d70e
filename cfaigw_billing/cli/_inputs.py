"""Inputs of the commands: options, amounts, times, accounts, tokens of accounts."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar, cast

import click
from click.core import ParameterSource

from .._wire.secrets import Secret
from ..types import BillingCreditBalanceParams, Money
from ..types._validators import MAX_CENTS
from ._errors import SAME_OPTIONS, ExitCode, checked_arguments, command, fail
from ._output import Form

F = TypeVar("F", bound=Callable[..., Any])

TEN_DOLLARS = Money.dollars(10)


# Callbacks of Click that convert values. Their errors are sentences that begin with the option.

Callback = Callable[[click.Context, click.Parameter, Any], Any]


def refuse(context: click.Context, parameter: click.Parameter, says: str) -> NoReturn:
    """Raise a usage error that says what is wrong with an option."""
    raise click.UsageError(f"{max(parameter.opts, key=len)} {says}", context)


def dollars(context: click.Context, parameter: click.Parameter, value: str | None) -> Money | None:
    """Convert an amount such as "10.00" or "$10"."""
    try:
        return None if value is None else Money.dollars(value.removeprefix("$"))
    except (ArithmeticError, ValueError):
        refuse(context, parameter, f"must be dollars, such as 12.50, not {value!r}")


def whole_cents(least: Money) -> Callback:
    """Return a callback for an amount to charge; it refuses ambiguous texts, such as "10.000"."""

    def convert(
        context: click.Context, parameter: click.Parameter, value: str | None
    ) -> Money | None:
        if value is not None and not _WHOLE_CENTS.fullmatch(value):
            says = f"must be dollars and whole cents, such as 50 or 12.34, not {value!r}"
            refuse(context, parameter, says)
        amount = dollars(context, parameter, value)
        if amount is not None and amount < least:
            refuse(context, parameter, f"must be at least {least}, not {amount}")
        if amount is not None and amount > MOST:
            refuse(context, parameter, f"must be at most {MOST}, not {amount}")
        return amount

    return convert


_WHOLE_CENTS = re.compile(r"\$?[0-9]{1,9}(\.[0-9]{1,2})?")
MOST = Money(cents=MAX_CENTS)


def day(context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    """Convert a date in ISO 8601."""
    try:
        found = None if value is None else date.fromisoformat(value)
    except ValueError:
        refuse(context, parameter, f"must be a date such as 2026-01-31, not {value!r}")
    if found == date.max:  # it has no next day
        refuse(context, parameter, f"{value} is too late")
    return found


def moment(context: click.Context, parameter: click.Parameter, value: str) -> datetime:
    """Convert a time in ISO 8601, which must have a time zone."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(value)
        if found.utcoffset() is not None:
            return found.astimezone(UTC)
    says = f"must be a time with its zone, such as 2026-01-31T12:00:00Z, not {value!r}"
    refuse(context, parameter, says)


def duration(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> timedelta | None:
    """Convert a length of time, such as "90m", "12h", "3d", "2w" or "0"."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    if found is None:
        refuse(context, parameter, f"must be a time such as 90m, 12h, 3d or 2w, not {value!r}")
    return timedelta(**{_UNITS[found[2] or "d"]: int(found[1])})


_DURATION = re.compile("(0|[0-9]{1,6}(?=[mhdw]))([mhdw]?)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def words(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> list[str] | None:
    """Split a command into words, as a shell does."""
    if value is None:
        return None
    try:
        return shlex.split(value) or refuse(context, parameter, "must be a command")
    except ValueError as error:
        refuse(context, parameter, f"must be a command: {error}".lower())


def moment_text(value: datetime) -> str:
    """Return a time as text that `moment` accepts."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Accounts.


def checked_account(account: str, how: str = "name one") -> str:
    """Return the account id; end the command if it is not valid."""
    if not account:
        lists = f"`{command('accounts')}` lists the ids"
        fail(f"no account: {how}, or set CLOUDFLARE_ACCOUNT_ID; {lists}", ExitCode.USAGE)
    if problem := _id_problem(account):
        fail(problem, ExitCode.USAGE)
    return account


def chosen_accounts(words: Sequence[str], everyone: bool) -> str | list[str] | None:
    """Return the accounts for a command: one, a list of them, or `None` for all."""
    if everyone:
        return fail("--all excludes accounts and files", ExitCode.USAGE) if words else None
    if not words:
        return checked_account(os.environ.get("CLOUDFLARE_ACCOUNT_ID", ""))
    if len(words) == 1 and not _is_file(words[0]):
        return checked_account(words[0])
    found: list[str] = []
    for word in words:
        found += listed_accounts(word) if _is_file(word) else [checked_account(word)]
    return found


def _is_file(word: str) -> bool:
    """Return whether it is the name of a file; an id has no slashes or dots."""
    if _ID.fullmatch(word):
        return False
    return word == "-" or any(c in word for c in "/\\.") or os.path.isfile(word)


_ID = re.compile("[0-9a-f]{32}")


def listed_accounts(source: str) -> list[str]:
    """Return the accounts in a file, or on stdin (`-`): one per line, with `#` comments.

    In a CSV file, such as `accounts --csv` prints, they are in the first column.
    """
    name = "stdin" if source == "-" else source
    found: list[str] = []
    for number, account in enumerate(_lines(source, name), start=1):
        if account and (problem := _id_problem(account)):
            fail(f"{name}, line {number}: {problem}", ExitCode.USAGE)
        found += [account] if account else []
    return found or fail(f"{name} has no accounts", ExitCode.USAGE)


def _lines(source: str, name: str) -> Iterator[str]:
    """Yield the first cell of each line, without comments and spaces."""
    try:
        given: TextIO | None = sys.stdin  # `None` if the shell has closed it
        if source == "-":
            text = given.read() if given else ""
        else:
            text = Path(source).read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{name}: {error.strerror}", ExitCode.USAGE)
    except UnicodeDecodeError:
        fail(f"{name} is not text in UTF-8", ExitCode.USAGE)
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n")):
        cell = line.partition("#")[0].partition(",")[0].strip()
        yield "" if number == 0 and cell in ("id", "account_id") else cell  # skip a CSV heading


def _id_problem(account: str) -> str | None:
    try:
        BillingCreditBalanceParams(account_id=account)
    except ValueError as error:
        return str(error)
    return None


def _account(context: click.Context, parameter: click.Parameter, account: str) -> str:
    if context.resilient_parsing:  # a shell completes the line
        return account
    is_option = isinstance(parameter, click.Option)
    return checked_account(account, "name it with --account" if is_option else "name one")


# Tokens of accounts. Tracebacks and errors show no word of their file.

HAS_MODES = os.name == "posix"
"""Whether the mode of a file says who can read it."""


def tokens_of(path: Path) -> dict[str, Secret]:
    """Return the tokens of accounts in a file: a line is `ACCOUNT TOKEN`, with `#` comments."""
    from .._core.config import check_credential  # not needed for `--help`

    found: dict[str, Secret] = {}
    lines: dict[str, int] = {}
    for number, words in enumerate(_secret_words(path), start=1):
        where = f"{path}, line {number}"
        if not words:
            continue
        if problem := _line_problem(words):
            fail(f"{where}: {problem}", ExitCode.USAGE)
        account, token = words
        if account in found:
            fail(f"{where}: it repeats the account of line {lines[account]}", ExitCode.USAGE)
        with checked_arguments():
            check_credential(f"{where}: the token", token)
        found[str(account)], lines[account] = token, number
    return found or fail(f"{path} has no tokens", ExitCode.USAGE)


def _secret_words(path: Path) -> Iterator[list[Secret]]:
    """Yield the words of each line, without comments."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = Secret(file.read().decode("utf-8-sig", "replace"))
    except OSError as error:
        fail(f"{path}: {error.strerror}", ExitCode.USAGE)
    if HAS_MODES and mode & 0o077:
        fail(f"{path} is open to others: chmod 600 {shlex.quote(str(path))}", ExitCode.USAGE)
    if "\ufffd" in text:
        fail(f"{path} is not text in UTF-8", ExitCode.USAGE)
    for line in map(Secret, text.split("\n")):
        words = [Secret(word) for word in line.split()]
        comment = next((i for i, word in enumerate(words) if word[0] == "#"), None)
        yield words[:comment]


def _line_problem(words: Sequence[Secret]) -> str | None:
    """Return the problem of a line in a file of tokens; `None` if it is valid."""
    if len(words) != 2:
        return "it must be an account id, a space and the token of the account"
    account, token = words
    if _ID.fullmatch(token) and not _ID.fullmatch(account):
        return "the account id must come before the token"
    return None if _id_problem(account) is None else "it must begin with an account id"


def _keep_tokens(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Store the tokens in the context for `session`, and not in a variable of the command."""
    if path is None or context.resilient_parsing:
        return
    context.obj = tokens_of(path)
    if context.get_parameter_source("tokens") is ParameterSource.COMMANDLINE:
        context.meta[SAME_OPTIONS] = "--tokens", str(path)


tokens = click.option(
    "--tokens",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="CLOUDFLARE_API_TOKENS_FILE",
    expose_value=False,
    callback=_keep_tokens,
    help="The tokens of accounts, one account id and its API token per line; else "
    "CLOUDFLARE_API_TOKENS_FILE.",
)


# Options and arguments that commands share.

_ONE: dict[str, Any] = {
    "envvar": "CLOUDFLARE_ACCOUNT_ID",
    "callback": _account,
    "default": "",
}
account = click.argument("account", metavar="[ACCOUNT]", required=False, **_ONE)
account_option = click.option(
    "--account", metavar="ACCOUNT", help="The account; else CLOUDFLARE_ACCOUNT_ID.", **_ONE
)
several_accounts = click.argument(
    "accounts", nargs=-1, metavar="[ACCOUNT|FILE|-]...", type=click.Path(allow_dash=True)
)
everyone = click.option(
    "--all",
    "everyone",
    is_flag=True,
    help="All accounts that the credentials can see, also those in --tokens.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: amounts in cents and dollars."
)
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask whether to go ahead.")
low = click.option(
    "--threshold",
    metavar="DOLLARS",
    callback=dollars,
    help="Mark balances below this as LOW; default: $10.00.",
)
concurrency = click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=50,
    metavar="N",
    show_default=True,
    help="How many requests to make at a time.",
)


def with_form(function: F) -> F:
    """Add `--json` and `--csv` to a command; its function gets the selected `form`."""

    @as_json
    @click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with the same names as JSON.")
    @wraps(function)
    def run(*, as_json: bool, as_csv: bool, **options: Any) -> Any:
        if as_json and as_csv:
            fail("--json and --csv exclude each other", ExitCode.USAGE)
        form = Form.JSON if as_json else Form.CSV if as_csv else Form.TABLE
        return function(form=form, **options)

    return cast("F", run)
