"""From a sealed bundle and a file of examples to a Report, through the runtime that serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input
from nanosmith.core.manifest import REPORT_FILES, Manifest
from nanosmith.core.prediction import Predictor
from nanosmith.core.task import Value
from nanosmith.core.watch import Watch
from nanosmith.data.as_labels import load_test
from nanosmith.data.scope import apart, knowing, nothing_outside
from nanosmith.flows.explanations import with_explanations
from nanosmith.predict.open import open_predictor
from nanosmith.score import evaluate as score
from nanosmith.score.cost import Prices
from nanosmith.score.fairness import fairness
from nanosmith.score.nearness import check_installed
from nanosmith.score.report import Report
from nanosmith.score.robustness import RATES, robustness
from nanosmith.store.bundles import open_bundle

QUICK_TEXTS = (1_000, 200)
QUICK_CALLS = 2 + len(RATES)  # per text: as it is, with one typo, at each rate
QUICK_MS = 4_000


def evaluate(
    bundle: Path,
    file: Path,
    *,
    watch: Watch | None = None,
    prices: Prices | None = None,
    deep_seed: int | None = None,
    oos_label: str | None = None,
) -> Report:
    """Answer every example of `file`, whose answers are read by the bundle's task, and score the answers.

    `prices` is a price table for the costs (None: the one that comes with Nanosmith). With `deep_seed`, robustness and
    fairness are measured too, on samples that it draws. Examples with `oos_label` (None: the label that the bundle
    answers with) are out of scope; all figures but `Report.scope` leave them out. Raises NotFound, Damaged (the
    bundle), InputError (the file), Cancelled.
    """
    sealed = open_bundle(bundle)
    manifest = sealed.manifest
    if deep_seed is not None and manifest.task.kind not in ("choice", "labels"):
        raise InputError(
            "typos and swapped names are tried on labels", got=f"a model of kind {manifest.task.kind}", param="deep",
            remedy="Leave --deep out: offsets and wordings would change with the text.",
        )  # fmt: skip
    if manifest.task.kind == "text":
        check_installed()
    none = oos_label or (manifest.scope.label if manifest.scope else None)
    examples, outside = apart(load_test(file, task=knowing(manifest.task, none)), none)
    watch = watch or Watch()
    for problem in examples.problems:
        watch.message(problem.message, "warn")
    if oos_label is not None and not len(outside):
        watch.message(nothing_outside(examples, oos_label), "warn")
    predictor, inputs = open_predictor(sealed), [example.messages for example in examples.examples]
    report = score.evaluate(
        predictor,
        inputs,
        examples.values,
        watch=watch,
        bytes=size_bytes(manifest),
        made={"evaluated_file": file.name, **made(manifest)},
        prices=prices,
        outside=[example.messages for example in outside.examples],
        others=[example.others for example in examples.examples] if manifest.task.kind == "text" else (),
    )
    report = with_explanations(report, predictor, inputs, watch)
    if deep_seed is None:
        return report
    return msgspec.structs.replace(
        report,
        robustness=robustness(predictor, inputs, examples.values, seed=deep_seed, watch=watch),
        fairness=fairness(predictor, inputs, examples.values, seed=deep_seed, watch=watch),
    )


def quick_robustness(
    report: Report, predictor: Predictor, inputs: Sequence[Input], wanted: Sequence[Value], *, seed: int, watch: Watch
) -> Report:
    """The report with curves over typos, where the predictor is so fast that a sample takes a few seconds."""
    texts = next((n for n in QUICK_TEXTS if QUICK_CALLS * min(n, len(inputs)) * report.latency_ms.mean <= QUICK_MS), 0)
    if not texts:
        return report
    found = robustness(predictor, inputs, wanted, seed=seed, watch=watch, texts=texts, kinds=False, attacked=False)
    return msgspec.structs.replace(report, robustness=found)


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
