"""A CostReport as one HTML page."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from nanosmith.core.budget import allowed_text
from nanosmith.core.errors import MissingExtra
from nanosmith.score.costs import HEADINGS, CostReport, cells, dollars
from nanosmith.score.render import figures
from nanosmith.score.render.html import page_of
from nanosmith.store.ledger.budgets import Standing

TITLES = {
    "model": "By model", "route": "By route", "day": "By day, UTC", "key": "By key", "project": "By project",
    "provider": "By provider",
}  # fmt: skip


def check_costs_html() -> None:
    """Raises MissingExtra when a page could not be made."""
    if find_spec("jinja2") is None:
        raise MissingExtra("jinja2", "train")


def costs_as_html(report: CostReport) -> str:
    """Raises MissingExtra without jinja2."""
    tables = [(title, _rows(report, by)) for by, title in TITLES.items() if report.tables[by]]  # type: ignore[index]
    total = report.total.sums
    tiles = [
        ("Spent", dollars(total.cost), f"{total.unknown:,} requests of unknown cost" if total.unknown else ""),
        ("Saved", dollars(total.saved), "what local answers would have cost at their route's last step"),
        ("Requests", f"{total.requests:,}", f"{figures.percent(report.local_share, 1)} answered here"),
        ("Tokens", f"{total.input_tokens + total.output_tokens:,}", f"{total.cached_tokens:,} read from caches"),
    ]
    since = f"since {figures.day(report.since)}" if report.since else "of all that was kept"
    return page_of(
        "costs.html", report=report, tiles=tiles, tables=tables, headings=HEADINGS, since=since,
        budgets=[_budget(*row) for row in report.budgets],
    )  # fmt: skip


def _rows(report: CostReport, by: Any) -> list[tuple[str, float, tuple[str, ...]]]:
    """Name, share of the dearest, and figures."""
    groups = report.tables[by]
    dearest = max(group.sums.cost for group in groups) or 1
    return [(report.name(by, group), group.sums.cost / dearest, cells(group.sums)) for group in groups]


def _budget(id: str, standing: Standing) -> tuple[str, float, tuple[str, ...]]:
    """Name, share that is spent, and figures."""
    budget = standing.budget
    used = standing.budget.amount - standing.left
    amounts = (standing.spent, standing.reserved + standing.unsettled, max(0, standing.left))
    return budget.name, min(1.0, used / max(1, budget.amount)), (allowed_text(budget), *map(dollars, amounts))
