"""What every local Predictor shares: text → token ids → logits (theirs) → calibrated Prediction.

Letters: L labels, T tokens of one input.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from tokenizers import Encoding, Tokenizer

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input
from nanosmith.core.manifest import Calibration
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task, Value
from nanosmith.predict.embed import Embeddings, Floats1d, embed, no_embeddings
from nanosmith.predict.scope import SCOPE_FILE, QueryScore, ScopeScore
from nanosmith.predict.spelling import SPELLING_FILE, Speller, applied, original
from nanosmith.store.bundles import Bundle

T = TypeVar("T")
TOKENIZER_FILE = "tokenizer.json"
TINY = 1e-12  # the least probability that is divided by
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
        self._max_tokens = manifest.max_tokens
        self._scope = ScopeScore.open(manifest.scope, bundle.file(SCOPE_FILE)) if manifest.scope else None
        self._tokenizer = self._open_tokenizer()
        speller_file = bundle.file(SPELLING_FILE) if SPELLING_FILE in manifest.files else None
        self._speller = Speller.open(speller_file, self._tokenizer) if speller_file else None

    @abstractmethod
    def logits(self, ids: Sequence[int]) -> Floats1d:
        """Scores (L) of one input's token ids (T), before calibration."""

    def vector(self, ids: Sequence[int]) -> Floats1d:
        """The embedding (`width`) of one input's token ids (T). Raises InputError where there is none."""
        raise no_embeddings(self.name)

    def both(self, ids: Sequence[int]) -> tuple[Floats1d, Floats1d]:
        """`logits` and `vector` of one input."""
        return self.logits(ids), self.vector(ids)

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
        kept = self._readable(text)
        ids = self._ids(self._speller.read(kept) if self._speller else kept)
        over = len(ids) - self._max_tokens
        unread = max(0, len(text) - self._max_tokens * CHARS_PER_TOKEN) // 4
        return self._cut(ids), max(0, over) + unread

    def token_spans(self, text: str) -> list[tuple[int, int] | None]:
        """Which characters [start, end) of `text` each of its `token_ids` stands for; None for a special token."""
        kept = self._readable(text)
        corrections = self._speller.corrections(kept) if self._speller else []
        encoded = self._encoded(applied(kept, corrections))
        spans = zip(encoded.offsets, encoded.special_tokens_mask)
        return self._cut([None if special else original(span, corrections) for span, special in spans])

    def _readable(self, text: str) -> str:
        return readable(text, self._max_tokens)

    def _open_tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self.bundle.file(TOKENIZER_FILE)))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._encoded(text).ids
        return ids

    def _encoded(self, text: str) -> Encoding:
        return self._tokenizer.encode(text, add_special_tokens=self.special_tokens)

    def _cut(self, tokens: list[T]) -> list[T]:
        """At most `max_tokens`, with the special one at the end."""
        if len(tokens) <= self._max_tokens:
            return tokens
        end = tokens[-1:] if self.special_tokens else []
        return tokens[: self._max_tokens - len(end)] + end

    def _predict_one(self, given: Input) -> Prediction:
        ids, dropped = self.token_ids(self.task.text_of(given))
        logits, far = self._scored(ids)
        # after a graph's run caches are cold: plain floats beat numpy's small calls
        answer = calibrated(self.task, self._calibration, logits.tolist())
        return Prediction(
            value=answer.value,
            confidence=answer.confidence if self._calibration.examples else None,
            labels=self._labels,
            probabilities=tuple(answer.probabilities),
            by=self.name,
            tokens=len(ids),
            dropped_tokens=dropped,
            far=far,
            none_label=self._scope.label if self._scope else None,
        )

    def _scored(self, ids: Sequence[int]) -> tuple[Floats1d, QueryScore | None]:
        """Logits (L), and how far out of scope the input is, where the bundle tells that."""
        if self._scope is None:
            return self.logits(ids), None
        logits, vector = self.both(ids)
        return logits, QueryScore(self._scope, vector, logits)


class Answer(NamedTuple):
    """`probabilities` (L), and the `confidence` in [0, 1] that `value` is right."""

    value: Value
    confidence: float
    probabilities: list[float]


def calibrated(task: Task, calibration: Calibration, scores: Sequence[float]) -> Answer:
    """What scores (L) stand for."""
    if task.kind == "choice":
        probabilities = softmax(scores, calibration.temperature)
        best = max(probabilities)
        return Answer(task.labels[probabilities.index(best)], best, probabilities)
    probabilities = sigmoid(scores, calibration.temperature)
    thresholds = calibration.thresholds or (0.5,) * len(probabilities)
    chosen = reached(probabilities, thresholds, at_least_one=calibration.at_least_one)
    agreement = math.prod(p if taken else 1 - p for p, taken in zip(probabilities, chosen))
    if calibration.at_least_one:  # given that the answer is not empty
        agreement = min(1.0, agreement / max(TINY, 1 - math.prod(1 - p for p in probabilities)))
    return Answer(tuple(label for label, taken in zip(task.labels, chosen) if taken), agreement, probabilities)


def readable(text: str, max_tokens: int) -> str:
    """The characters that are read at all; half a surrogate pair is no text to a tokenizer."""
    return text[: max_tokens * CHARS_PER_TOKEN].encode("utf-8", "replace").decode()


def reached(probabilities: Sequence[float], thresholds: Sequence[float], *, at_least_one: bool) -> list[bool]:
    """Which labels (L) have a probability of their threshold and more; with `at_least_one` the nearest by ratio where
    none has."""
    chosen = [p >= threshold for p, threshold in zip(probabilities, thresholds)]
    if at_least_one and chosen and not any(chosen):
        ratios = [p / threshold for p, threshold in zip(probabilities, thresholds)]
        chosen[ratios.index(max(ratios))] = True
    return chosen


def softmax(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Probabilities (L) that sum to 1."""
    highest = max(scores)
    powers = [math.exp((score - highest) / temperature) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def sigmoid(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Independent probabilities (L), stable for large scores."""
    return [0.5 * (1 + math.tanh(0.5 * score / temperature)) for score in scores]
