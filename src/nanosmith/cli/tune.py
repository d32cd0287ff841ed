"""`nanosmith tune`: from a file of examples to a sealed bundle with its report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nanosmith.cli import tune_options as o

if TYPE_CHECKING:
    from nanosmith.core.settings import TuneSettings
    from nanosmith.flows.tune import Tuned


def tune(
    train: o.Train,
    test: o.Test = None,
    size: o.Size = "auto",
    budget: o.Budget = None,
    seed: o.Seed = 0,
    recipe: o.Recipe = None,
    kind: o.Kind = None,
    schema: o.Schema = None,
    combined: o.Combined = False,
    oos_label: o.OosLabel = None,
    refuse: o.Refuse = 0.05,
    base: o.Base = None,
    replay: o.Replay = None,
    keep_examples: o.KeepExamples = True,
    label_errors: o.LabelErrors = "keep",
    noise: o.Noise = None,
    method: o.Method = None,
    beta: o.Beta = None,
    general: o.General = None,
    epochs: o.Epochs = None,
    name: o.Name = None,
    out: o.Out = None,
    home: o.Home = None,
    as_json: o.AsJson = False,
) -> None:
    """Fine-tune a model on your examples."""
    from msgspec.structs import replace

    from nanosmith.core.settings import TuneSettings, parse_duration

    settings = TuneSettings(
        size=size,
        budget_s=None if budget is None else parse_duration(budget),
        seed=seed,
        recipe=recipe,
        kind=kind,
        schema=None if schema is None else str(schema),
        name=name,
        epochs=epochs,
        combined=combined,
        oos_label=oos_label,
        refuse=refuse,
        replay=None if replay is None else str(replay),
        keep_examples=keep_examples,
        label_errors=label_errors,
        noise=noise,
        method=method,
        beta=beta,
        general=None if general is None else str(general),
    )
    if base is not None:
        settings = replace(settings, base=base)
    began = time.monotonic()
    tuned = _run(train, test, settings, out, home)
    _show(tuned, home, time.monotonic() - began, as_json=as_json)


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


def _show(tuned: Tuned, home: Path | None, seconds: float, *, as_json: bool) -> None:
    from nanosmith.score.render import as_text

    typer.echo(as_text(tuned.report), err=as_json)
    if as_json:
        typer.echo(json.dumps(as_object(tuned, seconds), ensure_ascii=False))
    else:
        _show_next_steps(tuned, home, seconds)


def _show_next_steps(tuned: Tuned, home: Path | None, seconds: float) -> None:
    where = "" if home is None else f' --home "{home}"'
    typer.echo(
        f"\nThe model {tuned.model_name} is in {tuned.bundle.path} ({seconds:.0f} s).\n"
        f"The report as a page with plots: {tuned.bundle.file('report.html')}\n"
        f'  nanosmith predict "{tuned.bundle.path}" "a text to answer"\n'
        f"  nanosmith serve{where}"
    )
