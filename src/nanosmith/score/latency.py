"""How long one answer takes: one input per call, as a service would ask."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction, Predictor

WARM_UP = 5  # calls before the clock counts
MAX_CALLS = 1_000
BUCKETS = 40


class Histogram(msgspec.Struct, frozen=True):
    """`counts[i]` calls took between `edges_ms[i]` and `edges_ms[i + 1]`; the last one also holds all slower calls."""

    edges_ms: tuple[float, ...]
    counts: tuple[int, ...]


class Latency(msgspec.Struct, frozen=True):
    """Wall time in milliseconds of `calls` calls with one input each, in the calling process, tokenizer included."""

    p50: float
    p95: float
    p99: float
    mean: float
    calls: int
    histogram: Histogram


def measure(
    predictor: Predictor, inputs: Sequence[Input], *, calls: int = MAX_CALLS, warm_up: int = WARM_UP
) -> Latency:
    """Time at most `calls` one-input calls, after `warm_up` calls that do not count. At least one input is needed."""
    return summarise([took for _, took in timed_calls(predictor, inputs[:calls], warm_up=warm_up)])


def timed_calls(
    predictor: Predictor, inputs: Sequence[Input], *, warm_up: int = WARM_UP
) -> Iterator[tuple[Prediction, int]]:
    """Each input's answer and the nanoseconds of its call, one by one, after `warm_up` calls on the first inputs."""
    for given in inputs[:warm_up]:
        predictor.predict([given])
    for given in inputs:
        start = time.perf_counter_ns()
        answer = predictor.predict([given])
        took = time.perf_counter_ns() - start
        yield answer[0], took


def summarise(times_ns: Sequence[int]) -> Latency:
    """Percentiles (linearly interpolated) and a histogram of durations in nanoseconds."""
    times_ms = np.asarray(times_ns, dtype=np.float64) / 1e6
    p50, p95, p99 = np.percentile(times_ms, [50, 95, 99])
    edges = np.linspace(times_ms.min(), max(p99, times_ms.min() * 1.001 + 1e-6), BUCKETS + 1)
    counts, _ = np.histogram(times_ms.clip(max=edges[-1]), edges)
    histogram = Histogram(tuple(round(edge, 6) for edge in edges.tolist()), tuple(counts.tolist()))
    return Latency(float(p50), float(p95), float(p99), float(times_ms.mean()), len(times_ms), histogram)
