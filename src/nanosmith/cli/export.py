"""`nanosmith export`: a bundle in the format of another runtime."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nanosmith.core.example import Input
    from nanosmith.flows.export import Exported


def export(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or the name of a model.")],
    to: Annotated[str, typer.Option(help="onnx, openvino, coreml, litert or gguf.")],
    out: Annotated[Path, typer.Option(help="The new folder.")],
    data: Annotated[
        str | None,
        typer.Option(help="Texts to compare answers on: a file as for predict; none: texts of the bundle's own words."),
    ] = None,
    portable: Annotated[
        bool, typer.Option("--portable", help="ONNX of standard operators alone; slower in ONNX Runtime.")
    ] = False,
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written and verified as one object.")] = False,
) -> None:
    """Write a model for ONNX Runtime, OpenVINO, Core ML, LiteRT or llama.cpp, with examples, and run it there."""
    from nanosmith.cli.progress import RichWatch
    from nanosmith.cli.resolve import bundle_path
    from nanosmith.flows.export import export as run
    from nanosmith.store.home import open_home

    opened = open_home(home)
    inputs = _inputs(data) if data is not None else []
    with RichWatch() as watch:
        exported = run(bundle_path(bundle, opened), to, out, inputs=inputs, portable=portable, watch=watch, home=opened)
    _show(exported, as_json)


def _inputs(data: str) -> list[Input]:
    """The first inputs of a file. Raises NotFound, InputError for the first line that cannot be read."""
    from nanosmith.cli.inputs import from_file
    from nanosmith.core.errors import InputError
    from nanosmith.flows.export import CHECKED

    found: list[Input] = []
    for line, given in itertools.islice(from_file(data), CHECKED):
        if isinstance(given, InputError):
            raise InputError(str(given), where=f"{data}:{line}", param="data")
        found.append(given)
    if not found:
        raise InputError("there is nothing to compare answers on", where=data, param="data")
    return found


def _show(exported: Exported, as_json: bool) -> None:
    import msgspec

    from nanosmith.flows.export_readme import sentence

    if as_json:
        typer.echo(msgspec.json.encode(exported).decode())
        return
    total = sum(exported.files.values())
    typer.echo(f"{exported.out}: {exported.target}, {len(exported.files)} files, {total:,} bytes")
    if exported.operators:
        typer.echo("operators: " + ", ".join(f"{name} {version}" for name, version in exported.operators.items()))
    for note in exported.notes:
        typer.echo(note)
    for check in exported.checks:
        typer.echo(sentence(check))
