"""Changed copies of inputs, and what a predictor answers to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from nanosmith.core.example import Input, as_messages
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.watch import Watch

UPDATES = 200  # progress is told at most this often


def own_text(given: Input) -> str:
    """The text of a plain input, or of the newest user turn; empty where there is none."""
    return given if isinstance(given, str) else next((m.content for m in reversed(given) if m.role == "user"), "")


def with_text(given: Input, text: str) -> Input:
    """The same input with another `own_text`."""
    if isinstance(given, str):
        return text
    turns = list(as_messages(given))
    newest = next((i for i in reversed(range(len(turns))) if turns[i].role == "user"), None)
    if newest is not None:
        turns[newest] = msgspec.structs.replace(turns[newest], content=text)
    return tuple(turns)


def changed(inputs: Sequence[Input], change: Callable[[str], str]) -> list[Input]:
    """Every input with its own text changed."""
    return [with_text(given, change(own_text(given))) for given in inputs]


class Asking:
    """Asks a predictor one input at a time, and tells `watch` how far a stage of `total` answers is."""

    def __init__(self, predictor: Predictor, watch: Watch, stage: str, total: int) -> None:
        self._predictor, self._watch, self._stage, self._total = predictor, watch, stage, total
        self._every = max(1, total // UPDATES)
        self._done = 0

    def answers(self, inputs: Sequence[Input]) -> Iterator[Prediction]:
        """One Prediction per input, each counted as done. Raises Cancelled."""
        for given in inputs:
            yield self.answer(given)
            self.step()

    def answer(self, given: Input) -> Prediction:
        """A Prediction that is part of a larger step. Raises Cancelled."""
        self._watch.check()
        return self._predictor.predict([given])[0]

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._done % self._every == 0 or self._done == self._total:
            self._watch.progress(self._stage, self._done, self._total)
