"""The manifest of a bundle: what it is, what it was made from, and the digest of every file in it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from nanosmith.core.task import Task

FORMAT = 1
MANIFEST_NAME = "manifest.json"
HELD_OUT_FILE = "held-out.safetensors"
REPORT_FILES = ("report.json", "report.html", HELD_OUT_FILE)
"""They tell about a model, and do not answer."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sha256` in hex, size in bytes."""

    sha256: str
    bytes: int


class BaseRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The weights that training started from."""

    name: str
    sha256: str


class DataRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data a bundle was made from: `digest` of the training set and counts of examples."""

    digest: str
    train_examples: int
    tune_examples: int


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How logits become probabilities: softmax(logits / temperature) for choice, sigmoid(logits / temperature) for
    labels (Guo et al. 2017, "On Calibration of Modern Neural Networks"). `thresholds` (labels only) has one value in
    (0, 1) per label; a label is answered when its probability reaches it. `at_least_one` (labels only): no example had
    an empty answer, so where no probability reaches its threshold, the nearest is answered. `examples` counts the
    held-out examples used; with 0 the predictor is not calibrated and reports no confidence."""

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    examples: int = 0
    at_least_one: bool = False


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a query that is about none of the labels is told; predict/scope.py has the arithmetic.

    `refuse` is the share of in-scope queries, in (0, 1), that may be refused; `label` what is then answered (None: the
    class is answered all the same). `weights` and `centres` (F) make one raw score of F features; `quantiles` are raw
    scores of `examples` held-out in-scope examples, evenly spaced from the lowest to the highest. `outside` counts the
    examples of "none of these" that the score was fitted with.
    """

    refuse: float
    label: str | None
    weights: tuple[float, ...]
    centres: tuple[float, ...]
    quantiles: tuple[float, ...]
    examples: int
    outside: int = 0


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sealed folder holds.

    `predictor` is the registered name of the runtime that opens it (`static/1`, `encoder/1`); `recipe` the one that
    made it (`tune_encoder/1`); `settings` every setting of that recipe, resolved; `notes` figures that the recipe
    wants kept (choices made, parity, timings). `files` maps a relative POSIX path to its entry; no other file may be
    there. `scope` is None where nothing tells that a query is out of scope.
    """

    name: str
    created_at: int
    predictor: str
    recipe: str
    task: Task
    max_tokens: int
    base: BaseRef
    data: DataRef
    calibration: Calibration
    settings: dict[str, Any]
    notes: dict[str, Any]
    files: dict[str, FileEntry]
    nanosmith: str
    scope: Scope | None = None
    format: int = FORMAT

    @property
    def model_digest(self) -> str:
        """SHA-256 (hex) over the files that answer, so that adding a report does not change it."""
        rows = sorted((path, entry.sha256) for path, entry in self.files.items() if path not in REPORT_FILES)
        return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()

    @property
    def total_bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())
