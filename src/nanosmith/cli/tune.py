"""`nanosmith tune`: from a file of examples to a sealed bundle with its report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from nanosmith.core.settings import TuneSettings
    from nanosmith.flows.tune import Tuned


def tune(
    train: Annotated[Path, typer.Argument(help="Training examples: chat-format JSONL, text/label JSONL or CSV.")],
    test: Annotated[
        Path | None, typer.Option(help="Held-out examples for the report; none: some of TRAIN are held out.")
    ] = None,
    size: Annotated[
        Literal["auto", "pico", "nano", "mini"], typer.Option(help="How large a model; auto tries and chooses.")
    ] = "auto",
    budget: Annotated[str | None, typer.Option(help="Time for the whole run, such as 5m; none: no bound.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and data give the same model.")] = 0,
    recipe: Annotated[str | None, typer.Option(help="Use this recipe instead of choosing.")] = None,
    kind: Annotated[
        Literal["choice", "labels"] | None, typer.Option(help="Kind of answer; none: recognised from the examples.")
    ] = None,
    combined: Annotated[
        bool, typer.Option("--combined", help="Also recognise queries that join two or three of the labels.")
    ] = False,
    oos_label: Annotated[
        str | None, typer.Option(help="Label of examples of none of the others; it is then answered out of scope.")
    ] = None,
    refuse: Annotated[
        float, typer.Option(help="Share of in-scope queries that may be taken for out of scope, above 0, below 1.")
    ] = 0.05,
    base: Annotated[
        str | None, typer.Option(help="Weights to start from: a base's name or folder, or an earlier model's.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="With an earlier model as base: its old examples, where they were not kept.")
    ] = None,
    keep_examples: Annotated[
        bool, typer.Option(help="Keep the examples in the data folder, so that the model can be retrained.")
    ] = True,
    label_errors: Annotated[
        Literal["keep", "drop", "downweight"], typer.Option(help="What becomes of examples with likely wrong labels.")
    ] = "keep",
    noise: Annotated[
        bool | None,
        typer.Option(help="Learn and correct misspellings; none: where that costs no accuracy on clean text."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data; none: chosen.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; none: made from the file's name.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle; none: inside the data folder.")] = None,
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")] = False,
) -> None:
    """Fine-tune a model on your examples."""
    from msgspec.structs import replace

    from nanosmith.core.settings import TuneSettings, parse_duration
    from nanosmith.score.render import as_text

    settings = TuneSettings(
        size=size,
        budget_s=None if budget is None else parse_duration(budget),
        seed=seed,
        recipe=recipe,
        kind=kind,
        name=name,
        epochs=epochs,
        combined=combined,
        oos_label=oos_label,
        refuse=refuse,
        replay=None if replay is None else str(replay),
        keep_examples=keep_examples,
        label_errors=label_errors,
        noise=noise,
    )
    if base is not None:
        settings = replace(settings, base=base)
    began = time.monotonic()
    tuned = _run(train, test, settings, out, home)
    seconds = time.monotonic() - began
    typer.echo(as_text(tuned.report), err=as_json)
    if as_json:
        typer.echo(json.dumps(as_object(tuned, seconds), ensure_ascii=False))
    else:
        _show_next_steps(tuned, home, seconds)


def _run(train: Path, test: Path | None, settings: TuneSettings, out: Path | None, home: Path | None) -> Tuned:
    from nanosmith.cli.progress import RichWatch
    from nanosmith.flows.tune import tune as tune_flow
    from nanosmith.store.home import open_home

    with RichWatch() as watch:
        return tune_flow(train, test=test, settings=settings, home=open_home(home), out=out, watch=watch)


def as_object(tuned: Tuned, seconds: float) -> dict[str, Any]:
    """What scripts read."""
    from nanosmith.score.render import as_object as object_of

    return {
        "bundle": str(tuned.bundle.path.resolve()),
        "name": tuned.model_name,
        "task": tuned.bundle.manifest.task.kind,
        "recipe": tuned.recipe,
        "report": object_of(tuned.report),
        "seconds": round(seconds, 1),
    }


def _show_next_steps(tuned: Tuned, home: Path | None, seconds: float) -> None:
    where = "" if home is None else f' --home "{home}"'
    typer.echo(
        f"\nThe model {tuned.model_name} is in {tuned.bundle.path} ({seconds:.0f} s).\n"
        f"The report as a page with plots: {tuned.bundle.file('report.html')}\n"
        f'  nanosmith predict "{tuned.bundle.path}" "a text to answer"\n'
        f"  nanosmith serve{where}"
    )
