"""The command line, as `python -m cfaigw_billing` and the script `cfaigw-billing` run it."""

from __future__ import annotations

import sys
from pathlib import PurePath

MISSING = (
    "the command line needs Typer and Rich; install them with: pip install 'cfaigw_billing[cli]'\n"
)
NO_COMPLETION = (
    "shells complete the script: `cfaigw-billing --install-completion`, not `python -m …`\n"
)


def main() -> None:
    """Run the command line, or say in one line what has to be installed for it."""
    as_module = PurePath(sys.argv[0]).name == "__main__.py"
    if as_module and {"--install-completion", "--show-completion"} & {*sys.argv}:
        sys.stderr.write(NO_COMPLETION)
        sys.exit(2)
    try:
        from .cli import ExitCode, app, ignore_endings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        sys.stderr.write(MISSING)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)  # as the commands do, once Typer is there to see to it
    if reconfigure := getattr(sys.stdout, "reconfigure", None):  # the shell may have closed it
        reconfigure(errors="backslashreplace")  # it may know fewer characters than the service
    try:
        app()
    except SystemExit as end:
        if end.code == ExitCode.UNKNOWN:
            ignore_endings()  # while Python ends, Ctrl-C would kill it, with another exit code
        raise
    except OSError as error:  # such as a full disk below stdout
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
