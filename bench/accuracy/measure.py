"""The figures of one trained contender on the tests of a trial, in percent.

Letters: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
from bench.accuracy import rows as r
from bench.accuracy.rows import Row
from bench.accuracy.sets import Trial

from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.score import metrics
from nanosmith.score.attack import attack
from nanosmith.score.calibration import expected_calibration_error

BATCH = 64
ATTACKED = 200  # rows
IN_SCOPE_RECALL = 0.95

Figures = dict[str, float]


def figures(trial: Trial, predictor: Predictor) -> tuple[Figures, dict[str, int]]:
    """All figures, and how many rows each is of."""
    found: Figures = {}
    counts: dict[str, int] = {}
    for name, rows in trial.tests.items():
        answers = ask(predictor, rows)
        if trial.out_of_scope:
            new, of = _outside(trial, rows, answers)
        else:
            new = _of_test(name, trial, rows, answers)
            of = dict.fromkeys(new, len(rows))
        found, counts = found | new, counts | of
    if trial.attacked:
        found["attack_kept"], counts["attack_kept"] = _attacked(predictor, trial.tests["clean"])
    return {name: round(100 * value, 3) for name, value in found.items()}, counts


def ask(predictor: Predictor, rows: Sequence[Row]) -> list[Prediction]:
    """One Prediction per row (N)."""
    batches = (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
    return [answer for batch in batches for answer in predictor.predict([r.given(row) for row in batch])]


def _of_test(name: str, trial: Trial, rows: Sequence[Row], answers: Sequence[Prediction]) -> Figures:
    """Accuracy (whole answers) under the test's name; for the clean test also macro-F1 and calibration."""
    right = np.array(list(_right(rows, answers)))
    if name != "clean":
        return {name: float(right.mean())}
    found = {"accuracy": float(right.mean()), "macro_f1": _macro_f1(trial, rows, answers)}
    confidence = [answer.confidence for answer in answers if answer.confidence is not None]
    if len(confidence) == len(rows):
        found["ece"] = expected_calibration_error(np.array(confidence), right)
    return found


def _right(rows: Sequence[Row], answers: Sequence[Prediction]) -> Iterator[bool]:
    """Whether each answer (N) is wholly right: a label and a set of it alone are the same."""
    for row, answer in zip(rows, answers, strict=True):
        yield metrics.as_set(r.wanted(row)) == metrics.as_set(answer.value)


def _macro_f1(trial: Trial, rows: Sequence[Row], answers: Sequence[Prediction]) -> float:
    names = sorted({*trial.labels, *r.labels_in(rows)})
    tables = [np.array([[name in values for name in names] for values in column]) for column in (
        [metrics.as_set(r.wanted(row)) for row in rows], [metrics.as_set(answer.value) for answer in answers]
    )]  # fmt: skip
    return float(metrics.macro_f1(metrics.counts(*tables, len(names))))


def _outside(trial: Trial, rows: Sequence[Row], answers: Sequence[Prediction]) -> tuple[Figures, dict[str, int]]:
    """How well rows that are out of scope are told from the others, by `outside`.

    `oos_recall` is the share of them that is refused by the threshold that accepts 95 % of the rows in scope;
    `accuracy` is that of the rows in scope, whose best label in scope is compared.
    """
    from sklearn.metrics import roc_auc_score

    is_out = np.array([row["label"] == trial.out_of_scope for row in rows])
    score = np.array([outside(answer, trial.out_of_scope) for answer in answers])
    threshold = np.quantile(score[~is_out], IN_SCOPE_RECALL)
    best = [max((p, label) for label, p in _in_scope(answer, trial.out_of_scope)) for answer in answers]
    right = [label == row["label"] for (_, label), row, out in zip(best, rows, is_out) if not out]
    found = {
        "oos_auroc": float(roc_auc_score(is_out, score)),
        "oos_recall": float((score[is_out] > threshold).mean()),
        "accuracy": float(np.mean(right)),
    }
    return found, {"oos_auroc": len(rows), "oos_recall": int(is_out.sum()), "accuracy": len(right)}


def outside(answer: Prediction, label: str | None) -> float:
    """A score that is high where no label in scope fits: what the Prediction says, else one less the highest
    probability in scope (Hendrycks and Gimpel 2017)."""
    said: float | None = getattr(answer, "out_of_scope", None)
    return 1 - max(p for _, p in _in_scope(answer, label)) if said is None else said


def _in_scope(answer: Prediction, label: str | None) -> list[tuple[str, float]]:
    return [(name, p) for name, p in zip(answer.labels, answer.probabilities) if name != label]


def _attacked(predictor: Predictor, rows: Sequence[Row]) -> tuple[float, int]:
    """The share of right answers that a greedy one-character attack leaves right, and how many were attacked."""
    chosen = Random(0).sample(list(rows), min(ATTACKED, len(rows)))
    right = [row for row, is_right in zip(chosen, _right(chosen, ask(predictor, chosen))) if is_right]
    kept = sum(
        attack(lambda text: predictor.predict([text])[0], predictor.task, row["text"], r.wanted(row), Random(i)).text
        is None
        for i, row in enumerate(right)
    )
    return kept / max(1, len(right)), len(right)


def found_flips(flipped: frozenset[int], suspects: set[int]) -> Figures:
    """Recall and precision, in percent, of the rows that are held for mislabelled."""
    hit = len(flipped & suspects)
    recall, precision = hit / len(flipped), hit / max(1, len(suspects))
    return {"flips_recall": round(100 * recall, 3), "flips_precision": round(100 * precision, 3)}
