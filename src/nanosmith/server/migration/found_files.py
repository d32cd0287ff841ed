"""Which local file a vendor's file id means: as the user says, as the vendor's list of files says, or by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from nanosmith.server.migration.files import FileStep
from nanosmith.server.migration.scan import Taken


class Unknown(Exception):
    """Nothing says which file an id means; the message says what to do."""


class VendorFile(msgspec.Struct):
    """What counts of OpenAI's file object."""

    id: str
    filename: str
    bytes: int | None = None


class FoundFiles:
    """`named` are the files that the user gave for ids; `listed` the vendor's file objects."""

    def __init__(self, steps: Sequence[FileStep], named: Mapping[str, Path], listed: Iterable[Taken]) -> None:
        self._steps = [step for step in steps if step.purpose == "fine-tune"]
        self._named = {id: path.absolute() for id, path in named.items()}
        self._listed = {file.id: file for file in map(_read, listed) if file is not None}

    def file(self, id: str) -> FileStep:
        """Raises Unknown."""
        if id in self._named:
            fitting = [step for step in self._steps if step.path.absolute() == self._named[id]]
            if not fitting:
                raise Unknown(f"{self._named[id].name} holds no examples. Name another with --file {id}=FILE.")
            return fitting[0]
        known = self._listed.get(id)
        fitting = [step for step in self._steps if id in (step.path.name, step.path.stem)]
        if known is not None and not fitting:
            fitting = [step for step in self._steps if step.path.name == known.filename]
            fitting = [step for step in fitting if step.path.stat().st_size == known.bytes] or fitting
        if len({step.sha256 for step in fitting}) == 1:
            return fitting[0]
        name = f" ({known.filename} at the vendor)" if known else ""
        why = "several files have this name" if fitting else "it is not known which file this is"
        raise Unknown(f"{id}{name}: {why}. Say so with --file {id}=FILE.")


def _read(taken: Taken) -> VendorFile | None:
    try:
        return msgspec.convert(taken.record, VendorFile)
    except msgspec.ValidationError:
        return None
