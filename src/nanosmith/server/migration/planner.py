"""From files to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nanosmith.core.errors import InputError
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.server.migration.completions import CompletionsStep
from nanosmith.server.migration.evals import EvalStep
from nanosmith.server.migration.files import FileStep
from nanosmith.server.migration.found_files import FoundFiles
from nanosmith.server.migration.jobs import JobStep
from nanosmith.server.migration.plan import Item, Plan, Step
from nanosmith.server.migration.scan import Left, Scan, Taken, scan
from nanosmith.server.migration.sources import sources
from nanosmith.server.services import Services

CHECKING = "checking files"


def make_plan(
    home: Services, paths: Sequence[Path], *, named: Mapping[str, Path], keep_hyperparameters: bool = False,
    watch: Watch,
) -> Plan:  # fmt: skip
    """What the files in `paths` become; `named` are files by the ids that they had at the vendor. Nothing is changed.

    Raises NotFound, InputError.
    """
    found = scan(sources([*paths, *named.values()]), watch)
    files = [FileStep(data) for data in found.data]
    jobs = [JobStep(taken, keep_hyperparameters=keep_hyperparameters) for taken in _each_once(found.jobs)]
    known = FoundFiles(files, named, found.files)
    for job in jobs:
        job.find_files(known)
    _look_at_files(home, files, jobs, watch)
    for job in jobs:
        job.look(home)
    steps: list[Step] = [*files, *_completions(home, found, watch), *_evals(home, found), *jobs]
    return Plan(steps, [_left(one) for one in found.left])


def named_files(given: Iterable[str]) -> dict[str, Path]:
    """Files by ids, each written `file-abc=FILE`. Raises InputError."""
    named = {}
    for text in given:
        id, equals, path = text.partition("=")
        if not (id and equals and path):
            raise InputError("it is not said which file this is", got=repr(text), allowed="file-abc=FILE", param="file")
        if not Path(path).is_file():
            raise InputError("no such file", where=path, param="file")
        named[id] = Path(path)
    return named


def _look_at_files(home: Services, files: Sequence[FileStep], jobs: Sequence[JobStep], watch: Watch) -> None:
    """Files that only validate are read as the task of the file that is trained on, as the job does."""
    open = [job for job in jobs if job.item.state == "ready"]
    trains = {id(job.train) for job in open}
    trained_on = {id(job.validation): job.train for job in open if id(job.validation) not in trains}
    ordered = sorted(files, key=lambda file: id(file) in trained_on)
    for done, file in enumerate(ordered, start=1):
        train = trained_on.get(id(file))
        file.look(home, task=_task(train))
        watch.progress(CHECKING, done, len(files))


def _task(train: FileStep | None) -> Task | None:
    found = train.inspection.dataset if train and train.inspection else None
    return found.task if found else None


def _completions(home: Services, found: Scan, watch: Watch) -> list[CompletionsStep]:
    if not found.completions:
        return []
    step = CompletionsStep(found.completions, found.messages)
    step.look(home, found.completion_count, watch)
    return [step]


def _evals(home: Services, found: Scan) -> list[EvalStep]:
    steps = [EvalStep(taken) for taken in _each_once(found.evals)]
    for step in steps:
        step.look(home)
    return steps


def _each_once(given: Iterable[Taken]) -> list[Taken]:
    """By id: the same object may stand in a page and in a file of its own. The first counts."""
    kept: dict[str, Taken] = {}
    for taken in given:
        kept.setdefault(str(taken.record.get("id")), taken)
    return list(kept.values())


def _left(one: Left) -> Item:
    what = f"{one.source.name}: {one.what}" if one.what else one.source.name
    return Item("other", one.source.name, what, what, "blocked" if one.is_wrong else "left", why=one.why)
