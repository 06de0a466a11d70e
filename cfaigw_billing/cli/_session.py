"""Credentials, the client and consent for the commands."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from getpass import getpass
from typing import TYPE_CHECKING

import click

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
    {"CLOUDFLARE_API_TOKEN"},
    {"CLOUDFLARE_EMAIL", "CLOUDFLARE_API_KEY"},
    {"CLOUDFLARE_API_USER_SERVICE_KEY"},
)
"""The variables that authenticate, in groups of which one is enough."""

# The commands say themselves what the log warns of.
logging.getLogger("cfaigw_billing").addHandler(logging.NullHandler())


@contextmanager
def session(
    *,
    max_charge: int = 0,
    journal: Journal | None = None,
    base_url: str | None = None,
    api_token: str | None = None,
) -> Generator[Cloudflare]:
    """A client for one command, which can charge `max_charge` cents at most; then it is closed.

    Its errors end the command in one line.
    """
    from .. import Cloudflare

    with checked_arguments():
        client = Cloudflare(
            api_token=api_token or asked_token(),
            base_url=base_url,
            max_charge=max_charge,
            journal=journal,
        )
    with client, one_line_errors():
        yield client


def asked_token() -> str | None:
    """An API token that a person types; `None` if the environment has credentials."""
    given = {name for group in CREDENTIALS for name in group if os.environ.get(name)}
    if any(group <= given for group in CREDENTIALS):
        return None
    has_person = can_ask() and is_terminal(sys.stderr)
    if given or not has_person:
        fail(NO_CREDENTIALS, ExitCode.USAGE)
    token = typed(lambda: getpass("Cloudflare API token: ", stream=sys.stderr))
    return token or fail(NO_CREDENTIALS, ExitCode.USAGE)


def can_ask() -> bool:
    """Whether stdin is a terminal."""
    return is_terminal(sys.stdin)


def typed(read: Callable[[], str]) -> str:
    """Ask a question and return the answer; empty on Ctrl-D."""
    try:
        return read().strip()
    except (EOFError, KeyboardInterrupt) as end:
        say("")  # the cursor stands behind the question
        if isinstance(end, KeyboardInterrupt):
            raise
        return ""
    except UnicodeDecodeError:  # which is no answer
        return ""


def check_consent(yes: bool) -> None:
    """Refuse what has to be agreed to where nobody can."""
    if not (yes or can_ask()):
        fail("nobody to ask on stdin: say --yes to go ahead without a question", ExitCode.USAGE)


def agree(plan: str, facts: str = "", *, yes: bool) -> None:
    """Say what is going to happen, and where; unless `yes`, go on only if a person agrees."""
    if service := os.environ.get("CLOUDFLARE_BASE_URL"):
        facts = f"{facts} The service is {service}.".strip()
    if yes:
        say(f"{plan}. {facts}".strip())
        return
    forget_what_was_typed()
    say(f"{plan}? {facts}".strip(), end=" [y/N] ")
    if typed(input).lower() not in ("y", "yes"):
        say("Nothing was done.")
        raise click.exceptions.Exit(ExitCode.FAILED)


def forget_what_was_typed() -> None:
    """An answer that was typed before its question was seen is none."""
    try:
        import termios  # which Windows has not
    except ImportError:
        return
    with suppress(termios.error, OSError):  # stdin is no terminal
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def price_of(credit: Money) -> str:
    """Return the price of credit, as far as it is known before the charge."""
    about = Money(cents=round(float(credit.cents) * (1 + FEE)))
    return f"{credit} of credit; the card is charged about {about}, plus tax where due"


def card_name(balance: BillingCreditBalanceResponse) -> str:
    """The card that is charged where none is named."""
    return card_text(balance) if balance.payment_method else "the default card"
