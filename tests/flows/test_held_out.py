"""What a tuning held out is sealed with the model, and can be read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from nanosmith.core.errors import Damaged
from nanosmith.core.manifest import HELD_OUT_FILE
from nanosmith.core.settings import TuneSettings
from nanosmith.data.load import load
from nanosmith.flows.evaluate import size_bytes
from nanosmith.flows.held_out import read_held_out
from nanosmith.flows.tune import tune
from nanosmith.store.bundles import add_files, open_bundle
from nanosmith.store.home import Home
from nanosmith.testing import tiny_bundle, topic_rows, write_chat


def test_a_tuning_keeps_it(base_folder: Path, home: Home, tmp_path: Path) -> None:
    """One row for each example that calibrated the model, of the training data that the manifest names; it is no part
    of what answers."""
    train, test = write_chat(tmp_path / "train.jsonl", topic_rows(60)), write_chat(tmp_path / "t.jsonl", topic_rows(9))
    tuned = tune(train, test=test, settings=TuneSettings(recipe="static", base=str(base_folder)), home=home)
    bundle = open_bundle(tuned.bundle.path)
    found = read_held_out(bundle)
    assert found is not None
    assert len(found.rows) == bundle.manifest.calibration.examples > 0
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert found.rows.max() < len(load(train))
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    [candidate] = bundle.manifest.notes["candidates"]
    assert found.right.mean() == pytest.approx(candidate["accuracy"])
    assert size_bytes(bundle.manifest) < bundle.manifest.total_bytes - bundle.manifest.files[HELD_OUT_FILE].bytes


def test_other_bundles_have_none(tmp_path: Path) -> None:
    """Those of earlier versions."""
    assert read_held_out(tiny_bundle(tmp_path / "tiny")) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"no safetensors", save({"rows": np.zeros(2, np.int32)}),
     save({"rows": np.zeros(2, np.int32), "confidence": np.zeros(3, np.float32), "right": np.zeros(2, np.bool_)}),
     save({"rows": np.zeros(2), "confidence": np.zeros(2, np.float32), "right": np.zeros(2, np.bool_)})],
    ids=["empty", "other", "columns", "lengths", "types"],
)  # fmt: skip
def test_damaged(tmp_path: Path, content: bytes) -> None:
    """What is no such table is told as a damage."""
    bundle = add_files(tiny_bundle(tmp_path / "tiny"), {HELD_OUT_FILE: content})
    with pytest.raises(Damaged, match="held out"):
        read_held_out(bundle)
