"""What a tuning found on the examples that it held out: which ones, how sure the answers were, and which were right.

It is sealed with the model, as its report is, so that later steps can choose on examples that no model has seen, though
the last fit was on all of them. Letters: N examples, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from nanosmith.core.errors import Damaged
from nanosmith.core.manifest import HELD_OUT_FILE, Calibration
from nanosmith.data.dataset import Dataset
from nanosmith.predict.local import calibrated
from nanosmith.store.atomic import disk_errors
from nanosmith.store.bundles import REMEDY, Bundle


class HeldOut(msgspec.Struct, frozen=True):
    """`rows` int32 (N): places in the training data, whose digest is in the manifest; `confidence` float32 (N), in
    [0, 1]; `right` bool (N)."""

    rows: NDArray[np.int32]
    confidence: NDArray[np.float32]
    right: NDArray[np.bool_]

    def write(self, folder: Path) -> None:
        """Raises StorageFull."""
        with disk_errors(folder):
            (folder / HELD_OUT_FILE).write_bytes(save(msgspec.structs.asdict(self)))


def judged(data: Dataset, rows: Sequence[int], logits: NDArray[np.floating], calibration: Calibration) -> HeldOut:
    """The answers that scores (N, L) of these examples stand for."""
    answers = [calibrated(data.task, calibration, scores) for scores in logits.tolist()]
    return HeldOut(
        rows=np.asarray(rows, dtype=np.int32),
        confidence=np.array([answer.confidence for answer in answers], dtype=np.float32),
        right=np.array([answer.value == data.values[row] for row, answer in zip(rows, answers)], dtype=np.bool_),
    )


def read_held_out(bundle: Bundle) -> HeldOut | None:
    """None where the model was made otherwise, or by an earlier version. Raises Damaged."""
    if HELD_OUT_FILE not in bundle.manifest.files:
        return None
    file = bundle.file(HELD_OUT_FILE)
    try:
        found = HeldOut(**load_file(file))
    except (OSError, SafetensorError, TypeError) as error:
        raise Damaged("what was held out cannot be read", where=str(file), got=error, remedy=REMEDY) from error
    wanted = [("int32", (len(found.rows),)), ("float32", (len(found.rows),)), ("bool", (len(found.rows),))]
    if [(str(column.dtype), column.shape) for column in (found.rows, found.confidence, found.right)] != wanted:
        raise Damaged("what was held out has another form", where=str(file), remedy=REMEDY)
    return found
