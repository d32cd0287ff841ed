"""`nanosmith certify ROUTE --audit`: how a certificate fares in service."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from nanosmith.store.home import Home


def show_audit(route: str, home: Home, plot: Path | None, *, as_json: bool) -> None:
    """Print the state of the watch over a route, with its alarms. Raises NotFound where no server has watched it."""
    from nanosmith.core.errors import NotFound
    from nanosmith.store import certificates
    from nanosmith.store.audits import alarms, read_audit
    from nanosmith.store.ledger import open_ledger

    certificate = certificates.newest(home, route)
    with closing(open_ledger(home)) as ledger:
        row, told = read_audit(ledger, route), alarms(ledger, route)
    if row is None:
        raise NotFound("no server has audited this route yet", got=repr(route), param="route")
    state = row.body
    if plot is not None:
        _draw(state, certificate.target, plot)
    found = [{"at": row.created_at, **row.body} for row in told]
    shown = {name: state[name] for name in ("believed", "threshold", "seen", "audited", "agreed")} | {"alarms": found}
    typer.echo(json.dumps(shown, ensure_ascii=False) if as_json else _text(shown))


def _draw(state: dict[str, Any], target: float, file: Path) -> None:
    from nanosmith.score.render.promise import watched
    from nanosmith.store.atomic import write_atomic

    write_atomic(file, watched(state["history"], state["alarms"], target).encode())
    typer.echo(f"The plot is in {file}.", err=True)


def _text(shown: dict[str, Any]) -> str:
    from nanosmith.cli.ls import time_text

    now = f"local answers from {shown['threshold']:.6g} on" if shown["believed"] else "nothing is accepted here"
    lines = [
        f"{'now':<10}{now}",
        f"{'requests':<10}{shown['seen']:,}",
        f"{'audits':<10}{shown['agreed']:,} of {shown['audited']:,} agree",
    ]
    lines += [f"{'alarm':<10}{time_text(row['at'])}, {row['kind']}: {row['text']}" for row in shown["alarms"]]
    return "\n".join(lines)
