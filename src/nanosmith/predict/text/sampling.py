"""From logits to the next token, as OpenAI's parameters say. Letters: V entries of the vocabulary."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from nanosmith.core.errors import InputError
from nanosmith.core.generation import Sampling
from nanosmith.predict.text.graph import Floats

COLDEST = 1e-6
"""Temperature from which on down nothing but the likeliest is drawn; float32 would divide by 0 further on."""
ROW = 256
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
        """The next token from logits (V), among the `allowed` (V, or more: bit masks are padded)."""
        shaped = self._shaped(logits)
        token = self._drawn(shaped) if allowed is None else self._allowed(shaped, allowed[: shaped.size])
        self._counts[token] += 1
        return token

    def _shaped(self, logits: Floats) -> Floats:
        asked = self._sampling
        penalised = bool(self._counts) and bool(asked.presence_penalty or asked.frequency_penalty)
        if not penalised and self._bias is None:
            return logits
        shaped = logits.copy()
        if penalised:
            written = np.fromiter(self._counts.keys(), dtype=np.int64)
            times = np.fromiter(self._counts.values(), dtype=np.float32)
            shaped[written] -= asked.presence_penalty + asked.frequency_penalty * times
        if self._bias is not None:
            shaped += self._bias
        return shaped

    def _allowed(self, logits: Floats, allowed: npt.NDArray[np.bool_]) -> int:
        """A token of those that `allowed` (V) leaves."""
        if self._sampling.temperature <= 0 and allowed[first := int(logits.argmax())]:
            return first  # nearly always, and the others need not be looked at
        return self._drawn(np.where(allowed, logits, -np.inf))

    def _drawn(self, logits: Floats) -> int:
        temperature = self._sampling.temperature
        if temperature <= 0:
            return int(logits.argmax())
        powers = np.exp((logits - logits.max()) / np.float32(max(temperature, COLDEST)))
        if self._sampling.top_p < 1:
            tokens, powers = _nucleus(powers, self._sampling.top_p)
            return int(tokens[self._place(powers)])
        return self._place(powers)

    def _place(self, powers: Floats) -> int:
        """A place, as often as its share of the sum says: first a row of places, then one in it."""
        starts = np.arange(0, len(powers), ROW)
        rows = np.cumsum(np.add.reduceat(powers, starts, dtype=np.float64))
        wanted = self._random.random() * rows[-1]
        row = min(int(np.searchsorted(rows, wanted, side="right")), len(rows) - 1)
        sums = np.cumsum(powers[starts[row] : starts[row] + ROW], dtype=np.float64)
        wanted -= rows[row] - sums[-1]
        return int(starts[row] + min(int(np.searchsorted(sums, wanted, side="right")), len(sums) - 1))


def likeliest(logprobs: Floats, count: int) -> list[int]:
    """The `count` likeliest tokens, likeliest first, the lower id first where equal."""
    count = min(count, len(logprobs))
    if count < 1:
        return []
    found = np.argpartition(-logprobs, count - 1)[:count]
    return [int(token) for token in found[np.lexsort((found, -logprobs[found]))]]


def _nucleus(powers: Floats, top_p: float) -> tuple[npt.NDArray[np.int64], Floats]:
    """Tokens and powers of the smallest set of likeliest tokens, likeliest first. Tokens so unlikely that all of them
    together would not be missed are left out first: to sort a vocabulary takes as long as to compute its logits."""
    whole = float(powers.sum(dtype=np.float64))
    found = np.flatnonzero(powers >= whole * (1 - top_p) / len(powers))
    order = found[np.argsort(-powers[found])]
    sums = np.cumsum(powers[order], dtype=np.float64)
    kept = order[: int(np.searchsorted(sums, top_p * whole, side="left")) + 1]
    return kept, powers[kept]


def _check_bias(sampling: Sampling, vocabulary: int) -> None:
    for token in sampling.logit_bias:
        if not 0 <= token < vocabulary:
            raise InputError("no token has this id", got=token, allowed=f"0 to {vocabulary - 1}", param="logit_bias")
