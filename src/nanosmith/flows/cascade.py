"""Two bundles sealed as one: a quick one that answers where it is sure, and a thorough one for the rest.

The threshold is chosen on examples that neither has seen: those of a file, or those that both tunings held out.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.errors import InputError
from nanosmith.core.manifest import REPORT_FILES, Calibration, Manifest
from nanosmith.core.prediction import Prediction
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.kept import find_kept
from nanosmith.data.load import load
from nanosmith.data.normal import normalise
from nanosmith.data.scope import apart, knowing
from nanosmith.flows.evaluate import evaluate, made, size_bytes
from nanosmith.flows.held_out import read_held_out
from nanosmith.flows.register import free_name, new_folder, row_of
from nanosmith.predict.cascade import CASCADE_FILE, QUICK, THOROUGH, Cascade
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.score import evaluate as score
from nanosmith.score.cascade import Stages, measure_stages
from nanosmith.score.render import as_html
from nanosmith.score.report import Report
from nanosmith.store.atomic import disk_errors, make_folders, part_prefix
from nanosmith.store.bundles import Bundle, add_files, open_bundle, require_absent, seal
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.version import __version__

CASCADE = "cascade/1"
MAX_LOSS_POINTS = 0.3
LEAST = 50  # examples that neither stage has seen


class Cascaded(msgspec.Struct, frozen=True):
    """A sealed cascade. `report` is None where there were no examples to report on."""

    bundle: Bundle
    model_name: str
    stages: Stages
    report: Report | None


class _Both(NamedTuple):
    quick: LocalPredictor
    thorough: LocalPredictor


class _Judged(msgspec.Struct, frozen=True):
    """Of examples (N) that neither stage has seen: the quick one's confidence, and whether each was right; `source`
    says where they are from."""

    confidence: NDArray[np.float32]
    quick: NDArray[np.bool_]
    thorough: NDArray[np.bool_]
    source: str


def cascade(
    quick: Path, thorough: Path, *, data: Path | None = None, test: Path | None = None,
    max_loss_points: float = MAX_LOSS_POINTS, name: str | None = None, home: Home | None = None,
    out: Path | None = None, watch: Watch | None = None,
) -> Cascaded:  # fmt: skip
    """Choose the threshold, seal both bundles as one, report and register it.

    The quick stage answers as often as costs at most `max_loss_points` of the thorough one's accuracy, on those of
    `data` that neither was trained on, or else on what both tunings held out. The report is about `test` (None: what
    the thorough stage's tuning held out for its own). Raises NotFound, Damaged, InputError, StorageFull, Cancelled.
    """
    watch, home = watch or Watch(), home or open_home()
    if out is not None:
        require_absent(out)
    if not 0 <= max_loss_points < 100:
        raise InputError("the loss is out of range", got=max_loss_points, allowed="0 and more, below 100 points",
                         param="max_loss")  # fmt: skip
    both = opened(quick, thorough)
    judged = _judged(both, data, home, watch)
    stages = measure_stages(judged.confidence, judged.quick, judged.thorough, max_loss_points)
    watch.message(said(stages, judged.source))
    with closing(open_ledger(home)) as ledger:
        own = free_name(name, f"{both.thorough.name}-cascade", (row.name for row in ledger.models()))
        told = {"max_loss_points": max_loss_points, "source": judged.source}
        with _sealed(both, stages, own, told, home, out) as bundle:
            report = _report(bundle, both, test, home, watch)
            if report is not None:
                files = {"report.json": msgspec.json.encode(report), "report.html": as_html(report).encode()}
                bundle = add_files(bundle, files)
            ledger.add_model(row_of(own, bundle, home))
    return Cascaded(bundle, own, stages, report)


def said(stages: Stages, source: str) -> str:
    """The choice in a sentence."""
    if not stages.share:
        return f"The quick stage never answers: on {stages.n:,} examples ({source}) it would cost too much."
    low, high = stages.loss_interval
    return (
        f"The quick stage answers {100 * stages.share:.0f} %, from a confidence of {stages.threshold:.2f} on; that "
        f"costs {stages.loss_points:.1f} points of accuracy (95 % interval {low:.1f} to {high:.1f}), on "
        f"{stages.n:,} examples ({source})."
    )


def opened(quick: Path, thorough: Path) -> _Both:
    """Both stages, which fit each other. Raises NotFound, Damaged, InputError."""
    both = _Both(*(_stage(open_bundle(path)) for path in (quick, thorough)))
    if not both.quick.is_quick:
        raise InputError("the first model must answer in microseconds", got=both.quick.bundle.manifest.recipe,
                         allowed="static/1 or tfidf_linear/1", param="quick",
                         remedy="Name the quick one first: nanosmith cascade QUICK THOROUGH.")  # fmt: skip
    if both.quick.bundle.digest == both.thorough.bundle.digest:
        raise InputError("both stages are the same bundle", got=str(quick), param="thorough")
    first, second = ((one.task, none_label(one.bundle)) for one in both)
    if first != second:
        raise InputError("both models must have the same task and labels", where=f"{quick} and {thorough}",
                         remedy="Tune both on the same file, with the same options.")  # fmt: skip
    return both


def _stage(bundle: Bundle) -> LocalPredictor:
    manifest = bundle.manifest
    predictor = open_predictor(bundle) if manifest.task.labels else None
    if not isinstance(predictor, LocalPredictor):
        raise InputError("a stage answers with labels, in one step", where=str(bundle.path), got=manifest.predictor,
                         allowed="a model of kind choice or labels that is no cascade")  # fmt: skip
    if not manifest.calibration.examples:
        raise InputError("this model is not calibrated: it never says how sure it is", where=str(bundle.path),
                         remedy="Tune it with more examples.")  # fmt: skip
    return predictor


def none_label(bundle: Bundle) -> str | None:
    """What is answered out of scope."""
    scope = bundle.manifest.scope
    return scope.label if scope else None


def _judged(both: _Both, data: Path | None, home: Home, watch: Watch) -> _Judged:
    """Raises InputError where too few examples are left that neither has seen."""
    unseen = _unseen(both, data, home) if data else None
    if unseen is not None and len(unseen) >= LEAST:
        return _asked(both, unseen, watch)
    held_out = _held_out(both)
    if held_out is None or len(held_out.confidence) < LEAST:
        raise InputError(
            "too few examples that neither model was trained on", allowed=f"{LEAST} and more", param="data",
            got=max(len(unseen or ()), 0 if held_out is None else len(held_out.confidence)),
            remedy="Name a file of others with --data, or tune both on one file with one seed.",
        )  # fmt: skip
    return held_out


def _unseen(both: _Both, file: Path, home: Home) -> Dataset:
    """The examples of a file that no stage was trained on, or has its report about."""
    none = none_label(both.thorough.bundle)
    examples, _ = apart(load(file, task=knowing(both.thorough.task, none)), none)
    seen: set[str] = set()
    for one in both:
        digest = one.bundle.manifest.data.digest
        if digest == examples.digest:
            return examples.subset([])
        if (kept := find_kept(home.examples, digest, one.task)) is not None:
            seen.update(normalise(text) for text in (*kept.train.texts, *kept.test.texts))
    return examples.subset([i for i, text in enumerate(examples.texts) if normalise(text) not in seen])


def _asked(both: _Both, examples: Dataset, watch: Watch) -> _Judged:
    """What both answer to examples."""
    answers: list[tuple[Prediction, Prediction]] = []
    inputs = [example.messages for example in examples.examples]
    for done, pair in enumerate(zip(*(one.stream(inputs) for one in both)), start=1):
        answers.append(pair)
        watch.check()
        watch.progress("ask both models", done, len(inputs))
    quick, thorough = (
        np.array([pair[stage].value == wanted for pair, wanted in zip(answers, examples.values)]) for stage in (0, 1)
    )
    confidence = np.array([first.confidence for first, _ in answers], dtype=np.float32)
    return _Judged(confidence, quick, thorough, f"of {examples.source.name}" if examples.source else "given")


def _held_out(both: _Both) -> _Judged | None:
    """What both tunings held out alike; None unless both were on the same data."""
    first, second = (read_held_out(one.bundle) for one in both)
    digests = {one.bundle.manifest.data.digest for one in both}
    if first is None or second is None or len(digests) > 1:
        return None
    _, mine, others = np.intersect1d(first.rows, second.rows, return_indices=True)
    return _Judged(first.confidence[mine], first.right[mine], second.right[others], "that both tunings held out")


@contextmanager
def _sealed(
    both: _Both, stages: Stages, name: str, told: dict[str, Any], home: Home, out: Path | None
) -> Iterator[Bundle]:
    """The sealed cascade, which is removed when the block ends with an error. Raises StorageFull."""
    make_folders(home.bundles)
    with tempfile.TemporaryDirectory(dir=home.bundles, prefix=part_prefix()) as made_in:
        draft = Path(made_in) / "draft"
        draft.mkdir()
        for stage, one in zip((QUICK, THOROUGH), both):
            _copy_stage(one.bundle, name, draft / stage, Path(made_in) / stage)
        with disk_errors(draft):
            (draft / CASCADE_FILE).write_bytes(msgspec.json.encode(Cascade(stages.threshold)))
        bundle = seal(draft, _manifest(both, stages, name, told), out or new_folder(home, name))
    try:
        yield bundle
    except BaseException:
        shutil.rmtree(bundle.path, ignore_errors=True)
        raise


def _copy_stage(bundle: Bundle, name: str, out: Path, draft: Path) -> None:
    """Seal the files that answer at `out`, under the cascade's name, by which it answers. Raises StorageFull."""
    with disk_errors(draft):
        for file in bundle.manifest.files.keys() - set(REPORT_FILES):
            (draft / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.file(file), draft / file)
    seal(draft, msgspec.structs.replace(bundle.manifest, name=name), out)


def _manifest(both: _Both, stages: Stages, name: str, told: dict[str, Any]) -> Manifest:
    """That of the thorough stage, as far as it is about both."""
    return msgspec.structs.replace(
        both.thorough.bundle.manifest, name=name, created_at=int(time.time()), predictor=CASCADE, recipe=CASCADE,
        calibration=Calibration(examples=stages.n), nanosmith=__version__,
        settings={QUICK: both.quick.name, THOROUGH: both.thorough.name, "threshold": stages.threshold, **told},
        notes={"stages": msgspec.to_builtins(stages)},
    )  # fmt: skip


def _report(bundle: Bundle, both: _Both, test: Path | None, home: Home, watch: Watch) -> Report | None:
    if test is not None:
        return evaluate(bundle.path, test, watch=watch)
    quick, thorough = (one.bundle.manifest.data.digest for one in both)
    kept = find_kept(home.examples, thorough, both.thorough.task) if quick == thorough else None
    if kept is None or not len(kept.test):
        watch.message("No report: name a file of examples with --test.", "warn")
        return None
    inputs = [example.messages for example in kept.test.examples]
    told = {"evaluated_file": "the examples that were held out for the report", **made(bundle.manifest)}
    return score.evaluate(
        open_predictor(bundle), inputs, kept.test.values, watch=watch, bytes=size_bytes(bundle.manifest), made=told
    )
