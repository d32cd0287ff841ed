"""From a Predictor and wanted answers to a Report. One input per call, and every figure from these same calls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import ModuleType
from typing import Any, cast

import msgspec
import numpy as np

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input
from nanosmith.core.generation import Generator
from nanosmith.core.prediction import Predictor
from nanosmith.core.task import Kind, Task, Value
from nanosmith.core.watch import Watch
from nanosmith.score import cost
from nanosmith.score.kinds import labels, records, texts
from nanosmith.score.latency import summarise, timed_calls
from nanosmith.score.machine import Memory, cpu, memory
from nanosmith.score.report import Report
from nanosmith.score.run import Run, Written
from nanosmith.score.writing import timed_texts
from nanosmith.version import __version__

UPDATES = 200  # progress is told at most this often
KINDS: dict[Kind, ModuleType] = {"choice": labels, "labels": labels, "record": records, "text": texts}
WANTED: dict[Kind, str] = {
    "choice": "one label", "labels": "a set of labels", "record": "a JSON object", "text": "a text",
}  # fmt: skip


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
    others: Sequence[Sequence[str]] = (),
) -> Report:
    """Ask the predictor every input, one by one, and compare with what was wanted.

    `bytes` is the size of the bundle, `made` what the caller knows about its making, `prices` the table for the costs
    (None: the one that comes with Nanosmith). `outside` are inputs about none of the labels: they count for
    `Report.scope` alone. `others` are further wanted texts of each example, where there are any. Raises InputError (no
    inputs, or answers of another kind), Cancelled.
    """
    _check(predictor.task, inputs, wanted)
    table = prices or cost.load_prices()
    run = _ask(predictor, inputs, wanted, watch or Watch())
    run = run._replace(others=others, written=_written(predictor, inputs))
    latency, used, kind = summarise(run.times_ns), memory(), KINDS[predictor.task.kind]
    refused = _ask(predictor, outside, [], watch or Watch()).predictions if outside else []
    return Report(
        model=predictor.name,
        kind=predictor.task.kind,
        labels=len(predictor.task.labels),
        **kind.figures(predictor.task, run, refused),
        latency_ms=latency,
        bytes=bytes,
        peak_memory_bytes=used.peak_bytes,
        cpu=cpu(),
        cost=_cost(predictor, run, latency.mean, table),
        cut_inputs=sum(prediction.dropped_tokens > 0 for prediction in run.predictions),
        made=_plain(made or {}),
        notes=(*kind.remarks(predictor.task, run), *_notes(run, used)),
        created_at=int(time.time()),
        nanosmith=__version__,
    )


def _check(task: Task, inputs: Sequence[Input], wanted: Sequence[Value]) -> None:
    if len(inputs) != len(wanted):
        raise InputError(
            "every input needs one wanted answer", got=f"{len(inputs)} inputs and {len(wanted)} wanted answers"
        )
    if not inputs:
        raise InputError(
            "there is nothing to evaluate", got="no examples", remedy="Name a file with at least one example."
        )
    odd = next((i for i, value in enumerate(wanted) if isinstance(value, str) != (task.kind != "labels")), None)
    if odd is not None:
        raise InputError(
            "the wanted answer is of another kind than the model's",
            where=f"example {odd + 1}",
            got=repr(wanted[odd]),
            allowed=WANTED[task.kind],
        )


def _ask(predictor: Predictor, inputs: Sequence[Input], wanted: Sequence[Value], watch: Watch) -> Run:
    predictions, times_ns = [], []
    every = -(-len(inputs) // UPDATES)
    for done, (prediction, took) in enumerate(timed_calls(predictor, inputs), start=1):
        predictions.append(prediction)
        times_ns.append(took)
        watch.check()
        if done % every == 0 or done == len(inputs):
            watch.progress("evaluate", done, len(inputs))
    return Run(inputs, wanted, predictions, times_ns)


def _written(predictor: Predictor, inputs: Sequence[Input]) -> list[Written]:
    """How a sample of the texts is written, where they come piece by piece."""
    if predictor.task.kind != "text" or not hasattr(predictor, "generate"):
        return []
    return list(timed_texts(cast(Generator, predictor), inputs))


def _cost(predictor: Predictor, run: Run, mean_ms: float, prices: cost.Prices) -> cost.Cost:
    read = np.mean([prediction.tokens + prediction.dropped_tokens for prediction in run.predictions])
    lengths = {value: cost.estimated_tokens(predictor.task.render(value)) for value in set(run.wanted)}
    written = np.mean([lengths[value] for value in run.wanted])
    return cost.compare(predictor.name, mean_ms, float(read), float(written), prices)


def _notes(run: Run, used: Memory) -> tuple[str, ...]:
    notes = []
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
