"""Sealing and opening bundles."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from nanosmith.core.errors import Damaged, InputError, NotFound, StorageFull
from nanosmith.core.manifest import MANIFEST_NAME, Manifest
from nanosmith.store.bundles import MAX_MANIFEST_BYTES, Bundle, add_files, open_bundle, read_manifest, seal
from nanosmith.testing import tiny_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle")


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """A folder to be sealed: one file at the top, one below."""
    folder = tmp_path / "draft"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)))
    (folder / "deep" / MANIFEST_NAME).write_text("not the manifest")
    return folder


@pytest.fixture
def manifest(bundle: Bundle) -> Manifest:
    return bundle.manifest


def test_round_trip(draft: Path, manifest: Manifest, tmp_path: Path) -> None:
    """What was sealed opens again with the same manifest, also with a file named as the manifest further down."""
    sealed = seal(draft, manifest, tmp_path / "out" / "model")
    opened = open_bundle(tmp_path / "out" / "model")
    assert opened == sealed
    assert sorted(opened.manifest.files) == ["deep/manifest.json", "weights"]
    assert opened.manifest.total_bytes == 256 + len("not the manifest")
    assert opened.digest == sealed.digest
    assert not draft.exists()


def test_existing_target_is_refused(draft: Path, manifest: Manifest, tmp_path: Path) -> None:
    """A bundle is never overwritten; the draft stays."""
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        seal(draft, manifest, tmp_path / "out")
    assert draft.exists()


def test_links_are_not_sealed(draft: Path, manifest: Manifest, tmp_path: Path) -> None:
    """A draft with a link, which would be a hole in the bundle, is refused."""
    (draft / "link").symlink_to(draft / "weights")
    with pytest.raises(InputError, match="link"):
        seal(draft, manifest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_report_does_not_change_the_model(bundle: Bundle) -> None:
    """Adding a report keeps the model's digest and changes the bundle's."""
    before = bundle.digest
    added = add_files(bundle, {"report.json": b"{}"})
    assert open_bundle(bundle.path) == added
    assert added.manifest.model_digest == bundle.manifest.model_digest
    assert added.digest != before


def change_byte(path: Path) -> None:
    content = bytearray((path / "tokenizer.json").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "tokenizer.json").write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path / "static.safetensors", 10)


def edit_manifest(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads((path / MANIFEST_NAME).read_bytes())
    change(content)
    (path / MANIFEST_NAME).write_text(json.dumps(content))


def name_file(path: Path, name: str) -> None:
    """Add a file of this name to the manifest, with the right size and digest of one that exists."""
    edit_manifest(path, lambda content: content["files"].update({name: content["files"]["tokenizer.json"]}))  # type: ignore


def link_to_folder(path: Path) -> None:
    (path / "folder").symlink_to(path.parent)


def replace_by_link(path: Path) -> None:
    (path / "tokenizer.json").rename(path.parent / "elsewhere")
    (path / "tokenizer.json").symlink_to(path.parent / "elsewhere")


def link_manifest(path: Path) -> None:
    (path / MANIFEST_NAME).rename(path.parent / "elsewhere")
    (path / MANIFEST_NAME).symlink_to(path.parent / "elsewhere")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, "wrong size"),
    "changed byte": (change_byte, "was changed"),
    "extra file": (lambda path: (path / "extra.py").write_text("print()"), "not in the manifest"),
    "extra file below": (lambda path: [(path / "a").mkdir(), (path / "a" / "b").touch()], "not in the manifest"),
    "missing file": (lambda path: (path / "tokenizer.json").unlink(), "missing"),
    "file replaced by a link": (replace_by_link, "not a plain file"),
    "link to a folder": (link_to_folder, "not in the manifest"),
    "manifest is a link": (link_manifest, "not a plain file"),
    "path upwards": (lambda path: name_file(path, "../outside"), "outside"),
    "path upwards inside": (lambda path: name_file(path, "a/../tokenizer.json"), "outside"),
    "absolute path": (lambda path: name_file(path, str(path / "tokenizer.json")), "outside"),
    "empty name": (lambda path: name_file(path, ""), "missing"),
    "dotted name": (lambda path: name_file(path, "./tokenizer.json"), "missing"),
    "name with a zero": (lambda path: name_file(path, "a\0b"), "missing"),
    "endless name": (lambda path: name_file(path, "x" * 5000), "missing"),
    "future format": (lambda path: edit_manifest(path, lambda c: c.update(format=2, new={})), "Update nanosmith"),
    "no format": (lambda path: edit_manifest(path, lambda c: c.pop("format")), "format"),
    "unknown key": (lambda path: edit_manifest(path, lambda c: c.update(code="x")), "cannot be read"),
    "missing key": (lambda path: edit_manifest(path, lambda c: c.pop("task")), "cannot be read"),
    "no JSON": (lambda path: (path / MANIFEST_NAME).write_text("{"), "cannot be read"),
    "no object": (lambda path: (path / MANIFEST_NAME).write_text("[]"), "cannot be read"),
    "no UTF-8": (lambda path: (path / MANIFEST_NAME).write_bytes(b'{"format": "\xff"}'), "cannot be read"),
    "deep nesting": (lambda path: (path / MANIFEST_NAME).write_text('{"x":' + "[" * 100_000), "cannot be read"),
    "oversized": (lambda path: (path / MANIFEST_NAME).write_bytes(b" " * (MAX_MANIFEST_BYTES + 1)), "too large"),
    "empty": (lambda path: (path / MANIFEST_NAME).write_bytes(b""), "cannot be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damage_is_found(bundle: Bundle, fault: str) -> None:
    """Whatever is not as it was sealed is refused when the bundle is opened, in words."""
    damage, words = FAULTS[fault]
    damage(bundle.path)
    with pytest.raises(Damaged, match=words) as caught:
        open_bundle(bundle.path)
    assert caught.value.code == "damaged_bundle"
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_no_bundle_there(tmp_path: Path, name: str) -> None:
    """A missing folder, an empty one or a file is not a damaged bundle but none."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(NotFound, match="no bundle here"):
        open_bundle(tmp_path / name)


def test_manifest_alone(bundle: Bundle) -> None:
    """Reading the manifest does not look at the files."""
    change_byte(bundle.path)
    assert read_manifest(bundle.path) == bundle.manifest


def test_sealing_on_a_full_disk(tiny_disk: Path, manifest: Manifest, tmp_path: Path) -> None:
    """Across devices onto a disk that is too small: StorageFull, nothing left there, and the draft is whole."""
    draft = tmp_path / "large"
    draft.mkdir()
    (draft / "weights").write_bytes(bytes(2 * 1024 * 1024))
    with pytest.raises(StorageFull, match="NANOSMITH_HOME"):
        seal(draft, manifest, tiny_disk / "bundles" / "model")
    assert not list((tiny_disk / "bundles").iterdir())
    assert (draft / "weights").stat().st_size == 2 * 1024 * 1024
    seal(draft, manifest, tmp_path / "elsewhere")


def test_sealing_within_a_full_disk(tiny_disk: Path, manifest: Manifest) -> None:
    """No room for the manifest: StorageFull, and no bundle appears."""
    draft = tiny_disk / "draft"
    draft.mkdir()
    (draft / "weights").write_bytes(bytes(100_000))
    fill(tiny_disk / "filler")
    with pytest.raises(StorageFull):
        seal(draft, manifest, tiny_disk / "model")
    assert not (tiny_disk / "model").exists()
    assert [path.name for path in draft.iterdir()] == ["weights"]
    (tiny_disk / "filler").unlink()
    assert open_bundle(seal(draft, manifest, tiny_disk / "model").path)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_sealing_across_devices(tiny_disk: Path, draft: Path, manifest: Manifest) -> None:
    """A draft on another file system arrives whole, and is removed where it was."""
    sealed = seal(draft, manifest, tiny_disk / "model")
    assert open_bundle(sealed.path) == sealed
    assert not draft.exists()
    assert [path.name for path in tiny_disk.iterdir()] == ["model"]


def test_report_on_a_full_disk(tiny_disk: Path) -> None:
    """A report that does not fit leaves the bundle as it was."""
    shutil.rmtree(tiny_disk / "bundle", ignore_errors=True)
    bundle = tiny_bundle(tiny_disk / "bundle")
    with pytest.raises(StorageFull):
        add_files(bundle, {"report.html": bytes(2 * 1024 * 1024)})
    assert open_bundle(bundle.path) == bundle


def test_manifest_is_readable_text(bundle: Bundle) -> None:
    """People may look into a manifest: it is indented JSON."""
    content = (bundle.path / MANIFEST_NAME).read_text()
    assert "\n" in content
    assert msgspec.json.decode(content)["name"] == "tiny"
