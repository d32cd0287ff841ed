"""`nanosmith profile`: how long answers take on this device, for `nanosmith compress --profile` elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def profile(
    out: Annotated[Path, typer.Option(help="The file to write, JSON.")],
    as_json: Annotated[bool, typer.Option("--json", help="Also print it as one JSON object.")] = False,
) -> None:
    """Time this device, for models that are made for it on another one."""
    import msgspec

    from nanosmith.cli.outputs import check_out
    from nanosmith.cli.progress import RichWatch
    from nanosmith.flows.profile import profile as profile_flow
    from nanosmith.store.atomic import write_atomic

    check_out(out, "out")
    with RichWatch() as watch:
        device = profile_flow(watch)
    content = msgspec.json.format(msgspec.json.encode(device), indent=1)
    write_atomic(out, content)
    said = f"estimates were off by {device.error:.0%} on average, {device.worst:.0%} at most"
    typer.echo(f"The profile of {device.name} is in {out}; {said}.", err=as_json)
    if as_json:
        typer.echo(msgspec.json.encode(device).decode())
