"""Bundles: sealed folders of plain files. Opening one runs no code and refuses anything not in its manifest."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from nanosmith.core.errors import Damaged, InputError, NotFound
from nanosmith.core.manifest import FORMAT, MANIFEST_NAME, FileEntry, Manifest
from nanosmith.store.atomic import disk_errors, part_prefix, sync, sync_folder, write_atomic

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
Decoded = TypeVar("Decoded")
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

    `manifest.files` is filled here. Raises InputError when `out` exists or `draft` holds a link, StorageFull when the
    disk is full.
    """
    require_absent(out)
    with disk_errors(draft):
        sealed = msgspec.structs.replace(manifest, files=entries(draft))
        write_atomic(draft / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(sealed), indent=1))
        sync_tree(draft)
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(out) if _same_device(draft, out.parent) else _copy(draft, out)
        sync_folder(out.parent)
    return Bundle(out, sealed)


def require_absent(out: Path) -> None:
    """Raises InputError when there is something at `out` already."""
    if out.exists():
        raise InputError(
            "the bundle's folder exists already", where=str(out), remedy="Name another with --out.", param="out"
        )


def add_files(bundle: Bundle, files: dict[str, bytes]) -> Bundle:
    """The same bundle with files (a report) added or replaced; the manifest is written last."""
    for name, content in files.items():
        write_atomic(bundle.path / name, content)
    manifest = msgspec.structs.replace(bundle.manifest, files=entries(bundle.path))
    write_atomic(bundle.path / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return Bundle(bundle.path, manifest)


def open_bundle(path: Path | str) -> Bundle:
    """Check a folder against its manifest. Raises NotFound (no bundle), Damaged (missing, extra, changed files)."""
    path = Path(path)
    manifest = read_manifest(path)
    check_files(path, manifest.files)
    return Bundle(path, manifest)


def check_files(folder: Path, wanted: dict[str, FileEntry]) -> None:
    """Raises Damaged where what is below `folder`, its manifest aside, is not what `wanted` says."""
    found = {file.relative_to(folder).as_posix() for file in _files(folder)}
    for name in sorted(found - wanted.keys()):
        raise Damaged("a file is not in the manifest", where=f"{folder}: {name}", remedy="Remove it. " + REMEDY)
    for name, entry in wanted.items():
        _check_name(folder, name, found)
        _check_file(folder / name, entry)


def read_manifest(path: Path) -> Manifest:
    """The manifest alone; its files are not looked at. Raises NotFound, Damaged."""
    file = path / MANIFEST_NAME
    if not file.is_file():
        raise NotFound("no bundle here", where=str(path), allowed=f"a folder with {MANIFEST_NAME}")
    if file.is_symlink():
        raise Damaged("not a plain file", where=str(file), remedy=REMEDY)
    if (size := file.stat().st_size) > MAX_MANIFEST_BYTES:
        raise Damaged("the manifest is too large", where=str(file), got=size, allowed=f"{MAX_MANIFEST_BYTES} bytes")
    content = file.read_bytes()
    version = _decode(file, content, dict[str, object]).get("format")
    if version != FORMAT:
        raise Damaged(
            "the bundle has a format that this version does not know",
            where=str(file), got=version, allowed=FORMAT, remedy="Update nanosmith.",
        )  # fmt: skip
    return _decode(file, content, Manifest)


def _decode(file: Path, content: bytes, type: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(content, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"the manifest cannot be read: {error}", where=str(file), remedy=REMEDY) from error


def _check_name(root: Path, name: str, found: set[str]) -> None:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise Damaged("the manifest names a file outside of the bundle", where=str(root), got=repr(name), remedy=REMEDY)
    if name not in found:
        raise Damaged("a file is missing", where=str(root), got=repr(name[:200]), remedy=REMEDY)


def _check_file(file: Path, entry: FileEntry) -> None:
    where = str(file)
    if file.is_symlink() or not file.is_file():
        raise Damaged("not a plain file", where=where, remedy=REMEDY)
    size = file.stat().st_size
    if size != entry.bytes:
        raise Damaged("a file has the wrong size", where=where, got=f"{size} bytes", allowed=entry.bytes, remedy=REMEDY)
    if (digest := sha256_of(file)) != entry.sha256:
        raise Damaged("a file was changed", where=where, got=f"SHA-256 {digest}", allowed=entry.sha256, remedy=REMEDY)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entries(folder: Path) -> dict[str, FileEntry]:
    """Digest and size of everything below `folder` but its manifest. Raises InputError when there is a link."""
    files = sorted(_files(folder))
    if links := [path for path in files if path.is_symlink()]:
        raise InputError("a bundle cannot hold a link", where=str(links[0]), remedy="Copy the file itself there.")
    return {path.relative_to(folder).as_posix(): FileEntry(sha256_of(path), path.stat().st_size) for path in files}


def _files(folder: Path) -> set[Path]:
    """Everything below `folder` but its manifest and real folders; a link counts as a file, whatever it points to."""
    found = {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    return found - {folder / MANIFEST_NAME}


def sync_tree(folder: Path) -> None:
    """Flush every file, then the folders that name them."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                sync(file.fileno())


def _same_device(first: Path, second: Path) -> bool:
    return first.stat().st_dev == second.stat().st_dev


def _copy(draft: Path, out: Path) -> None:
    """Across devices: a copy beside the target first, so that the last step is still one rename."""
    staged = out.with_name(part_prefix() + out.name)
    shutil.rmtree(staged, ignore_errors=True)
    try:
        for file in _files(draft) | {draft / MANIFEST_NAME}:
            copy = staged / file.relative_to(draft)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        sync_tree(staged)
        staged.replace(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(draft)
