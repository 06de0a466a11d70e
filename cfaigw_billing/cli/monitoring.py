"""The command `metrics`: the state of accounts for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ._errors import ExitCode, checked_arguments, fail, wait_for_ending
from ._inputs import chosen_accounts, duration, everyone, several_accounts, tokens
from ._output import show_line
from ._session import session
from .watch import sigterm_raises

if TYPE_CHECKING:
    from .._sync.metrics import Metrics


@click.command()
@several_accounts
@everyone
@tokens
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9188,
    metavar="N",
    show_default=True,
    help="The port to serve on; 0: a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    show_default=True,
    help="The address to serve on. Everyone who can reach it can read the balances.",
)
@click.option(
    "--refresh",
    default="5m",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="The time between two checks of an account.",
)
@click.option(
    "--no-runway",
    is_flag=True,
    help="Omit usage and forecasts, which take two more calls per account every 6 hours.",
)
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check once and write FILE, for the textfile collector of node_exporter (from cron).",
)
def metrics(
    accounts: Sequence[str],
    everyone: bool,
    port: int,
    host: str,
    refresh: timedelta,
    no_runway: bool,
    textfile: Path | None,
) -> ExitCode:
    """Serve balances, usage and forecasts to Prometheus until Ctrl-C (exit code 0).

    A scrape returns the last values and sends nothing. Needs the extra `metrics`.

    A FILE has one id per line (or CSV with the ids first); blank lines and # comments are skipped.
    FILE - is stdin. TIME is a number with m, h or d, such as 5m.
    """
    given = click.get_current_context().get_parameter_source
    if textfile and ParameterSource.COMMANDLINE in (given("port"), given("host")):
        fail("--textfile excludes --port and --host", ExitCode.USAGE)
    chosen = chosen_accounts(accounts, everyone)
    with session() as client:
        try:
            with checked_arguments():
                found = client.ai_gateway.billing.metrics(
                    [chosen] if isinstance(chosen, str) else chosen,
                    refresh=refresh,
                    runway=not no_runway,
                )
        except ModuleNotFoundError as error:
            fail(error, ExitCode.USAGE)
        with found:
            return serve(found, host, port) if textfile is None else write(found, textfile)


def serve(found: Metrics, host: str, port: int) -> ExitCode:
    """Serve until Ctrl-C or SIGTERM."""
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, host, found.registry)
    except (OSError, UnicodeError) as error:  # the port is in use, or the address is not valid
        reason = getattr(error, "strerror", None) or error
        fail(f"--host {host} --port {port}: {reason}", ExitCode.FAILED)
    shown = f"[{host}]" if ":" in host else host
    with suppress(KeyboardInterrupt), sigterm_raises():  # a signal may follow the line at once
        show_line(f"Serving on http://{shown}:{server.server_port}/metrics until Ctrl-C.")
        wait_for_ending()
    server.shutdown()
    server.server_close()
    thread.join()
    return ExitCode.OK


def write(found: Metrics, path: Path) -> ExitCode:
    """Check each account once, and write the file in one step, so that readers see it complete."""
    from prometheus_client import write_to_textfile

    found.complete()
    try:
        write_to_textfile(str(path), found.registry)
    except OSError as error:
        fail(f"{path}: {error.strerror}", ExitCode.FAILED)
    up = [
        sample.value
        for family in found.collector.collect()
        for sample in family.samples
        if sample.name == "cfaigw_account_up"
    ]
    if all(up):
        return ExitCode.OK
    return ExitCode.PARTLY_FAILED if any(up) else ExitCode.FAILED
