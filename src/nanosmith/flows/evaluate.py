"""From a sealed bundle and a file of examples to a Report, through the runtime that serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nanosmith.core.manifest import REPORT_FILES, Manifest
from nanosmith.core.watch import Watch
from nanosmith.data.load import load
from nanosmith.predict.open import open_predictor
from nanosmith.score import evaluate as score
from nanosmith.score.cost import Prices
from nanosmith.score.report import Report
from nanosmith.store.bundles import open_bundle


def evaluate(bundle: Path, file: Path, *, watch: Watch | None = None, prices: Prices | None = None) -> Report:
    """Answer every example of `file`, whose answers are read by the bundle's task, and score the answers.

    `prices` is a price table for the costs (None: the one that comes with Nanosmith). Raises NotFound, Damaged (the
    bundle), InputError (the file), Cancelled.
    """
    sealed = open_bundle(bundle)
    manifest = sealed.manifest
    examples = load(file, task=manifest.task)
    watch = watch or Watch()
    for problem in examples.problems:
        watch.message(problem.message, "warn")
    return score.evaluate(
        open_predictor(sealed),
        [example.messages for example in examples.examples],
        examples.values,
        watch=watch,
        bytes=size_bytes(manifest),
        made={"evaluated_file": file.name, **made(manifest)},
        prices=prices,
    )


def size_bytes(manifest: Manifest) -> int:
    """Bytes of the files that answer; a report inside of the bundle does not count."""
    return sum(entry.bytes for path, entry in manifest.files.items() if path not in REPORT_FILES)


def made(manifest: Manifest) -> dict[str, Any]:
    """What a manifest tells about the making of its bundle, for a report."""
    return {
        "recipe": manifest.recipe,
        "base": manifest.base.name,
        "created_at": manifest.created_at,
        "train_examples": manifest.data.train_examples,
        "tune_examples": manifest.data.tune_examples,
        "temperature": manifest.calibration.temperature,
        "settings": manifest.settings,
        **manifest.notes,
    }
