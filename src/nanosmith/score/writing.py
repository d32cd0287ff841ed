"""How fast texts are written, one at a time: to the first piece, and behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from nanosmith.core.example import Input
from nanosmith.core.generation import Generator, Sampling
from nanosmith.score.run import Written

LIKELIEST = Sampling(temperature=0.0)
TEXTS = 50  # that are timed, of all that are asked for


def timed_texts(
    generator: Generator, inputs: Sequence[Input], *, sampling: Sampling = LIKELIEST, texts: int = TEXTS
) -> Iterator[Written]:
    """How the texts for the first inputs are written, after one that does not count."""
    for given in inputs[:1]:
        _write(generator, given, sampling)
    for given in inputs[:texts]:
        yield _write(generator, given, sampling)


def _write(generator: Generator, given: Input, sampling: Sampling) -> Written:
    start = time.perf_counter_ns()
    first_ns = tokens = 0
    for piece in generator.generate(given, sampling, lambda: False):
        first_ns = first_ns or time.perf_counter_ns() - start
        tokens = max(tokens, piece.written_tokens)
    whole_ns = time.perf_counter_ns() - start
    return Written(first_ns or whole_ns, whole_ns, tokens)
