"""Measure the package beside what people would use instead, in one run and taking turns.

    python -m benchmarks                 every row, about two minutes
    python -m benchmarks balance import  these rows
    python -m benchmarks --quick         a smoke test, whose figures say nothing
    python -m benchmarks --write         every row, into benchmarks/results.md
    python -m benchmarks runway          no speed: how often a forecast of the runway is right

The contenders are this package, aiohttp by hand, and the official SDK (`pip install
'cloudflare[aiohttp]'`; without it, its rows are skipped), each in a process of its own, and each as
its users would write it: see contenders.py. They ask a server in another process, which answers
as the service does, headers of the rate limit included: see server.py.

Machines are noisy, so a figure counts only as a ratio to what stands beside it, and is the median
of several rounds. It is the CPU time of the contender's process alone, all its threads. Wherever
the row does not say otherwise, the packages of the extra `speedups` are out of reach, installed or
not.
"""

from __future__ import annotations

import argparse
import compileall
import os
import sys
from pathlib import Path

import cfaigw_billing
from benchmarks import report, server
from benchmarks.rows import ROWS, measure

HERE = Path(__file__).parent


def main() -> None:
    """Measure the rows named on the command line, or all."""
    if sys.argv[1:2] == ["runway"]:
        from benchmarks import runway

        runway.main(sys.argv[2:])
        return
    arguments = _arguments()
    _forget_environment()
    # What installs a package compiles it; a checkout may never have been.
    compileall.compile_dir(Path(cfaigw_billing.__file__).parent, quiet=2)
    measured = {}
    with server.running() as base_url:
        for name in arguments.rows or ROWS:
            row = ROWS[name]
            results = measure(row, base_url, quick=arguments.quick)
            measured[name] = row, results
            print(report.text(name, row, results), flush=True)
    if arguments.write:
        (HERE / "results.md").write_text(report.markdown(measured), encoding="utf-8")


def _forget_environment() -> None:
    """No credentials, address or proxy of the machine reaches a contender."""
    for name in list(os.environ):
        if name.startswith("CLOUDFLARE_") or name.upper().endswith("_PROXY"):
            del os.environ[name]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--write", action="store_true", help="write results.md")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"no such row: {', '.join(unknown)} (there are {', '.join(ROWS)})")
    if arguments.write and (arguments.rows or arguments.quick):
        parser.error("--write is for a whole run")
    return arguments


if __name__ == "__main__":
    main()
