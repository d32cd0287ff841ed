"""`nanosmith autopilot` and `nanosmith captured`: traffic becomes a model that answers in its teacher's place."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

if TYPE_CHECKING:
    from nanosmith.flows.autopilot import Autopilot
    from nanosmith.store.autopilots import State

Name = Annotated[str, typer.Argument(help="Name of a route in nanosmith.toml.")]
Home = Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")]
Project = Annotated[str, typer.Option(help="Whose traffic.")]


def autopilot(
    route: Name,
    agreement: Annotated[float, typer.Option(help="Share of local answers that are the teacher's, in (0, 1).")] = 0.97,
    confidence: Annotated[float, typer.Option(help="How sure of that, in (0, 1).")] = 0.95,
    coverage: Annotated[float, typer.Option(help="Least share of the traffic that a model has to answer.")] = 0.3,
    least: Annotated[int, typer.Option(min=10, help="Answers of the teacher before the first model.")] = 500,
    canary: Annotated[int, typer.Option(min=1, help="Requests of the canary before all are answered.")] = 200,
    size: Annotated[Literal["auto", "pico", "nano", "mini"], typer.Option(help="How large a model.")] = "auto",
    budget: Annotated[str, typer.Option(help="Time to train one model.")] = "5m",
    every: Annotated[str, typer.Option(help="Time between two looks at the traffic.")] = "30s",
    once: Annotated[bool, typer.Option("--once", help="Do what there is to do now, and end.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show how far it is and what it decided, and end.")] = False,
    retreat: Annotated[bool, typer.Option("--retreat", help="Withdraw what answers locally, and end.")] = False,
    project: Project = "default",
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per decision.")] = False,
) -> None:
    """Learn from what passes through a route until a model of your own answers most of it.

    Runs beside `nanosmith serve`. The route needs `capture = true` and `autopilot = true`.
    """
    from nanosmith.cli.progress import RichWatch
    from nanosmith.core.settings import TuneSettings, parse_duration
    from nanosmith.flows.autopilot import Autopilot, Goals
    from nanosmith.store.home import open_home
    from nanosmith.store.ledger import open_ledger

    tuning = TuneSettings(size=size, budget_s=parse_duration(budget))
    goals = Goals(agreement, confidence, coverage, least, canary, tuning)
    opened, every_s = open_home(home).of(project), parse_duration(every)
    with closing(open_ledger(opened)) as ledger, RichWatch() as watch:
        pilot = Autopilot(route, opened, ledger, goals, watch)
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
    home: Home = None,
) -> None:
    """Write the captured traffic of a route as a training file: corrections first, then disagreements."""
    from nanosmith.flows.captured import lessons, write_lessons
    from nanosmith.store.captures import count_captures, read_captures
    from nanosmith.store.home import open_home
    from nanosmith.store.ledger import open_ledger

    with closing(open_ledger(open_home(home).of(project))) as ledger:
        total = count_captures(ledger, route)
        found = lessons(read_captures(ledger, route), most)
    write_lessons(out, found)
    typer.echo(f"{len(found):,} examples from {total:,} captured requests are in {out}.")


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
