"""`nanosmith models`: every model that can be called, on this machine and elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nanosmith.predict.endpoint.catalogue import Catalogue, Remote
    from nanosmith.store.home import Home

NAME = 18  # characters of a name at least, however narrow the terminal
OTHERS, WHAT = 66, 13  # characters of all columns but the last, and of the last one at least
PLAIN_WIDTH = 120  # columns of the table, where it is not on a terminal
PRICED = 3  # columns that models of this machine leave empty


def models(
    pattern: Annotated[str | None, typer.Argument(help="Show models alone whose name contains this.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Of this machine alone.")] = False,
    remote: Annotated[bool, typer.Option("--remote", help="Of providers alone.")] = False,
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List local and remote models alike. Prices are US dollars per million tokens, of the date that is shown."""
    from nanosmith.store.home import open_home

    opened = open_home(home)
    rows = ([] if remote and not local else _local(opened)) + ([] if local and not remote else _remote(opened))
    found = [row for row in rows if pattern is None or pattern.lower() in row["name"].lower()]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif found:
        _show(found)
    else:
        typer.echo("No models" + (f" whose name contains {pattern!r}" if pattern else "") + ".")


def _local(home: Home) -> list[dict[str, Any]]:
    """Of the data folder, and the routes of nanosmith.toml."""
    from nanosmith.cli.ls import models as local_models
    from nanosmith.store.config import find_config, read_config

    routes = read_config(find_config(home)).routes.values()
    rows = [{"name": one.name, "where": "route", "steps": [step.model for step in one.steps]} for one in routes]
    fields = ("name", "kind", "labels", "bytes", "accuracy", "problem")
    return rows + [{"where": "local", **{name: row[name] for name in fields}} for row in local_models(home)]


def _remote(home: Home) -> list[dict[str, Any]]:
    """Those of the catalogue, as nanosmith.toml extends it."""
    from nanosmith.predict.endpoint.catalogue import open_catalogue
    from nanosmith.store.config import find_config, read_config

    catalogue = open_catalogue(read_config(find_config(home)).providers)
    ready = ready_providers(catalogue, home)
    return [_row(one, ready=one.provider.name in ready) for one in catalogue.all()]


def ready_providers(catalogue: Catalogue, home: Home) -> set[str]:
    """The providers that need no key, or whose key is in the environment or kept."""
    import os

    from nanosmith.predict.endpoint.keys import kept_keys

    kept = kept_keys(home)
    return {
        one.name
        for one in catalogue.providers.values()
        if one.key_variable is None or os.environ.get(one.key_variable) or one.name in kept
    }


def _row(one: Remote, *, ready: bool) -> dict[str, Any]:
    model = one.model
    return {
        "name": one.name, "where": one.provider.name, "dialect": one.provider.dialect, "ready": ready,
        "key_variable": one.provider.key_variable, "input_usd": model.input_usd,
        "cached_input_usd": model.cached_input_usd, "output_usd": model.output_usd, "as_of": model.as_of,
        "context_tokens": model.context_tokens, "output_tokens": model.output_tokens,
        "capabilities": None if model.capabilities is None else list(model.capabilities),
    }  # fmt: skip


def _show(found: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    if dates := sorted({row["as_of"] for row in found if row.get("as_of")}):
        table.caption = f"US dollars per million tokens, as of {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
    table.add_column("name", min_width=NAME, overflow="fold")
    table.add_column("in / cached / out", no_wrap=True)
    table.add_column("context", justify="right", no_wrap=True)
    table.add_column("key", no_wrap=True)
    table.add_column("what", overflow="fold", max_width=max(WHAT, console.width - OTHERS))
    for row in found:
        table.add_row(Text(row["name"]), *_CELLS.get(row["where"], _remote_cells)(row))
    console.print(table)


def _local_cells(row: dict[str, Any]) -> list[str]:
    from nanosmith.cli.ls import size_text

    what = "damaged" if row["problem"] is not None else f"{row['kind']}, {size_text(row['bytes'])}"
    return [*[""] * PRICED, what]


def _route_cells(row: dict[str, Any]) -> list[str]:
    return [*[""] * PRICED, "route: " + " → ".join(row["steps"])]


def _remote_cells(row: dict[str, Any]) -> list[str]:
    prices = [_price(row[name]) for name in ("input_usd", "cached_input_usd", "output_usd")]
    context = f"{row['context_tokens']:,}" if row["context_tokens"] else ""
    what = ", ".join(row["capabilities"] or ())
    return [" / ".join(prices).strip(" /"), context, "" if row["ready"] else "none", what]


def _price(usd: float | None) -> str:
    return "" if usd is None else f"{usd:.6g}"


_CELLS = {"local": _local_cells, "route": _route_cells}
