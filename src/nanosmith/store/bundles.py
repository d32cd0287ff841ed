"""Bundles: sealed folders of plain files. Opening one runs no code and refuses anything not in its manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath

import msgspec

from nanosmith.core.errors import Damaged, InputError, NotFound
from nanosmith.core.manifest import FORMAT, MANIFEST_NAME, FileEntry, Manifest
from nanosmith.store.atomic import disk_errors, sync_folder, write_atomic

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
REMEDY = "Copy the bundle again from its source, or tune it again."


class Bundle(msgspec.Struct, frozen=True):
    """A sealed folder whose files were found to be what the manifest says."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the manifest file, which holds the digests of all others."""
        return hashlib.sha256((self.path / MANIFEST_NAME).read_bytes()).hexdigest()

    def file(self, name: str) -> Path:
        return self.path / name


def seal(draft: Path, manifest: Manifest, out: Path) -> Bundle:
    """Move the finished folder `draft` to `out` with a manifest of its files; `out` appears whole or not at all.

    `manifest.files` is filled here. Raises InputError when `out` exists, StorageFull when the disk is full.
    """
    if out.exists():
        raise InputError("the bundle's folder exists already", where=str(out), remedy="Name another with --out.")
    with disk_errors(draft):
        sealed = msgspec.structs.replace(manifest, files=_entries(draft))
        write_atomic(draft / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(sealed), indent=1))
        for path in draft.rglob("*"):
            if path.is_file():
                _sync_file(path)
        out.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft, out) if _same_device(draft, out.parent) else _copy(draft, out)
        sync_folder(out.parent)
    return Bundle(out, sealed)


def add_files(bundle: Bundle, files: dict[str, bytes]) -> Bundle:
    """The same bundle with files (a report) added or replaced; the manifest is written last."""
    for name, content in files.items():
        write_atomic(bundle.path / name, content)
    manifest = msgspec.structs.replace(bundle.manifest, files=_entries(bundle.path))
    write_atomic(bundle.path / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return Bundle(bundle.path, manifest)


def open_bundle(path: Path | str) -> Bundle:
    """Check a folder against its manifest. Raises NotFound (no bundle there) or Damaged (missing, extra or changed files)."""
    path = Path(path)
    if not (path / MANIFEST_NAME).is_file():
        raise NotFound("no bundle here", where=str(path), allowed=f"a folder with {MANIFEST_NAME}")
    manifest = _read_manifest(path)
    found = {file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir()} - {MANIFEST_NAME}
    for name in sorted(found - manifest.files.keys()):
        raise Damaged("a file is not in the manifest", where=f"{path}: {name}", remedy="Remove it. " + REMEDY)
    for name, entry in manifest.files.items():
        _check_file(path, name, entry)
    return Bundle(path, manifest)


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST_NAME
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise Damaged("the manifest is too large", where=str(file), allowed=f"{MAX_MANIFEST_BYTES} bytes", remedy=REMEDY)
    content = file.read_bytes()
    try:
        version = msgspec.json.decode(content, type=dict[str, object]).get("format")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the manifest cannot be read: {error}", where=str(file), remedy=REMEDY) from error
    if version != FORMAT:
        raise Damaged(
            "the bundle has a format that this version does not know",
            where=str(file), got=version, allowed=FORMAT, remedy="Update nanosmith.",
        )  # fmt: skip
    try:
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise Damaged(f"the manifest cannot be read: {error}", where=str(file), remedy=REMEDY) from error


def _check_file(root: Path, name: str, entry: FileEntry) -> None:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise Damaged("the manifest names a file outside of the bundle", where=str(root), got=repr(name), remedy=REMEDY)
    file = root / name
    if file.is_symlink() or not file.is_file():
        raise Damaged("a file is missing or not a plain file", where=str(file), remedy=REMEDY)
    size = file.stat().st_size
    if size != entry.bytes:
        raise Damaged("a file has the wrong size", where=str(file), got=f"{size} bytes", allowed=entry.bytes, remedy=REMEDY)
    if (digest := sha256_of(file)) != entry.sha256:
        raise Damaged("a file was changed", where=str(file), got=f"SHA-256 {digest}", allowed=entry.sha256, remedy=REMEDY)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entries(folder: Path) -> dict[str, FileEntry]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    return {path.relative_to(folder).as_posix(): FileEntry(sha256_of(path), path.stat().st_size) for path in files}


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _same_device(first: Path, second: Path) -> bool:
    return first.stat().st_dev == second.stat().st_dev


def _copy(draft: Path, out: Path) -> None:
    """Across devices: a copy beside the target first, so that the last step is still one rename."""
    staged = out.with_name(f".part-{out.name}")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        shutil.copytree(draft, staged)
        for path in staged.rglob("*"):
            if path.is_file():
                _sync_file(path)
        os.replace(staged, out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(draft)
