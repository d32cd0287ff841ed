"""Calibration: temperatures and thresholds are recovered, errors lie in their ranges."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nanosmith.predict.local import reached, sigmoid, softmax
from nanosmith.score import calibration as calibrate

CONFIDENCES = st.integers(1, 80).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.sampled_from([0.0, 0.3, 0.5, 0.50001, 0.9, 1.0])), arrays(np.bool_, n)
    )
)


def sampled(temperature: float, n: int = 4000, labels: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, L) and labels (N) drawn from softmax(logits / temperature)."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (n, labels))
    noise = random.gumbel(size=(n, labels))
    return scores * temperature, (scores + noise).argmax(axis=1)


@given(st.floats(0.2, 8), st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_temperature_is_recovered(temperature: float, seed: int) -> None:
    """Answers drawn at a temperature give this temperature back, within the noise of 4,000 draws."""
    assert calibrate.fit_temperature(*sampled(temperature, seed=seed)) == pytest.approx(temperature, rel=0.12)


@given(st.floats(0.2, 8), st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_sigmoid_temperature_is_recovered(temperature: float, seed: int) -> None:
    """The same for independent labels."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (2000, 4))
    wanted = random.random((2000, 4)) < 1 / (1 + np.exp(-scores))
    assert calibrate.fit_sigmoid_temperature(scores * temperature, wanted) == pytest.approx(temperature, rel=0.12)


def test_temperature_is_the_minimum() -> None:
    """No temperature nearby, and no other on a grid, has a lower NLL."""
    logits, wanted = sampled(1.7, n=300)
    best = calibrate.fit_temperature(logits, wanted)

    def nll(temperature: float) -> float:
        rows = np.array([softmax(row / temperature) for row in logits])
        return calibrate.negative_log_likelihood(rows, wanted)

    assert nll(best) <= min(nll(t) for t in [best * 0.99, best * 1.01, *np.geomspace(0.06, 19, 30)])


def test_temperature_does_not_depend_on_a_shift() -> None:
    """A constant added to all logits of an example changes nothing, even a huge one."""
    logits, wanted = sampled(2.0, n=500)
    assert calibrate.fit_temperature(logits + 1e4, wanted) == pytest.approx(
        calibrate.fit_temperature(logits, wanted), rel=1e-4
    )


def test_temperature_without_errors() -> None:
    """Ten of ten right must not become certainty: the confidence stays near (N + 1) / (N + 2)."""
    logits, wanted = 5 * np.eye(3)[np.arange(10) % 3], np.arange(10) % 3
    temperature = calibrate.fit_temperature(logits, wanted)
    assert max(softmax(logits[0], temperature)) == pytest.approx(11 / 12, abs=1e-3)
    members = np.eye(3, dtype=bool)[wanted]
    temperature = calibrate.fit_sigmoid_temperature(10 * members - 5, members)
    assert sigmoid(np.array([5.0]) / temperature)[0] == pytest.approx(11 / 12, abs=1e-3)


def test_temperature_at_its_bounds() -> None:
    """Logits that are worse than nothing give the largest temperature; no examples give 1; float32 is accepted."""
    wanted = np.arange(30) % 3
    wrong = -5 * np.eye(3, dtype=np.float32)[wanted]
    assert calibrate.fit_temperature(wrong, wanted) == calibrate.MAX_TEMPERATURE
    assert calibrate.fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0
    assert calibrate.fit_sigmoid_temperature(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool)) == 1.0


def test_thresholds_maximise_f1_of_frequent_labels() -> None:
    """A label whose scores part at 0.2 gets a threshold near 0.2."""
    random = np.random.default_rng(0)
    wanted = random.random((2000, 1)) < 0.5
    probabilities = np.where(wanted, random.uniform(0.22, 0.6, (2000, 1)), random.uniform(0, 0.18, (2000, 1)))
    (threshold,) = calibrate.fit_thresholds(probabilities, wanted)
    assert 0.17 < threshold < 0.23


def test_thresholds_of_rare_labels_stay_near_a_half() -> None:
    """One positive moves the threshold by a tenth of the way at most; none leaves it where it was."""
    probabilities = np.array([[0.1, 0.9], [0.01, 0.2], [0.02, 0.1]])
    wanted = np.array([[True, False], [False, False], [False, False]])
    rare, absent = calibrate.fit_thresholds(probabilities, wanted)
    assert 0.45 < rare < 0.5
    assert absent == 0.5


def exact(probabilities: np.ndarray, wanted: np.ndarray, threshold: float, *, at_least_one: bool) -> int:
    """Wholly right sets, as the runtime decides."""
    rows = [reached(row, (threshold,) * len(row), at_least_one=at_least_one) for row in probabilities.tolist()]
    return int((np.array(rows) == wanted).all(axis=1).sum())


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=30, deadline=None)
def test_common_threshold_is_the_best(seed: int, at_least_one: bool) -> None:
    """With many examples no threshold of a grid gives clearly more right sets than the common one."""
    random = np.random.default_rng(seed)
    wanted = random.random((400, 3)) < 0.4
    wanted[:, 0] |= at_least_one & ~wanted.any(axis=1)
    probabilities = np.clip(random.normal(np.where(wanted, 0.5, 0.2), 0.1), 0, 1)
    common = calibrate.fit_common_threshold(probabilities, wanted, at_least_one=at_least_one)
    found = exact(probabilities, wanted, common, at_least_one=at_least_one)
    grid = [exact(probabilities, wanted, t, at_least_one=at_least_one) for t in np.linspace(0.05, 0.95, 31)]
    assert 0.25 < common < 0.5
    assert found >= max(grid) - 8  # the pull towards 0.5


def test_rare_labels_get_the_common_threshold() -> None:
    """Where frequent labels part at 0.2, a label without any positive is answered from about there too."""
    random = np.random.default_rng(0)
    wanted = random.random((500, 3)) < [0.5, 0.5, 0.0]
    probabilities = np.where(wanted, random.uniform(0.22, 0.6, (500, 3)), random.uniform(0, 0.18, (500, 3)))
    *_, absent = calibrate.fit_thresholds(probabilities, wanted)
    assert 0.17 < absent < 0.23


def test_common_threshold_without_a_choice() -> None:
    """No examples, or none that any threshold can make right, give 0.5."""
    assert calibrate.fit_common_threshold(np.zeros((0, 2)), np.zeros((0, 2), dtype=bool)) == 0.5
    assert calibrate.fit_common_threshold(np.array([[0.1, 0.9]]), np.array([[True, False]])) == 0.5


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_thresholds_lie_inside(seed: int, n: int, labels: int) -> None:
    """Whatever the probabilities, zeros and ones included, each threshold lies in [0.01, 0.99]."""
    random = np.random.default_rng(seed)
    probabilities = random.choice([0.0, 0.2, 0.5, 1.0], (n, labels))
    thresholds = calibrate.fit_thresholds(probabilities, random.random((n, labels)) < 0.5)
    assert len(thresholds) == labels
    assert all(0.01 <= threshold <= 0.99 for threshold in thresholds)


@given(CONFIDENCES, st.integers(1, 20), st.randoms())
@settings(deadline=None)
def test_calibration_error_range_and_order(answers: tuple[np.ndarray, np.ndarray], bins: int, random: object) -> None:
    """The error lies in [0, 1] and does not depend on the order of the examples, not even among equal confidences."""
    confidence, right = answers
    error = calibrate.expected_calibration_error(confidence, right, bins)
    order = np.arange(len(right))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert 0 <= error <= 1
    assert calibrate.expected_calibration_error(confidence[order], right[order], bins) == pytest.approx(error)


@given(CONFIDENCES, st.integers(1, 20))
@settings(deadline=None)
def test_reliability_counts_every_answer_once(answers: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    """Bins are at most as many as asked, hold all answers, and their confidence rises."""
    curve = calibrate.reliability_curve(*answers, bins)
    assert len(curve) <= bins
    assert sum(row.count for row in curve) == len(answers[0])
    assert sum(row.count * row.accuracy for row in curve) == pytest.approx(answers[1].sum())
    assert all(a.confidence < b.confidence for a, b in pairwise(curve))


def test_calibration_error_known_values() -> None:
    """Sure and always wrong is 1; half sure and half right is 0; bins have equal mass."""
    assert calibrate.expected_calibration_error(np.ones(10), np.zeros(10, dtype=bool)) == 1
    assert calibrate.expected_calibration_error(np.full(10, 0.5), np.arange(10) % 2 == 0) == 0
    curve = calibrate.reliability_curve(np.linspace(0, 1, 100), np.ones(100, dtype=bool), bins=4)
    assert [row.count for row in curve] == [25, 25, 25, 25]


def test_brier_and_nll_of_choice() -> None:
    """Certain and right is 0; a label that the model does not have costs its whole distance, and a finite NLL."""
    probabilities = np.array([[1.0, 0.0], [0.25, 0.75]])
    assert calibrate.brier(probabilities, np.array([0, 1])) == pytest.approx((0 + 2 * 0.25**2) / 2)
    assert calibrate.negative_log_likelihood(probabilities, np.array([0, 1])) == pytest.approx(-np.log(0.75) / 2)
    assert calibrate.brier(probabilities, np.array([-1, -1])) == pytest.approx((2 + 1.625) / 2)
    assert calibrate.negative_log_likelihood(probabilities, np.array([-1, -1])) == pytest.approx(-np.log(1e-12))


def test_brier_and_nll_of_labels() -> None:
    """Each yes or no counts alike."""
    probabilities, wanted = np.array([[0.9, 0.2]]), np.array([[True, False]])
    assert calibrate.brier(probabilities, wanted) == pytest.approx((0.01 + 0.04) / 2)
    assert calibrate.negative_log_likelihood(probabilities, wanted) == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2)
