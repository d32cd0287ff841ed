"""The plots of a report as SVG text, drawn by matplotlib in ink that the page's style sheet colours.

matplotlib knows no dark mode, so every colour is drawn as a stand-in that becomes a CSS variable afterwards.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from nanosmith.score.calibration import ReliabilityBin
from nanosmith.score.coverage import CoveragePoint
from nanosmith.score.latency import Latency
from nanosmith.score.robustness import Robustness
from nanosmith.score.scope import ScopeFigures

INK, MUTED, GRID, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", ACCENT: "--accent", SECOND: "--second"}
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "nanosmith",  # ids, and so the whole page, are the same at every run
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
}
INCHES = (4.9, 3.1)


def reliability(bins: tuple[ReliabilityBin, ...]) -> str:
    """Confidence against accuracy per bin; on the diagonal a confidence means what it says."""

    def draw(axes: Any) -> None:
        confidence = [100 * row.confidence for row in bins]
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(
            confidence, [100 * row.accuracy for row in bins], color=ACCENT, linewidth=1.5, marker="o", markersize=4.5
        )
        axes.set(xlim=(0, 102), ylim=(0, 102), xlabel="mean confidence, %", ylabel="right answers, %")

    return _svg("reliability", draw)


def coverage(points: tuple[CoveragePoint, ...]) -> str:
    """Share answered against accuracy of what is answered, least confident answers passed on first."""

    def draw(axes: Any) -> None:
        accuracy = [100 * point.accuracy for point in points]
        axes.step([100 * point.coverage for point in points], accuracy, where="post", color=ACCENT, linewidth=1.8)
        low = min(accuracy)
        axes.set(xlim=(0, 102), ylim=(max(0.0, low - 0.15 * (101 - low)), 100.4))
        axes.set(xlabel="requests answered here, %", ylabel="right among them, %")

    return _svg("coverage", draw)


def scope(found: ScopeFigures) -> str:
    """In-scope queries that are refused against the others that are, with the model's own threshold as a point."""

    def draw(axes: Any) -> None:
        axes.plot(
            [100 * point.inside for point in found.curve],
            [100 * point.outside for point in found.curve],
            color=ACCENT,
            linewidth=1.8,
        )
        if found.refused is not None and found.recall is not None:
            axes.plot([100 * found.refused], [100 * found.recall], color=INK, marker="o", markersize=5)
        axes.set(xlim=(-0.5, 50), ylim=(0, 102), xlabel="refused in scope, %", ylabel="refused out of scope, %")

    return _svg("scope", draw)


def typos(found: Robustness) -> str:
    """Accuracy over the share of words with a typo, with 95 % intervals; what one changed character leaves, dashed."""

    def draw(axes: Any) -> None:
        shares = [0.0, *(float(row.typos.removesuffix("%")) for row in found.curve)]
        accuracy = [100 * found.clean_accuracy, *(100 * row.accuracy for row in found.curve)]
        low, high = ([accuracy[0], *(100 * row.accuracy_interval[side] for row in found.curve)] for side in (0, 1))
        axes.fill_between(shares, low, high, color=ACCENT, alpha=0.18, linewidth=0)
        axes.plot(shares, accuracy, color=ACCENT, linewidth=1.8, marker="o", markersize=4.5)
        if found.attack:
            left = 100 * found.attack.accuracy
            axes.axhline(left, color=SECOND, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate("worst single character", (shares[-1], left), xytext=(0, 4), textcoords="offset points",
                          ha="right")  # fmt: skip
        axes.set(xlabel="words with a typo, %", ylabel="right answers, %", xlim=(-0.5, shares[-1] + 0.5))
        axes.set_ylim(top=min(102.0, max(accuracy) + 4))

    return _svg("typos", draw)


def latency(times: Latency) -> str:
    """How the duration of single calls is spread, with p50 and p95."""

    def draw(axes: Any) -> None:
        edges, counts = times.histogram.edges_ms, times.histogram.counts
        axes.stairs([100 * count / times.calls for count in counts], edges, fill=True, color=ACCENT, alpha=0.85)
        for name, value in (("p50", times.p50), ("p95", times.p95)):
            axes.axvline(value, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                name, (value, 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points"
            )
        axes.set(xlabel="milliseconds per call", ylabel="calls, %", xlim=(edges[0], edges[-1]))

    return _svg("latency", draw)


def _svg(name: str, draw: Callable[[Any], None]) -> str:
    """Draw on fresh axes; no global figure, no display."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots()
        axes.tick_params(length=0)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(file.getvalue(), name)


def _for_page(svg: str, name: str) -> str:
    """Only the <svg> element, without metadata, with ids of its own, in the colours and font of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'( id="|url\(#| href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: (\d+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{name}">', svg, count=1
    )
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
