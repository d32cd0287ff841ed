"""What a certificate promises, and how traffic fared since, as SVG files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nanosmith.core.certificate import Certificate
from nanosmith.score.render.front import ACCENT, COLOURS, MUTED, SECOND
from nanosmith.score.render.plots import INCHES, STYLE

DASHED = (0, (4, 3))


def draw(one: Certificate) -> str:
    """Agreement over coverage at all thresholds that were tested, with the lower bound, the target and the choice."""

    def plot(axes: Any) -> None:
        shares = [100 * row.coverage for row in one.tested]
        axes.plot(shares, [100 * row.agreement for row in one.tested], color=ACCENT, linewidth=1.8, label="agreement")
        axes.plot(shares, [100 * row.bound for row in one.tested], color=ACCENT, linewidth=1.2, linestyle=DASHED,
                  label=f"lower bound, {one.confidence:.3g}")  # fmt: skip
        axes.axhline(100 * one.target, color=MUTED, linewidth=1, label="promise")
        axes.plot([100 * one.coverage], [100 * one.bound], color=SECOND, marker="o", label="chosen")
        axes.set(xlabel="answered here, %", ylabel=f"as {one.teacher}, %")
        axes.legend(fontsize=8)

    return figure([plot])


def watched(history: Sequence[Mapping[str, Any]], alarms: Sequence[Mapping[str, Any]], target: float) -> str:
    """Over requests: the audits' agreement with its running bound, and how far traffic was from the sample; alarms are
    vertical lines. `history` and `alarms` are those of a route's audit (store.audits)."""
    seen = [row["seen"] for row in history]

    def mark(axes: Any) -> None:
        for alarm in alarms:
            axes.axvline(alarm["seen"], color=SECOND, linewidth=1)
            axes.annotate(alarm["kind"], (alarm["seen"], 1), xycoords=("data", "axes fraction"), fontsize=8,
                          xytext=(3, -9), textcoords="offset points", color=SECOND)  # fmt: skip

    def agreement(axes: Any) -> None:
        known = [(row["seen"], 100 * row["agreement"]) for row in history if row["agreement"] is not None]
        axes.plot([at for at, _ in known], [share for _, share in known], color=ACCENT, linewidth=1.8)
        axes.plot(seen, [100 * row["bound"] for row in history], color=ACCENT, linewidth=1.2, linestyle=DASHED)
        axes.axhline(100 * target, color=MUTED, linewidth=1)
        mark(axes)
        axes.set(ylabel="audits that agree, %")

    def shift(axes: Any) -> None:
        axes.plot(seen, [row["input"] for row in history], color=ACCENT, linewidth=1.5, label="confidences")
        axes.plot(seen, [row["labels"] for row in history], color=MUTED, linewidth=1.5, label="labels")
        mark(axes)
        axes.set(xlabel="requests", ylabel="distance from the sample")
        axes.legend(fontsize=8)

    return figure([agreement, shift])


def figure(panels: Sequence[Callable[[Any], None]], *, across: bool = False) -> str:
    """SVG of one or several panels, below or beside each other."""
    import matplotlib
    from matplotlib.figure import Figure

    n = len(panels)
    wide, high = (n, 1) if across else (1, n)
    with matplotlib.rc_context({**STYLE, **COLOURS}):
        made = Figure(figsize=(INCHES[0] * wide, INCHES[1] * high), layout="constrained")
        for axes, panel in zip(made.subplots(high, wide, squeeze=False).flat, panels):
            panel(axes)
            axes.tick_params(length=0)
        file = io.StringIO()
        made.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file.getvalue()
