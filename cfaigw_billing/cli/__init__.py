"""The command line, built on the public sync client: `python -m cfaigw_billing --help`.

A command reads its options (`_inputs`), calls the service (`_session`; the client can only charge
in the commands that charge) and prints the answer (`_output`). Answers go to stdout; progress,
questions and errors go to stderr. The module of a command is imported when the command runs.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from .._version import __version__
from ._errors import EXIT_CODES, ExitCode, ignore_endings, show_usage_error

__all__ = ["ExitCode", "app", "ignore_endings"]

SECTIONS = {
    "Look": {
        "balance": "balances",
        "runway": "runways",
        "accounts": "reports",
        "usage": "reports",
        "invoices": "reports",
        "preview": "reports",
        "limits": "reports",
    },
    "Watch": {"watch": "watch", "metrics": "monitoring"},
    "Pay": {
        "topup": "topups",
        "topup-status": "outcomes",
        "reconcile": "outcomes",
        "topups": "journals",
        "recover": "journals",
        "settle": "journals",
        "topup-config": "settings",
        "spending-limit": "settings",
    },
    "Try it out, without an account": {"demo": "local", "emulator": "local"},
}
"""The commands and their modules, by section of the help."""
MODULES = {name: module for section in SECTIONS.values() for name, module in section.items()}
ALIASES = {"balances": "balance", "runways": "runway"}
"""Other names that work, but are not in the help."""


class _Commands(click.Group):
    """The commands. Each is imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # Click's
        """Return the names, in the order of the help."""
        return list(MODULES)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  # Click's
        cmd_name: str,
    ) -> click.Command | None:
        """Return a command; `None` if the name is unknown."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in MODULES:
            return None
        found = getattr(import_module(f".{MODULES[name]}", __name__), name.replace("-", "_"))
        assert isinstance(found, click.Command)  # noqa: S101  # for the type checker
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown command, and suggest similar ones."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            from difflib import get_close_matches

            like = get_close_matches(name, MODULES)
            guess = f"; did you mean {' or '.join(like)}?" if like else ""
            raise click.UsageError(f"unknown command {name!r}{guess}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Explain where options go, if one is before the command."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"unknown option {error.option_name} before the command; put options after it",
                ctx,
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in sections, and the exit codes."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                found = {name: self.get_command(ctx, name) for name in section}
                formatter.write_dl(
                    [(name, each.get_short_help_str(200)) for name, each in found.items() if each]
                )
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C ends it with its own exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line and exit. Print wrong usage in the same way as other errors."""
        extra |= {"standalone_mode": False}
        if os.environ.get("NO_COLOR"):
            extra |= {"color": False}
        try:
            code = super().main(*args, **extra)
        except click.ClickException as error:
            show_usage_error(error)
            code = ExitCode.USAGE
        except click.Abort:  # Ctrl-C before a command runs
            code = ExitCode.INTERRUPTED
        sys.exit(int(code or 0))


@click.command(
    cls=_Commands,
    name="cfaigw-billing",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="cfaigw-billing %(version)s")
def app() -> None:
    """Cloudflare AI Gateway billing.

    Credentials come from the environment: CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and
    CLOUDFLARE_API_KEY. Without them, it asks for an API token if it runs in a terminal. Accounts
    may have their own tokens, in the file of --tokens or of CLOUDFLARE_API_TOKENS_FILE; the
    credentials of the environment are then for all other accounts. You may omit ACCOUNT if
    CLOUDFLARE_ACCOUNT_ID is set. CLOUDFLARE_BASE_URL selects another service, such as the emulator.
    """
