"""Rows of every kind, and a call of every method of the ledger. Rows of one `tag` belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from nanosmith.store.ledger import Ledger
from nanosmith.store.ledger.tables import meta
from nanosmith.store.records import CheckpointRow, Document, FileRow, JobRow, KeyRow, Lease, ModelRow, ProjectRow, Work

KIND = "batch"


def where_of(text: str) -> Path | str:
    """A database as named on the command line of a process that a test starts."""
    return text if "://" in text else Path(text)


def job(id: str = "ftjob-1", **values: Any) -> JobRow:
    return JobRow(id, 1, "m", "file-1", {"model": "m"}, 7, {"n_epochs": "auto"}, **values)


def file(id: str, **values: Any) -> FileRow:
    return FileRow(id, 1, 2, "x.jsonl", values.pop("purpose", "fine-tune"), "0" * 64, **values)


def document(id: str, **values: Any) -> Document:
    return Document(values.pop("kind", KIND), id, 1, {"id": id}, **values)


def rows(tag: str) -> list[msgspec.Struct]:
    """One of each kind, with all columns set."""
    return [
        file(f"file-{tag}", expires_at=9),
        job(
            f"job-{tag}", status="running", validation_file="file-2", suffix="s", metadata={"k": "v"}, started_at=2,
            finished_at=3, estimated_finish=4, fine_tuned_model="ft:x", trained_tokens=5, result_files=["file-3"],
            error={"code": "c", "message": "m", "param": None},
        ),
        CheckpointRow(f"checkpoint-{tag}", f"job-{tag}", 1, 10, "ft:x:ckpt-step-10", {"train_loss": 0.5}),
        ModelRow(f"model-{tag}", 1, "folder", "d", "b", "local", f"job-{tag}"),
        document(
            f"document-{tag}", parent=f"parent-{tag}", status="open", model="m", metadata={"k": "v"}, expires_at=9
        ),
        document(f"child-{tag}", kind="child", parent=f"document-{tag}"),
        Work(f"job-{tag}", "fine_tuning.job"),
        Work(f"document-{tag}", KIND),
        ProjectRow(f"project-{tag}", "name", 1, {"storage_bytes": 2}),
        KeyRow(f"key-{tag}", tag, "name", f"sha-{tag}", 1, ("files", "models"), {"requests_per_minute": 3}, 4),
    ]  # fmt: skip


def fill(ledger: Ledger, tag: str) -> None:
    ledger.add(*rows(tag))
    ledger.add_event(f"job-{tag}", f"event-{tag}")


def new(ledger: Ledger) -> str:
    """An id that the ledger has not, nor another project."""
    return f"new-of-{ledger.project}"


Call = Callable[[Ledger, str], Any]
READS: dict[str, Call] = {
    "file": lambda ledger, tag: ledger.file(f"file-{tag}"),
    "files": lambda ledger, tag: ledger.files(),
    "expired_files": lambda ledger, tag: ledger.expired_files(10),
    "blob_is_used": lambda ledger, tag: ledger.blob_is_used("0" * 64),
    "stored_bytes": lambda ledger, tag: ledger.stored_bytes(),
    "job": lambda ledger, tag: ledger.job(f"job-{tag}"),
    "jobs": lambda ledger, tag: [*ledger.jobs(), *ledger.jobs(metadata={"k": "v"})],
    "events": lambda ledger, tag: ledger.events(f"job-{tag}"),
    "checkpoints": lambda ledger, tag: ledger.checkpoints(f"job-{tag}"),
    "model": lambda ledger, tag: ledger.model(f"model-{tag}"),
    "shared_model": lambda ledger, tag: ledger.shared_model(f"model-{tag}"),
    "models": lambda ledger, tag: ledger.models(),
    "document": lambda ledger, tag: ledger.document(KIND, f"document-{tag}"),
    "documents": lambda ledger, tag: [*ledger.documents(KIND), *ledger.documents("child", parent=f"document-{tag}")],
    "count_documents": lambda ledger, tag: ledger.count_documents(KIND),
    "expired_documents": lambda ledger, tag: ledger.expired_documents(KIND, 10),
}
READS_OF_ALL_PROJECTS: dict[str, Call] = {
    "work": lambda ledger, tag: ledger.work(f"job-{tag}"),
    "open_work": lambda ledger, tag: ledger.open_work(),
    "free_work": lambda ledger, tag: ledger.free_work(),
    "count_jobs": lambda ledger, tag: ledger.count_jobs(),
    "due_documents": lambda ledger, tag: ledger.due_documents(KIND, 10, status="open"),
    "projects": lambda ledger, tag: ledger.projects(),
    "project_row": lambda ledger, tag: ledger.project_row(f"project-{tag}"),
    "keys": lambda ledger, tag: ledger.keys(),
    "key_by_sha256": lambda ledger, tag: ledger.key_by_sha256(f"sha-{tag}"),
}
WRITES: dict[str, Call] = {
    "add": lambda ledger, tag: ledger.add(file(new(ledger)), document(new(ledger))),
    "add_file": lambda ledger, tag: ledger.add_file(file(new(ledger))),
    "delete_file": lambda ledger, tag: ledger.delete_file(f"file-{tag}"),
    "add_job": lambda ledger, tag: ledger.add_job(job(new(ledger))),
    "update_job": lambda ledger, tag: ledger.update_job(f"job-{tag}", status="failed", end=True),
    "end_free_job": lambda ledger, tag: ledger.end_free_job(f"job-{tag}", status="cancelled"),
    "end_free_work": lambda ledger, tag: ledger.end_free_work(
        f"job-{tag}", sa.update(meta.tables["jobs"]).where(sa.column("id") == f"job-{tag}").values(status="cancelled")
    ),
    "resume_job": lambda ledger, tag: ledger.resume_job(f"job-{tag}"),
    "add_event": lambda ledger, tag: ledger.add_event(f"job-{tag}", "new"),
    "add_checkpoint": lambda ledger, tag: ledger.add_checkpoint(CheckpointRow(new(ledger), "job", 1, 2, "m", {})),
    "delete_checkpoints": lambda ledger, tag: ledger.delete_checkpoints(f"job-{tag}"),
    "add_model": lambda ledger, tag: ledger.add_model(ModelRow(new(ledger), 1, "folder", "d", "b")),
    "update_model": lambda ledger, tag: ledger.update_model(f"model-{tag}", digest="new"),
    "delete_model": lambda ledger, tag: ledger.delete_model(f"model-{tag}"),
    "update_document": lambda ledger, tag: ledger.update_document(KIND, f"document-{tag}", status="new", end=True),
    "end_free_document": lambda ledger, tag: ledger.end_free_document(KIND, f"document-{tag}", status="new"),
    "delete_document": lambda ledger, tag: ledger.delete_document(
        KIND, f"document-{tag}", children=["child"], end=True
    ),
    "ask_to_stop": lambda ledger, tag: ledger.ask_to_stop(f"job-{tag}", "cancel"),
}
WRITES_OF_ALL_PROJECTS: dict[str, Call] = {
    "claim": lambda ledger, tag: ledger.claim(f"job-{tag}", "somebody"),
    "renew": lambda ledger, tag: ledger.renew(ledger.lease or Lease(f"job-{tag}", 1, "")),
    "set_limits": lambda ledger, tag: ledger.set_limits(f"project-{tag}", {"storage_bytes": 9}),
    "purge": lambda ledger, tag: ledger.purge(KIND, 10),
    "delete_key": lambda ledger, tag: ledger.delete_key(f"key-{tag}"),
}
WITHOUT_EFFECT_WHEN_LOST: dict[str, Call] = {
    "release": lambda ledger, tag: ledger.release(ledger.lease or Lease(f"job-{tag}", 1, "")),
}
OTHERS = {"of", "under", "close"}
ALL = [READS, READS_OF_ALL_PROJECTS, WRITES, WRITES_OF_ALL_PROJECTS, WITHOUT_EFFECT_WHEN_LOST]


def contents(ledger: Ledger, project: str | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is in the database, or what of it belongs to one project."""

    def of_table(link: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
        query = sa.select(table).order_by(*table.primary_key)
        if project is not None:
            query = query.where(table.c.project == project if "project" in table.c else sa.false())
        return [tuple(row) for row in link.execute(query)]

    tables = [table for table in meta.sorted_tables if table.name != "writers"]
    return ledger.database.read(lambda link: {table.name: of_table(link, table) for table in tables})
