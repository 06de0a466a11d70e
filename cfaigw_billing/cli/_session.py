"""Credentials, the client and consent for the commands."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from getpass import getpass
from typing import TYPE_CHECKING, Any

import click

from .._wire.secrets import Secret
from ..types import BillingCreditBalanceResponse, Money
from ..types._validators import FEE
from ..types.balance import card_text
from ._errors import ExitCode, checked_arguments, fail, is_terminal, one_line_errors, say

if TYPE_CHECKING:
    from .. import Cloudflare
    from .._core.journal import Journal

NO_CREDENTIALS = (
    "no credentials: set CLOUDFLARE_API_TOKEN (made in the dashboard: My Profile, API Tokens), or "
    "both CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY"
)
CREDENTIALS = (
    {"api_token": "CLOUDFLARE_API_TOKEN"},
    {"api_email": "CLOUDFLARE_EMAIL", "api_key": "CLOUDFLARE_API_KEY"},
    {"user_service_key": "CLOUDFLARE_API_USER_SERVICE_KEY"},
)
"""The arguments that authenticate a client, and their variables; one group is enough."""

# The commands print these warnings themselves.
logging.getLogger("cfaigw_billing").addHandler(logging.NullHandler())


@contextmanager
def session(*, max_charge: int = 0, journal: Journal | None = None) -> Generator[Cloudflare]:
    """Yield a client for one command, which can charge at most `max_charge` cents.

    Errors of the client end the command with one line.
    """
    from .. import Cloudflare

    with checked_arguments():
        client = Cloudflare(max_charge=max_charge, journal=journal, **credentials())
    with client, one_line_errors():
        yield client


def credentials() -> dict[str, Any]:
    """Return the arguments that authenticate a client, from `--tokens`, the environment or input.

    The environment is read here, because a client with `api_tokens` does not read it.
    """
    tokens: Mapping[str, str] | None = click.get_current_context().obj
    if tokens is not None:
        return {"api_tokens": tokens, **of_environment()}
    return of_environment() or {"api_token": asked_token()}


def of_environment() -> dict[str, Any]:
    """Return the first complete credentials in the environment; empty if there are none."""
    for group in CREDENTIALS:
        found = {name: Secret(os.environ.get(variable, "")) for name, variable in group.items()}
        if all(found.values()):
            return found
    return {}


def asked_token() -> str:
    """Ask for an API token; end the command if it cannot ask."""
    given = any(os.environ.get(name) for group in CREDENTIALS for name in group.values())
    has_person = can_ask() and is_terminal(sys.stderr)
    if given or not has_person:
        fail(NO_CREDENTIALS, ExitCode.USAGE)
    token = prompt(lambda: getpass("Cloudflare API token: ", stream=sys.stderr))
    return token or fail(NO_CREDENTIALS, ExitCode.USAGE)


def can_ask() -> bool:
    """Return whether stdin is a terminal."""
    return is_terminal(sys.stdin)


def prompt(read: Callable[[], str]) -> str:
    """Return the answer to the question that `read` asks; empty on Ctrl-D."""
    try:
        return read().strip()
    except (EOFError, KeyboardInterrupt) as end:
        say("")  # the cursor is behind the question
        if isinstance(end, KeyboardInterrupt):
            raise
        return ""
    except UnicodeDecodeError:  # not a valid answer
        return ""


def check_consent(yes: bool) -> None:
    """End the command if it needs consent and cannot ask for it."""
    if not (yes or can_ask()):
        fail("cannot ask, stdin is not a terminal: use --yes to agree in advance", ExitCode.USAGE)


def ask_consent(plan: str, facts: str = "", *, yes: bool) -> None:
    """Print the plan, and ask for consent unless `yes`; end the command if it is not given."""
    if service := os.environ.get("CLOUDFLARE_BASE_URL"):
        facts = f"{facts} The service is {service}.".strip()
    if yes:
        say(f"{plan}. {facts}".strip())
        return

    def read() -> str:
        drop_typed_input()
        say(f"{plan}? {facts}".strip(), end=" [y/N] ")
        return input()

    if prompt(read).lower() not in ("y", "yes"):
        say("Nothing was done.")
        raise click.exceptions.Exit(ExitCode.FAILED)


def drop_typed_input() -> None:
    """Drop input that was typed before the question was shown."""
    try:
        import termios  # not on Windows
    except ImportError:
        return
    with suppress(termios.error, OSError):  # stdin is not a terminal
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def price_of(credit: Money) -> str:
    """Return the price of credit as text, as far as it is known before the charge."""
    about = Money(cents=round(float(credit.cents) * (1 + FEE)))
    return f"{credit} of credit; the card is charged about {about}, plus tax where due"


def card_name(balance: BillingCreditBalanceResponse) -> str:
    """Return the default card as text."""
    return card_text(balance) if balance.payment_method else "the default card"
