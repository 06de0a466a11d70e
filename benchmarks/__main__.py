"""Measure the package beside what people would use instead, in one run and taking turns.

    python -m benchmarks                 every row, about five minutes
    python -m benchmarks balance import  these rows
    python -m benchmarks --quick         a smoke test, whose figures say nothing
    python -m benchmarks --write         every row, into benchmarks/results.md and results.svg
    python -m benchmarks runway          no speed: how often a forecast of the runway is right

The contenders are this package, aiohttp by hand, and the official SDK (`pip install
'cloudflare[aiohttp]'`; without it, its rows are skipped), each in a process of its own, and each as
its users would write it: see contenders.py. They ask a server in another process, which answers
with bytes made beforehand.

Machines are noisy, so a figure counts only as a ratio to what stands beside it, and is the median
of five rounds or more. CPU is that of the contender's process alone, all its threads. Wherever the
row does not say otherwise, the packages of the `speedups` extra are out of reach, installed or not.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import report, server
from benchmarks.measured import Bench, Section
from benchmarks.rows import ROWS

HERE = Path(__file__).parent


def main() -> None:
    """Measure the rows named on the command line, or all."""
    if sys.argv[1:2] == ["runway"]:
        from benchmarks import runway

        runway.main(sys.argv[2:])
        return
    arguments = _arguments()
    _forget_environment()
    sections: dict[str, Section] = {}
    with server.running() as base_url:
        bench = Bench(base_url, quick=arguments.quick)
        for name in arguments.rows or ROWS:
            sections[name] = ROWS[name](bench)
            print(report.text(name, sections[name]), flush=True)
    if arguments.write:
        _write(sections)


def _write(sections: dict[str, Section]) -> None:
    from benchmarks import plot  # matplotlib is needed for nothing else

    (HERE / "results.md").write_text(report.markdown(sections), encoding="utf-8")
    (HERE / "results.svg").write_text(plot.svg(sections), encoding="utf-8")


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
    parser.add_argument("--write", action="store_true", help="write results.md and results.svg")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"no such row: {', '.join(unknown)} (there are {', '.join(ROWS)})")
    if arguments.write and (arguments.rows or arguments.quick):
        parser.error("--write is for a whole run")
    return arguments


if __name__ == "__main__":
    main()
