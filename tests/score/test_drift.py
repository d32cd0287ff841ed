"""Two-sample tests of confidences and labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import ks_2samp

from nanosmith.score.drift import Sight, apart, input_shift, label_shift, reference


def sights(draw: np.random.Generator, n: int, *, tokens: float = 4.0) -> list[Sight]:
    """Requests of some traffic; one in five has no answer that may be given."""
    sure = np.where(draw.random(n) < 0.2, -1.0, draw.random(n))
    return [Sight(float(one), "a", float(draw.integers(20, 90)), float(draw.normal(tokens, 0.5))) for one in sure]


def test_kolmogorov_smirnov() -> None:
    """Distance and chance are those of the two-sample test, but for the grid of quantiles."""
    draw = np.random.default_rng(0)
    sample, later = draw.beta(8, 2, 2_000), draw.beta(6, 3, 300)
    quantiles = np.quantile(sample, np.linspace(0, 1, 201))
    distance, chance = apart(later.tolist(), quantiles.tolist(), 2_000)
    wanted = ks_2samp(later, sample)
    assert distance == pytest.approx(wanted.statistic, abs=0.02)
    assert chance < 1e-6


def test_no_shift() -> None:
    """Of two samples of the same traffic few are told apart, also where many values are equal."""
    draw = np.random.default_rng(0)
    known = reference(sights(draw, 1_000))
    chances = [input_shift(sights(draw, 200), known, 1_000).chance for _ in range(60)]
    assert np.mean([chance < 0.05 for chance in chances]) <= 0.1


def test_shift() -> None:
    """Texts of which a token has fewer characters are told apart by that."""
    draw = np.random.default_rng(0)
    found = input_shift(sights(draw, 200, tokens=3.7), reference(sights(draw, 1_000)), 1_000)
    assert found.measure == "chars_per_token"
    assert found.chance < 1e-4


def test_label_shift() -> None:
    """Many rare labels of the same traffic are not told apart; a fifth of them becoming frequent is."""
    draw = np.random.default_rng(0)
    names = [f"label {i}" for i in range(100)]
    known = Counter(draw.choice(names, 2_000).tolist())
    same = [label_shift(Counter(draw.choice(names, 200).tolist()), known, seed)[1] for seed in range(60)]
    moved, chance = label_shift(Counter([*draw.choice(names, 100), *draw.choice(names[:20], 100)]), known)
    assert np.mean([one < 0.05 for one in same]) <= 0.15
    assert chance < 1e-6
    assert moved > 0.3


def test_one_label() -> None:
    """Where everything has one label there is no shift."""
    assert label_shift({"a": 200}, {"a": 500}) == (0.0, 1.0)
