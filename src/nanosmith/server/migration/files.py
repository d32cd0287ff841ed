"""Files of examples and of rows for evals: stored as uploads are, bytes first."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from nanosmith.core.limits import MAX_FILE_BYTES, MIN_EXAMPLES
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.data.load import Inspection, inspect
from nanosmith.data.problem import grouped
from nanosmith.data.reading import Reading
from nanosmith.server.access.limits import check_storage
from nanosmith.server.files.files import safe_name
from nanosmith.server.files.intake import name_blob
from nanosmith.server.migration.objects import first_problem, objects
from nanosmith.server.migration.plan import Item, made_id, number, unless_there
from nanosmith.server.migration.scan import DataFile
from nanosmith.server.services import Services
from nanosmith.store.records import FileRow

CHUNK_BYTES = 1024**2
NAMED = 5  # problems of one file
FINE_TUNE, EVALS = "fine-tune", "evals"


class FileStep:
    """A file that becomes an upload with `purpose`; `inspection` is None where it holds no examples."""

    def __init__(self, data: DataFile) -> None:
        self.path = data.source.path
        self.name = data.source.name
        self.purpose = EVALS if data.kind == "eval_rows" else FINE_TUNE
        self.inspection: Inspection | None = None
        self.item = Item("file", self.name, self.name, self.name, "ready", becomes=f"file (purpose {self.purpose})")
        if data.refused is not None:
            self.item.block(data.refused)
        elif self.purpose == EVALS:
            self._count_rows()

    @cached_property
    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def look(self, home: Services, *, task: Task | None = None) -> None:
        """Inspect the examples (with `task`: as those of a validation file), and see whether the file is there."""
        if self.purpose == FINE_TUNE and self.item.state != "blocked":
            self.inspection = inspect(self.path, task=task, min_examples=1)
            _tell(self.item, self.name, self.inspection)
        if self.item.state != "blocked" and home.ledger.file(self.id(home)) is not None:
            self.item.done(self.id(home))

    @property
    def is_small(self) -> bool:
        """Whether it has too few examples to train on."""
        found = self.inspection.dataset if self.inspection else None
        return found is not None and len(found) < MIN_EXAMPLES

    def id(self, home: Services) -> str:
        return file_id(home, self.sha256, self.purpose)

    def make(self, home: Services, _watch: Watch) -> None:
        self.item.done(store(home, _chunks(self.path), Path(self.name).name, self.purpose))

    def _count_rows(self) -> None:
        reading = Reading()
        rows = [isinstance(one.record.get("item"), dict) for one in objects(self.path, reading)]
        self.item.what = f"{self.name}: {number(len(rows), 'row')} for evals"
        if reading.problems:
            self.item.block(first_problem(reading.problems))
        elif not all(rows):
            self.item.block(f'row {rows.index(False) + 1:,} has no item. Write {{"item": {{…}}}} on every line.')


def file_id(home: Services, sha256: str, purpose: str) -> str:
    return made_id("file-", home.ledger.project, purpose, sha256)


def store(home: Services, chunks: Iterable[bytes], filename: str, purpose: str) -> str:
    """Bytes first, then the row; the id of the file, also where it is there already. Raises QuotaExceeded,
    StorageFull; then nothing is kept."""
    blob = home.blobs.put(chunks)
    id = file_id(home, blob.sha256, purpose)
    row = FileRow(id, int(time.time()), blob.bytes, safe_name(filename), purpose, blob.sha256)

    def write() -> None:
        if home.ledger.file(id) is None:
            check_storage(home, row.bytes)
            with unless_there(lambda: home.ledger.file(id)):
                home.ledger.add_file(row)

    name_blob(home, blob, write)
    return id


def _chunks(path: Path) -> Iterator[bytes]:
    """At most as much as an upload may have, should the file have grown since it was looked at."""
    with path.open("rb") as file:
        for _ in range(MAX_FILE_BYTES // CHUNK_BYTES):
            if not (chunk := file.read(CHUNK_BYTES)):
                return
            yield chunk


def _tell(item: Item, name: str, found: Inspection) -> None:
    if found.dataset is not None:
        task = found.dataset.task
        kind = f"task {task.kind}, {number(len(task.labels), 'label')}"
        item.what = f"{name}: {number(len(found.dataset), f'{found.format} example')}, {kind}"
        warnings, more = grouped(found.problems, NAMED)
        item.notes = [f"{group.text}. {group.remedy or ''}".rstrip() for group in warnings]
        item.notes += [f"{more:,} more: nanosmith check {name}"] if more else []
        return
    item.what = f"{name}: examples"
    errors, more = grouped(found.errors, NAMED)
    item.block(" ".join(f"{group.text}. {group.remedy or ''}".rstrip() for group in errors))
    item.notes = [f"{more:,} more: nanosmith check {name}"] if more else []
