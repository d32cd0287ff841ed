"""`nanosmith routes`: the routes of nanosmith.toml, and whether they can work."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanosmith.cli.keys import AsJson, Folder

if TYPE_CHECKING:
    from nanosmith.core.route import Route
    from nanosmith.predict.endpoint.catalogue import Catalogue
    from nanosmith.store.config import Config
    from nanosmith.store.home import Home

KEY_VARIABLE = "NANOSMITH_API_KEY"
ASK_S = 10.0  # how long a server may take to tell how its models are


def routes(
    url: Annotated[
        str | None, typer.Option(help="Ask this server (such as http://127.0.0.1:8000/v1) how its remote models are.")
    ] = None,
    home: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List the routes with their steps and thresholds; a file that cannot be used is told with what is wrong in it."""
    from nanosmith.store.config import find_config, read_config
    from nanosmith.store.home import open_home

    opened = open_home(home)
    config = read_config(find_config(opened))
    health = _health(url) if url else {}
    found = [_as_object(route, config, opened, health) for route in config.routes.values()]
    if as_json:
        typer.echo(json.dumps({"file": config.path and str(config.path), "routes": found}, ensure_ascii=False))
    elif found:
        _show(found, config.path)
    else:
        typer.echo("No routes yet. Write [route.NAME] into nanosmith.toml; docs/routes.md has the form.")


def _as_object(route: Route, config: Config, home: Home, health: dict[str, Any]) -> dict[str, Any]:
    """A route; `problem` of a step says why it cannot answer, None where nothing is known against it."""
    import msgspec

    from nanosmith.predict.endpoint.catalogue import open_catalogue
    from nanosmith.store.named import model_bundles

    catalogue, local = open_catalogue(config.providers), set(model_bundles(home))
    shown: dict[str, Any] = msgspec.to_builtins(route)
    for step in shown["steps"]:
        step["remote"] = catalogue.names(step["model"])
        found = (
            _missing_local(step["model"], local, config)
            if not step["remote"]
            else _missing_remote(step["model"], catalogue, home)
        )
        step["problem"] = (
            found or _never_asked(route, step) or _unsure(step, catalogue) or _uncertified(route.name, step, home)
        )
        step["health"] = health.get(step["model"])
    return shown


def _missing_local(model: str, local: set[str], config: Config) -> str | None:
    from nanosmith.core.errors import did_you_mean

    if model in local:
        return None
    if model in config.routes:
        return "this is a route, and a step is a model; write the steps of that route here"
    return f"no local model of this name. {did_you_mean(model, local) or 'nanosmith ls lists them.'}"


def _missing_remote(model: str, catalogue: Catalogue, home: Home) -> str | None:
    from nanosmith.core.errors import NanosmithError
    from nanosmith.predict.endpoint.keys import key_of

    try:
        key_of(catalogue.find(model).provider, home)
    except NanosmithError as error:
        return str(error)
    return None


def _never_asked(route: Route, step: dict[str, Any]) -> str | None:
    if step["remote"] and route.privacy == "always" and not step["trusted"]:
        return 'no request leaves the machine, by privacy = "always", so it is never asked; is it trusted = true?'
    return None


def _uncertified(route: str, step: dict[str, Any], home: Home) -> str | None:
    """Why a certified step accepts nothing."""
    from nanosmith.core.errors import NanosmithError
    from nanosmith.store import certificates

    if step["accept"] != "certified":
        return None
    if step["remote"]:
        return 'accept = "certified" is for a local model'
    try:
        model = certificates.newest(home, route).model
    except NanosmithError as error:
        return f"nothing is accepted: {error}"
    return None if model == step["model"] else f"nothing is accepted: the certificate is that of {model}"


def _unsure(step: dict[str, Any], catalogue: Catalogue) -> str | None:
    """A threshold that no answer can reach."""
    if (
        step["remote"]
        and isinstance(step["accept"], float)
        and catalogue.find(step["model"]).model.can("logprobs") is False
    ):
        return "it gives no probabilities, so its answers never reach accept; leave accept out, or the step"
    return None


def _health(url: str) -> dict[str, Any]:
    """By model, as a server sees it. Raises NanosmithError."""
    import urllib.error
    import urllib.request

    from nanosmith.core.errors import InputError, NanosmithError

    if not url.startswith(("http://", "https://")):
        raise InputError("not the address of a server", got=repr(url), allowed="http://127.0.0.1:8000/v1", param="url")
    key = os.environ.get(KEY_VARIABLE) or "none"
    headers = {"authorization": f"Bearer {key}"}
    asked = urllib.request.Request(f"{url.rstrip('/')}/routes", headers=headers)  # noqa: S310  # http or https, as checked
    try:
        with urllib.request.urlopen(asked, timeout=ASK_S) as answer:  # noqa: S310
            content = json.load(answer)
        return {step["model"]: step["health"] for route in content["data"] for step in route["steps"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        what = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        raise NanosmithError("the server does not tell how its routes are", got=what, where=url,
                             remedy=f"It asks for a key? Set {KEY_VARIABLE}.") from error  # fmt: skip


def _show(found: list[dict[str, Any]], path: Path | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=str(path), caption_justify="left")
    for heading in ("route", "tier", "model", "accept", "weight", "timeout", "state"):
        table.add_column(heading, overflow="fold")
    for route in found:
        for i, step in enumerate(route["steps"]):
            accept = "any" if step["accept"] is None else str(step["accept"])
            table.add_row(
                Text(route["name"] if i == 0 else ""), str(step["tier"]), Text(step["model"]), accept,
                f"{step['weight']:g}", f"{step['timeout_s']:g} s", Text(_state(step)),
            )  # fmt: skip
    Console(highlight=False).print(table)
    for model, problem in {step["model"]: step["problem"] for route in found for step in route["steps"]}.items():
        if problem:
            typer.echo(f"{model}: {problem}")


def _state(step: dict[str, Any]) -> str:
    if step["problem"]:
        return "cannot answer"
    health = step["health"]
    if health is None:
        return "remote" if step["remote"] else "local"
    return f"{health['state']}, asked again in {health['wait_s']:g} s" if health["wait_s"] else str(health["state"])
