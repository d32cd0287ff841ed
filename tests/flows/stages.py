"""Two tiny bundles of one task that fit a cascade, and examples for them."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import numpy as np
from safetensors.numpy import load_file, save
from tests.predict.conftest import tiny_encoder

from nanosmith.core.manifest import HELD_OUT_FILE
from nanosmith.flows.held_out import HeldOut
from nanosmith.predict.static import WEIGHTS_FILE
from nanosmith.store.bundles import Bundle, add_files
from nanosmith.testing import tiny_bundle, write_chat

LABELS = ("delivery", "login", "refund")


def quick_stage(folder: Path) -> Bundle:
    """It knows login and refund; a delivery it takes for a login, without being sure."""
    bundle = tiny_bundle(folder, name="quick")
    tensors = load_file(bundle.file(WEIGHTS_FILE))
    tensors["weight"][:, 0] = 0
    tensors["bias"][1] = 1
    return add_files(bundle, {WEIGHTS_FILE: save(tensors)})


def thorough_stage(folder: Path) -> Bundle:
    """It knows all three."""
    made = folder.with_name(f"{folder.name}-made")
    made.mkdir()
    return tiny_encoder(made / "thorough")


def rows(n: int = 150) -> list[tuple[str, str]]:
    """As many of each label, all texts different."""
    return [(f"number {i} {label}", label) for i, label in zip(range(n), itertools.cycle(LABELS))]


def examples(path: Path, n: int = 150) -> Path:
    return write_chat(path, rows(n))


def with_held_out(bundle: Bundle, right: list[bool], first_row: int = 0) -> Bundle:
    """As if its tuning had held out so many examples, being sure of those that it got right."""
    count = len(right)
    table = HeldOut(
        np.arange(first_row, first_row + count, dtype=np.int32),
        np.where(right, 0.99, 0.4).astype(np.float32), np.array(right),
    )  # fmt: skip
    table.write(bundle.path)
    content = (bundle.path / HELD_OUT_FILE).read_bytes()
    return add_files(bundle, {HELD_OUT_FILE: content})


def of_data(bundle: Bundle, digest: str) -> Bundle:
    """The same bundle, made from other data."""
    data = msgspec.structs.replace(bundle.manifest.data, digest=digest)
    return add_files(Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, data=data)), {})
