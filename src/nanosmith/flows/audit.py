"""The story of an audit: vectors → out-of-fold probabilities → likely label errors → what to look at, in order.

`nanosmith check --deep` shows it; `nanosmith tune --label-errors` drops or down-weights what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nanosmith.core.settings import LabelErrors, TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.data.audit.confident import doubt_choices, doubt_memberships
from nanosmith.data.audit.discriminant import Floats, out_of_fold
from nanosmith.data.audit.findings import Finding, findings
from nanosmith.data.audit.suspects import Suspect, suspects_of, treat
from nanosmith.data.dataset import Dataset
from nanosmith.data.problem import Problem
from nanosmith.data.splits import folds
from nanosmith.flows.assemble import TuneData, open_base
from nanosmith.score.calibration import fit_sigmoid_temperature, fit_temperature
from nanosmith.store.home import Home

if TYPE_CHECKING:
    from nanosmith.recipes.parts.base import Base

FOLDS, FOLDS_FEW = 5, 10
FEW = 2_000  # examples, up to which there are more folds: each then learns from more of them
WORDS_WEIGHT = 0.5  # of the vectors of words, beside those of the base
WORDS_FROM = 20  # examples per label, below which words alone are too rare to tell anything
OVERCONFIDENCE = 10.0  # of discriminants in hundreds of dimensions; the temperature, which has bounds, does the rest


class LabelErrorsFound(msgspec.Struct, frozen=True):
    """`suspects` are ordered, most certain first; `judged` examples were scored by a model that had not seen them;
    of their labels (decisions, where an example has several) confident learning counts `counted` as wrong."""

    suspects: list[Suspect]
    judged: int
    counted: int


class Audit(msgspec.Struct, frozen=True):
    """What is worth a look, in order, and how the label errors among it were found."""

    findings: list[Finding]
    label_errors: LabelErrorsFound


def audit(
    train: Dataset, base: Base, *, problems: Sequence[Problem] = (), test: Dataset | None = None,
    test_problems: Sequence[Problem] = (), seed: int = 0, watch: Watch | None = None,
) -> Audit:  # fmt: skip
    """Everything worth a look in a training file and its test file; `problems` are what the plain check found."""
    errors = find_label_errors(train, base, seed, watch or Watch())
    return Audit(findings(train, errors.suspects, problems, test, test_problems), errors)


def audited(data: TuneData, settings: TuneSettings, home: Home, watch: Watch) -> tuple[TuneData, Base]:
    """Data whose training side lost its likely label errors, as the settings say, and the base that read it."""
    base = open_base(settings.base, home)
    train = without_label_errors(data.train, settings.label_errors, base, settings.seed, watch)
    return msgspec.structs.replace(data, train=train), base


def without_label_errors(data: Dataset, how: LabelErrors, base: Base, seed: int, watch: Watch) -> Dataset:
    """The training examples with likely label errors dropped or down-weighted; tells how many there were."""
    found = find_label_errors(data, base, seed, watch)
    treated = treat(data, found.suspects, how)
    done = {"keep": "kept", "drop": "dropped", "downweight": "down-weighted"}[how]
    spared = len(found.suspects) - treated.changed
    more = f"; {spared:,} stay, so that half of each label's examples do" if spared else ""
    watch.message(
        f"Likely label errors: {len(found.suspects):,} of {found.judged:,} examples, {treated.changed:,} {done}{more}."
    )
    return treated.dataset


def find_label_errors(data: Dataset, base: Base, seed: int, watch: Watch) -> LabelErrorsFound:
    """Examples whose given label is likely wrong, by discriminants on the base's vectors and the texts' words. Raises
    Cancelled."""
    from nanosmith.recipes.parts.term_vectors import term_vectors

    splits = _folds(data, seed)
    judged = sorted(i for _, held_out in splits for i in held_out)
    if not judged or len(data.task.labels) < 2:
        return LabelErrorsFound([], 0, 0)
    vectors = _unit(base.vectors(data.texts, watch))
    if len(data) >= WORDS_FROM * len(data.task.labels):
        words = term_vectors(data.texts, watch)
        vectors = np.hstack([vectors, WORDS_WEIGHT * words])
    return judge(data, vectors, splits, watch)


def judge(
    data: Dataset, vectors: Floats, splits: Sequence[tuple[list[int], list[int]]], watch: Watch
) -> LabelErrorsFound:
    """As above, by vectors (N, D) of about length 1 and folds (positions to learn from, positions to judge)."""
    from nanosmith.recipes.work import targets_of

    targets = targets_of(data.task, data.values)
    weights = np.array([example.weight for example in data.examples])
    scores = out_of_fold(vectors, targets, weights, splits, len(data.task.labels), watch.check)
    judged = np.flatnonzero(~np.isnan(scores[:, 0]))
    scores, given = scores[judged] / OVERCONFIDENCE, targets[judged]
    if data.task.kind == "choice":
        indices = given.astype(np.int64)
        probabilities = _softmax(scores / fit_temperature(scores, indices))
        doubts = doubt_choices(probabilities, indices)
    else:
        members = given.astype(np.bool_)
        probabilities = 0.5 * (1 + np.tanh(0.5 * scores / fit_sigmoid_temperature(scores, members)))
        doubts = doubt_memberships(probabilities, members)
    return LabelErrorsFound(suspects_of(data, judged.tolist(), probabilities, doubts), len(judged), doubts.count)


def _unit(vectors: Floats) -> Floats:
    lengths: Floats = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors / lengths


def _folds(data: Dataset, seed: int) -> list[tuple[list[int], list[int]]]:
    splits = folds(data, seed, FOLDS_FEW if len(data) <= FEW else FOLDS)
    return [(one.train, one.tune) for one in splits if one.tune]


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found
