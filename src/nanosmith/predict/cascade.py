"""cascade/1: two bundles in one. The quick one answers where it is sure enough, the thorough one answers the rest (the
cascades of Viola & Jones 2001, with calibrated probabilities in the place of their scores).

The folder has the two bundles, each sealed in a folder of its own, and a file with the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from nanosmith.core.errors import Damaged
from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.predict.embed import Embeddings, Floats1d, embed
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import REMEDY, Bundle, read_manifest

CASCADE_FILE = "cascade.json"
QUICK, THOROUGH = "quick", "thorough"


class Cascade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The quick stage answers where its confidence is `threshold` and more; above 1 it never does."""

    threshold: float


class CascadePredictor:
    """Each answer is wholly one stage's: its probabilities, its confidence, what it says of the scope. What the quick
    stage takes for none of the labels, where the bundle has a label for that, the thorough one decides.

    The thorough stage is opened when it is first needed; `prepare` does so earlier.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        self.bundle = bundle
        self.name: str = bundle.manifest.name
        self.task: Task = bundle.manifest.task
        self.threshold = read_cascade(bundle.file(CASCADE_FILE)).threshold
        self._threads = threads
        self._quick = self._open(QUICK)

    @cached_property
    def _thorough(self) -> LocalPredictor:
        return self._open(THOROUGH)

    def _open(self, stage: str) -> LocalPredictor:
        folder = self.bundle.file(stage)
        opened = open_predictor(Bundle(folder, read_manifest(folder)), threads=self._threads)
        if not isinstance(opened, LocalPredictor) or opened.task != self.task:
            raise Damaged("a stage does not fit the bundle", where=str(folder), remedy=REMEDY)
        return opened

    def prepare(self) -> None:
        """Open the thorough stage."""
        self._thorough  # noqa: B018  # computed once, and kept

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return list(self.stream(inputs))

    def stream(self, inputs: Sequence[Input]) -> Iterator[Prediction]:
        """The same as `predict`, one at a time."""
        for given in inputs:
            yield self.quick_answer(given) or self._thorough.predict([given])[0]

    def quick_answer(self, given: Input) -> Prediction | None:
        """The quick stage's answer, which takes microseconds; None where the thorough one has to answer."""
        [found] = self._quick.predict([given])
        is_sure = found.confidence is not None and found.confidence >= self.threshold
        return None if not is_sure or (found.none_label is not None and found.refused) else found

    def stage_of(self, given: Input) -> LocalPredictor:
        """The stage that answers this input."""
        return self._quick if self.quick_answer(given) else self._thorough

    @property
    def width(self) -> int:
        """Of the embeddings, which are the thorough stage's."""
        return self._thorough.width

    def token_ids(self, text: str) -> tuple[list[int], int]:
        return self._thorough.token_ids(text)

    def vector(self, ids: Sequence[int]) -> Floats1d:
        return self._thorough.vector(ids)

    def embed(self, texts: Sequence[str]) -> Embeddings:
        return embed(self, texts)


def read_cascade(file: Path) -> Cascade:
    """Raises Damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Cascade)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the threshold cannot be read: {error}", where=str(file), remedy=REMEDY) from error
