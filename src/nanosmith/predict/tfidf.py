"""tfidf/1: words, pairs of neighbouring words and character n-grams, weighted by TF-IDF, then a linear layer.

A term of a text counts (1 + ln of its occurrences) times its idf (sublinear tf; Manning, Raghavan & Schütze 2008,
"Introduction to Information Retrieval", section 6.4). Words and pairs make one vector, n-grams another; each has length
1. There is no embedding.

Letters: T words of one text, W words, P pairs and G n-grams that are known, F = W + P + G terms, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from nanosmith.core.errors import Damaged
from nanosmith.predict.embed import Floats1d, unit
from nanosmith.predict.local import LocalPredictor, readable
from nanosmith.predict.words import WORD, Span, words_of
from nanosmith.store.bundles import REMEDY, Bundle

WEIGHTS_FILE = "tfidf.safetensors"
VOCABULARY_FILE = "vocabulary.json"
GRAM_LENGTHS = range(2, 6)  # characters of an n-gram, with the space at either end of its word
KEPT_WORDS, KEPT_CHARS = 10_000, 32  # so many words, none longer, have their n-grams remembered

Ints = NDArray[np.int64]
NOTHING: Ints = np.empty(0, dtype=np.int64)
Tensors = Mapping[str, NDArray[Any]]


class Vocabulary(msgspec.Struct, frozen=True):
    """Known words (W) and n-grams (G), by their numbers."""

    words: list[str]
    grams: list[str]


class Read(msgspec.Struct, frozen=True):
    """A text as words, in the form of a tokenizer's answer. The id of a word is the word itself: its UTF-8 bytes, read
    as one number, so that a word that was never seen still has its n-grams."""

    ids: list[int]
    offsets: list[Span]
    special_tokens_mask: list[int]


class WordReader:
    """Splits texts into words, as a tokenizer would into tokens. `known` are the words that it has a number for."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = {word: number for number, word in enumerate(known)}

    def token_to_id(self, word: str) -> int | None:
        return self._known.get(word)

    def encode(self, text: str, add_special_tokens: bool = False) -> Read:
        spans = words_of(text)
        ids = [id_of(text[start:end].lower()) for start, end in spans]
        return Read(ids, list(spans), [0] * len(spans))


class TfidfPredictor(LocalPredictor):
    """Files: a `Vocabulary`, and tensors `pairs` int64 (P), ascending, first word * W + second; `idf` float32 (F);
    `weight` int8 (F, L) with one `scales` float32 (L) per label; `bias` float32 (L). Raises Damaged where they do not
    fit each other."""

    special_tokens = False
    is_quick = True

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        super().__init__(bundle, threads=threads)
        tensors = load_file(bundle.file(WEIGHTS_FILE))
        require_fit(tensors, self._vocabulary, len(self._labels), bundle.path)
        self._scorer = Scorer(tensors, self._vocabulary)

    def logits(self, ids: Sequence[int]) -> Floats1d:
        return self._scorer.score([word_of(number) for number in ids])

    def both(self, ids: Sequence[int]) -> tuple[Floats1d, Floats1d]:
        """Where it is told how far out of scope a text is, the direction of the scores stands for the embedding."""
        scores = self.logits(ids)
        return scores, unit(scores)

    def _open_tokenizer(self) -> Any:
        self._vocabulary = read_vocabulary(self.bundle.file(VOCABULARY_FILE))
        return WordReader(self._vocabulary.words)


class Scorer:
    """Scores (L) of the words of a text: the arithmetic of the recipe and the runtime alike."""

    def __init__(self, tensors: Tensors, vocabulary: Vocabulary) -> None:
        self._pairs, self._idf, self._weight = tensors["pairs"], tensors["idf"], tensors["weight"]
        self._scales, self._bias = tensors["scales"], tensors["bias"]
        self._words = {word: number for number, word in enumerate(vocabulary.words)}
        first_gram = len(vocabulary.words) + len(self._pairs)
        self._grams = {gram: first_gram + number for number, gram in enumerate(vocabulary.grams)}
        self._remembered = lru_cache(KEPT_WORDS)(self._grams_of)

    def score(self, words: Sequence[str]) -> Floats1d:
        numbers = np.array([self._words.get(word, -1) for word in words], dtype=np.int64)
        grams = [self._remembered(word) if len(word) <= KEPT_CHARS else self._grams_of(word) for word in words]
        pairs = len(self._words) + known_pairs(numbers, len(self._words), self._pairs)
        spoken = self._part(np.concatenate([numbers[numbers >= 0], pairs]))
        spelled = self._part(np.concatenate([NOTHING, *grams]))
        scores: Floats1d = self._scales * (spoken + spelled) + self._bias
        return scores

    def _part(self, terms: Ints) -> Floats1d:
        """What the occurrences of terms add to each label (L), before `scales`: their vector at length 1 @ weight."""
        if not len(terms):
            return np.zeros(len(self._bias), dtype=np.float32)
        found, counts = np.unique(terms, return_counts=True)
        values = (1 + np.log(counts.astype(np.float32))) * self._idf[found]
        part: Floats1d = (values / np.sqrt(values @ values)) @ self._weight[found].astype(np.float32)
        return part

    def _grams_of(self, word: str) -> Ints:
        """The known n-grams of a word, each as often as it occurs."""
        known = self._grams
        return np.array([known[gram] for gram in grams_of(word) if gram in known], dtype=np.int64)


def read_words(text: str, max_tokens: int) -> list[str]:
    """The words of a text that are read, in small letters."""
    return [found.lower() for found in WORD.findall(readable(text, max_tokens))[:max_tokens]]


def grams_of(word: str) -> list[str]:
    """N-grams of the word with a space at either end."""
    padded = f" {word} "
    return [padded[start : start + n] for n in GRAM_LENGTHS for start in range(len(padded) - n + 1)]


def known_pairs(numbers: Ints, words: int, pairs: Ints) -> Ints:
    """Places in `pairs` (P) of the neighbours among word numbers (T); -1 stands for a word that is not known."""
    if not len(pairs) or len(numbers) < 2:
        return NOTHING
    first, second = numbers[:-1], numbers[1:]
    keys = np.where((first >= 0) & (second >= 0), first * words + second, -1)
    places = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
    found: Ints = places[pairs[places] == keys]
    return found


def id_of(word: str) -> int:
    """The word's UTF-8 bytes, after a 1 that keeps leading zeros."""
    return int.from_bytes(b"\1" + word.encode(), "big")


def word_of(number: int) -> str:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")[1:].decode()


def read_vocabulary(file: Path) -> Vocabulary:
    """Raises Damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Vocabulary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the vocabulary cannot be read: {error}", where=str(file), remedy=REMEDY) from error


def require_fit(tensors: Tensors, vocabulary: Vocabulary, labels: int, where: Path) -> None:
    """Raises Damaged where tensors are missing, or have other shapes or types than the vocabulary and the task ask."""
    pairs = tensors["pairs"] if "pairs" in tensors else np.empty(0)
    terms = len(vocabulary.words) + len(pairs) + len(vocabulary.grams)
    wanted = {
        "pairs": ("int64", (len(pairs),)),
        "idf": ("float32", (terms,)),
        "weight": ("int8", (terms, labels)),
        "scales": ("float32", (labels,)),
        "bias": ("float32", (labels,)),
    }
    found = {name: (str(tensor.dtype), tensor.shape) for name, tensor in tensors.items()}
    if found != wanted:
        raise Damaged("the weights and the vocabulary do not fit each other", where=str(where), got=str(found),
                      allowed=str(wanted), remedy=REMEDY)  # fmt: skip
