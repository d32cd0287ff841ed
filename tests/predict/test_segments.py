"""How a text is taken apart: by tags, by labels, and by both."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.predict.log_softmax import log_softmax
from nanosmith.predict.segments import BEGIN, INSIDE, OUTSIDE, Head, margins, scores, segments

LABELS = 4
HEAD = Head(np.eye(8, LABELS, dtype=np.float32) * 20, np.zeros(LABELS, np.float32))


def tokens_of(labels: list[int]) -> np.ndarray:
    """A special token, a token (8) for each label (-1: of none), and a special token."""
    found = np.zeros((len(labels) + 2, 8), np.float32)
    for place, label in enumerate(labels, start=1):
        found[place, label if label >= 0 else 7] = 1
    return found


def tags_of(tags: list[int], sure: float) -> np.ndarray:
    found = np.zeros((len(tags) + 2, 3), np.float32)
    found[np.arange(1, len(tags) + 1), tags] = sure
    return found


def answered(labels: list[int], tags: list[int], sure: float = 6.0) -> set[int]:
    tokens = tokens_of(labels)
    mean = tokens.mean(axis=0)
    whole = mean / np.linalg.norm(mean) @ HEAD.weight + HEAD.bias
    return set(np.flatnonzero(scores(tokens, tags_of(tags, sure), whole, HEAD) > 0).tolist())


B, I, O = BEGIN, INSIDE, OUTSIDE  # noqa: E741


@pytest.mark.parametrize(
    ("labels", "tags", "wanted"),
    [
        ([0, 0, 0], [B, I, I], {0}),
        ([0, 0, 1, 1], [B, I, B, I], {0, 1}),
        ([0, 0, -1, 1, 1], [B, I, O, B, I], {0, 1}),
        ([2, 2, -1, 1, 1, 3, 3], [B, I, O, B, I, B, I], {1, 2, 3}),
        ([-1, 0, 0, 0, -1], [O, B, I, I, O], {0}),
        ([0, 0, 0, 0], [B, I, B, I], {0}),
    ],
)
def test_tags_tell_the_queries(labels: list[int], tags: list[int], wanted: set[int]) -> None:
    """Where tags are sure, each segment's label is answered; two segments of one label give it once."""
    assert answered(labels, tags) == wanted


def test_labels_help_where_tags_are_unsure() -> None:
    """Of two beginnings that the tags hold for nearly as likely, the one is taken that leaves clear labels."""
    tokens = tokens_of([0, 0, 0, 1, 1, 1])
    tags = tags_of([B, I, I, I, I, I], 3.0)
    tags[3, BEGIN], tags[4, BEGIN] = 2.6, 2.5  # the true beginning is the less likely one
    mean = tokens.mean(axis=0)
    whole = mean / np.linalg.norm(mean) @ HEAD.weight + HEAD.bias
    assert set(np.flatnonzero(scores(tokens, tags, whole, HEAD) > 0).tolist()) == {0, 1}
    found = segments(tokens, log_softmax(tags), log_softmax(whole[None]), HEAD)
    assert np.exp(found.max(axis=1)).min() > 0.99


def test_best_way_is_the_best_of_all() -> None:
    """Against trying every tag sequence of a short text: the tags' part of the chosen way is the highest there is."""
    random = np.random.default_rng(0)
    flat = Head(np.zeros((8, LABELS), np.float32), np.zeros(LABELS, np.float32))  # labels say nothing
    for _ in range(30):
        tags = random.normal(size=(7, 3)) * 3
        logs = log_softmax(tags)
        found = segments(tokens_of([0] * 5), logs, log_softmax(np.zeros((1, LABELS))), flat)
        # the flat head costs LABEL_WEIGHT * log(1/4) for each segment
        assert len(found) == _best_count(logs[1:-1], 4 * np.log(1 / LABELS))


def _best_count(logs: np.ndarray, cost: float) -> int:
    """The number of segments (1–3) of the best valid tags, by trying all."""
    best = {}
    for number in range(3 ** len(logs)):
        tags = [number // 3**i % 3 for i in range(len(logs))]
        if any(tag == I and (i == 0 or tags[i - 1] == O) for i, tag in enumerate(tags)):
            continue
        count = tags.count(B)
        if 1 <= count <= 3:
            total = sum(logs[i, tag] for i, tag in enumerate(tags)) + cost * count
            best[count] = max(best.get(count, -np.inf), total)
    return max(best, key=lambda count: best[count])


def test_margins() -> None:
    """A label's odds against the best other one; a single label that is sure has high odds."""
    logs = log_softmax(np.array([[2.0, 1.0, -1.0]]))
    assert margins(logs)[0] == pytest.approx([1.0, -1.0, -3.0])
    assert margins(np.array([[-1e-9]]))[0, 0] > 5


def test_short_texts() -> None:
    """A text of no or one token is one query."""
    for n in (0, 1):
        assert len(segments(tokens_of([0] * n), np.zeros((n + 2, 3)), np.zeros((1, LABELS)), HEAD)) == 1
