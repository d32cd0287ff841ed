"""Writes the measured part of docs/speed.md, and docs/speed.svg, from docs/speed.json."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nanosmith.score.render.plots import STYLE

BEGIN, END = "<!-- made by python -m bench.speed -->", "<!-- end of what was made -->"
YARDSTICK = "ONNX Runtime int8"
INK, GRID = "#7a7f87", "#c8ccd2"  # legible on a white page and on a dark one
OURS, PEERS = "#e69f00", "#56b4e9"


def write_page(page: Path) -> None:
    """What stands around the measured part stays."""
    found = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    old = page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{measured(found)}\n{END}{after}", encoding="utf-8")
    page.with_suffix(".svg").write_text(svg(found), encoding="utf-8")


def measured(found: dict[str, Any]) -> str:
    short = " A short run: peers fitted on a fifth of the rows, accuracy of 300 texts." if found["short"] else ""
    head = f"{found['day']}, {found['cpu']}, Nanosmith {found['nanosmith']}, {found['data']}, one core,"
    head += f" load average before {found['load']:.1f}.{short}"
    lengths = sorted({row["tokens"] for row in found["rows"]} - {0})
    parts = [head, "![Accuracy and mean latency](speed.svg)", "### All test texts, one by one", overview(found)]
    for length in lengths:
        parts += [f"### {length} tokens", grid([row for row in found["rows"] if row["tokens"] == length])]
    return "\n\n".join(parts) + "\n"


def overview(found: dict[str, Any]) -> str:
    rows = {row["contender"]: row for row in found["rows"] if row["tokens"] == 0}
    joules = any(row["joules_per_1000"] is not None for row in rows.values())
    energy = "J per 1,000" if joules else "CPU s per 1,000"
    header = ("contender", "accuracy", "p50 ms", "p99 ms", "mean ms", f"mean, of {YARDSTICK}", "texts/s", energy,
              "MB on disk", "MB peak memory", "s to open")  # fmt: skip
    lines = []
    for name, about in found["contenders"].items():
        row = rows[name]
        used = row["joules_per_1000"] if joules else row["cpu_s_per_1000"]
        lines.append((
            name, f"{100 * about['accuracy']:.1f}", *map(ms, (row["p50_ms"], row["p99_ms"], row["mean_ms"])),
            ratio(row, rows.get(YARDSTICK)), f"{row['texts_per_s']:,.0f}", f"{used:.2f}", f"{about['bytes'] / 1e6:.1f}",
            f"{about['peak_bytes'] / 1e6:.0f}", f"{about['opened_s']:.2f}",
        ))  # fmt: skip
    return table(header, lines)


def grid(rows: Sequence[dict[str, Any]]) -> str:
    """Each cell: p50 / p99 in ms of a call, and texts per second."""
    cells = list(dict.fromkeys((row["batch"], row["clients"]) for row in rows))
    header = ("contender", *(f"{clients} client{'s' * (clients > 1)}" if batch == 1 else f"batches of {batch}"
                             for batch, clients in cells))  # fmt: skip
    lines = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        mine = {(row["batch"], row["clients"]): row for row in rows if row["contender"] == name}
        shown = (f"{ms(one['p50_ms'])} / {ms(one['p99_ms'])}, {one['texts_per_s']:,.0f}/s"
                 for one in (mine[cell] for cell in cells))  # fmt: skip
        lines.append((name, *shown))
    return table(header, lines)


def ratio(row: dict[str, Any], yardstick: dict[str, Any] | None) -> str:
    """The median over the turns, each of which had both contenders."""
    if yardstick is None:
        return "–"
    found = sorted(a / b for a, b in zip(row["by_turn_ms"], yardstick["by_turn_ms"]))
    middle = len(found) // 2
    return f"{found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2:.3f} ×"


def ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))


def svg(found: dict[str, Any]) -> str:
    """Accuracy over the mean time of an answer."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID, "grid.color": GRID,
               "xtick.color": GRID, "ytick.color": GRID, "xtick.labelcolor": INK, "ytick.labelcolor": INK}  # fmt: skip
    means = {row["contender"]: row["mean_ms"] for row in found["rows"] if row["tokens"] == 0}
    with matplotlib.rc_context(STYLE | colours):
        figure = Figure(figsize=(8.0, 4.5), layout="constrained")
        axes = figure.subplots()
        for name, about in found["contenders"].items():
            point = means[name], 100 * about["accuracy"]
            axes.plot(*point, "o", color=OURS if name.startswith("Nanosmith") else PEERS)
            axes.annotate(name, point, xytext=(6, 4), textcoords="offset points")
        axes.set_xscale("log")
        axes.margins(x=0.15, y=0.12)
        axes.set_xlabel("mean time of an answer, ms")
        axes.set_ylabel("accuracy, %")
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
