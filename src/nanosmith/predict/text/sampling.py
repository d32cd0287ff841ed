"""From logits to the next token, as OpenAI's parameters say. Letters: V entries of the vocabulary."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from nanosmith.core.errors import InputError
from nanosmith.core.generation import Sampling
from nanosmith.predict.text.graph import Floats

NEGLIGIBLE = 40.0
"""Nats below the likeliest: all such entries of a vocabulary together have a probability under 1e-11."""
SEEDS = 2**64


class Sampler:
    """Draws the tokens of one answer. Equal seeds draw equally from equal logits.

    A token's logit is lowered by `presence_penalty` once it was written and by `frequency_penalty` for each time,
    raised by its `logit_bias`, and drawn after `temperature` from the smallest set of likeliest tokens whose
    probabilities reach `top_p` (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration").
    """

    def __init__(self, sampling: Sampling, vocabulary: int) -> None:
        _check_bias(sampling, vocabulary)
        self._sampling = sampling
        self._counts: Counter[int] = Counter()
        self._bias = np.zeros(vocabulary, dtype=np.float32) if sampling.logit_bias else None
        for token, bias in sampling.logit_bias.items():
            self._bias[token] = bias  # type: ignore[index]
        seed = None if sampling.seed is None else sampling.seed % SEEDS
        self._random = np.random.Generator(np.random.Philox(seed))

    def draw(self, logits: Floats, allowed: npt.NDArray[np.bool_] | None = None) -> int:
        """The next token from logits (V), among the `allowed` (V)."""
        token = self._drawn(self._shaped(logits, allowed))
        self._counts[token] += 1
        return token

    def _shaped(self, logits: Floats, allowed: npt.NDArray[np.bool_] | None) -> Floats:
        asked = self._sampling
        penalised = bool(self._counts) and bool(asked.presence_penalty or asked.frequency_penalty)
        if not penalised and self._bias is None and allowed is None:
            return logits
        shaped = logits.copy()
        if penalised:
            written = np.fromiter(self._counts.keys(), dtype=np.int64)
            times = np.fromiter(self._counts.values(), dtype=np.float32)
            shaped[written] -= asked.presence_penalty + asked.frequency_penalty * times
        if self._bias is not None:
            shaped += self._bias
        if allowed is not None:
            shaped[~allowed[: shaped.size]] = -np.inf  # bit masks are padded
        return shaped

    def _drawn(self, logits: Floats) -> int:
        temperature = self._sampling.temperature
        if temperature <= 0:
            return int(logits.argmax())
        highest = float(logits.max())
        near = np.flatnonzero(logits >= highest - NEGLIGIBLE * temperature)
        powers = np.exp((logits[near].astype(np.float64) - highest) / temperature)
        if self._sampling.top_p < 1:
            near, powers = _nucleus(near, powers, self._sampling.top_p)
        sums = np.cumsum(powers)
        place = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        return int(near[min(place, len(near) - 1)])


def likeliest(logprobs: Floats, count: int) -> list[int]:
    """The `count` likeliest tokens, likeliest first, the lower id first where equal."""
    count = min(count, len(logprobs))
    if count < 1:
        return []
    found = np.argpartition(-logprobs, count - 1)[:count]
    return [int(token) for token in found[np.lexsort((found, -logprobs[found]))]]


def _nucleus(
    near: npt.NDArray[np.int64], powers: npt.NDArray[np.float64], top_p: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    order = np.argsort(-powers, kind="stable")
    sums = np.cumsum(powers[order])
    kept = order[: int(np.searchsorted(sums, top_p * sums[-1], side="left")) + 1]
    return near[kept], powers[kept]


def _check_bias(sampling: Sampling, vocabulary: int) -> None:
    for token in sampling.logit_bias:
        if not 0 <= token < vocabulary:
            raise InputError("no token has this id", got=token, allowed=f"0 to {vocabulary - 1}", param="logit_bias")
