from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nanosmith.predict import tags
from nanosmith.predict.tags import Floats, Span


def random_logits(seed: int, units: int, labels: int) -> Floats:
    found: Floats = np.random.default_rng(seed).normal(size=(units, 1 + 2 * labels)).astype(np.float32)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_best_valid_tags(seed: int) -> None:
    """No other valid tags have a higher sum of logits."""
    units, labels = 1 + seed % 5, 1 + seed % 2
    logits = random_logits(seed, units, labels)
    valid = [one for one in product(range(1 + 2 * labels), repeat=units) if tags.is_valid(one, labels)]
    best = max(valid, key=lambda one: sum(logits[place, tag] for place, tag in enumerate(one)))
    assert tags.best_tags(logits) == list(best)


def test_a_label_does_not_go_on_alone() -> None:
    """Tags that go on without a beginning are not valid, nor are those that go on with another label."""
    assert tags.is_valid([1, 3, 0, 2, 4, 4], 2)
    assert not tags.is_valid([3], 2)
    assert not tags.is_valid([1, 4], 2)
    assert not tags.is_valid([1, 0, 3], 2)


def test_tags_and_spans_are_inverse() -> None:
    """Neighbouring spans of one label stay apart."""
    spans = [(0, 0, 2), (0, 2, 3), (1, 4, 6)]
    made = tags.tags_of(spans, 7, 2)
    assert made == [1, 3, 1, 0, 2, 4, 0]
    assert tags.spans_of(made, 2) == spans


@pytest.mark.parametrize("seed", range(10))
def test_likeliest_span(seed: int) -> None:
    """The first of a label's likeliest spans is the likeliest of all there are."""
    p = tags.probabilities(random_logits(seed, 6, 2))
    every = [tags.probability_of(p, 1, a, b) for a in range(6) for b in range(a + 1, 7)]
    assert tags.likeliest(p, 1)[0].probability == pytest.approx(max(every), rel=1e-5)


def test_absence() -> None:
    """A label that no unit is likely to begin is likely to be absent."""
    logits = np.full((3, 3), -10.0)
    logits[:, 0] = 10
    assert tags.absence(tags.probabilities(logits), 0) == pytest.approx(1, abs=1e-4)
    logits[1, 1] = 30
    assert tags.absence(tags.probabilities(logits), 0) < 1e-6


def test_found_spans_have_probabilities() -> None:
    """Each span of the best tags comes with the probability of its own tags."""
    logits = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], dtype=np.float32)
    (span,), p = tags.found_spans(logits)
    assert span[:3] == (0, 0, 2)
    assert span.probability == pytest.approx(float(p[0, 1] * p[1, 2] * (1 - p[2, 2])), rel=1e-5)


def test_long_spans_end_where_the_search_ends() -> None:
    """A span that goes on for ever is cut at LONGEST units."""
    logits = np.tile(np.array([0.0, -9, 9], dtype=np.float32), (300, 1))
    logits[0, 1] = 20
    longest = tags.likeliest(tags.probabilities(logits), 0)[0]
    assert isinstance(longest, Span)
    assert longest.end - longest.start <= tags.LONGEST
