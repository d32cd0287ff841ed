"""record/1: one pass of an encoder with tag and choice heads, one ONNX graph; a JSON object as the answer, always of
the record's form.

The graph takes `input_ids` and `codes` int64 (1, T), special tokens included, and gives `tags` float32 (1, T, C),
`logits` float32 (1, L) and `embedding` float32 (1, D). A text that is longer than the window is read in several, which
overlap: each unit's tags come from the window in which it has most neighbours, choices from the mean of all windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from nanosmith.core.errors import Damaged
from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.predict.graph_names import GRAPH_FILE, OUTPUT, TAGS
from nanosmith.predict.graph_session import open_graph
from nanosmith.predict.local import TOKENIZER_FILE, readable
from nanosmith.predict.pieces import Pieces, Window, windows
from nanosmith.predict.record_answer import Answerer, Text
from nanosmith.predict.record_layout import LAYOUT_FILE, read_layout
from nanosmith.predict.record_reader import Reader, turn_of
from nanosmith.predict.tags import Floats
from nanosmith.store.bundles import REMEDY, Bundle

NOTHING = np.zeros((1, 0), dtype=np.float32)


class Scores(NamedTuple):
    """Logits of one text: of the tags of its units (U, C), and of its choices (L)."""

    tags: Floats
    choices: Floats


class RecordPredictor:
    """A bundle of records that answers on this machine. Rows are computed one by one, at their own length: an answer
    cannot depend on its neighbours in a batch."""

    is_quick = False

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        manifest = bundle.manifest
        if manifest.task.record is None:
            raise Damaged("this bundle has no form of records", where=str(bundle.path), remedy=REMEDY)
        self.bundle, self.name = bundle, manifest.name
        self.task: Task = manifest.task
        self._max_tokens = manifest.max_tokens
        self.layout = read_layout(bundle.file(LAYOUT_FILE))
        self._reader = Reader(Tokenizer.from_file(str(bundle.file(TOKENIZER_FILE))), self.layout)
        self._answerer = Answerer(manifest.task.record, self.layout)
        self._scorer = Scorer(bundle.file(GRAPH_FILE), self._reader, threads)
        self.engine = self._scorer.engine

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return list(self.stream(inputs))

    def stream(self, inputs: Sequence[Input]) -> Iterator[Prediction]:
        """The same as `predict`, one at a time, for progress bars."""
        return map(self._predict_one, inputs)

    def token_ids(self, text: str) -> tuple[list[int], int]:
        """Ids of the tokens that are read of a text, without special ones, and how many are not."""
        ids = self._reader.read(readable(text, self._max_tokens), None).ids
        read = windows(len(ids), self._reader.most)[-1].end
        return ids[:read], len(ids) - read

    def _predict_one(self, given: Input) -> Prediction:
        text, turn = turn_of(self.task, given)
        kept = readable(text, self._max_tokens)
        pieces = self._reader.read(kept, turn)
        scores, read = self._scorer.scores(pieces)
        answer = self._answerer.answer(Text(kept, turn, pieces.spans), scores.tags, scores.choices)
        fields, confidence = self._answerer.calibrated(answer)
        unread = (len(text) - len(kept)) // 4  # an estimate
        return Prediction(
            value=answer.value, confidence=confidence, labels=(), probabilities=(), by=self.name,
            tokens=read, dropped_tokens=max(0, len(pieces.ids) - read) + unread, fields=fields,
        )  # fmt: skip


class Scorer:
    """Runs a graph over the windows of a text. A graph has no `tags` where a record has no spans, and no `logits` where
    it has nothing to choose."""

    def __init__(self, graph: Path, reader: Reader, threads: int = 1) -> None:
        self._graph, self._reader = open_graph(graph, threads), reader
        self.engine = self._graph.engine
        self._outputs = [name for name in self._graph.outputs if name in (TAGS, OUTPUT)]

    def scores(self, pieces: Pieces) -> tuple[Scores, int]:
        """The scores of a text, and how many of its pieces were read."""
        spread = windows(len(pieces.ids), self._reader.most)
        tags, choices = [], []
        for window in spread:
            found = self._run(pieces, window)
            shift = self._reader.before - window.start
            tags.append(found[TAGS][window.first + shift : window.last + shift] if TAGS in found else NOTHING)
            choices.append(found.get(OUTPUT, NOTHING[0]))
        heard = tags[0] if len(tags) == 1 else np.concatenate(tags)
        if len(pieces.firsts) != len(heard) and len(heard):
            heard = heard[[place for place in pieces.firsts if place < len(heard)]]
        return Scores(heard, choices[0] if len(choices) == 1 else np.mean(choices, axis=0)), spread[-1].end

    def _run(self, pieces: Pieces, window: Window) -> dict[str, Floats]:
        ids, codes = self._reader.framed(pieces, window)
        return dict(zip(self._outputs, self._graph.run(self._outputs, [ids], [codes])[0]))
