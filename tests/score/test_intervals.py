"""Intervals: known values, bounds, determinism and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.score.intervals import bootstrap, bootstrap_macro_f1, paired_difference, wilson
from nanosmith.score.metrics import Counts, counts, f1, macro_f1


def test_wilson_known_values() -> None:
    """Values worked out with the formula of the paper: 8 of 10, and the ends, where the normal interval fails."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775328), abs=1e-6)
    assert wilson(10, 10) == pytest.approx((0.7224672, 1.0), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


def test_paired_difference_known_values() -> None:
    """Worked out by hand: 10 lost and 2 won of 100; nothing changed; nothing known."""
    assert paired_difference(10, 2, 100) == pytest.approx((0.01084, 0.14602), abs=1e-5)
    low, high = paired_difference(0, 0, 100)
    assert low == pytest.approx(-high)
    assert 0 < high < 0.03
    assert paired_difference(0, 0, 0) == (-1.0, 1.0)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share(pair: tuple[int, int]) -> None:
    """The interval lies in [0, 1], holds the share, and mirrors when right and wrong change places."""
    right, n = pair
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert wilson(n - right, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def noisy(n: int, classes: int, right: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    wanted = random.integers(0, classes, n)
    return wanted, np.where(random.random(n) < right, wanted, random.integers(0, classes, n))


def test_bootstrap_is_deterministic() -> None:
    """The same answers and seed give the same interval; another seed gives another."""
    wanted, got = noisy(300, 5, 0.8)
    assert bootstrap_macro_f1(wanted, got, 5) == bootstrap_macro_f1(wanted, got, 5)
    assert bootstrap_macro_f1(wanted, got, 5) != bootstrap_macro_f1(wanted, got, 5, seed=1)


def test_bootstrap_equals_plain_resampling() -> None:
    """Counting cells gives the interval of literally resampled test sets, within the noise of 1,000 draws."""
    wanted, got = noisy(200, 4, 0.7)
    random = np.random.default_rng(1)
    rows = (random.integers(0, 200, 200) for _ in range(1000))
    plain = [macro_f1(counts(wanted[row], got[row], 4)) for row in rows]
    assert bootstrap_macro_f1(wanted, got, 4) == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.012)


def test_bootstrap_of_labels_equals_that_of_choice() -> None:
    """One-hot memberships are the same answers, so the interval is the same up to the order of the cells."""
    wanted, got = noisy(400, 3, 0.8)
    assert bootstrap_macro_f1(np.eye(3, dtype=bool)[wanted], np.eye(3, dtype=bool)[got], 3) == pytest.approx(
        bootstrap_macro_f1(wanted, got, 3), abs=1e-6
    )


def test_bootstrap_covers_the_truth() -> None:
    """Of 40 test sets drawn from one distribution, at least 34 intervals hold its macro-F1 (95 % of them should)."""
    wanted, got = noisy(200_000, 4, 0.75)
    truth = float(macro_f1(counts(wanted, got, 4)))
    held = 0
    for start in range(0, 40 * 300, 300):
        low, high = bootstrap_macro_f1(wanted[start : start + 300], got[start : start + 300], 4, resamples=300)
        held += low <= truth <= high
    assert held >= 34


def test_bootstrap_without_errors() -> None:
    """A test set without errors resamples to itself."""
    wanted = np.arange(50) % 5
    assert bootstrap_macro_f1(wanted, wanted, 5) == (1.0, 1.0)


def test_bootstrap_over_examples() -> None:
    """Counts of examples give the interval of literally resampled ones, for each column and for their mean."""
    random = np.random.default_rng(0)
    wanted = random.integers(0, 3, (150, 2))
    given = random.integers(0, 3, (150, 2))
    found = Counts(np.minimum(wanted, given), given, wanted)
    low, high = bootstrap(found, f1)
    rows = (random.integers(0, 150, 150) for _ in range(1000))
    drawn = [f1(Counts(*(table[row].sum(axis=0) for table in found))) for row in rows]
    plain = np.percentile(drawn, [2.5, 97.5], axis=0)
    assert low == pytest.approx(plain[0], abs=0.012)
    assert high == pytest.approx(plain[1], abs=0.012)
    assert np.shape(bootstrap(found, macro_f1)[0]) == ()
