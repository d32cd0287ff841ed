"""Writes the measured part of docs/accuracy.md, and docs/accuracy.svg, from the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.accuracy import results
from bench.accuracy.contender import Contender
from bench.accuracy.plot import svg
from bench.accuracy.results import Result
from bench.accuracy.tables import TABLES, Groups, markdown, training_times

BEGIN, END = "<!-- made by python -m bench.accuracy -->", "<!-- end of what was made -->"


def write_page(path: Path, contenders: Mapping[str, Contender]) -> None:
    """Beside the results in `path`; what stands around the measured part of a page stays."""
    groups = results.newest(results.read(path))
    titles = {name: contender.title for name, contender in contenders.items()}
    page, plot = path.with_suffix(".md"), path.with_suffix(".svg")
    old = page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{measured(groups, titles, plot.name)}\n{END}{after}", encoding="utf-8")
    plot.write_text(svg(groups, titles), encoding="utf-8")


def measured(groups: Groups, titles: Mapping[str, str], plot: str) -> str:
    tables = [*(markdown(table, groups, titles) for table in TABLES), training_times(groups, titles)]
    return "\n".join(
        [f"![Accuracy of all contenders on all sets]({plot})", "", *filter(None, tables), versions(groups)]
    )


def versions(groups: Groups) -> str:
    """What was measured, how often, and where."""
    everything = [result for group in groups.values() for result in group]
    lines = []
    for name in dict.fromkeys(result["contender"] for result in everything):
        mine = [result for result in everything if result["contender"] == name]
        seeds = sorted({result["seed"] for result in mine})
        lines.append(f"- `{name}`: {_all_of(mine, 'version')}, {'seeds' if len(seeds) > 1 else 'seed'} "
                     f"{', '.join(map(str, seeds))}{_budgets(mine)}")  # fmt: skip
    machine = f"Machine: {_all_of(everything, 'cpu')}; threads: {_all_of(everything, 'threads')}."
    return "\n".join(["## What was measured", "", *lines, "", machine, ""])


def _all_of(found: list[Result], name: str) -> str:
    return " and ".join(dict.fromkeys(str(result[name]) for result in found))


def _budgets(found: list[Result]) -> str:
    budgets = [budget for budget in dict.fromkeys(result["budget"] for result in found) if budget]
    return f", budget {' and '.join(budgets)}" if budgets else ""
