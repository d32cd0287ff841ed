"""The list of words of a bundle: written where it does not cost accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nanosmith.core.manifest import Calibration
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.data.load import load
from nanosmith.flows.assemble import TuneData, open_base, samples
from nanosmith.flows.choose import Chosen
from nanosmith.flows.spelling import add_spelling
from nanosmith.flows.tune import tune
from nanosmith.predict.open import open_predictor
from nanosmith.predict.spelling import SPELLING_FILE
from nanosmith.store.home import Home
from nanosmith.testing import topic_rows, write_chat


class Memory:
    """Knows its texts as they are; answers everything else with the first label, or with the last one (`right`)."""

    def __init__(self, texts: Sequence[str], *, right: bool) -> None:
        self._known, self._right = set(texts), right

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        given = [2 if text in self._known or self._right else 0 for text in texts]
        return np.eye(3, dtype=np.float32)[given]


@pytest.mark.parametrize("right", [False, True])
def test_left_out_where_it_costs_accuracy(tmp_path: Path, home: Home, base_folder: Path, *, right: bool) -> None:
    """Held-out texts whose corrected form is answered wrongly keep the list out of the bundle."""
    rows = [*topic_rows(60), *((f"pleaze refund number {letter}", "refund") for letter in "abcdef")]
    data = load(write_chat(tmp_path / "topics.jsonl", rows))
    check = samples(data, [i for i, text in enumerate(data.texts) if "pleaze" in text])
    model: Any = Memory(check.texts, right=right)
    chosen = Chosen("static/1", model, check, 1, Calibration(), 0, {})
    add_spelling(tmp_path, chosen, TuneData(data, data, ""), open_base(str(base_folder), home), Watch())
    assert (tmp_path / SPELLING_FILE).is_file() == right


def test_tuned_bundles_correct(tmp_path: Path, home: Home, base_folder: Path) -> None:
    """A tuned bundle reads misspelled words as those it was trained on; without noise it has no list."""
    train = write_chat(tmp_path / "topics.jsonl", topic_rows(60))
    more = {"base": str(base_folder), "recipe": "static"}
    tuned = tune(train, settings=TuneSettings(**more), home=home)
    assert SPELLING_FILE in tuned.bundle.manifest.files
    predictor = open_predictor(tuned.bundle)
    right, typo = predictor.predict(["please refund the payment of", "plaese rfund the paymennt of"])
    assert right.probabilities == typo.probabilities
    plain = tune(train, settings=TuneSettings(noise=False, **more), home=home)
    assert SPELLING_FILE not in plain.bundle.manifest.files
    assert tuned.report.robustness
    assert tuned.report.robustness.attack is None
