"""The picture: every ratio that has an aim, and the two curves.

Drawn on nothing and in colours that can be read on white as well as on a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmarks.measured import NAIVE, OFFICIAL, OFFICIAL_AIOHTTP, OURS, Curve, Result, Section

INK = "#7d8590"
COLOURS = {OURS: "#e8710a", NAIVE: "#3b82f6", OFFICIAL: "#a855f7", OFFICIAL_AIOHTTP: "#d946a0"}
STYLE = {
    "svg.hashsalt": "benchmarks",  # the same figures make the same file
    "svg.fonttype": "none",  # text as text: small, and in the font of the page
    "font.family": "sans-serif",
    "font.size": 9,
    **dict.fromkeys(
        ["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], INK
    ),
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.xmargin": 0.08,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def svg(sections: Mapping[str, Section]) -> str:
    """The picture as the text of an SVG file."""
    curves = [section.curve for section in sections.values() if section.curve is not None]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 8), layout="constrained")
        ratios, below = figure.subfigures(2, 1, height_ratios=(1.3, 1))
        ratios.suptitle(f"What {OURS} takes (dot), where others take 1, and the aim at most (bar)")
        _ratios(ratios.subplots(), sections)
        for axes, curve in zip(below.subplots(1, len(curves)), curves, strict=True):
            _curve(axes, curve)
        file = StringIO()
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return file.getvalue()


def _ratios(axes: Axes, sections: Mapping[str, Section]) -> None:
    shown = [
        (f"{name}: {_contenders(result)}", result)
        for name, section in sections.items()
        for result in section.results
        if result.unit == "×" and result.aim is not None and result.measured is not None
    ]
    for place, (_, result) in enumerate(shown):
        colour = COLOURS[OURS]
        axes.plot(result.spread or (), [place] * len(result.spread or ()), color=colour, alpha=0.5)
        axes.plot(result.measured, place, "o", color=colour)
        axes.plot(result.aim, place, "|", color=INK, markersize=14, markeredgewidth=2)
    axes.set_yticks(range(len(shown)), [label for label, _ in shown])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5], minor=False)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _contenders(result: Result) -> str:
    particular = result.contender.removeprefix(OURS).strip()
    return f"{particular} beside {result.beside}".strip()


def _curve(axes: Axes, curve: Curve) -> None:
    for name, points in curve.series.items():
        axes.plot([*points], [*points.values()], "o-", label=name, color=COLOURS[name], ms=4)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_title(f"{curve.title}, {curve.y}")
    axes.set_xlabel(curve.x)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend()
