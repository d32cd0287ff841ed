"""Figures of `text`: exact matches, BLEU, chrF and ROUGE-L against all references, validity, pace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from nanosmith.core.errors import InputError
from nanosmith.core.json_schema import fits
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.score.confidence import confidence_figures
from nanosmith.score.intervals import bootstrap, wilson
from nanosmith.score.metrics import Counts, Floats, shorten
from nanosmith.score.nearness import bleu, chrf, rouge_l
from nanosmith.score.run import Run, Written
from nanosmith.score.text_figures import Pace, TextFigures, WorstText
from nanosmith.score.wrong import wrong_rows

MAX_WORST = 50
SHOWN_CHARS = 400


def figures(task: Task, run: Run, outside: Sequence[Prediction]) -> dict[str, Any]:
    """The fields of a Report that tell how good the texts are; `outside` does not count."""
    given, references = [str(text) for text in run.given], _references(run)
    right = np.array([text.strip() in {one.strip() for one in theirs} for text, theirs in zip(given, references)])
    share, interval = float(right.mean()), wilson(int(right.sum()), len(right))
    near = [[rouge_l(text, one) for one in theirs] for text, theirs in zip(given, references)]
    best = np.array([max(row) for row in near])
    worst = np.argsort(best, kind="stable")[:MAX_WORST].tolist()
    return {
        "n": len(right),
        "accuracy": share, "accuracy_interval": interval,
        "macro_f1": share, "macro_f1_interval": interval, "micro_f1": share,
        "per_class": (), "confusions": (),
        "calibration": confidence_figures(run.predictions, right),
        "wrong_count": int((~right).sum()), "wrong": wrong_rows(run, right),
        "text": TextFigures(
            exact_match=share,
            exact_match_interval=interval,
            rouge_l=float(best.mean()),
            rouge_l_interval=_mean_interval(best),
            bleu=bleu(given, references),
            chrf=chrf(given, references),
            references=max(map(len, references)),
            valid=_valid(task, given),
            pace=_pace(run.written),
            worst=tuple(_worst(i, task, run, references[i][int(np.argmax(near[i]))], best[i]) for i in worst),
        ),
    }  # fmt: skip


def remarks(task: Task, run: Run) -> list[str]:
    """How many answers are empty."""
    empty = sum(not str(text).strip() for text in run.given)
    return [f"{empty} of {len(run.given)} answers are empty."] if empty else []


def _references(run: Run) -> list[tuple[str, ...]]:
    """All wanted answers of each example (N)."""
    others = run.others or [()] * len(run.wanted)
    return [(str(wanted), *more) for wanted, more in zip(run.wanted, others, strict=True)]


def _mean_interval(values: Floats) -> tuple[float, float]:
    """A bootstrap's, of the mean of `values` (N)."""
    column, one = values[:, None], np.ones((len(values), 1))
    low, high = bootstrap(Counts(column, one, one), _mean)
    return float(low[0]), float(high[0])


def _mean(found: Counts) -> Floats:
    return np.asarray(found.right / found.given, dtype=np.float64)


def _valid(task: Task, given: Sequence[str]) -> float | None:
    schema = dict(task.record.schema) if task.record else {}
    if not schema:
        return None
    try:
        return sum(_obeys(text, schema) for text in given) / len(given)
    except InputError:  # words that we do not know
        return None


def _obeys(text: str, schema: dict[str, Any]) -> bool:
    try:
        return fits(msgspec.json.decode(text), schema, schema)
    except (msgspec.DecodeError, RecursionError):
        return False


def _pace(written: Sequence[Written]) -> Pace | None:
    if not written:
        return None
    p50, p95 = np.percentile([one.first_ns / 1e6 for one in written], [50, 95])
    behind = sum(max(0, one.tokens - 1) for one in written)
    seconds = sum(one.whole_ns - one.first_ns for one in written) / 1e9
    tokens = float(np.mean([one.tokens for one in written]))
    return Pace(float(p50), float(p95), behind / seconds if seconds else 0.0, tokens)


def _worst(i: int, task: Task, run: Run, reference: str, near: float) -> WorstText:
    text, given = task.text_of(run.inputs[i]), str(run.given[i])
    return WorstText(
        i, shorten(text, SHOWN_CHARS), shorten(reference, SHOWN_CHARS), shorten(given, SHOWN_CHARS), float(near)
    )
