"""From a Predictor and wanted answers to a Report. One input per call, and every figure from these same calls.

Letters: N examples, L labels of the model, C classes (these and wanted labels that the model does not have).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import numpy as np

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.task import Task, Value
from nanosmith.core.watch import Watch
from nanosmith.score import calibration as calibrate
from nanosmith.score import cost, coverage, metrics
from nanosmith.score.intervals import bootstrap_macro_f1, wilson
from nanosmith.score.latency import summarise, timed_calls
from nanosmith.score.machine import Memory, cpu, memory
from nanosmith.score.report import Calibration, Report, Unseen, Wrong
from nanosmith.score.scope import ScopeFigures, scope_figures
from nanosmith.version import __version__

MAX_WRONG = 500
MAX_NAMED = 5
UPDATES = 200  # progress is told at most this often


class _Run(NamedTuple):
    """The answers of one evaluation, in the order of the examples (N)."""

    wanted: Sequence[Value]
    predictions: Sequence[Prediction]
    times_ns: Sequence[int]

    @property
    def given(self) -> list[Value]:
        return [prediction.value for prediction in self.predictions]


def evaluate(
    predictor: Predictor,
    inputs: Sequence[Input],
    wanted: Sequence[Value],
    *,
    watch: Watch | None = None,
    bytes: int | None = None,
    made: Mapping[str, Any] | None = None,
    prices: cost.Prices | None = None,
    outside: Sequence[Input] = (),
) -> Report:
    """Ask the predictor every input, one by one, and compare with what was wanted.

    `bytes` is the size of the bundle, `made` what the caller knows about its making, `prices` the table for the costs
    (None: the one that comes with Nanosmith). `outside` are inputs about none of the labels: they count for
    `Report.scope` alone. Raises InputError (no inputs, or answers of another kind), Cancelled.
    """
    _check(predictor.task, inputs, wanted)
    table = prices or cost.load_prices()
    run = _ask(predictor, inputs, wanted, watch or Watch())
    latency, used, unseen = summarise(run.times_ns), memory(), _unseen(predictor.task, wanted)
    refused = _ask(predictor, outside, [], watch or Watch()).predictions if outside else []
    return Report(
        model=predictor.name,
        kind=predictor.task.kind,
        labels=len(predictor.task.labels),
        **_quality(predictor.task, inputs, run),
        latency_ms=latency,
        bytes=bytes,
        peak_memory_bytes=used.peak_bytes,
        cpu=cpu(),
        cost=_cost(predictor, run, latency.mean, table),
        cut_inputs=sum(prediction.dropped_tokens > 0 for prediction in run.predictions),
        unseen=unseen,
        made=_plain(made or {}),
        notes=_notes(run, unseen, used),
        scope=_scope(predictor.task, run, refused),
        created_at=int(time.time()),
        nanosmith=__version__,
    )


def _quality(task: Task, inputs: Sequence[Input], run: _Run) -> dict[str, Any]:
    """The fields of a Report that tell how good the answers are."""
    names = _classes(task, run)
    want, got = (_coded(values, names, task) for values in (run.wanted, run.given))
    found = metrics.counts(want, got, len(names))
    right = metrics.correct(want, got)
    texts = [task.text_of(given) for given in inputs]
    return {
        "n": len(right),
        "accuracy": float(right.mean()),
        "accuracy_interval": wilson(int(right.sum()), len(right)),
        "macro_f1": float(metrics.macro_f1(found)),
        "macro_f1_interval": bootstrap_macro_f1(want, got, len(names)),
        "micro_f1": metrics.micro_f1(found),
        "per_class": metrics.per_class(names, found),
        "confusions": metrics.worst_confusions(run.wanted, run.given, texts),
        "calibration": _calibration(task, run, right),
        "wrong_count": int((~right).sum()),
        "wrong": _wrong(run, right),
    }


def _check(task: Task, inputs: Sequence[Input], wanted: Sequence[Value]) -> None:
    if task.kind not in ("choice", "labels"):
        raise InputError("this kind of task cannot be evaluated yet", got=task.kind, allowed="choice or labels")
    if len(inputs) != len(wanted):
        raise InputError(
            "every input needs one wanted answer", got=f"{len(inputs)} inputs and {len(wanted)} wanted answers"
        )
    if not inputs:
        raise InputError(
            "there is nothing to evaluate", got="no examples", remedy="Name a file with at least one example."
        )
    odd = next((i for i, value in enumerate(wanted) if isinstance(value, str) != (task.kind == "choice")), None)
    if odd is not None:
        raise InputError(
            "the wanted answer is of another kind than the model's",
            where=f"example {odd + 1}",
            got=repr(wanted[odd]),
            allowed="one label" if task.kind == "choice" else "a set of labels",
        )


def _ask(predictor: Predictor, inputs: Sequence[Input], wanted: Sequence[Value], watch: Watch) -> _Run:
    predictions, times_ns = [], []
    every = -(-len(inputs) // UPDATES)
    for done, (prediction, took) in enumerate(timed_calls(predictor, inputs), start=1):
        predictions.append(prediction)
        times_ns.append(took)
        watch.check()
        if done % every == 0 or done == len(inputs):
            watch.progress("evaluate", done, len(inputs))
    return _Run(wanted, predictions, times_ns)


def _classes(task: Task, run: _Run) -> tuple[str, ...]:
    """The model's labels, then all others that were wanted or given (C)."""
    met = set().union(*map(metrics.as_set, run.wanted), *map(metrics.as_set, run.given))
    return (*task.labels, *sorted(met.difference(task.labels)))


def _coded(values: Sequence[Value], names: Sequence[str], task: Task) -> metrics.Answers:
    """Values as class numbers (N) for choice, as a membership table (N, C) for labels."""
    number = {name: i for i, name in enumerate(names)}
    if task.kind == "choice":
        return np.array([number[str(value)] for value in values])
    table = np.zeros((len(values), len(names)), dtype=bool)
    for row, value in zip(table, values):
        row[[number[label] for label in value]] = True
    return table


def _calibration(task: Task, run: _Run, right: metrics.Bools) -> Calibration | None:
    known = [p.confidence for p in run.predictions if p.confidence is not None]
    if len(known) < len(right):
        return None
    confidence = np.array(known)
    curve = coverage.coverage_curve(confidence, right)
    brier, nll = _proper_scores(task, run)
    return Calibration(
        ece=calibrate.expected_calibration_error(confidence, right),
        brier=brier,
        nll=nll,
        reliability=calibrate.reliability_curve(confidence, right),
        coverage=coverage.thinned(curve),
        targets=tuple(coverage.answerable(curve, target) for target in coverage.TARGETS),
    )


def _scope(task: Task, run: _Run, outside: Sequence[Prediction]) -> ScopeFigures | None:
    if task.kind != "choice":
        return None
    right = np.array([want == got for want, got in zip(run.wanted, run.given)])
    return scope_figures(run.predictions, right, outside)


def _proper_scores(task: Task, run: _Run) -> tuple[float, float] | tuple[None, None]:
    """Brier score and NLL over the model's own labels."""
    if any(prediction.labels != task.labels for prediction in run.predictions):
        return None, None
    probabilities = np.array([prediction.probabilities for prediction in run.predictions])
    wanted: metrics.Answers
    if task.kind == "choice":
        number = {label: i for i, label in enumerate(task.labels)}
        wanted = np.array([number.get(str(value), -1) for value in run.wanted])
    else:
        wanted = np.array([[label in value for label in task.labels] for value in run.wanted])
    return calibrate.brier(probabilities, wanted), calibrate.negative_log_likelihood(probabilities, wanted)


def _cost(predictor: Predictor, run: _Run, mean_ms: float, prices: cost.Prices) -> cost.Cost:
    read = np.mean([prediction.tokens + prediction.dropped_tokens for prediction in run.predictions])
    lengths = {value: cost.estimated_tokens(predictor.task.render(value)) for value in set(run.wanted)}
    written = np.mean([lengths[value] for value in run.wanted])
    return cost.compare(predictor.name, mean_ms, float(read), float(written), prices)


def _wrong(run: _Run, right: metrics.Bools) -> tuple[Wrong, ...]:
    rows = np.flatnonzero(~right)[:MAX_WRONG].tolist()
    return tuple(
        Wrong(i, run.wanted[i], run.predictions[i].value, _rounded(run.predictions[i].confidence)) for i in rows
    )


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)


def _unseen(task: Task, wanted: Sequence[Value]) -> tuple[Unseen, ...]:
    found = Counter(label for value in wanted for label in metrics.as_set(value))
    return tuple(Unseen(label, n) for label, n in found.most_common() if label not in set(task.labels))


def _notes(run: _Run, unseen: Sequence[Unseen], used: Memory) -> tuple[str, ...]:
    notes = []
    sizes = metrics.right_by_size(run.wanted, run.given)
    if len(sizes) > 1:
        told = ", ".join(f"{right / n:.1%} of {n:,} that want {size}" for size, (right, n) in sizes.items())
        notes.append(f"Wholly right by the number of labels: {told}.")
    if unseen:
        named = ", ".join(repr(metrics.shorten(row.label, 40)) for row in unseen[:MAX_NAMED])
        more = f" and {len(unseen) - MAX_NAMED} more" if len(unseen) > MAX_NAMED else ""
        count = sum(row.count for row in unseen)
        notes.append(f"Wanted, but not labels of the model: {named}{more}, {count} in all. They count as wrong.")
    if cut := sum(prediction.dropped_tokens > 0 for prediction in run.predictions):
        notes.append(
            f"{cut} of {len(run.predictions)} inputs were longer than the model reads; their ends were cut off."
        )
    if any(prediction.confidence is None for prediction in run.predictions):
        notes.append("The model is not calibrated: it gives no confidence.")
    if used.peak_bytes is None:
        notes.append("This platform does not tell the peak memory of a process.")
    elif used.training:
        notes.append("Peak memory is that of the whole process, in which torch was loaded; answering alone needs less.")
    return tuple(notes)


def _plain(made: Mapping[str, Any]) -> dict[str, Any]:
    """`made` as values that JSON holds; numpy's numbers become Python's, anything else its text."""
    plain: dict[str, Any] = msgspec.to_builtins(dict(made), str_keys=True, enc_hook=_as_builtin)
    return plain


def _as_builtin(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, PurePath) else repr(value)
