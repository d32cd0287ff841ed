"""From which confidence on do local answers agree with a teacher's as often as was asked for?

Thresholds are tested one after the other, from strict to loose, until one fails (fixed-sequence learn-then-test:
Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn then Test"). The last that passed agrees as often as asked for
with the wanted confidence, however many were tested, as each test that can go wrong comes after those that hold.

The thresholds are confidences of the sample itself at ranks that are fixed before any agreement is looked at, and an
answer is above one when its confidence is larger. Among the answers above such a threshold the number of agreements is
binomial, whatever the threshold is. Where the true agreement first falls below the target, the answers above form
whole stretches of true agreement equal to the target and a last one below it, and ranks alone tell how many answers are
in each: so the test of the first threshold that should fail passes with at most the allowed chance. This wants
confidences without many ties; equal ones are taken together.

Letters: N examples, S thresholds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from nanosmith.core.certificate import ClassBound, Method, Tested
from nanosmith.score.anytime import betting_bound
from nanosmith.score.metrics import Bools, Floats

STEPS = 100
FIRST = 4  # times as many answers as a target takes without a disagreement are above the first threshold
HALVINGS = 32  # of an interval that holds a bound
GROWTH = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)  # of a sample, that are tried for an estimate


class Chosen(msgspec.Struct, frozen=True):
    """Of `n` answers `answered` have a confidence of at least `threshold`, and `agreed` of these are the teacher's.
    `bound` is the lower bound of the agreement at this threshold."""

    threshold: float
    n: int
    answered: int
    agreed: int
    bound: float
    tested: tuple[Tested, ...]


class Refusal(msgspec.Struct, frozen=True):
    """Why no threshold can be certified. `more`: about how many further examples would do, None where none would;
    `reachable`: an agreement that these examples would do for, None where there is none."""

    reason: str
    n: int
    more: int | None
    reachable: float | None


def needed(target: float, confidence: float) -> int:
    """How many answers show an agreement of `target` when none of them disagrees: 99 for 97 % with 95 % confidence."""
    return max(1, math.ceil(math.log1p(-confidence) / math.log(target) - 1e-9))


def choose(
    confidences: Floats, agrees: Bools, target: float, confidence: float, *, method: Method = "exact"
) -> Chosen | Refusal:
    """The loosest threshold of the sequence whose answers agree in a share of `target`, with the given confidence.

    `confidences` (N) of the local answers in the order in which they were drawn, negative ones for answers that are
    never given, and whether each `agrees` (N).
    """
    n, least = len(confidences), needed(target, confidence)
    if n < least:
        return too_few(n, target, confidence)
    chosen, tested = None, []
    for threshold in sequence(confidences, least):
        above = agrees[confidences >= threshold]
        answered, agreed = len(above), int(above.sum())
        bound = exact_bound(agreed, answered, confidence) if method == "exact" else betting_bound(above, 1 - confidence)
        tested.append(Tested(answered / n, agreed / answered, bound))
        if bound < target:
            break
        chosen = threshold, answered, agreed, bound
    if chosen is None:
        return _failed(confidences, agrees, target, confidence)
    threshold, answered, agreed, bound = chosen
    return Chosen(threshold, n, answered, agreed, bound, tuple(tested))


def sequence(confidences: Floats, least: int, *, steps: int = STEPS) -> list[float]:
    """Thresholds (S), strict to loose, such that `confidence >= threshold` means above the confidence of some rank.

    The first has FIRST times `least` answers above, or half of them where there are not so many; the last has all that
    may be given. Each has at least `least`.
    """
    descending = np.sort(confidences)[::-1]
    n = len(descending)
    first = max(least, min(FIRST * least, n // 2))
    ranks = np.unique(np.linspace(min(first, n), n, steps).round().astype(int))
    edges = [float(np.nextafter(descending[rank], np.inf)) for rank in ranks[ranks < n]]
    found = [*(edge for edge in dict.fromkeys(edges) if edge > 0), 0.0]
    return [edge for edge in found if int((confidences >= edge).sum()) >= least]


def exact_bound(agreed: int, n: int, confidence: float) -> float:
    """The lower end of the one-sided interval of Clopper and Pearson (1934); 0 without examples."""
    if agreed == 0:
        return 0.0
    low, high = 0.0, agreed / n
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_least(agreed, n, middle) <= 1 - confidence else (low, middle)
    return low


def at_least(agreed: int, n: int, share: float) -> float:
    """The chance of `agreed` and more agreements among `n`, where each comes with the chance `share` in (0, 1)."""
    failures = np.arange(n - agreed)  # each term has one more than the one before
    steps = np.log((n - failures) / (failures + 1)) + math.log((1 - share) / share)
    logs = n * math.log(share) + np.concatenate([[0.0], np.cumsum(steps)])
    top = float(logs.max())
    return min(1.0, math.exp(top) * float(np.exp(logs - top).sum()))


def by_class(labels: Sequence[str], agrees: Bools, confidence: float) -> tuple[ClassBound, ...]:
    """Of each label that was answered (N), the agreement with a bound, the lowest bound first."""
    answered, agreed = Counter(labels), Counter(label for label, right in zip(labels, agrees) if right)
    rows = [
        ClassBound(label, n, agreed[label], exact_bound(agreed[label], n, confidence)) for label, n in answered.items()
    ]
    return tuple(sorted(rows, key=lambda row: row.bound))


def too_few(n: int, target: float, confidence: float) -> Refusal:
    """Where even answers that all agree would not do."""
    least = needed(target, confidence)
    reachable = (1 - confidence) ** (1 / n) if n else None
    return Refusal(
        f"an agreement of {target:.4g} with a confidence of {confidence:.4g} takes at least {least:,} answers that all "
        f"agree, and there are {n:,}",
        n, least - n, reachable,
    )  # fmt: skip


def _failed(confidences: Floats, agrees: Bools, target: float, confidence: float) -> Refusal:
    """Where the surest answers do not agree often enough; what would do is an estimate from these examples."""
    n, least = len(confidences), needed(target, confidence)
    rows = [(int(above.sum()), int(agrees[above].sum())) for edge in sequence(confidences, least)
            if (above := confidences >= edge).any()]  # fmt: skip
    if not rows:
        given = int((confidences >= 0).sum())
        more = math.ceil((least - given) * n / given) if given else None
        return Refusal(f"only {given:,} of {n:,} answers may be given at all, and it takes {least:,}", n, more, None)
    reachable = max(exact_bound(agreed, answered, confidence) for answered, agreed in rows)
    answered, agreed = max(rows, key=lambda row: row[1] / row[0])
    reason = f"of the {answered:,} surest answers {agreed / answered:.1%} agree, which does not show {target:.4g}"
    return Refusal(reason, n, _more(answered, agreed, n, target, confidence), reachable)


def _more(answered: int, agreed: int, n: int, target: float, confidence: float) -> int | None:
    """How many more examples would show the target, if they agreed as these do; None where MOST would not."""
    for factor in GROWTH:
        if exact_bound(int(factor * agreed), int(factor * answered), confidence) >= target:
            return math.ceil((factor - 1) * n)
    return None
