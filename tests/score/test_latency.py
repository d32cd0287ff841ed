"""Latency: what is called, and how the times are summed up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.score.latency import measure, summarise, timed_calls
from nanosmith.testing import FakePredictor


class Recorder(FakePredictor):
    """Notes every call."""

    def __init__(self) -> None:
        super().__init__(["a", "b"])
        self.calls: list[list[Input]] = []

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        self.calls.append(list(inputs))
        return super().predict(inputs)


def test_one_input_per_call_after_the_warm_up() -> None:
    """Two calls warm up on the first inputs; then every input is asked once, alone and in order."""
    predictor = Recorder()
    timed = list(timed_calls(predictor, ["a", "b", "a b"], warm_up=2))
    assert predictor.calls == [["a"], ["b"], ["a"], ["b"], ["a b"]]
    assert [prediction.value for prediction, _ in timed] == ["a", "b", "a"]
    assert all(took > 0 for _, took in timed)


def test_measure_is_bounded() -> None:
    """At most the given number of calls is timed."""
    predictor = Recorder()
    assert measure(predictor, ["a"] * 50, calls=7, warm_up=1).calls == 7
    assert len(predictor.calls) == 8


def test_summary_of_known_times() -> None:
    """1 to 100 ms: percentiles are interpolated linearly, in milliseconds."""
    found = summarise([n * 1_000_000 for n in range(1, 101)])
    assert (found.p50, found.p95, found.mean) == (pytest.approx(50.5), pytest.approx(95.05), pytest.approx(50.5))
    assert found.calls == 100


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=200))
def test_histogram_holds_every_call(times_ns: list[int]) -> None:
    """Edges rise, and each call is counted once, the slowest in the last bar."""
    found = summarise(times_ns)
    assert sum(found.histogram.counts) == found.calls == len(times_ns)
    assert len(found.histogram.edges_ms) == len(found.histogram.counts) + 1
    assert (np.diff(found.histogram.edges_ms) >= 0).all()
    assert found.p50 <= found.p95 <= found.p99
