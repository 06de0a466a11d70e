"""The table, for a terminal and as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from benchmarks.measured import Curve, Result, Section, in_seconds

HEADINGS = ("", "beside", "measured", "rounds", "aim", "", "figures")
WIDTHS = (40, 34, 9, 14, 8, 6, 0)
VERSIONS = (
    "cfaigw_billing", "aiohttp", "anyio", "attrs", "cattrs", "orjson", "uvloop",
    "cloudflare", "httpx", "httpx-aiohttp", "pydantic",
)  # fmt: skip

INTRODUCTION = """\
# Measurements

What `python -m benchmarks --write` measured. Each figure is the median of the rounds, in which the
contenders take turns; beside it stand the lowest and the highest of the rounds. A ratio below 1
means that the first takes less. What has no aim is for information.
"""


def text(name: str, section: Section) -> str:
    """A part of the table for a terminal."""
    lines = [f"{name}: {section.title}"]
    if section.results:
        lines += map(_line, [HEADINGS, *map(_cells, section.results)])
    if section.curve is not None:
        lines += map(_line, _curve(section.curve))
    return "\n".join(lines) + "\n"


def markdown(sections: Mapping[str, Section]) -> str:
    """All of it as a page."""
    parts = [
        INTRODUCTION,
        f"{_machine()}\n",
        "![Ratios with their aims, and two curves](results.svg)\n",
    ]
    for section in sections.values():
        parts.append(f"## {section.title}\n")
        if section.results:
            parts.append(_table(HEADINGS, map(_cells, section.results)))
        if section.curve is not None:
            heading, *rows = _curve(section.curve)
            parts.append(_table(heading, rows))
    return "\n".join(parts)


def _cells(result: Result) -> tuple[str, ...]:
    unit = result.unit
    return (
        result.contender,
        result.beside,
        "–" if result.measured is None else _amount(result.measured, unit),
        "–".join(_amount(bound, unit, bare=True) for bound in result.spread or ()),
        "" if result.aim is None else f"≤ {_amount(result.aim, unit)}",
        result.verdict,
        result.figures,
    )


def _amount(value: float, unit: str, *, bare: bool = False) -> str:
    """With its unit; where that is clear from elsewhere, bare."""
    if unit == "s":
        return in_seconds(value)
    return f"{value:.2f}" if unit == "×" or bare else f"{value:.2f} {unit}"


def _curve(curve: Curve) -> list[tuple[str, ...]]:
    steps = sorted({step for points in curve.series.values() for step in points})
    heading = (f"{curve.y}, by {curve.x}", *(f"{step:,}" for step in steps))
    rows = [
        (name, *(f"{points[step]:,.0f}" if step in points else "–" for step in steps))
        for name, points in curve.series.items()
    ]
    return [heading, *rows]


def _line(cells: Iterable[str]) -> str:
    padded = [f"{cell:{width}}" for cell, width in zip(cells, WIDTHS, strict=False)]
    return f"  {' '.join(padded).rstrip()}"


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [heading, ["---"] * len(list(heading)), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


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
