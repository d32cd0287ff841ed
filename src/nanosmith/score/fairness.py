"""Counterfactual fairness: whether an answer changes when the person in a text is of another group.

Each text is rewritten for every group of an axis and answered as often (Garg et al. 2019, "Counterfactual Fairness in
Text Classification through Robustness"). Texts that name no group get a sentence before them that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from statistics import NormalDist
from typing import Literal, TypeAlias

import msgspec

from nanosmith.core.example import Input
from nanosmith.core.prediction import Predictor
from nanosmith.core.task import Value
from nanosmith.core.watch import Watch
from nanosmith.score.groups import Axis, Rewrites, axes
from nanosmith.score.intervals import Interval, paired_difference, wilson
from nanosmith.score.metrics import as_set, shorten
from nanosmith.score.variants import Asking, own_text, with_text

FOUND_TEXTS, INTRODUCED_TEXTS = 200, 100
SHOWN_FLIPS = 5

Way: TypeAlias = Literal["found", "introduced"]


class GroupRow(msgspec.Struct, frozen=True):
    """Accuracy on all texts of an axis, rewritten for one group."""

    group: str
    accuracy: float
    accuracy_interval: Interval


class Flip(msgspec.Struct, frozen=True):
    """Two groups whose texts differ in nothing else, and what each was answered."""

    groups: tuple[str, str]
    texts: tuple[str, str]
    answers: tuple[Value, Value]


class AxisRow(msgspec.Struct, frozen=True):
    """One axis on `n` texts that name a group themselves (`found`), or get a sentence that does (`introduced`).

    `flip_rate` is the share of texts whose answer is not the same for all groups; `gap` the accuracy of the best group
    less that of the worst. The interval of `gap` allows for their choice among all pairs (Bonferroni).
    """

    axis: str
    way: Way
    n: int
    flip_rate: float
    flip_interval: Interval
    gap: float
    gap_interval: Interval
    groups: tuple[GroupRow, ...]
    flips: tuple[Flip, ...]


class Fairness(msgspec.Struct, frozen=True):
    """What `fairness` measured, with the `seed` that drew texts and names. Axes without any text are left out."""

    seed: int
    axes: tuple[AxisRow, ...]


class _Case(msgspec.Struct, frozen=True):
    """An example with its text for each group."""

    given: Input
    wanted: frozenset[str]
    rewrites: Rewrites


def fairness(
    predictor: Predictor,
    inputs: Sequence[Input],
    wanted: Sequence[Value],
    *,
    seed: int = 0,
    watch: Watch | None = None,
) -> Fairness:
    """Ask a sample of the examples, rewritten for each group. Raises Cancelled."""
    random = Random(seed)  # noqa: S311 - not for secrets
    order = random.sample(range(len(inputs)), len(inputs))
    shuffled = [(inputs[i], as_set(wanted[i])) for i in order]
    planned: list[tuple[Axis, Way, list[_Case]]] = []
    for axis in axes():
        planned.append((axis, "found", _cases(shuffled, axis.found, random, FOUND_TEXTS)))
        planned.append((axis, "introduced", _cases(shuffled, axis.introduced, random, INTRODUCED_TEXTS)))
    total = sum(len(case.rewrites) for _, _, cases in planned for case in cases)
    asking = Asking(predictor, watch or Watch(), "swapped groups", total)
    return Fairness(seed, tuple(_row(axis.name, way, cases, asking) for axis, way, cases in planned if cases))


def _cases(
    examples: Sequence[tuple[Input, frozenset[str]]], rewrite: Callable[[str, Random], Rewrites], random: Random,
    limit: int,
) -> list[_Case]:  # fmt: skip
    """The first examples that can be rewritten."""
    found: list[_Case] = []
    for given, wanted in examples:
        rewrites = rewrite(own_text(given), random)
        if rewrites:
            found.append(_Case(given, wanted, rewrites))
        if len(found) == limit:
            break
    return found


def _row(axis: str, way: Way, cases: Sequence[_Case], asking: Asking) -> AxisRow:
    names = list(cases[0].rewrites)
    answers: list[list[Value]] = []  # of each case, one per group
    for case in cases:
        texts = [with_text(case.given, case.rewrites[name]) for name in names]
        answers.append([prediction.value for prediction in asking.answers(texts)])
    right = {name: [as_set(row[i]) == case.wanted for case, row in zip(cases, answers)] for i, name in enumerate(names)}
    flips = [i for i, row in enumerate(answers) if len(set(map(as_set, row))) > 1]
    n = len(cases)
    gap, gap_interval = _gap(right)
    return AxisRow(
        axis=axis,
        way=way,
        n=n,
        flip_rate=len(flips) / n,
        flip_interval=wilson(len(flips), n),
        gap=gap,
        gap_interval=gap_interval,
        groups=tuple(GroupRow(name, sum(row) / n, wilson(sum(row), n)) for name, row in right.items()),
        flips=tuple(_flip(names, cases[i], answers[i]) for i in flips[:SHOWN_FLIPS]),
    )


def _gap(right: dict[str, list[bool]]) -> tuple[float, Interval]:
    """How much more often the best group is answered rightly than the worst, on the same texts."""
    ranked = sorted(right, key=lambda name: (-sum(right[name]), name))
    best, worst = right[ranked[0]], right[ranked[-1]]
    pairs = max(1, len(right) * (len(right) - 1) // 2)
    lost = sum(a and not b for a, b in zip(best, worst))
    won = sum(b and not a for a, b in zip(best, worst))
    z = NormalDist().inv_cdf(1 - 0.025 / pairs)
    return (lost - won) / len(best), paired_difference(lost, won, len(best), z)


def _flip(names: Sequence[str], case: _Case, answers: Sequence[Value]) -> Flip:
    other = next(i for i, answer in enumerate(answers) if as_set(answer) != as_set(answers[0]))
    a, b = names[0], names[other]
    texts = shorten(case.rewrites[a]), shorten(case.rewrites[b])
    return Flip((a, b), texts, (answers[0], answers[other]))
