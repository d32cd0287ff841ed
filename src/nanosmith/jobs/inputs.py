"""The uploaded files of a job as Datasets; what is wrong with them becomes the job's error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nanosmith.core.errors import InputError
from nanosmith.jobs.models import resolve
from nanosmith.store.blobs import open_blobs
from nanosmith.store.bundles import read_manifest
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import JobRow

if TYPE_CHECKING:
    from nanosmith.core.task import Task
    from nanosmith.data.dataset import Dataset
    from nanosmith.data.problem import Problem

FEW_EXAMPLES, PREFERENCE = "few_examples", "preference"
SHOWN_PROBLEMS = 20


def load_inputs(ledger: Ledger, home: Home, job: JobRow) -> tuple[Dataset, Dataset | None]:
    """Training and validation examples. The flow tells of what is odd but does no harm.

    Raises InputError with OpenAI's code for it, and the field of the request as param.
    """
    earlier = _earlier_task(ledger, home, job.model)
    train = _load(_blob(ledger, home, job.training_file, "training_file"), "training_file", earlier)
    _check_method(train, job, "training_file")
    if job.validation_file is None:
        return train, None
    path = _blob(ledger, home, job.validation_file, "validation_file")
    validation = _load(path, "validation_file", train.task)
    _check_method(validation, job, "validation_file")
    return train, validation


def _check_method(data: Dataset, job: JobRow, param: str) -> None:
    """Raises InputError unless the file holds preferences just where the job's method learns from them."""
    method = job.request.get("method") or {}
    is_dpo, has_preferences = method.get("type") == "dpo", data.format == PREFERENCE
    if is_dpo != has_preferences:
        raise InputError(
            "the file does not go with the method", got=f"method {method.get('type', 'supervised')!r}",
            allowed="'dpo' for preferences, 'supervised' for other examples", where=param.replace("_", " "),
            code=f"invalid_{param}", param=param,
        )  # fmt: skip


def _earlier_task(ledger: Ledger, home: Home, name: str) -> Task | None:
    """That of the fine-tuned model that a job goes on from: its answers say how those of the files are written."""
    row = ledger.model(name) if resolve(name, ledger).tuned else None
    return read_manifest(home.bundles / row.bundle).task if row else None


def _blob(ledger: Ledger, home: Home, file_id: str, param: str) -> Path:
    row = ledger.file(file_id)
    if row is None:
        raise InputError("the file was deleted", got=repr(file_id), code=f"invalid_{param}", param=param)
    return open_blobs(home).path(row.sha256)


def _load(path: Path, param: str, task: Task | None) -> Dataset:
    from nanosmith.data.load import inspect

    found = inspect(path, task=task)
    if found.dataset is None:
        count = f"{len(found.errors)} error{'s' * (len(found.errors) != 1)}"
        text = f"the {param.replace('_', ' ')} cannot be used, {count}: {_listed(found.errors)}"
        few = any(problem.code == FEW_EXAMPLES for problem in found.errors)
        code = "invalid_n_examples" if few else f"invalid_{param}"
        raise InputError(text.replace(str(path), param), code=code, param=param)
    return found.dataset


def _listed(errors: Sequence[Problem]) -> str:
    more = len(errors) - SHOWN_PROBLEMS
    shown = [_sentence(problem) for problem in errors[:SHOWN_PROBLEMS]]
    return "\n".join([*shown, f"And {more} more."] if more > 0 else shown)


def _sentence(problem: Problem) -> str:
    place = "" if problem.line is None else f"line {problem.line}: "
    return f"{place}{problem.message}. {problem.remedy or ''}".rstrip()
