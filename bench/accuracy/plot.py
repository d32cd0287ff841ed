"""The accuracies as one SVG: a row per set, a mark per contender with its interval."""

from __future__ import annotations

import io
from collections.abc import Mapping

from bench.accuracy.figures import summary
from bench.accuracy.tables import ACCURACY, Groups

from nanosmith.score.render.plots import STYLE

INK, GRID = "#7a7f87", "#c8ccd2"  # legible on a white page and on a dark one
COLOURS = ("#e69f00", "#b8860b", "#009e73", "#56b4e9", "#cc79a7", "#8c6bb1", "#d55e00", "#f2a07b")
"""Of the contenders in their order; after Okabe and Ito, "Color Universal Design"."""
MARKERS = "osD^v<*P"
INCHES = (8.5, 7.0)


def svg(groups: Groups, titles: Mapping[str, str]) -> str:
    """Contenders without any accuracy are left out, and so are sets."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID, "grid.color": GRID,
               "xtick.color": GRID, "ytick.color": GRID, "xtick.labelcolor": INK, "ytick.labelcolor": INK}  # fmt: skip
    lines = [line for line in ACCURACY.lines if any((line.set, line.shots, name) in groups for name in titles)]
    with matplotlib.rc_context(STYLE | colours):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots()
        for number, (name, title) in enumerate(titles.items()):
            found = [(y, summary(groups.get((line.set, line.shots, name), []), "accuracy"))
                     for y, line in enumerate(lines)]  # fmt: skip
            points = [(y + 0.08 * (number - len(titles) / 2), one) for y, one in found if one]
            if points:
                axes.errorbar(
                    [one.mean for _, one in points], [y for y, _ in points], xerr=[one.half or 0 for _, one in points],
                    fmt=MARKERS[number % len(MARKERS)], markersize=5, linewidth=1.2, label=title,
                    color=COLOURS[number % len(COLOURS)],
                )  # fmt: skip
        axes.set_yticks(range(len(lines)), [line.title for line in lines])
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.set_xlabel("accuracy, %")
        axes.grid(axis="y", visible=False)
        if lines:
            figure.legend(loc="outside upper center", ncols=3)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
