"""Thresholds by fixed-sequence testing with exact bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from nanosmith.score.certificate import Chosen, Refusal, at_least, by_class, choose, exact_bound, needed, sequence

LEVEL = 0.95


def pool(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences (n) and agreements that get rarer as these fall."""
    draw = np.random.default_rng(seed)
    sure = draw.random(n)
    return sure, draw.random(n) < 1 - 0.5 * (1 - sure) ** 3


def test_needed() -> None:
    """97 % with 95 % confidence take 99 answers without a disagreement, and 98 do not do."""
    assert needed(0.97, LEVEL) == 99
    assert (needed(0.95, LEVEL), needed(0.99, 0.99)) == (59, 459)
    assert exact_bound(98, 98, LEVEL) < 0.97 <= exact_bound(99, 99, LEVEL)


@pytest.mark.parametrize(("agreed", "n"), [(1, 1), (5, 10), (99, 99), (100, 103), (1490, 1500), (19_500, 20_000)])
def test_exact_bound(agreed: int, n: int) -> None:
    """The bound is Clopper and Pearson's, a quantile of the beta distribution, and the tail the binomial's."""
    assert exact_bound(agreed, n, LEVEL) == pytest.approx(beta.ppf(1 - LEVEL, agreed, n - agreed + 1), abs=1e-9)
    assert at_least(agreed, n, 0.9) == pytest.approx(binom.sf(agreed - 1, n, 0.9), rel=1e-6, abs=1e-300)


def test_nothing_agreed() -> None:
    """Without an agreement nothing is shown."""
    assert exact_bound(0, 50, LEVEL) == 0.0
    assert exact_bound(0, 0, LEVEL) == 0.0


def test_sequence() -> None:
    """Thresholds fall from strict to loose, each has enough answers above, and the last has all that may be given."""
    sure, _ = pool(1_000)
    sure[:100] = -1.0
    found = sequence(sure, 99)
    counts = [int((sure >= edge).sum()) for edge in found]
    assert found == sorted(found, reverse=True)
    assert (counts[0], counts[-1]) == (396, 900)
    assert min(counts) >= 99


def test_threshold_is_above_an_example() -> None:
    """No threshold is a confidence of the sample itself, as the example at the edge is not counted."""
    sure, _ = pool(500)
    assert not set(sequence(sure, 99)) & set(sure.tolist())


def test_chosen() -> None:
    """The answers above the threshold show the target; the next looser threshold was tried and failed."""
    sure, agrees = pool(3_000)
    found = choose(sure, agrees, 0.97, LEVEL)
    assert isinstance(found, Chosen)
    above = sure >= found.threshold
    assert (found.answered, found.agreed) == (above.sum(), agrees[above].sum())
    assert found.bound >= 0.97 > found.tested[-1].bound
    assert exact_bound(found.agreed, found.answered, LEVEL) == found.bound


def test_everything() -> None:
    """Where all agree, everything is answered but what must not be."""
    sure, _ = pool(300)
    sure[:20] = -1.0
    found = choose(sure, np.ones(300, dtype=bool), 0.97, LEVEL)
    assert isinstance(found, Chosen)
    assert (found.threshold, found.answered, found.n) == (0.0, 280, 300)


def test_promise_is_kept() -> None:
    """Over 100 calibrations the true agreement is below the target in at most 5 % and what chance adds, at a coverage
    near the best in hindsight."""
    sure, agrees = pool(50_000)
    order = np.argsort(-sure)
    shares = np.cumsum(agrees[order]) / np.arange(1, len(order) + 1)
    best = (np.flatnonzero(shares >= 0.97)[-1] + 1) / len(order)
    draw = np.random.default_rng(1)
    short, coverage = 0, []
    for _ in range(100):
        drawn = draw.integers(0, len(sure), 1_500)
        found = choose(sure[drawn], agrees[drawn], 0.97, LEVEL)
        above = sure >= (found.threshold if isinstance(found, Chosen) else 2.0)
        short += above.any() and agrees[above].mean() < 0.97
        coverage.append(above.mean())
    assert short <= binom.ppf(0.99, 100, 0.05)
    assert best - np.mean(coverage) < 0.1


@pytest.mark.parametrize("method", ["exact", "betting"])
def test_refused_for_too_few(method: str) -> None:
    """Too few examples are refused with how many more there must be, and what these would do for."""
    found = choose(np.linspace(0.5, 1, 40), np.ones(40, dtype=bool), 0.97, LEVEL, method=method)  # type: ignore[arg-type]
    assert isinstance(found, Refusal)
    assert (found.n, found.more) == (40, 59)
    assert found.reachable == pytest.approx(0.05 ** (1 / 40))
    assert "99" in found.reason


def test_refused_for_disagreement() -> None:
    """Where the surest answers agree in 90 %, no number of examples shows 97 %, but these show nearly 90 %."""
    draw = np.random.default_rng(0)
    found = choose(draw.random(2_000), draw.random(2_000) < 0.9, 0.97, LEVEL)
    assert isinstance(found, Refusal)
    assert found.more is None
    assert found.reachable == pytest.approx(0.89, abs=0.02)


def test_refused_but_more_would_do() -> None:
    """Where the surest answers agree more often than asked for, a larger sample is suggested."""
    draw = np.random.default_rng(0)
    found = choose(draw.random(300), draw.random(300) < 0.985, 0.97, LEVEL)
    assert isinstance(found, Refusal)
    assert found.more is not None
    assert 0 < found.more <= 300 * 15


def test_never_given() -> None:
    """Answers that are never given count as traffic, and where too few are left, that is said."""
    sure = np.where(np.arange(200) < 150, -1.0, 0.9)
    found = choose(sure, np.ones(200, dtype=bool), 0.97, LEVEL)
    assert isinstance(found, Refusal)
    assert "50 of 200" in found.reason


def test_betting_is_a_bound() -> None:
    """Betting bounds choose a threshold whose bound holds, too, at a somewhat smaller coverage."""
    sure, agrees = pool(2_000)
    exact, betting = choose(sure, agrees, 0.97, LEVEL), choose(sure, agrees, 0.97, LEVEL, method="betting")
    assert isinstance(exact, Chosen)
    assert isinstance(betting, Chosen)
    assert betting.bound >= 0.97
    assert betting.answered <= exact.answered


def test_by_class() -> None:
    """Each label has a bound of its own, the lowest first."""
    rows = by_class(["a", "b", "a", "b"], np.array([True, False, True, True]), LEVEL)
    assert [(row.label, row.answered, row.agreed) for row in rows] == [("b", 2, 1), ("a", 2, 2)]
    assert rows[1].bound == pytest.approx(0.05**0.5)
