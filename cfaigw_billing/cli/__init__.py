"""The command line, over the public sync client: `python -m cfaigw_billing --help`.

A command reads its options (`_inputs`), asks the service through a client that cannot charge unless
the command is meant to (`_session`), and shows what came (`_output`). What was asked for goes to
stdout; progress, questions and errors go to stderr.
"""

from __future__ import annotations

from typing import Annotated

import typer

from .._version import __version__
from . import balances, local, reports, topups
from ._errors import EXIT_CODES, ExitCode, ignore_endings

__all__ = ["ExitCode", "app", "ignore_endings"]

app: typer.Typer = typer.Typer(
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they can show local variables, and so secrets
)

PANELS = {
    "Look": (
        balances.balance,
        balances.balances,
        reports.usage,
        reports.invoices,
        reports.preview,
        reports.limits,
    ),
    "Pay": (topups.topup, topups.topup_config, topups.spending_limit),
    "Try it out, without an account": (local.demo, local.emulator),
}


def add_commands() -> None:
    """Make the functions commands of the app, in panels of its help."""
    for panel, commands in PANELS.items():
        for command in commands:
            app.command(epilog=EXIT_CODES, rich_help_panel=panel)(command)


add_commands()


def show_version(value: bool) -> None:
    """Print the version, if asked to, and end."""
    if value:
        typer.echo(f"cfaigw-billing {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
]


@app.callback()
def main(version: Version = False) -> None:  # its callback has seen to it
    """Cloudflare AI Gateway billing.

    Credentials come from the environment: CLOUDFLARE_API_TOKEN, or
    CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY. In a terminal, it asks for an
    API token if there are none. CLOUDFLARE_BASE_URL leads to another
    service, such as the emulator.
    """
