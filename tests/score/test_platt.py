from __future__ import annotations

import numpy as np
import pytest

from nanosmith.score.platt import fit_platt


def scaled(p: np.ndarray, slope: float, offset: float) -> np.ndarray:
    return 1 / (1 + np.exp(-slope * np.log(p / (1 - p)) - offset))


def test_overconfidence_is_found() -> None:
    """Answers whose log-odds are twice too large get a slope of about a half."""
    random = np.random.default_rng(0)
    true = random.uniform(0.05, 0.95, 4_000)
    slope, offset = fit_platt(scaled(true, 2.0, 0.0), random.random(4_000) < true)
    assert slope == pytest.approx(0.5, abs=0.06)
    assert offset == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize(("p", "right"), [([], []), ([0.9], [True]), ([1.0, 0.0], [True, False])])
def test_few_answers_change_little(p: list[float], right: list[bool]) -> None:
    """With next to no answers the probabilities stay as they are."""
    slope, offset = fit_platt(np.array(p), np.array(right, dtype=bool))
    assert slope == pytest.approx(1, abs=0.3)
    assert abs(offset) < 0.5


def test_all_right_is_finite() -> None:
    """Where every answer is right the scale stays finite."""
    slope, offset = fit_platt(np.full(500, 0.8), np.ones(500, dtype=bool))
    assert 0.9 < scaled(np.array([0.8]), slope, offset)[0] < 1
