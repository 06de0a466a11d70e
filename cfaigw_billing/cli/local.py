"""Commands that need no account: a demo, and the emulator as a server."""

from __future__ import annotations

import math
import random
import secrets
import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..types import Money
from ..types.runway import lasts_text
from ._errors import ExitCode, command, fail, one_line_errors, wait_for_ending
from ._inputs import TEN_DOLLARS, F, concurrency, low
from ._output import Form, progress_bar, show_answers, show_commands, show_line, verdict

if TYPE_CHECKING:
    from ..testing import EmulatedAccount, Emulator

DAYS = 56  # of usage, as a forecast needs them
DEMO_ROWS = 10  # the demo's output fits a terminal of 24 lines
CARDS = ({"brand": "visa", "last4": "4242"}, {"brand": "mastercard", "last4": "4444"}, None)
PRODUCTS = (
    *("shop", "search", "support", "docs", "checkout", "chat", "mail", "maps", "ads", "blog"),
    *("forum", "video", "games", "news", "music", "travel", "books", "jobs", "labs", "crm"),
)
PLACES = (
    *("eu", "us", "uk", "de", "fr", "jp", "br", "in", "au", "ca", "dev", "test", "staging"),
    *("beta", "batch"),
)


def account_count(default: int) -> Callable[[F], F]:
    """Return the option `--accounts`."""
    return click.option(
        "--accounts",
        type=click.IntRange(min=1),
        default=default,
        metavar="N",
        show_default=True,
        help="How many accounts to make up.",
    )


@click.command()
@account_count(300)
@concurrency
@low
@click.option(
    "--latency-ms",
    type=click.IntRange(min=0),
    default=20,
    metavar="N",
    show_default=True,
    help="Milliseconds that each answer takes.",
)
def demo(accounts: int, concurrency: int, threshold: Money | None, latency_ms: int) -> ExitCode:
    """Check hundreds of made-up accounts at once, and forecast one; needs no credentials.

    Starts an emulator of the service on this machine and calls it over HTTP.
    """
    from ..testing import Fault

    with new_emulator(accounts) as emulator:
        emulator.inject(Fault(delay=latency_ms / 1000), times=None)
        spender = next((a for a in emulator.accounts.values() if a.balance > 0), None)
        if spender is not None:
            spend_by_day(spender, spender.balance / 10)
        with (
            emulator.client(max_charge=0) as client,
            one_line_errors(),
            progress_bar("Balances") as report,
        ):
            started = time.perf_counter()
            found = client.ai_gateway.billing.credit_balances(
                concurrency=concurrency, progress=report
            )
            seconds = time.perf_counter() - started
            forecasts = client.ai_gateway.billing.runways([spender.id] if spender else [])
    found.low = TEN_DOLLARS if threshold is None else threshold
    show_answers(found, Form.TABLE, DEMO_ROWS)
    show_line("")
    for account_id, runway in forecasts.items():
        spends = f"{found.names[account_id]} spends {runway.spending_per_day_money} a day"
        show_line(f"{spends}; its {runway.balance_money} should last until {lasts_text(runway)}")
    show_line(f"Time {seconds:.2f} s, {accounts / seconds:,.0f} accounts/s")
    show_commands(
        "Next, your accounts; without CLOUDFLARE_API_TOKEN it asks for an API token:",
        command("balance", "--all"),
    )
    return verdict(found)


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    metavar="N",
    show_default=True,
    help="The port to serve on; 0: a free one.",
)
@account_count(5)
@click.option(
    "--write-tokens",
    "tokens",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Give each account its own token, and write them to a new FILE, for --tokens.",
)
def emulator(port: int, accounts: int, tokens: Path | None) -> None:
    """Serve an emulator of the service on this machine, until Ctrl-C (exit code 0).

    Its accounts have invoices and eight weeks of usage, and spend automatically.
    """
    from yarl import URL

    from ..testing._control import CONTROL_PATH

    with suppress(KeyboardInterrupt), ExitStack() as stack:  # Ctrl-C is the normal end
        try:
            server = stack.enter_context(new_emulator(accounts, port))
        except OSError as error:  # the port is taken
            fail(f"--port {port}: {error.strerror}", ExitCode.FAILED)
        for account in server.accounts.values():
            spend_by_day(account, 240)
            account.add_invoice(5250)
        if tokens is not None:
            write_tokens(server, tokens)
        show_commands(
            f"Serving on {server.base_url} until Ctrl-C. In another shell:",
            f"export CLOUDFLARE_BASE_URL={server.base_url}",
            f"export CLOUDFLARE_API_TOKEN={server.api_token}",
            *([f"export CLOUDFLARE_API_TOKENS_FILE={shlex.quote(str(tokens))}"] if tokens else ()),
            command("balance", next(iter(server.accounts))),
        )
        show_commands(
            "Accounts to set up, faults to inject and charges to see, from any language:",
            f"curl {URL(server.base_url).with_path(CONTROL_PATH)}/",
        )
        wait_for_ending()


def write_tokens(server: Emulator, path: Path) -> None:
    """Give each account its own token; write them to a new file that others cannot read."""
    for account in server.accounts.values():
        account.api_token = secrets.token_urlsafe(30)
    lines = "".join(f"{account_id} {token}\n" for account_id, token in server.api_tokens.items())
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(lines, encoding="utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}", ExitCode.USAGE)


def new_emulator(accounts: int, port: int = 0) -> Emulator:
    """Return an emulator with the same accounts each time: some are low, a few overdrawn."""
    from ..testing import Emulator

    server = Emulator(port=port)
    rng = random.Random(1)
    for index in range(accounts):
        card = rng.choices(CARDS, weights=(6, 3, 1))[0]
        balance = round(rng.gauss(4500, 2200), 2)
        amount = rng.choice((0, 2000, 5000))
        account = server.add_account(
            f"{rng.getrandbits(128):032x}",
            name=made_up_name(index),
            balance=balance,
            payment_method=card,
        )
        account.topup_config |= {"amount": amount, "threshold": amount // 4}
        if card is None:
            account.topup_config["disabledReason"] = "payment_failed"
    return server


def spend_by_day(account: EmulatedAccount, cents_per_day: float) -> None:
    """Make an account spend most at 15:00 and little at night, now and in the last weeks."""
    since_nine = [(hour - 9) / 24 for hour in range(24)]  # so that the peak is at 15:00
    profile = [cents_per_day / 24 * (1 + math.sin(math.tau * part)) for part in since_nine]
    account.spend_hourly(profile, days=DAYS)


def made_up_name(index: int) -> str:
    """Return a made-up account name; the first 300 differ."""
    turn, index = divmod(index, len(PRODUCTS) * len(PLACES))
    name = f"{PRODUCTS[index % len(PRODUCTS)]}-{PLACES[index // len(PRODUCTS)]}"
    return f"{name} {turn + 1}" if turn else name
