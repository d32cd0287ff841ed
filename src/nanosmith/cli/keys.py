"""`nanosmith keys` and `nanosmith projects`: who may use a server, for what, and how much."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from nanosmith.store.ledger import Ledger
    from nanosmith.store.records import ProjectRow

DAY_S = 86_400
keys = typer.Typer(no_args_is_help=True, help="API keys: add, ls, revoke.")
projects = typer.Typer(no_args_is_help=True, help="Projects, whose objects nobody else sees: add, ls, limit.")

Folder: TypeAlias = Annotated[Path | None, typer.Option("--home", help="Data folder; none: $NANOSMITH_HOME.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Requests: TypeAlias = Annotated[int | None, typer.Option("--requests-per-minute", min=1, help="None: no limit.")]
Tokens: TypeAlias = Annotated[int | None, typer.Option("--tokens-per-minute", min=1, help="None: no limit.")]
Storage: TypeAlias = Annotated[
    int | None, typer.Option("--storage-bytes", min=1, help="Of uploaded files. None: no limit.")
]


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="What the key is for; only shown in lists.")],
    project: Annotated[str, typer.Option(help="Name or id of the key's project.")] = "default",
    scope: Annotated[
        list[str] | None, typer.Option(help="What it opens, such as files:read; repeat it for more. None: all.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires. None: never.")] = None,
    requests: Requests = None,
    tokens: Tokens = None,
    home: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: this is the only time that it is shown."""
    from nanosmith.server.access.keys import digest, new_key
    from nanosmith.server.access.scopes import ALL, check_scopes
    from nanosmith.store.ledger import new_id
    from nanosmith.store.records import KeyRow

    scopes, key, now = check_scopes(scope or [ALL]), new_key(), int(time.time())
    with opened_ledger(home) as ledger:
        row = KeyRow(
            new_id("key_"), find_project(ledger, project).id, name, digest(key.encode()), now, scopes,
            _limits(requests_per_minute=requests, tokens_per_minute=tokens), now + days * DAY_S if days else None,
        )  # fmt: skip
        ledger.add(row)
    if as_json:
        print_rows([_shown(row) | {"key": key}], as_json=True, one=True)
        return
    typer.echo(key)
    typer.echo(f"{row.id}: keep the key, it is not shown again. A running server takes it within seconds.", err=True)


@keys.command("ls")
def list_keys(home: Folder = None, as_json: AsJson = False) -> None:
    """List all keys, oldest first. What a key is cannot be shown: only its SHA-256 is kept."""
    with opened_ledger(home) as ledger:
        rows = ledger.keys()
    print_rows([_shown(row) for row in rows], as_json=as_json)


@keys.command("revoke")
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, as `nanosmith keys ls` shows it.")], home: Folder = None
) -> None:
    """Revoke a key. A running server refuses it within seconds."""
    from nanosmith.core.errors import NotFound

    with opened_ledger(home) as ledger:
        if not ledger.delete_key(id):
            raise NotFound("no such key", got=repr(id), remedy="`nanosmith keys ls` shows all ids.", param="id")
    typer.echo(f"Revoked {id}.")


@projects.command("add")
def add_project(
    name: Annotated[str, typer.Argument(help="A name that no other project has.")],
    requests: Requests = None, tokens: Tokens = None, storage: Storage = None,
    home: Folder = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make a project. What belongs to it is seen with its keys alone."""
    from nanosmith.core.errors import InputError
    from nanosmith.store.ledger import new_id
    from nanosmith.store.records import ProjectRow

    limits = _limits(requests_per_minute=requests, tokens_per_minute=tokens, storage_bytes=storage)
    with opened_ledger(home) as ledger:
        if any(name in (row.name, row.id) for row in _projects(ledger)):
            raise InputError("another project has this name", got=repr(name), param="name")
        row = ProjectRow(new_id("proj_"), name, int(time.time()), limits)
        ledger.add(row)
    print_rows([_shown(row)], as_json=as_json, one=True)


@projects.command("ls")
def list_projects(home: Folder = None, as_json: AsJson = False) -> None:
    """List all projects, oldest first."""
    with opened_ledger(home) as ledger:
        rows = _projects(ledger)
    print_rows([_shown(row) for row in rows], as_json=as_json)


@projects.command("limit")
def limit(
    project: Annotated[str, typer.Argument(help="Name or id of the project.")],
    requests: Requests = None, tokens: Tokens = None, storage: Storage = None,
    home: Folder = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Set all limits of a project anew; one that is not given is lifted."""
    import msgspec

    limits = _limits(requests_per_minute=requests, tokens_per_minute=tokens, storage_bytes=storage)
    with opened_ledger(home) as ledger:
        row = msgspec.structs.replace(find_project(ledger, project), limits=limits)
        if not ledger.set_limits(row.id, limits):
            ledger.add(row)  # the default project has no row until it has limits
    print_rows([_shown(row)], as_json=as_json, one=True)


@contextmanager
def opened_ledger(folder: Path | None) -> Iterator[Ledger]:
    from nanosmith.store.home import open_home
    from nanosmith.store.ledger import open_ledger

    ledger = open_ledger(open_home(folder))
    try:
        yield ledger
    finally:
        ledger.close()


def _projects(ledger: Ledger) -> list[ProjectRow]:
    """With the default one, which is always there."""
    from nanosmith.store.home import DEFAULT_PROJECT
    from nanosmith.store.records import ProjectRow

    rows = ledger.projects()
    known = any(row.id == DEFAULT_PROJECT for row in rows)
    return rows if known else [ProjectRow(DEFAULT_PROJECT, DEFAULT_PROJECT, 0), *rows]


def find_project(ledger: Ledger, wanted: str) -> ProjectRow:
    """By id or name. Raises NotFound."""
    from nanosmith.core.errors import NotFound, did_you_mean

    rows = _projects(ledger)
    for row in rows:
        if wanted in (row.id, row.name):
            return row
    remedy = did_you_mean(wanted, [row.name for row in rows]) or "Make it: nanosmith projects add NAME"
    raise NotFound("no such project", got=repr(wanted), remedy=remedy, param="project")


def _limits(**given: int | None) -> dict[str, int]:
    return {name: value for name, value in given.items() if value is not None}


def _shown(row: Any) -> dict[str, Any]:
    """A row without what is of no use to people."""
    import msgspec

    return {name: value for name, value in msgspec.structs.asdict(row).items() if name not in ("seq", "sha256")}


def print_rows(rows: list[dict[str, Any]], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        typer.echo(json.dumps(rows[0] if one else rows, ensure_ascii=False))
        return
    for row in rows:
        typer.echo("  ".join(part for part in map(_text, row.items()) if part))


def _text(field: tuple[str, Any]) -> str:
    from nanosmith.cli.ls import time_text

    name, value = field
    if name in ("created_at", "expires_at"):
        return f"{name.removesuffix('_at')} {time_text(value)}" if value else ""
    if isinstance(value, dict):
        return "  ".join(f"{key} {number:,}" for key, number in value.items())
    return ",".join(value) if isinstance(value, list | tuple) else str(value)
