"""Which words carried an answer: Shapley values of the words, for the log-odds of each label that was answered.

The score of a label is the log-odds ln(p / (1 - p)) of its calibrated probability, for `choice` and `labels` alike. A
word that is left out is gone from the text, with its tokens; so the values sum to the score of the text less the score
of the empty text. How the values are found: shapley.py; why not by gradients: docs/explanations.md.

Letters: C coalitions of words, W words, T tokens, L labels, A answered labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanosmith.core.errors import InputError
from nanosmith.core.example import Input
from nanosmith.core.explanation import Explanation, LabelExplanation, WordValue
from nanosmith.core.limits import MAX_EXPLAINING_RUNS, MAX_EXPLAINING_TOKENS
from nanosmith.core.prediction import Predictor
from nanosmith.core.task import Kind, Value
from nanosmith.predict.cascade import CascadePredictor
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.shapley import Floats, Masks, ends, shapley
from nanosmith.predict.words import Span, grouped, owners, words_of

RUNS_PER_SPAN = 4
"""Two for the span alone and for all the others, two that tell how spans help and hinder each other."""
MIN_SPANS = 8
"""So many are tried in any text that has them."""


def explain(predictor: Predictor, given: Input, value: Value) -> Explanation:
    """Why `value` was answered to `given`, or any other labels; one that stands for "none of these" is left out.

    Asks the model about `MAX_EXPLAINING_RUNS` times. Raises InputError when the predictor is no local one.
    """
    if isinstance(predictor, CascadePredictor):
        predictor = predictor.stage_of(given)
    if not isinstance(predictor, LocalPredictor):
        raise InputError("only a model that runs here can be explained", got=repr(predictor.name))
    text, labels = predictor.task.text_of(given), [value] if isinstance(value, str) else value
    reading = Reading(predictor, text, [label for label in labels if label in predictor.task.labels])
    return reading.explained() if reading.answered else Explanation(reading.text, reading.truncated, (), 0, 0)


class Reading:
    """One text as its model reads it, and what becomes of it when words are left out."""

    def __init__(self, predictor: LocalPredictor, text: str, answered: Sequence[str]) -> None:
        self.predictor, self.answered = predictor, answered
        self.columns = [predictor.task.labels.index(label) for label in answered]
        self.temperature = predictor.bundle.manifest.calibration.temperature
        self.ids, dropped = predictor.token_ids(text)
        tokens = [None if span is None else Span(*span) for span in predictor.token_spans(text)]
        end = max((token.end for token in tokens if token), default=0) if dropped else len(text)
        self.text, self.truncated = text[:end].encode("utf-8", "replace").decode(), dropped > 0
        words = words_of(self.text) or [Span(0, end)] * any(tokens)  # nothing but spaces can be tokens too
        self.most = runs_for(len(self.ids))
        self.spans = grouped(words, self.most // RUNS_PER_SPAN)
        self.owners = [-1 if owner is None else owner for owner in owners(self.spans, tokens)]
        self.tokens = 0
        self._played: dict[bytes, Floats] = {}

    def explained(self) -> Explanation:
        values = shapley(self.scores, len(self.spans), self.most)  # (W, A)
        empty, whole = self.scores(ends(len(self.spans)))
        labels = tuple(
            LabelExplanation(label, float(whole[i]), float(empty[i]), self._words(values[:, i]))
            for i, label in enumerate(self.answered)
        )
        return Explanation(self.text, self.truncated, labels, len(self._played), self.tokens)

    def _words(self, values: Floats) -> tuple[WordValue, ...]:
        pairs = zip(self.spans, values.tolist(), strict=True)
        return tuple(WordValue(self.text[start:end], start, end, value) for (start, end), value in pairs)

    def scores(self, masks: Masks) -> Floats:
        """Log-odds (C, A) of the answered labels when only the words of a mask (C, W) are there."""
        for mask in masks:
            if mask.tobytes() not in self._played:
                self._played[mask.tobytes()] = self.play(mask)
        return np.array([self._played[mask.tobytes()] for mask in masks])

    def play(self, mask: NDArray[np.bool_]) -> Floats:
        """Log-odds (A) with the words of one mask (W)."""
        stays = [*mask.tolist(), True]  # special tokens, whose owner is -1, always stay
        ids = [token for token, owner in zip(self.ids, self.owners, strict=True) if stays[owner]]
        self.tokens += len(ids)
        scores = self.predictor.logits(ids).astype(float) / self.temperature
        return np.array([log_odds(scores, column, self.predictor.task.kind) for column in self.columns])


def runs_for(tokens: int) -> int:
    """How often a model may be asked about a text of so many tokens, of which it reads half each time."""
    return max(RUNS_PER_SPAN * MIN_SPANS, min(MAX_EXPLAINING_RUNS, MAX_EXPLAINING_TOKENS // (tokens // 2 + 1)))


def log_odds(scores: Floats, label: int, kind: Kind) -> float:
    """ln(p / (1 - p)) of a label's probability, from scores (L): against all others together, or on its own."""
    if kind == "labels" or len(scores) == 1:
        return float(scores[label])
    others = np.delete(scores, label)
    highest = others.max()
    return float(scores[label] - highest - np.log(np.exp(others - highest).sum()))
