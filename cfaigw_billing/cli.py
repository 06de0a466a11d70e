"""The command line, over the public client: `python -m cfaigw_billing --help`.

In three parts: fetching, showing (functions that turn values into tables and lines) and the
commands, which put the two together. What was asked for goes to stdout; progress and errors go to
stderr.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from decimal import DecimalException
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from . import AsyncCloudflare, CreditBalances
from .errors import APIError, CloudflareError
from .types import BillingCreditBalanceParams, BillingCreditBalanceResponse, Money

if TYPE_CHECKING:
    from .testing import Emulator

T = TypeVar("T")

DEMO_ROWS = 10  # so that the demo's output fits a terminal of 24 lines
CARDS = ({"brand": "visa", "last4": "4242"}, {"brand": "mastercard", "last4": "4444"}, None)


class ExitCode(IntEnum):
    """What a command ends with; Typer adds 130 for Ctrl-C."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTLY_FAILED = 3


EXIT_CODES = (
    "Exit codes: 0 success; 1 every account failed, or the service refused; 2 wrong usage, such "
    "as no account or no credentials; 3 some accounts failed; 130 stopped by Ctrl-C."
)


# Fetching.


async def check_accounts(
    client: AsyncCloudflare, account_ids: list[str], concurrency: int
) -> tuple[CreditBalances, float]:
    """Fetch balances behind a progress bar, and close the client; also the seconds it took."""
    started = time.perf_counter()
    async with client:
        with progress_bar("Balances", len(account_ids)) as report:
            balances = await client.ai_gateway.billing.credit_balances(
                account_ids, concurrency=concurrency, progress=report
            )
    return balances, time.perf_counter() - started


def new_client(base_url: str | None = None, api_token: str | None = None) -> AsyncCloudflare:
    """A client, set up by the environment where nothing is given."""
    try:
        return AsyncCloudflare(base_url=base_url, api_token=api_token)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def new_emulator(accounts: int, port: int = 0) -> Emulator:
    """An emulator with the same accounts each time: most are well, some low, a few overdrawn."""
    from .testing import Emulator  # here, because it is a web server that `balance` does not need

    emulator = Emulator(port=port)
    rng = random.Random(1)
    for _ in range(accounts):
        card = rng.choices(CARDS, weights=(6, 3, 1))[0]
        balance = round(rng.gauss(4500, 2200), 2)
        topup = rng.choice((0, 2000, 5000))
        account = emulator.add_account(
            f"{rng.getrandbits(128):032x}", balance=balance, payment_method=card
        )
        account.topup_config |= {"amount": topup, "threshold": topup // 4}
        if card is None:
            account.topup_config["disabledReason"] = "payment_failed"
    return emulator


# Showing.


@contextmanager
def progress_bar(label: str, total: int) -> Generator[Callable[[int, int | None], object]]:
    """A progress bar on stderr, if that is a terminal; yields what a sweep reports to."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None  # noqa: ARG005  # as a sweep calls it
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def show_balances(
    balances: CreditBalances, seconds: float, threshold: Money, rows: int | None = None
) -> None:
    """Print so many of the lowest balances (`None`: all), a summary, and the errors."""
    if balances:
        console = Console(highlight=False)
        table = balance_table(balances, threshold, rows)
        console.print(table, "", summary(balances, seconds, threshold))
    for error in list(balances.failed.values())[:rows]:
        show_error(error)


def balance_table(balances: CreditBalances, threshold: Money, rows: int | None) -> Table:
    """The lowest balances, and in the caption how many were left out."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column("Account", no_wrap=True)
    table.add_column("Balance", no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column("Card")  # the only one to wrap in a narrow terminal
    table.add_column("Automatic top-up", no_wrap=True)
    lowest_first = sorted(balances.items(), key=lambda item: item[1].balance_money)
    for account_id, answer in lowest_first[:rows]:
        low = answer.balance_money < threshold
        table.add_row(
            Text(account_id),
            Text(str(answer.balance_money), style="red" if low else ""),
            Text("LOW" if low else "", style="bold red"),
            Text(card_text(answer)),
            Text(topup_text(answer)),
        )
    if left_out := len(lowest_first) - table.row_count:
        table.caption = f"and {left_out:,} more, none of them lower"
        table.caption_justify = "left"
    return table


def card_text(answer: BillingCreditBalanceResponse) -> str:
    """The card on file, such as "visa 4242"."""
    card = answer.payment_method
    return " ".join(filter(None, (card.brand, card.last4))) if card else "none"


def topup_text(answer: BillingCreditBalanceResponse) -> str:
    """The automatic top-up, such as "$50.00 at $10.00"; disabled is what the service stopped."""
    config = answer.topup_config
    if config is None or not (config.amount and config.threshold):
        return "off"
    if config.disabled_reason:
        return "disabled"
    return f"{config.amount_money} at {config.threshold_money}"


def summary(balances: CreditBalances, seconds: float, threshold: Money) -> Table:
    """How many accounts there are, are low and failed, their total, and the time it took."""
    low, failed = len(balances.below(threshold)), len(balances.failed)
    count = len(balances) + failed
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        "Accounts", f"{count:,}, of which {low:,} low (below {threshold}), {failed:,} failed"
    )
    grid.add_row("Total", str(balances.total))
    grid.add_row("Time", f"{seconds:.2f} s, {count / seconds:,.0f} accounts/s")
    return grid


def show_commands(title: str, *commands: str) -> None:
    """Print what to type next, in lines that are never broken, so that they can be copied."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"\n{title}\n")
    for command in commands:
        console.print(f"  {command}", style="cyan")


def show_error(error: Exception) -> None:
    """Print an error to stderr; only the width of a terminal breaks its one line."""
    console = Console(stderr=True, highlight=False)
    line = Text.assemble(("error: ", "bold red"), str(error))
    console.print(line, soft_wrap=not console.is_terminal)


# Commands.

app: typer.Typer = typer.Typer(
    help="Cloudflare AI Gateway billing.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they can show local variables, and so secrets
)


def dollars(value: str | Money) -> Money:
    """An amount as people write it, "10.00" or "$10"; Typer passes the default through here too."""
    try:
        return Money.from_major(str(value).removeprefix("$"))
    except (DecimalException, ValueError) as error:
        raise typer.BadParameter(f"{value!r} is not an amount in dollars") from error


def checked_accounts(account_ids: list[str]) -> list[str]:
    """The accounts, each once; what cannot be one is refused before anything is sent."""
    try:
        for account_id in account_ids:
            BillingCreditBalanceParams(account_id=account_id)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return list(dict.fromkeys(account_ids))


AccountIds = Annotated[
    list[str],
    typer.Argument(
        metavar="ACCOUNT",
        envvar="CLOUDFLARE_ACCOUNT_ID",
        callback=checked_accounts,
        help="The ids of the accounts.",
    ),
]
AccountCount = Annotated[int, typer.Option(min=1, help="How many accounts to make up.")]
Concurrency = Annotated[int, typer.Option(min=1, help="How many requests to make at a time.")]
Threshold = Annotated[
    Money, typer.Option(parser=dollars, metavar="DOLLARS", help="Mark balances below it as LOW.")
]
Latency = Annotated[int, typer.Option(min=0, help="Milliseconds that each answer takes.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to serve on; 0: a free one.")]
TEN_DOLLARS = Money.from_major(10)


def exit_code(balances: CreditBalances) -> ExitCode:
    """What a command ends with after a round over accounts."""
    if not balances.failed:
        return ExitCode.OK
    return ExitCode.PARTLY_FAILED if balances else ExitCode.FAILED


def run(work: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine; an error that it raises ends the command in one line."""
    try:
        return anyio.run(lambda: work)
    except CloudflareError as error:  # an `APIError` is the service's; else no credentials were set
        show_error(error)
        code = ExitCode.FAILED if isinstance(error, APIError) else ExitCode.USAGE
        raise typer.Exit(code) from error


@app.command(epilog=EXIT_CODES)
def balance(
    accounts: AccountIds, threshold: Threshold = TEN_DOLLARS, concurrency: Concurrency = 10
) -> None:
    """Show the balances of accounts, the lowest first.

    Credentials come from the environment only: CLOUDFLARE_API_TOKEN, or
    CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY. CLOUDFLARE_BASE_URL leads to
    another service, such as the emulator.
    """
    balances, seconds = run(check_accounts(new_client(), accounts, concurrency))
    show_balances(balances, seconds, threshold)
    raise typer.Exit(exit_code(balances))


@app.command(epilog=EXIT_CODES)
def demo(
    accounts: AccountCount = 300,
    concurrency: Concurrency = 50,
    threshold: Threshold = TEN_DOLLARS,
    latency_ms: Latency = 20,
) -> None:
    """Check hundreds of made-up accounts at once; needs no credentials.

    Starts an emulator of the service on this machine and asks it over HTTP.
    """
    from .testing import Fault  # as in `new_emulator`

    with new_emulator(accounts) as emulator:
        emulator.inject(Fault(delay=latency_ms / 1000), times=None)
        client = new_client(base_url=emulator.base_url, api_token=emulator.api_token)
        balances, seconds = run(check_accounts(client, list(emulator.accounts), concurrency))
    show_balances(balances, seconds, threshold, DEMO_ROWS)
    show_commands(
        "Next, a real account:",
        "export CLOUDFLARE_API_TOKEN=…",
        "python -m cfaigw_billing balance ACCOUNT",
    )
    raise typer.Exit(exit_code(balances))


@app.command("emulator")
def serve(port: Port = 8787, accounts: AccountCount = 5) -> None:
    """Serve an emulator of the service on this machine until Ctrl-C.

    Exit codes: 0 stopped by Ctrl-C; 1 the port is taken.
    """
    try:
        with new_emulator(accounts, port) as emulator:
            show_commands(
                f"Serving on {emulator.base_url} until Ctrl-C. In another shell:",
                f"export CLOUDFLARE_BASE_URL={emulator.base_url}",
                f"export CLOUDFLARE_API_TOKEN={emulator.api_token}",
                f"python -m cfaigw_billing balance {next(iter(emulator.accounts))}",
            )
            anyio.run(anyio.sleep_forever)
    except KeyboardInterrupt:
        pass  # how this command is meant to end
    except OSError as error:  # the port is taken
        show_error(error)
        raise typer.Exit(ExitCode.FAILED) from error
