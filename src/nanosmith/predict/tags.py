"""Tags of the units of a text, and the spans that they make.

A group of span labels that never overlap has one softmax per unit over: outside, begins a span of label 1 … n, goes on
with one of label 1 … n (BIO, Ramshaw & Marcus 1995). What goes on must follow a unit of the same label, so the best
*valid* tags are looked for (Viterbi 1967). All that this forbids is a wrong step into a going-on tag: one maximum over
all tags and one over each label's two is a step, not a square of tags.

Letters: U units, n labels of a group, K = 1 + 2n tags of it, C columns of all groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.log_softmax import log_softmax

Floats = NDArray[np.floating[Any]]
STARTS = 6  # places where the likeliest span of a label is looked for
LONGEST = 120  # units of a span that is looked for by itself
TINY = 1e-9


class Span(NamedTuple):
    """Units [start, end) of the label with this number in its group; `probability` by its own tags, uncalibrated."""

    label: int
    start: int
    end: int
    probability: float


def columns(groups: Sequence[Sequence[str]]) -> list[slice]:
    """The columns of each group in a row of C."""
    found, start = [], 0
    for labels in groups:
        found.append(slice(start, start + 1 + 2 * len(labels)))
        start = found[-1].stop
    return found


def tags_of(spans: Sequence[tuple[int, int, int]], units: int, labels: int) -> list[int]:
    """The tag (U) of each unit, for spans (label, start, end) that do not overlap."""
    tags = [0] * units
    for label, start, end in spans:
        tags[start:end] = [1 + labels + label] * (end - start)
        tags[start] = 1 + label
    return tags


def probabilities(logits: Floats) -> Floats:
    """Softmax over each row: (U, K) → (U, K)."""
    found: Floats = np.exp(log_softmax(logits))
    return found


def best_tags(logits: Floats) -> list[int]:
    """The valid tags (U) with the highest sum of logits (U, K)."""
    labels = logits.shape[1] // 2
    free = logits.argmax(axis=1).tolist()
    return free if is_valid(free, labels) else _viterbi(logits, labels)


def is_valid(tags: Sequence[int], labels: int) -> bool:
    """Whether all that goes on follows the same label."""
    before = 0
    for tag in tags:
        if tag > labels and before not in (tag, tag - labels):
            return False
        before = tag
    return True


def spans_of(tags: Sequence[int], labels: int) -> list[tuple[int, int, int]]:
    """Spans (label, start, end) of valid tags, in order."""
    found: list[tuple[int, int, int]] = []
    start, label = -1, -1
    for place, tag in enumerate([*tags, 0]):
        if tag > labels:
            continue
        if start >= 0:
            found.append((label, start, place))
        start, label = (place, tag - 1) if tag else (-1, -1)
    return found


def found_spans(logits: Floats) -> tuple[list[Span], Floats]:
    """The spans of the best tags, in order, and the probabilities (U, K)."""
    p = probabilities(logits)
    labels = logits.shape[1] // 2
    spans = spans_of(best_tags(logits), labels)
    return [Span(*span, probability_of(p, *span)) for span in spans], p


def probability_of(p: Floats, label: int, start: int, end: int) -> float:
    """Of a span, by the probabilities (U, K) of its own tags and what follows, as if units were independent."""
    on = 1 + p.shape[1] // 2 + label
    product = float(p[start, 1 + label]) * float(p[start + 1 : end, on].prod())
    return product * (1 - float(p[end, on])) if end < len(p) else product


def likeliest(p: Floats, label: int) -> list[Span]:
    """Spans of one label by probabilities (U, K), likeliest first: the best end for each of the likeliest starts."""
    labels = p.shape[1] // 2
    begins, goes_on = p[:, 1 + label], p[:, 1 + labels + label]
    starts = np.argsort(-begins)[:STARTS].tolist()
    return sorted((_longest(begins, goes_on, label, start) for start in starts), key=lambda span: -span.probability)


def absence(p: Floats, label: int) -> float:
    """The probability that no unit begins a span of this label."""
    found: float = np.log(np.maximum(1 - p[:, 1 + label], TINY)).sum()
    return float(np.exp(found))


def _longest(begins: Floats, goes_on: Floats, label: int, start: int) -> Span:
    """The likeliest span from `start` on."""
    reach = goes_on[start + 1 : start + LONGEST]
    products = begins[start] * np.concatenate([[1.0], np.cumprod(reach)])  # [i]: the span has i + 1 units
    stops = np.ones(len(products))
    stops[: len(reach)] = 1 - reach
    if start + LONGEST <= len(begins) - 1:
        stops[-1] = 1 - goes_on[start + LONGEST]
    scores = products * stops
    best = int(scores.argmax())
    return Span(label, start, start + best + 1, float(scores[best]))


def _viterbi(logits: Floats, labels: int) -> list[int]:
    units, width = logits.shape
    score = logits[0].astype(np.float64)
    score[1 + labels :] = -np.inf
    came = np.zeros((units, width), dtype=np.int64)
    own = np.arange(labels)
    for place in range(1, units):
        anywhere = int(score.argmax())
        begun, going = score[1 : 1 + labels], score[1 + labels :]
        goes = going > begun
        came[place, : 1 + labels] = anywhere
        came[place, 1 + labels :] = np.where(goes, 1 + labels + own, 1 + own)
        before = np.empty(width)
        before[: 1 + labels] = score[anywhere]
        before[1 + labels :] = np.where(goes, going, begun)
        score = before + logits[place]
    tags = [int(score.argmax())]
    for place in range(units - 1, 0, -1):
        tags.append(int(came[place, tags[-1]]))
    return tags[::-1]
