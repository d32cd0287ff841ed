"""`nanosmith import`: what can be brought along from a vendor, first as a plan."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanosmith.core.errors import MissingExtra
from nanosmith.core.watch import Watch

if TYPE_CHECKING:
    from nanosmith.server.migration.plan import Item, Plan
    from nanosmith.server.services import Services

QUIET_S = 2.0  # before progress is shown
BLOCKED = 2  # exit code
WEIGHTS = "Weights cannot come along: vendors do not hand them out. A job makes a new model from the same file."


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of files: the vendor's JSONL and JSON.")],
    apply: Annotated[bool, typer.Option("--apply", "--yes", help="Carry the plan out.")] = False,
    plan: Annotated[Path | None, typer.Option(help="Write the plan as JSON to this file.")] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="file-abc=FILE: which file an id in a job means; repeat it for more.")
    ] = None,
    keep_hyperparameters: Annotated[
        bool, typer.Option("--keep-hyperparameters", help="Give jobs the vendor's, instead of choosing anew.")
    ] = False,
    project: Annotated[str, typer.Option(help="Name or id of the project that gets it.")] = "default",
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as one JSON object.")] = False,
) -> None:
    """Import from a vendor: training files, fine-tuning jobs, stored completions, evals.

    Prints a plan of what becomes what, and changes nothing unless --apply is given. Exit code 2: something is blocked,
    and the plan says what to do; the rest can be imported without it.
    """
    with _services(home, project) as services:
        made = _made_plan(services, paths, file or [], keep_hyperparameters, apply)
    if plan is not None:
        from nanosmith.store.atomic import write_atomic

        write_atomic(plan.absolute(), json.dumps(as_object(made), indent=2).encode() + b"\n")
    if as_json:
        typer.echo(json.dumps(as_object(made)))
    else:
        _show(made, apply)
    if any(item.state == "blocked" for item in made.items):
        raise typer.Exit(BLOCKED)


class Late(Watch):
    """Shows progress of what takes longer than `QUIET_S`."""

    def __init__(self, shown: Watch) -> None:
        self._shown = shown
        self._began_s = time.monotonic()

    def progress(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self._began_s >= QUIET_S:
            self._shown.progress(stage, done, total)


def as_object(plan: Plan) -> dict[str, Any]:
    """The JSON form: every item, and how many have each state."""
    import msgspec

    items = msgspec.to_builtins(plan.items)
    states = {state: sum(item["state"] == state for item in items) for state in ("ready", "done", "blocked", "left")}
    return {"counts": states, "items": items}


@contextmanager
def _services(folder: Path | None, project: str) -> Iterator[Services]:
    """Those of a project. Raises MissingExtra, NotFound."""
    try:
        import starlette
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "starlette", "serve") from error
    del starlette
    from nanosmith.cli.keys import find_project
    from nanosmith.server.services import open_services
    from nanosmith.store.home import open_home

    opened = open_services(open_home(folder))
    with closing(opened.ledger):
        yield opened.of(find_project(opened.ledger, project).id)


def _made_plan(
    services: Services, paths: Sequence[Path], given: Sequence[str], keep_hyperparameters: bool, apply: bool
) -> Plan:
    """The plan, carried out if asked; where that fails, what is done by then is told first."""
    from nanosmith.cli.progress import RichWatch
    from nanosmith.server.migration.planner import make_plan, named_files

    named = named_files(given)
    with RichWatch() as shown:
        watch = Late(shown)
        made = make_plan(services, paths, named=named, keep_hyperparameters=keep_hyperparameters, watch=watch)
        try:
            if apply:
                made.make(services, watch)
        except BaseException:
            count = sum(item.state == "done" for item in made.items)
            shown.message(f"{count:,} of {len(made.steps):,} are imported; the same command goes on from here", "warn")
            raise
    return made


def _show(plan: Plan, applied: bool) -> None:
    items = plan.items
    _show_table([item for item in items if item.state in ("ready", "done")])
    _show_list("To be put right first", [f"{item.name}: {item.why}" for item in items if item.state == "blocked"])
    _show_list("Worth knowing", [f"{item.name}: {note}" for item in items for note in item.notes])
    _show_list("Does not come along", [f"{item.name}: {item.why}" for item in items if item.state == "left"])
    if any(item.kind == "job" for item in items):
        typer.echo(WEIGHTS)
    waiting = sum(item.state == "ready" for item in items)
    if waiting and not applied:
        typer.echo(f"Nothing was changed. To import {_these(waiting)}: the same command with --apply")
    elif applied and any(item.kind == "job" and item.state == "done" for item in items):
        typer.echo("`nanosmith serve` works off the jobs.")


def _these(count: int) -> str:
    return "this" if count == 1 else f"these {count:,}"


def _show_table(items: Sequence[Item]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not items:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("what", "becomes", ""):
        table.add_column(heading, overflow="fold")
    for item in items:
        done = f"imported {' '.join(item.made)}".rstrip() if item.state == "done" else ""
        table.add_row(Text(item.what), Text(item.becomes or ""), Text(done))
    Console(highlight=False).print(table)


def _show_list(heading: str, lines: Sequence[str]) -> None:
    """One line each, with control characters of the user's files made visible."""
    if not lines:
        return
    typer.echo(f"{heading}:")
    for line in lines:
        typer.echo("  " + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line.replace("\n", " ")))
