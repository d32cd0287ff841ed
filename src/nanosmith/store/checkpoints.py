"""Training states of one run in one folder, each a folder of plain files that is either whole or passed over.

Staged beside its place, every file flushed, then a manifest of sizes and SHA-256, then one rename. Killed anywhere, the
states before it are as they were. Whatever is wrong with a state, the newest one that is right is found.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from nanosmith.core.errors import Damaged
from nanosmith.core.manifest import MANIFEST_NAME, FileEntry
from nanosmith.store.atomic import disk_errors, make_folders, part_prefix, sweep_parts, sync_folder, write_atomic
from nanosmith.store.bundles import check_files, entries, sync_tree

KEPT = 3  # the newest and two older ones
NAME = re.compile(r"step-(\d{9,})")


class Saved(msgspec.Struct, frozen=True):
    """A state whose files were found to be what its manifest says, beside which lies the manifest."""

    path: Path
    step: int


class _Manifest(msgspec.Struct, frozen=True):
    step: int
    files: dict[str, FileEntry]


def save(folder: Path, step: int, write: Callable[[Path], None], *, keep: int = KEPT) -> None:
    """Store what `write` puts into the folder that it is given, durably, as the state of `step` (0 or more).

    One of the same step is replaced. Newer ones go, as they are of a run that was left; so do old ones, but for the
    `keep` newest. Raises StorageFull; then nothing is left of the new state, and the others stay.
    """
    with disk_errors(folder):
        make_folders(folder)
        sweep_parts(folder)
        staged = Path(tempfile.mkdtemp(dir=folder, prefix=part_prefix()))
        try:
            write(staged)
            sync_tree(staged)
            manifest = _Manifest(step, entries(staged))
            write_atomic(staged / MANIFEST_NAME, msgspec.json.encode(manifest))
            remove_after(folder, step - 1)
            staged.replace(_place(folder, step))
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        sync_folder(folder)
    for older in _steps(folder)[:-keep]:
        _remove(_place(folder, older))


def newest(folder: Path, passed_over: Callable[[str], None] | None = None) -> Saved | None:
    """The newest state that is right in every byte; `passed_over` is told in a sentence about each one that is not."""
    return next(_right(folder, passed_over), None)


def all_right(folder: Path) -> list[Saved]:
    """All states that are right, oldest first."""
    return list(_right(folder, None))[::-1]


def remove_after(folder: Path, step: int) -> None:
    """Remove the states that are newer than `step`."""
    for newer in _steps(folder):
        if newer > step:
            _remove(_place(folder, newer))


def _right(folder: Path, passed_over: Callable[[str], None] | None) -> Iterator[Saved]:
    for step in reversed(_steps(folder)):
        path = _place(folder, step)
        try:
            _check(path, step)
        except (Damaged, OSError, msgspec.DecodeError, UnicodeDecodeError):
            if passed_over:
                passed_over(f"The training state {path.name} is damaged and is passed over.")
            continue
        yield Saved(path, step)


def _check(path: Path, step: int) -> None:
    manifest = msgspec.json.decode((path / MANIFEST_NAME).read_bytes(), type=_Manifest)
    if manifest.step != step:
        raise Damaged("the manifest is of another step", where=str(path), got=manifest.step, allowed=step)
    check_files(path, manifest.files)


def _steps(folder: Path) -> list[int]:
    """Of all states, right or not, ascending."""
    if not folder.is_dir():
        return []
    names = [NAME.fullmatch(path.name) for path in folder.iterdir()]
    return sorted(int(name[1]) for name in names if name)


def _place(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}"


def _remove(path: Path) -> None:
    """Renamed before it is removed, so that a half-removed state is never taken for one."""
    doomed = path.with_name(f"{part_prefix()}{path.name}")
    path.replace(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
