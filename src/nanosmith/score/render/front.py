"""The trade-off of bytes, time and accuracy as a plot: one panel per task, a point per model."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from nanosmith.score.front import Point
from nanosmith.score.render.plots import STYLE

INK, ACCENT, SECOND, MUTED, GRID = "#2b3036", "#2563a8", "#b4531f", "#8a9099", "#c8ccd2"
COLOURS = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID, "grid.color": GRID, "xtick.color": GRID,
           "ytick.color": GRID, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED}  # fmt: skip
PANEL_INCHES = (4.6, 3.4)
AREA = 40.0  # square points of a marker that stands for a millisecond
LEAST_AREA = 8.0


def plot(panels: Mapping[str, tuple[Point, Sequence[Point]]]) -> str:
    """SVG of a panel for each name: its teacher, and its students. Across: bytes, on a logarithmic scale; up: accuracy;
    the area of a point is its latency; the Pareto front is joined by a line."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, **COLOURS}):
        figure = Figure(figsize=(PANEL_INCHES[0] * len(panels), PANEL_INCHES[1]), layout="constrained")
        for axes, (name, (teacher, students)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
            _draw(axes, name, teacher, students)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _draw(axes: Any, name: str, teacher: Point, students: Sequence[Point]) -> None:
    scored = [point for point in students if point.loss]
    front = [point for point in scored if point.on_front]
    axes.plot([_megabytes(p) for p in front], [_percent(p) for p in front], color=ACCENT, linewidth=1.2)
    for points, colour in (([p for p in scored if not p.on_front], MUTED), (front, ACCENT), ([teacher], SECOND)):
        areas = [max(LEAST_AREA, AREA * point.latency_ms) for point in points]
        axes.scatter([_megabytes(p) for p in points], [_percent(p) for p in points], s=areas, color=colour, zorder=3,
                     alpha=0.85, linewidths=0)  # fmt: skip
    for point in (teacher, *front):
        axes.annotate(f"{point.latency_ms:.2g} ms", (_megabytes(point), _percent(point)), xytext=(4, -11),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set(xscale="log", xlabel="bundle, MB", ylabel="right answers, %", title=name)
    axes.tick_params(length=0, which="both")


def _megabytes(point: Point) -> float:
    return point.bytes / 1e6


def _percent(point: Point) -> float:
    return 100 * point.loss.accuracy if point.loss else 0.0
