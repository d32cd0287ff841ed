"""`nanosmith providers`: whose models can be asked, and with which keys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nanosmith.cli.keys import AsJson, Folder, print_rows

if TYPE_CHECKING:
    from pathlib import Path

    from nanosmith.predict.endpoint.catalogue import Catalogue
    from nanosmith.store.home import Home

providers = typer.Typer(no_args_is_help=True, help="Providers of remote models and their keys: ls, add, rm.")
Name = Annotated[str, typer.Argument(help="The provider's name, as `nanosmith providers ls` shows it.")]


@providers.command("ls")
def list_providers(home: Folder = None, as_json: AsJson = False) -> None:
    """List all providers, with where their keys come from. No key is shown."""
    import os

    from nanosmith.predict.endpoint.keys import kept_keys

    opened, catalogue = _opened(home)
    kept = kept_keys(opened)
    rows = []
    for one in catalogue.providers.values():
        in_environment = one.key_variable is not None and bool(os.environ.get(one.key_variable))
        key = "in the environment" if in_environment else "kept" if one.name in kept else ""
        rows.append({
            "name": one.name, "title": one.title, "dialect": one.dialect, "base_url": one.base_url,
            "models": len(one.models), "key_variable": one.key_variable or "", "key": key,
        })  # fmt: skip
    print_rows(rows, as_json=as_json)


@providers.command("add")
def add(name: Name, home: Folder = None) -> None:
    """Keep a provider's key, encrypted; it is read from standard input. The variable of the environment goes first."""
    from nanosmith.core.errors import NotFound, did_you_mean
    from nanosmith.predict.endpoint.keys import save_key

    opened, catalogue = _opened(home)
    if name not in catalogue.providers:
        near = did_you_mean(name, catalogue.providers)
        raise NotFound("no provider of this name", got=repr(name), param="name",
                       remedy=near or "`nanosmith providers ls` shows all.")  # fmt: skip
    file = save_key(name, _read_key(name), opened)
    typer.echo(f"The key of {name} is in {file}, encrypted.")


@providers.command("rm")
def remove(name: Name, home: Folder = None) -> None:
    """Forget a provider's key."""
    from nanosmith.predict.endpoint.keys import remove_key
    from nanosmith.store.home import open_home

    remove_key(name, open_home(home))
    typer.echo(f"Removed the key of {name}.")


def _opened(folder: Path | None) -> tuple[Home, Catalogue]:
    from nanosmith.predict.endpoint.catalogue import open_catalogue
    from nanosmith.store.config import find_config, read_config
    from nanosmith.store.home import open_home

    home = open_home(folder)
    return home, open_catalogue(read_config(find_config(home)).providers)


def _read_key(name: str) -> str:
    if sys.stdin.isatty():
        answer: str = typer.prompt(f"The key of {name}", hide_input=True)
        return answer
    return sys.stdin.readline()
