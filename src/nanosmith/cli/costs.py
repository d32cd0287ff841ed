"""`nanosmith costs`: what calls of remote models cost, and what local answers saved."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nanosmith.cli.keys import AsJson, Folder, find_project, opened_ledger

if TYPE_CHECKING:
    from nanosmith.score.costs import CostReport
    from nanosmith.store.ledger import Ledger
    from nanosmith.store.ledger.costs import CostGroup

By = Literal["model", "route", "key", "day", "project", "provider"]
AGO = re.compile(r"(\d{1,5})\s*([hdw])")
UNITS_S = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
WHEN = 'a date such as 2026-11-01 (UTC), or "24h", "7d", "4w" ago'


def costs(
    by: Annotated[By, typer.Option(help="What to sum by.")] = "model",
    since: Annotated[str | None, typer.Option(help=f"From when on: {WHEN}. None: all.")] = None,
    project: Annotated[str | None, typer.Option(help="Name or id of a project. None: all.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with all tables to this file.")] = None,
    forget_before: Annotated[
        str | None, typer.Option(help=f"Delete what is older than this, instead of showing anything: {WHEN}.")
    ] = None,
    home: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Show what was spent and saved. Figures are at most some tenths of a second old."""
    if forget_before is not None:
        _forget(forget_before, home, as_json=as_json)
        return
    if html is not None:
        from nanosmith.cli.page import check_target
        from nanosmith.score.render.costs import check_costs_html

        check_costs_html()
        check_target(html)
    began = _moment(since, "since") if since else 0
    with opened_ledger(home) as ledger:
        report = _report(ledger, home, began, find_project(ledger, project).id if project else None)
    if html is not None:
        from nanosmith.cli.page import write_page
        from nanosmith.score.render.costs import costs_as_html

        write_page(costs_as_html(report), html)
    if as_json:
        typer.echo(json.dumps(_as_object(report, by), ensure_ascii=False))
    else:
        _show(report, by)


def _forget(before: str, home: Path | None, *, as_json: bool) -> None:
    from nanosmith.store.ledger.costs import CostRows

    with opened_ledger(home) as ledger:
        count = CostRows(ledger.database).forget(_moment(before, "forget-before"))
    typer.echo(json.dumps({"forgotten": count}) if as_json else f"Forgot {count:,} rows, each a sum of one hour.")


def _report(ledger: Ledger, home: Path | None, since: int, project: str | None) -> CostReport:
    from nanosmith.cli.budgets import standings
    from nanosmith.score.costs import CostReport
    from nanosmith.store.home import open_home
    from nanosmith.store.ledger.costs import TABLES, CostRows

    rows = CostRows(ledger.database)
    tables = {by: rows.groups(by, since=since, project=project) for by in TABLES}
    budgets = [
        (id, standing) for id, standing in standings(ledger, open_home(home))
        if project is None or standing.budget.project in ("", project)
    ]  # fmt: skip
    return CostReport(since, int(time.time()), tables, budgets)


def _moment(text: str, param: str) -> int:
    """Unix seconds. Raises InputError."""
    from datetime import UTC, datetime

    from nanosmith.core.errors import InputError

    if found := AGO.fullmatch(text.strip()):
        return max(0, int(time.time()) - int(found[1]) * UNITS_S[found[2]])
    try:
        return max(0, int(datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC).timestamp()))
    except ValueError:
        raise InputError("not a time", got=repr(text), allowed=WHEN, param=param) from None


def _as_object(report: CostReport, by: By) -> dict[str, Any]:
    from nanosmith.cli.budgets import as_object

    return {
        "since": report.since or None,
        "by": by,
        "groups": [{"name": report.name(by, group), **_figures(group)} for group in report.tables[by]],
        "total": _figures(report.total),
        "budgets": [as_object(id, standing) for id, standing in report.budgets],
    }


def _figures(group: CostGroup) -> dict[str, Any]:
    from nanosmith.core.money import NANO

    sums = group.sums
    return {
        "requests": sums.requests, "input_tokens": sums.input_tokens, "cached_tokens": sums.cached_tokens,
        "output_tokens": sums.output_tokens, "cost_usd": sums.cost / NANO, "saved_usd": sums.saved / NANO,
        "unknown_cost_requests": sums.unknown,
    }  # fmt: skip


def _show(report: CostReport, by: By) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nanosmith.score.costs import HEADINGS, cells

    groups = report.tables[by]
    if not groups:
        typer.echo("Nothing was spent or saved in this time.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(groups) > 1)
    for i, (heading, total) in enumerate(zip((by, *HEADINGS), ("total", *cells(report.total.sums)))):
        table.add_column(heading, total, justify="right" if i else "left", overflow="fold", no_wrap=bool(i))
    for group in groups:
        table.add_row(Text(report.name(by, group)), *cells(group.sums))
    Console(highlight=False).print(table)
    for line in report.notes:
        typer.echo(line)
