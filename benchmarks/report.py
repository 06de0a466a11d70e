"""The table, for a terminal and as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from benchmarks.rows import Result, Row

HEADINGS = ("beside", "median", "rounds", "aim", "", "figures")
WIDTHS = (32, 6, 11, 6, 6, 0)
VERSIONS = (
    "cfaigw_billing", "aiohttp", "anyio", "attrs", "cattrs", "orjson", "uvloop",
    "cloudflare", "httpx", "httpx-aiohttp", "pydantic",
)  # fmt: skip

INTRODUCTION = """\
# Measurements

What `python -m benchmarks --write` measured. Each figure is CPU time, except in the last row, and a
ratio: what this package takes to what stands beside it, so below 1 is less. It is the median of the
rounds, in which the contenders take turns; after it stand the lowest and the highest round. What
has no aim is for information.
"""


def text(name: str, row: Row, results: Sequence[Result]) -> str:
    """A row for a terminal."""
    lines = [f"{name}: {row.title}"]
    for cells in (HEADINGS, *map(_cells, results)):
        padded = [f"{cell:{width}}" for cell, width in zip(cells, WIDTHS, strict=True)]
        lines.append(f"  {' '.join(padded).rstrip()}")
    return "\n".join(lines) + "\n"


def markdown(measured: Mapping[str, tuple[Row, Sequence[Result]]]) -> str:
    """All of it as a page."""
    lines = [("work", *HEADINGS), ("---",) * (len(HEADINGS) + 1)]
    for row, results in measured.values():
        titles = (row.title, *[""] * len(results))
        lines += [(title, *_cells(result)) for title, result in zip(titles, results, strict=False)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{INTRODUCTION}\n{_machine()}\n\n{table}\n"


def _cells(result: Result) -> tuple[str, ...]:
    aim = "" if result.aim is None else f"≤ {result.aim:.2f}"
    if not result.ratios:
        return result.beside, "–", "", aim, "", result.figures
    middle = median(result.ratios)
    met = "" if result.aim is None else "met" if middle <= result.aim else "missed"
    rounds = f"{min(result.ratios):.2f}–{max(result.ratios):.2f}"
    return result.beside, f"{middle:.3f}", rounds, aim, met, result.figures


def _machine() -> str:
    """What it was measured on, as far as it matters and says nothing about whose it is."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    facts = [f"{os.cpu_count()} CPUs ({platform.machine()})", platform.system(), python]
    facts += [f"{name} {_version(name)}" for name in VERSIONS]
    return f"{datetime.now(UTC):%Y-%m-%d} · {' · '.join(facts)}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
