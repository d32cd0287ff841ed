"""Manifests."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nanosmith.core.manifest import FileEntry, Manifest
from nanosmith.testing import tiny_bundle


def test_digest_is_of_the_files_that_answer(tmp_path: Path) -> None:
    """A report or another name does not change the model's digest; other weights do."""
    manifest = tiny_bundle(tmp_path / "b").manifest
    report = msgspec.structs.replace(manifest, name="x", files=manifest.files | {"report.json": FileEntry("1", 1)})
    weights = msgspec.structs.replace(manifest, files=manifest.files | {"static.safetensors": FileEntry("1", 1)})
    assert report.model_digest == manifest.model_digest != weights.model_digest


def test_round_trip(tmp_path: Path) -> None:
    """A manifest written as JSON is the same when read."""
    manifest = tiny_bundle(tmp_path / "b", kind="labels").manifest
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest
    assert manifest.total_bytes == sum(entry.bytes for entry in manifest.files.values())
