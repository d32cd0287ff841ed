"""What teachers answered, kept beside the file that is made: a run that was killed goes on, and nothing is paid twice.

OUT.journal is JSON lines, each flushed to the disk before the answer counts:

    {"key": …, "value": …, "probabilities": …, "cost": n}   an answer
    {"key": …, "cost": n}                                   an answer that is none of the task
    {"key": …, "cost": n, "sure": false}                    a try without an answer, which may have cost so much

`key` is the digest of teacher, prompt and text; costs are nano-dollars.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from nanosmith.core.errors import Damaged, InputError
from nanosmith.core.task import Value
from nanosmith.store.atomic import disk_errors, make_folders, sync

try:
    import fcntl
except ImportError:  # no Unix: two runs over one file are then not noticed
    fcntl = None  # type: ignore[assignment]

DIGITS = 5  # of a probability that is kept


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; see the module."""

    key: str
    value: str | tuple[str, ...] | None = None
    probabilities: dict[str, float] | None = None
    cost: int = 0
    sure: bool = True

    @property
    def answer(self) -> Value:
        """Of an entry that has one."""
        assert self.value is not None
        return self.value


class Journal:
    """Use it as a context manager. `answers` are the entries with a value, by key; `cost` and `unsure` sum up all runs,
    in nano-dollars."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + ".journal")
        self.answers: dict[str, Entry] = {}
        self.cost = 0
        self.unsure = 0

    def __enter__(self) -> Journal:
        """Raises InputError where another run writes it, Damaged where it is no journal, StorageFull."""
        make_folders(self.path.parent)
        with disk_errors(self.path.parent):
            self._file: BinaryIO = self.path.open("a+b")
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, entries: Sequence[Entry]) -> None:
        """They survive a kill from here on. Raises StorageFull."""
        if not entries:
            return
        with disk_errors(self.path.parent):
            self._file.write(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))
            self._file.flush()
            sync(self._file.fileno())
        for entry in entries:
            self._count(entry)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("another run writes this file", where=str(self.path), param="out",
                             remedy="Wait for it, or name another --out.") from None  # fmt: skip

    def _read(self) -> None:
        """All whole lines; half a line at the end is of a run that was killed, and is cut off."""
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
            self._file.seek(0, os.SEEK_END)
        decoder = msgspec.json.Decoder(Entry)
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                self._count(decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise Damaged("this is no journal of labels", where=f"{self.path}:{number}",
                              remedy="Remove the file, or name another --out; its answers are then asked for again."
                              ) from None  # fmt: skip

    def _count(self, entry: Entry) -> None:
        if entry.sure:
            self.cost += entry.cost
        else:
            self.unsure += entry.cost
        if entry.value is not None:
            self.answers[entry.key] = entry
