"""The files to look at: those that are named, and all that lie in folders that are named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from nanosmith.core.errors import InputError, NotFound

MAX_FILES = 10_000
OUTSIDE = "it is a link that leads out of the folder"


class Source(msgspec.Struct, frozen=True):
    """`name` is how it is shown: its place in the folder that was named. `why_not` says why it is not read."""

    path: Path
    name: str
    why_not: str | None = None


def sources(given: Iterable[Path]) -> list[Source]:
    """Each file once, in the order of the arguments, those of a folder by name; hidden ones are left out.

    Raises NotFound, InputError where there is nothing or too much.
    """
    found: dict[Path, Source] = {}
    named = list(given)
    for path in named:
        if not os.path.lexists(path):
            raise NotFound("no such file or folder", where=str(path))
        for source in _below(path) if path.is_dir() else [Source(path, _shown(path.name))]:
            found.setdefault(source.path.absolute(), source)
            if len(found) > MAX_FILES:
                raise InputError("too many files", where=str(path), allowed=f"{MAX_FILES:,}", remedy="Name fewer.")
    if not found:
        raise InputError("there is no file to import", where=", ".join(map(str, named)) or None)
    return list(found.values())


def _below(folder: Path) -> Iterator[Source]:
    """Links are followed to files of the folder alone."""
    root, errors = folder.resolve(), list[OSError]()
    for parent, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = Path(parent, name)
            why_not = OUTSIDE if path.is_symlink() and not _is_inside(path, root) else None
            yield Source(path, _shown(str(path.relative_to(folder))), why_not)
    for error in errors:
        path = Path(error.filename)
        yield Source(path, _shown(str(path.relative_to(folder))), f"the folder cannot be read: {error.strerror}")


def _is_inside(path: Path, root: Path) -> bool:
    try:
        return root in path.resolve().parents
    except (OSError, RuntimeError):  # links that lead to each other
        return False


def _shown(name: str) -> str:
    """A name as UTF-8, also where the disk has other bytes."""
    return os.fsencode(name).decode(errors="replace")
