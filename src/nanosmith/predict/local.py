"""What every local Predictor shares: text → token ids → logits (theirs) → calibrated Prediction.

Letters: L labels, T tokens of one input.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from tokenizers import Tokenizer

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task, Value
from nanosmith.predict.embed import Embeddings, Floats1d, embed, no_embeddings
from nanosmith.store.bundles import Bundle

TOKENIZER_FILE = "tokenizer.json"
CHARS_PER_TOKEN = 24
"""Characters kept per token that can be read: far above any real text, so a huge input costs no tokenizer time."""


class LocalPredictor(ABC):
    """A bundle that answers on this machine. Rows are computed one by one, at their own length: an answer cannot
    depend on padding or on its neighbours in a batch."""

    special_tokens = True
    is_quick = False
    """Whether an answer takes microseconds, also for the longest input: an event loop may then wait for it."""
    width = 0
    """Of its embeddings; 0 where a bundle has none."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.name: str = manifest.name
        self.task: Task = manifest.task
        self._labels = manifest.task.labels
        self._calibration = manifest.calibration
        self._thresholds = manifest.calibration.thresholds or (0.5,) * len(self._labels)
        self._max_tokens = manifest.max_tokens
        self._tokenizer = Tokenizer.from_file(str(bundle.file(TOKENIZER_FILE)))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @abstractmethod
    def logits(self, ids: Sequence[int]) -> Floats1d:
        """Scores (L) of one input's token ids (T), before calibration."""

    def vector(self, ids: Sequence[int]) -> Floats1d:
        """The embedding (`width`) of one input's token ids (T). Raises InputError where there is none."""
        raise no_embeddings(self.name)

    def embed(self, texts: Sequence[str]) -> Embeddings:
        return embed(self, texts)

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return list(self.stream(inputs))

    def stream(self, inputs: Sequence[Input]) -> Iterator[Prediction]:
        """The same as `predict`, one at a time, for progress bars. Raises InputError when there are no labels."""
        if not self._labels:
            raise InputError("this bundle embeds texts and has no labels to answer with", got=repr(self.name))
        return map(self._predict_one, inputs)

    def token_ids(self, text: str) -> tuple[list[int], int]:
        """Ids of at most `max_tokens` tokens, and how many were cut off (an estimate where characters were cut)."""
        limit = self._max_tokens * CHARS_PER_TOKEN
        kept = text[:limit].encode("utf-8", "replace").decode()  # half a surrogate pair is no text to a tokenizer
        ids: list[int] = self._tokenizer.encode(kept, add_special_tokens=self.special_tokens).ids
        over = len(ids) - self._max_tokens
        unread = max(0, len(text) - limit) // 4
        if over > 0:
            end = ids[-1:] if self.special_tokens else []
            ids = ids[: self._max_tokens - len(end)] + end
        return ids, max(0, over) + unread

    def _predict_one(self, given: Input) -> Prediction:
        ids, dropped = self.token_ids(self.task.text_of(given))
        scores = self.logits(ids).tolist()  # after a graph's run caches are cold: plain floats beat numpy's small calls
        squash = softmax if self.task.kind == "choice" else sigmoid
        probabilities = squash(scores, self._calibration.temperature)
        value, confidence = self._decide(probabilities)
        return Prediction(
            value=value,
            confidence=confidence if self._calibration.examples else None,
            labels=self._labels,
            probabilities=tuple(probabilities),
            by=self.name,
            tokens=len(ids),
            dropped_tokens=dropped,
        )

    def _decide(self, probabilities: list[float]) -> tuple[Value, float]:
        if self.task.kind == "choice":
            best = max(probabilities)
            return self._labels[probabilities.index(best)], best
        chosen = [p >= threshold for p, threshold in zip(probabilities, self._thresholds)]
        agreement = math.prod(p if taken else 1 - p for p, taken in zip(probabilities, chosen))
        return tuple(label for label, taken in zip(self._labels, chosen) if taken), agreement


def softmax(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Probabilities (L) that sum to 1."""
    highest = max(scores)
    powers = [math.exp((score - highest) / temperature) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def sigmoid(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Independent probabilities (L), stable for large scores."""
    return [0.5 * (1 + math.tanh(0.5 * score / temperature)) for score in scores]
