"""`nanosmith ls`: the models of the data folder."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nanosmith.core.task import Task
    from nanosmith.store.home import Home
    from nanosmith.store.records import ModelRow


def ls(
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the models of the data folder, newest first."""
    from nanosmith.store.home import open_home

    found = models(open_home(home))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif found:
        _show(found)
    else:
        typer.echo("No models yet. Make one: nanosmith tune FILE")


def models(home: Home) -> list[dict[str, Any]]:
    """Every model with what its manifest and report say; nothing is created where there is no ledger yet."""
    from nanosmith.store.ledger import open_ledger

    if not home.has_ledger:
        return []
    with closing(open_ledger(home)) as ledger:
        rows = ledger.models()
    return [_as_object(home, row) for row in rows]


def _as_object(home: Home, row: ModelRow) -> dict[str, Any]:
    """One model; the manifest's fields are None and `problem` says why where it cannot be read."""
    from nanosmith.core.errors import NanosmithError
    from nanosmith.store.bundles import read_manifest

    path = home.bundles / row.bundle
    shown: dict[str, Any] = {"name": row.name, "created_at": row.created_at, "bundle": str(path), "job": row.job_id}
    shown |= dict.fromkeys(("kind", "labels", "recipe", "bytes", "accuracy", "problem"))
    try:
        manifest = read_manifest(path)
    except NanosmithError as error:
        return shown | {"problem": str(error)}
    return shown | {
        "kind": manifest.task.kind,
        "labels": _count(manifest.task),
        "recipe": manifest.recipe,
        "bytes": manifest.total_bytes,
        "accuracy": read_report(path).get("accuracy"),
    }


def _count(task: Task) -> int:
    """How many labels there are, or fields and labels of entities."""
    form = task.record
    return len(task.labels) if form is None else len(form.fields) + len(form.entities)


def read_report(bundle: Path) -> dict[str, Any]:
    """report.json as it stands; empty where there is none or it cannot be read."""
    try:
        found = json.loads((bundle / "report.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def size_text(size_bytes: int) -> str:
    """Bytes for people, in decimal units."""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def time_text(seconds: int) -> str:
    """A Unix time as local date and time."""
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def share_text(share: object) -> str:
    """A share in [0, 1] in per cent; empty where there is none."""
    return f"{100 * share:.1f} %" if isinstance(share, int | float) else ""


def _show(found: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", overflow="fold")
    for heading in ("kind", "labels", "accuracy", "size", "created"):
        table.add_column(heading, justify="left" if heading in ("kind", "created") else "right", no_wrap=True)
    for model in found:
        damaged = model["problem"] is not None
        table.add_row(
            Text(model["name"]),
            "damaged" if damaged else model["kind"],
            "" if damaged else f"{model['labels']:,}",
            share_text(model["accuracy"]),
            "" if damaged else size_text(model["bytes"]),
            time_text(model["created_at"]),
        )
    Console(highlight=False).print(table)
