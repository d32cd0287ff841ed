"""`nanosmith cascade`: a quick and a thorough bundle sealed as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nanosmith.flows.cascade import Cascaded


def cascade(
    quick: Annotated[str, typer.Argument(help="The bundle that answers first: static or tfidf. A folder or a name.")],
    thorough: Annotated[str, typer.Argument(help="The bundle that answers the rest. A folder or a name.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Examples to choose the threshold on, of which those in training are left out; none, or too "
                          "few left: what both tunings held out."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Examples for the report; none: what the tunings held out for theirs.")
    ] = None,
    max_loss: Annotated[float, typer.Option(help="Points of accuracy that the quick stage may cost.")] = 0.3,
    name: Annotated[str | None, typer.Option(help="Name of the model; none: made from the thorough one's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle; none: inside the data folder.")] = None,
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")] = False,
) -> None:  # fmt: skip
    """Seal two bundles as one: the quick one answers where it is sure, the thorough one the rest."""
    from nanosmith.cli.progress import RichWatch
    from nanosmith.cli.resolve import bundle_path
    from nanosmith.flows.cascade import cascade as cascade_flow
    from nanosmith.store.home import open_home

    opened = open_home(home)
    with RichWatch() as watch:
        made = cascade_flow(
            bundle_path(quick, opened), bundle_path(thorough, opened), data=data, test=test, max_loss_points=max_loss,
            name=name, home=opened, out=out, watch=watch,
        )  # fmt: skip
    _show(made, as_json=as_json)


def _show(made: Cascaded, *, as_json: bool) -> None:
    from nanosmith.score.render import as_text

    if made.report is not None:
        typer.echo(as_text(made.report), err=as_json)
    if as_json:
        typer.echo(json.dumps(as_object(made), ensure_ascii=False))
    else:
        typer.echo(f"\nThe model {made.model_name} is in {made.bundle.path}.")


def as_object(made: Cascaded) -> dict[str, Any]:
    """What scripts read; `report` is null where there were no examples to report on."""
    from msgspec import to_builtins

    from nanosmith.score.render import as_object as object_of

    return {
        "bundle": str(made.bundle.path.resolve()),
        "name": made.model_name,
        **to_builtins(made.stages),
        "report": None if made.report is None else object_of(made.report),
    }
