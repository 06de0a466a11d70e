"""The picture of the backtest: by family, how often the interval was right, and the error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import StringIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.runway import MEAN, OURS, Score, Suites, score

INK = "#7d8590"
"""Can be read on white as well as on a dark page."""
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
COLOURS = {OURS: "#e8710a", MEAN: "#3b82f6"}


def svg(suites: Suites) -> str:
    """The picture as the text of an SVG file."""
    families = {name: found for suite in suites.values() for name, found in suite.items()}
    scores = {m: [score(found, m) for found in families.values()] for m in COLOURS}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        covered, early, error = figure.subplots(1, 3, sharey=True)
        _dots(covered, "Covered, in % (meant: 80)", scores, lambda s: 100 * s.covered)
        _dots(early, "Too early, in % (meant: 10)", scores, lambda s: 100 * s.early)
        _dots(error, "Median error, |log|", scores, lambda s: s.error)
        covered.axvline(80, color=INK, linestyle="dashed")
        early.axvline(10, color=INK, linestyle="dashed")
        covered.set_xlim(50, 100)
        covered.set_yticks(range(len(families)), list(families))
        covered.invert_yaxis()
        figure.legend(*error.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        file = StringIO()
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return file.getvalue()


def _dots(
    axes: Axes,
    title: str,
    scores: Mapping[str, Sequence[Score]],
    figure: Callable[[Score], float],
) -> None:
    for method, found in scores.items():
        values = [figure(one) for one in found]
        face = COLOURS[method] if method == OURS else "none"  # ours is seen below the other
        places = range(len(found))
        axes.plot(values, places, "o", label=method, color=COLOURS[method], markerfacecolor=face)
    axes.set_title(title, fontsize=9)
    axes.set_xlim(left=0)
