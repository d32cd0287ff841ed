"""tfidf_linear/1: TF-IDF of words, pairs and character n-grams with a linear separator per label. No encoder.

It reads a text only as a set of terms, and is strong where texts are long, telegraphic or full of names of their own,
and examples are many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy import sparse

from nanosmith.core.limits import MAX_TFIDF_WORDS
from nanosmith.predict.embed import unit
from nanosmith.predict.tfidf import VOCABULARY_FILE, WEIGHTS_FILE, Scorer, read_words
from nanosmith.recipes.parts.graph import quantise_rows
from nanosmith.recipes.parts.svm import Method, Separators, fit_separators
from nanosmith.recipes.parts.terms import Counts, Terms, learn
from nanosmith.recipes.work import Draft, Floats2d, Samples, Targets, Work
from nanosmith.score.metrics import accuracy

METHODS = (Method(1.0, bayes=False), Method(0.3, bayes=False), Method(0.3, bayes=True))
"""The first one where there are too few examples to tell."""
CHECKED_FROM = 1_000  # examples
CHECK_MAX = 12_000  # examples that the method is looked for on
CHECK_SHARE = 0.2  # of these, held out
SCALE = 4.0  # of margins, so that their softmax is near to probabilities before calibration
MAX_BYTES = 8_000_000  # of the bundle's weights and vocabulary, about
TERM_BYTES = 16  # of a term, beside one for each label
MAX_STEPS = 250_000_000  # of one pass of the solver over all values of all vectors, for every label
READ_AT_ONCE = 1_000  # texts, between looks at the watch


def fit(work: Work) -> TfidfModel:
    """Learn the terms, find the method, fit. Deterministic by seed."""
    random = np.random.default_rng(work.seed)
    train = work.train + work.augment(work.train, random) if work.augment else work.train
    texts = _read(train.texts, work)
    labels = len(work.task.labels)
    terms, vectors = learn(Counts.of(texts), MAX_BYTES // (TERM_BYTES + labels), MAX_STEPS // labels)
    wanted = memberships(train.targets, labels)
    own = len(work.train)  # what was added is made of these, and would tell what is held out
    method = _method(work, vectors[:own], wanted[:own], random)
    [separators] = fit_separators(vectors, wanted, train.weights, (method,), work.seed, _told(work, "fit"))
    settings = {"n_epochs": 1, "batch_size": len(train), "learning_rate_multiplier": 1.0, "c": method.c,
                "naive_bayes": method.bayes, "terms": len(terms.idf)}  # fmt: skip
    return TfidfModel(terms, separators, settings, sum(map(len, texts)))


class TfidfModel:
    """Terms (F) and their weights (F, L), already int8-rounded."""

    def __init__(self, terms: Terms, separators: Separators, settings: dict[str, Any], trained_tokens: int) -> None:
        weight, scales = quantise_rows(SCALE * separators.weight.T)
        weight = np.ascontiguousarray(weight.T)
        self._terms, self._settings = terms, settings
        self._tensors: dict[str, NDArray[Any]] = {
            "pairs": terms.pairs, "idf": terms.idf, "weight": weight, "scales": scales, "bias": SCALE * separators.bias
        }  # fmt: skip
        self._scorer = Scorer(self._tensors, terms.vocabulary)
        self.trained_tokens = trained_tokens

    def logits(self, texts: Sequence[str]) -> Floats2d:
        """Scores (N, L): the very arithmetic of the runtime, so there is nothing left for a parity gate to find."""
        return np.stack([self._scorer.score(read_words(text, MAX_TFIDF_WORDS)) for text in texts])

    def embeddings(self, texts: Sequence[str]) -> Floats2d:
        """Directions (N, L) of the scores: there is no embedding, and these can tell what is out of scope."""
        return unit(self.logits(texts))

    def write(self, folder: Path, check: Samples) -> Draft:
        (folder / WEIGHTS_FILE).write_bytes(save(self._tensors))  # save_file tells a full disk as no OSError
        (folder / VOCABULARY_FILE).write_bytes(msgspec.json.encode(self._terms.vocabulary))
        return Draft("tfidf/1", MAX_TFIDF_WORDS, self._settings, {})


def memberships(targets: Targets, labels: int) -> NDArray[np.bool_]:
    """Targets of either kind as memberships (N, L)."""
    return targets.astype(np.bool_) if targets.ndim == 2 else targets[:, np.newaxis] == np.arange(labels)


def _read(texts: Sequence[str], work: Work) -> list[list[str]]:
    """The words of each text, as far as the runtime reads it."""
    read = []
    for number, text in enumerate(texts):
        if number % READ_AT_ONCE == 0:
            work.watch.check()
            work.watch.progress("read the texts once", number, len(texts))
        read.append(read_words(text, MAX_TFIDF_WORDS))
    work.watch.progress("read the texts once", len(texts), len(texts))
    return read


def _method(work: Work, vectors: sparse.csr_matrix, wanted: NDArray[np.bool_], random: np.random.Generator) -> Method:
    """What answers most of some held-out examples right; the first one where examples are few."""
    count = min(len(work.train), CHECK_MAX)
    if count < CHECKED_FROM:
        return METHODS[0]
    order = random.permutation(len(work.train))[:count]
    held_out, rest = order[: int(CHECK_SHARE * count)], order[int(CHECK_SHARE * count) :]
    tried = fit_separators(vectors[rest], wanted[rest], work.train.weights[rest], METHODS, work.seed,
                           _told(work, "find the method"))  # fmt: skip
    right = [_right(work, one.margins(vectors[held_out]), wanted[held_out]) for one in tried]
    return METHODS[int(np.argmax(right))]


def _right(work: Work, margins: Floats2d, wanted: NDArray[np.bool_]) -> float:
    """Share of examples whose margins (N, L) give just the labels wanted (N, L)."""
    if work.task.kind == "choice":
        return accuracy(wanted.argmax(axis=1), margins.argmax(axis=1))
    return accuracy(wanted, margins > 0)


def _told(work: Work, stage: str) -> Callable[[int], None]:
    """Tells the watch how many labels are finished, and stops where it asks to."""

    def told(done: int) -> None:
        work.watch.check()
        work.watch.progress(stage, done, len(work.task.labels))

    return told
