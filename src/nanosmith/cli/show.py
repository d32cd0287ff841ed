"""`nanosmith show`: one model, what it is and how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nanosmith.core.manifest import Manifest
    from nanosmith.core.task import Task
    from nanosmith.store.bundles import Bundle

SHOWN_LABELS = 20
SHARES = ("accuracy", "macro_f1", "micro_f1")
FIGURES = ("n", *SHARES, "latency_ms", "created_at", "record", "text")


def show(
    name: Annotated[str, typer.Argument(help="The name of a model, or a bundle's folder.")],
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a model's manifest and the figures of its report, after checking every file."""
    import msgspec

    from nanosmith.cli.ls import read_report
    from nanosmith.cli.resolve import bundle_path
    from nanosmith.store.bundles import open_bundle
    from nanosmith.store.home import open_home

    bundle = open_bundle(bundle_path(name, None if home is None else open_home(home)))
    report = {key: value for key, value in read_report(bundle.path).items() if key in FIGURES and value is not None}
    if as_json:
        shown = {
            "bundle": str(bundle.path.resolve()),
            "digest": bundle.digest,
            "bytes": bundle.manifest.total_bytes,
            "engine": _engine(bundle),
            "manifest": msgspec.to_builtins(bundle.manifest),
            "report": report or None,
        }
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    engine = _engine(bundle)
    about = [*_about(bundle.manifest), *([("runs in", engine)] if engine else []), *_figures(report)]
    for heading, value in [*about, ("bundle", str(bundle.path.resolve()))]:
        typer.echo(f"{heading:<13}{value}")


def _engine(bundle: Bundle) -> str | None:
    """What computes an encoder, or a decoder's tokens, on this machine."""
    from nanosmith.predict.graph_names import GRAPH_FILE
    from nanosmith.predict.graph_session import PREDICTORS, engine_of

    if bundle.manifest.predictor == "decoder/1":
        from nanosmith.predict import decoder

        return decoder.engine_of(bundle)
    return engine_of(bundle.file(GRAPH_FILE)) if bundle.manifest.predictor in PREDICTORS else None


def _about(manifest: Manifest) -> list[tuple[str, str]]:
    from nanosmith.cli.ls import size_text, time_text

    task, data = manifest.task, manifest.data
    calibrated = f"on {manifest.calibration.examples:,} examples" if manifest.calibration.examples else "no"
    return [
        ("name", manifest.name),
        ("created", time_text(manifest.created_at)),
        ("task", task.kind if task.kind in ("record", "text") else f"{task.kind}, answers as {task.form}"),
        *_knows(task),
        ("recipe", manifest.recipe),
        *_stages(manifest),
        ("base", manifest.base.name),
        ("data", f"{data.train_examples:,} examples"),
        ("data digest", data.digest),
        ("reads", f"up to {manifest.max_tokens:,} tokens"),
        ("calibrated", calibrated),
        ("size", f"{size_text(manifest.total_bytes)}, {len(manifest.files)} files"),
    ]


def _stages(manifest: Manifest) -> list[tuple[str, str]]:
    """Of a cascade: who answers how much."""
    found = manifest.notes.get("stages")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), float) for key in ("share", "threshold")):
        return []
    quick = f"quick {100 * found['share']:.0f} % (from a confidence of {found['threshold']:.2f} on)"
    return [("stages", f"{quick}, thorough the rest")]


def _knows(task: Task) -> list[tuple[str, str]]:
    """What may be answered: labels, or the fields and entities of a record."""
    if task.kind == "text":
        return []
    if task.record is None:
        return [("labels", _labels(task.labels))]
    fields = tuple(f"{field.name} ({field.type})" for field in task.record.fields)
    function = [("function", task.record.function)] if task.record.function else []
    entities = [("entities", _labels(task.record.entities))] if task.record.entities else []
    return [*([("fields", _labels(fields))] if fields else []), *entities, *function]


def _labels(labels: tuple[str, ...]) -> str:
    more = len(labels) - SHOWN_LABELS
    return f"{len(labels):,}: {', '.join(labels[:SHOWN_LABELS])}" + (f", and {more:,} more" if more > 0 else "")


def _figures(report: dict[str, Any]) -> list[tuple[str, str]]:
    from nanosmith.cli.ls import share_text

    if not report:
        return [("report", "none; make one: nanosmith eval BUNDLE FILE")]
    shares = ", ".join(f"{key} {share_text(value)}" for key, value in _shares(report))
    latency = report.get("latency_ms") or {}
    times = ", ".join(f"{key} {latency[key]:.2f} ms" for key in ("p50", "p95") if key in latency)
    return [("report", f"{shares} on {report.get('n', 0):,} examples"), ("latency", times or "not measured")]


def _shares(report: dict[str, Any]) -> list[tuple[str, object]]:
    """The shares that tell how good a model of its kind is."""
    record, text = report.get("record"), report.get("text")
    if isinstance(record, dict):
        spans = record.get("spans") or {}
        found = [
            ("record match", report.get("accuracy")),
            ("span F1", spans.get("f1")),
            ("macro-F1", report["macro_f1"]),
        ]
        return [(key, value) for key, value in found if value is not None]
    if isinstance(text, dict):
        return [("exact match", text.get("exact_match")), ("ROUGE-L", text.get("rouge_l"))]
    return [(key, report[key]) for key in SHARES if key in report]
