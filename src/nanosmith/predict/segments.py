"""segments/1: an encoder that reads one query, or two or three joined ones, and answers with the set of their labels.

One pass gives a vector and tags for each token. The tags say where a query begins and what stands between queries; a
segment's vector is the mean of its tokens', and the head of single queries labels it. Of all ways to take the text
apart that the tags allow, the likeliest by tags and labels together is answered: a connective that was never seen is
found, as what it leaves over is easy to label. Tokens are tagged BIO (Ramshaw & Marcus 1995).

Letters: T tokens, D width, L labels, S starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from nanosmith.predict.embed import Floats1d
from nanosmith.predict.encoder import EncoderPredictor
from nanosmith.predict.graph_names import OUTPUT, TAGS, TOKENS
from nanosmith.predict.graph_session import GraphSession
from nanosmith.predict.log_softmax import log_softmax
from nanosmith.store.bundles import Bundle

HEAD_FILE = "head.safetensors"
OUTSIDE, BEGIN, INSIDE = range(3)
STARTS = 6  # tokens at which a query may begin that are looked at
MOST = 3  # queries in a text
LABEL_WEIGHT = 4.0  # of a label's log-probability beside that of the tags (docs/decisions/0016)
SURE = -7.0  # log-probability of a second beginning below which the text is one query
Floats = NDArray[np.floating[Any]]


class Head(NamedTuple):
    """Of unit vectors: weight (D, L), bias (L)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def log_probabilities(self, vectors: Floats) -> Floats:
        """(S, D) → (S, L); the vectors may have any length."""
        lengths = np.sqrt((vectors * vectors).sum(1, keepdims=True))
        return log_softmax(vectors / np.maximum(lengths, 1e-9) @ self.weight + self.bias)


class SegmentsPredictor(EncoderPredictor):
    """The graph gives `tokens` float32 (1, T, D) and `tags` (1, T, 3) beside `logits` (1, L) and `embedding` (1, D)."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        super().__init__(bundle, threads=threads)
        self._head = read_head(bundle.file(HEAD_FILE))

    def logits(self, ids: Sequence[int]) -> Floats1d:
        return read(self._graph, ids, self._head)

    def both(self, ids: Sequence[int]) -> tuple[Floats1d, Floats1d]:
        return self.logits(ids), self.vector(ids)


def read_head(file: Path) -> Head:
    arrays = load_file(file)
    return Head(arrays["weight"], arrays["bias"])


def read(graph: GraphSession, ids: Sequence[int], head: Head) -> Floats1d:
    """Scores (L) of one row of ids: see `scores`."""
    tokens, tags, logits = graph.run([TOKENS, TAGS, OUTPUT], [ids])[0]
    return scores(tokens, tags, logits, head)


def scores(tokens: Floats, tags: Floats, logits: Floats, head: Head) -> Floats1d:
    """Log odds (L) of each label against the best other one, in the segment where they are highest: above 0 for the
    labels that are answered. `tokens` (T, D) and `tags` (T, 3) of all tokens, special ones included; `logits` (L) of
    the whole text."""
    found = segments(tokens, log_softmax(tags), log_softmax(logits[None]), head)
    highest: Floats1d = margins(found).max(axis=0).astype(np.float32)
    return highest


def margins(logs: Floats) -> Floats:
    """Of log-probabilities (S, L): each label's less that of the best other one."""
    if logs.shape[1] < 2:
        return logs - np.log1p(-np.exp(np.minimum(logs, -1e-6)))
    top = np.partition(logs, -2, axis=1)
    best, second = top[:, -1:], top[:, -2:-1]
    return np.where(logs == best, logs - second, logs - best)


def segments(tokens: Floats, tags: Floats, whole: Floats, head: Head) -> Floats:
    """Log-probabilities (S, L) of the segments of the likeliest way to take a text apart. `tags` are log-probabilities
    (T, 3), `whole` (1, L) those of the text's own labels."""
    inner = tags[1:-1]
    if len(inner) < 2:
        return whole
    starts = np.sort(np.argsort(-inner[:, BEGIN])[:STARTS]).tolist()
    if np.partition(inner[:, BEGIN], -2)[-2] < SURE:
        return whole
    ways = _Ways(inner, starts)
    sums = np.concatenate([np.zeros((1, tokens.shape[1])), np.cumsum(tokens[1:-1], axis=0, dtype=np.float64)])
    means = np.stack([(sums[end] - sums[start]) / (end - start) for start, end in ways.spans])
    logs = head.log_probabilities(means)
    likely = logs.max(axis=1).tolist()
    best, chosen = ways.alone() + LABEL_WEIGHT * float(whole.max()), None
    for way in ways.several():
        total = ways.score(way) + LABEL_WEIGHT * sum(likely[i] for i in way)
        if total > best:
            best, chosen = total, way
    return whole if chosen is None else logs[list(chosen)]


class _Ways:
    """The ways to take a text apart: which of `starts` begin a query, and where each query ends best. `inner` (T, 3)
    are log-probabilities of the tags of all tokens but the special ones.

    A query that begins at i, with the next one (or the end of the text) at j, is segment `index[i, j]`, with its
    characters in `spans`.
    """

    def __init__(self, inner: Floats, starts: Sequence[int]) -> None:
        self.starts, self.end = starts, len(inner)
        self._outside = np.concatenate([[0.0], np.cumsum(inner[:, OUTSIDE])])
        self._inside = np.concatenate([[0.0], np.cumsum(inner[:, INSIDE])])
        self._begin = inner[:, BEGIN]
        self.spans: list[tuple[int, int]] = []
        self._scores: list[float] = []
        self.index: dict[tuple[int, int], int] = {}
        for i, j in combinations([*starts, self.end], 2):
            self.index[i, j] = len(self.spans)
            self._add(i, j)

    def _add(self, start: int, following: int) -> None:
        """The segment's best end, and the log-probability of its tags and of those up to what follows."""
        ends = self._inside[start + 1 : following + 1] - self._outside[start + 1 : following + 1]
        end = start + 1 + int(ends.argmax())
        tags = self._begin[start] + self._inside[end] - self._inside[start + 1]
        self.spans.append((start, end))
        self._scores.append(float(tags + self._outside[following] - self._outside[end]))

    def alone(self) -> float:
        """The best score of a text that is one query."""
        return max(float(self._outside[i]) + self._scores[self.index[i, self.end]] for i in self.starts)

    def several(self) -> list[tuple[int, ...]]:
        """Numbers of the segments of each way that has two to MOST of them."""
        return [
            tuple(self.index[pair] for pair in zip(way, (*way[1:], self.end)))
            for count in range(2, MOST + 1)
            for way in combinations(self.starts, count)
        ]

    def score(self, way: Sequence[int]) -> float:
        """The log-probability of the tags of a way."""
        return float(self._outside[self.spans[way[0]][0]]) + sum(self._scores[i] for i in way)
