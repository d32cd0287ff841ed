"""Files that are written at the end of long work: what would stop that is found at the start."""

from __future__ import annotations

from pathlib import Path

from nanosmith.core.errors import InputError


def check_out(file: Path, param: str) -> None:
    """Raises InputError where no file can be at this place."""
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise InputError("no file can be written here", where=str(file), allowed="a file in a folder that exists",
                         param=param)  # fmt: skip
