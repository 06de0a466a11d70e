"""The entry point of `python -m cfaigw_billing` and of the script `cfaigw-billing`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import PurePath

MISSING = (
    "the command line needs Click and Rich; install them with: pip install 'cfaigw_billing[cli]'\n"
)
SCRIPT = "cfaigw-billing"
COMPLETE = "_CFAIGW_BILLING_COMPLETE"
"""The variable by which a shell asks for completions."""


def main() -> None:
    """Run the command line; if packages for it are missing, say so in one line."""
    if not (find_spec("click") and find_spec("rich")):
        sys.stderr.write(MISSING)
        sys.exit(2)
    try:
        from .cli import ExitCode, app, ignore_endings
    except KeyboardInterrupt:
        sys.exit(130)  # the same exit code as for commands
    if reconfigure := getattr(sys.stdout, "reconfigure", None):  # the shell may have closed it
        reconfigure(errors="backslashreplace")  # its encoding may lack characters
    try:
        app(prog_name=as_called(), complete_var=COMPLETE)
    except SystemExit as end:
        if end.code == ExitCode.UNKNOWN:
            ignore_endings()  # while Python ends, Ctrl-C would change the exit code
        raise
    except OSError as error:  # such as a full disk below stdout
        sys.exit(f"error: {error}")


def as_called() -> str:
    """Return the program as it was called, for commands that are suggested to the user."""
    program = sys.argv[0]
    if PurePath(program).name == "__main__.py":
        return f"{shlex.quote(sys.orig_argv[0])} -m cfaigw_billing"
    is_found = COMPLETE in os.environ or shutil.which(SCRIPT) == program
    return SCRIPT if is_found else shlex.quote(program)


if __name__ == "__main__":
    main()
