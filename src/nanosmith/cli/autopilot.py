"""`nanosmith autopilot` and `nanosmith captured`: traffic becomes a model that answers in its teacher's place."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from nanosmith.cli.keys import Folder, find_project, opened_ledger

if TYPE_CHECKING:
    from nanosmith.flows.autopilot import Autopilot
    from nanosmith.store.autopilots import State
    from nanosmith.store.home import Home

Name = Annotated[str, typer.Argument(help="Name of a route in nanosmith.toml.")]
Project = Annotated[str, typer.Option(help="Name or id of the project whose traffic it is.")]


def autopilot(
    route: Name,
    agreement: Annotated[float, typer.Option(help="Share of local answers that are the teacher's, in (0, 1).")] = 0.97,
    confidence: Annotated[float, typer.Option(help="How sure of that, in (0, 1).")] = 0.95,
    coverage: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of the traffic that a model has to answer.")
    ] = 0.3,
    least: Annotated[int, typer.Option(min=10, help="Answers of the teacher before the first model.")] = 500,
    canary: Annotated[int, typer.Option(min=1, help="Requests of the canary before all are answered.")] = 200,
    size: Annotated[Literal["auto", "pico", "nano", "mini"], typer.Option(help="How large a model.")] = "auto",
    budget: Annotated[str, typer.Option(help="Time to train one model.")] = "5m",
    every: Annotated[str, typer.Option(help="Time between two looks at the traffic.")] = "30s",
    once: Annotated[bool, typer.Option("--once", help="Do what there is to do now, and end.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show how far it is and what it decided, and end.")] = False,
    retreat: Annotated[bool, typer.Option("--retreat", help="Withdraw what answers locally, and end.")] = False,
    project: Project = "default",
    home: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per decision.")] = False,
) -> None:
    """Learn from what passes through a route until a model of your own answers most of it.

    Runs beside `nanosmith serve`. The route needs `capture = true` and `autopilot = true`.
    """
    from nanosmith.cli.progress import RichWatch
    from nanosmith.core.settings import TuneSettings, parse_duration
    from nanosmith.flows.autopilot import Autopilot, Goals
    from nanosmith.flows.certify import Promise, check
    from nanosmith.jobs.webhooks.webhooks import announce_autopilot
    from nanosmith.store.ledger import open_ledger

    check(Promise(agreement, confidence))
    tuning = TuneSettings(size=size, budget_s=parse_duration(budget))
    goals = Goals(agreement, confidence, coverage, least, canary, tuning)
    opened, every_s = _of_project(project, home), parse_duration(every)
    with closing(open_ledger(opened)) as ledger, RichWatch() as watch:
        pilot = Autopilot(route, opened, ledger, goals, watch, announce=announce_autopilot)
        _check_route(route, opened, needs=("capture", "autopilot"), is_known=bool(pilot.trail()))
        if status:
            _show_trail(pilot, as_json)
        elif retreat:
            _say(pilot.retreat("withdrawn by hand"), as_json)
        else:
            _fly(pilot, None if once else every_s, as_json)


def captured(
    route: Name,
    out: Annotated[Path, typer.Option(help="File to write, in the chat format.")],
    most: Annotated[int, typer.Option(min=1, help="Examples at most.")] = 10_000,
    project: Project = "default",
    home: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the captured traffic of a route as a training file: corrections first, then disagreements."""
    from nanosmith.core.errors import NotFound
    from nanosmith.flows.captured import lessons, write_lessons
    from nanosmith.store.captures import count_captures, read_captures
    from nanosmith.store.ledger import open_ledger

    opened = _of_project(project, home)
    with closing(open_ledger(opened)) as ledger:
        total = count_captures(ledger, route)
        found = lessons(read_captures(ledger, route), most)
    _check_route(route, opened, needs=("capture",), is_known=total > 0)
    if not found:
        raise NotFound("nothing was captured that can be learnt from", got=f"{total:,} requests of {route!r}",
                       code="no_traffic", remedy="What the last step answers, and corrections, are.")  # fmt: skip
    write_lessons(out, found)
    if as_json:
        typer.echo(json.dumps({"out": str(out.resolve()), "examples": len(found), "captured": total}))
    else:
        typer.echo(f"{len(found):,} examples from {total:,} captured requests are in {out}.")


def _of_project(project: str, home: Path | None) -> Home:
    """The data folder as a project, by its name or id, sees it. Raises NotFound."""
    from nanosmith.store.home import open_home

    with opened_ledger(home) as ledger:
        return open_home(home).of(find_project(ledger, project).id)


def _check_route(route: str, home: Home, *, needs: Sequence[str], is_known: bool) -> None:
    """Say on stderr what keeps a route from learning. Raises NotFound where neither nanosmith.toml names it nor the
    ledger knows it, InputError for a file that cannot be used."""
    from nanosmith.core.errors import NotFound, did_you_mean
    from nanosmith.store.config import find_config, read_config

    routes = read_config(find_config(home)).routes
    if route in routes:
        missing = [key for key in needs if not getattr(routes[route], key)]
        if missing:
            wanted = " and ".join(f"{key} = true" for key in missing)
            typer.echo(f"warning: [route.{route}] has no {wanted} in nanosmith.toml", err=True)
    elif not is_known:
        raise NotFound("no such route", got=repr(route), allowed="a [route.NAME] of nanosmith.toml", param="route",
                       remedy=did_you_mean(route, routes) or "See what is there: nanosmith routes")  # fmt: skip


def _fly(pilot: Autopilot, every_s: float | None, as_json: bool) -> None:
    """Step as long as something changes, and tell it; then end, or look again and again."""
    said = None
    while True:
        state = pilot.step()
        if state != said:
            _say(state, as_json)
            said = state
        elif every_s is None:
            return
        else:
            time.sleep(every_s)


def _say(state: State, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(state), ensure_ascii=False))
    else:
        typer.echo(f"{state.phase:8} {state.why or 'waiting for more of the teacher’s answers'}")


def _show_trail(pilot: Autopilot, as_json: bool) -> None:
    rows = pilot.trail()
    if as_json:
        typer.echo(json.dumps([{"at": row.created_at} | row.body for row in rows], ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("when", "phase", "what was decided", box=None)
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row.created_at))
        table.add_row(when, row.body["phase"], row.body["why"])
    Console().print(table if rows else "Nothing was decided yet.")
