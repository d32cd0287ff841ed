"""From a teacher to a smaller model that holds a budget, or an honest no, with the whole trade-off.

flows/student_search.py has the search, flows/lesson.py what the loss is measured on.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.device import Device
from nanosmith.core.errors import InputError
from nanosmith.core.goal import Goal
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows.assemble import require_training
from nanosmith.flows.budget import Budget
from nanosmith.flows.evaluate import made, size_bytes
from nanosmith.flows.lesson import Lesson, lesson
from nanosmith.flows.progress import run_key
from nanosmith.flows.register import free_name, new_folder, row_of, slug
from nanosmith.flows.student_search import Search, folder_bytes
from nanosmith.flows.teacher import Teacher, open_teacher
from nanosmith.predict.open import open_predictor
from nanosmith.score.evaluate import evaluate
from nanosmith.score.front import Point, best, nearest, with_front
from nanosmith.score.render import as_html
from nanosmith.score.report import Report
from nanosmith.store.atomic import disk_errors, make_folders, part_prefix
from nanosmith.store.bundles import Bundle, add_files, open_bundle, require_absent, seal
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger

READABLE = ("encoder/1", "static/1", "tfidf/1")
RESERVE_S = 30.0  # of a budget, for what follows the training


class Compressed(msgspec.Struct, frozen=True):
    """`bundle`, `model_name` and `report` are None where nothing holds the goal; then `nearest` misses it least.
    `chosen` may be the teacher, which then is sealed again under the new name."""

    bundle: Bundle | None
    model_name: str | None
    report: Report | None
    chosen: Point | None
    nearest: Point | None
    teacher: Point
    front: list[Point]
    goal: Goal
    source: str


def compress(
    teacher: str, train: Path, *, goal: Goal, test: Path | None = None, settings: TuneSettings | None = None,
    home: Home | None = None, out: Path | None = None, watch: Watch | None = None, device: Device | None = None,
) -> Compressed:  # fmt: skip
    """Search, seal, report and register a smaller model. What is trained stays in the cache: a run that was killed goes
    on when it is called again with the same teacher, files and settings, and other goals find the same students.

    `teacher` is a bundle's folder or a model's name, or several of them with commas: then all of them are asked, and
    the first one's weights are used. The loss is measured on `test`, else on examples of `train` that the teacher has
    not seen. `settings`: seed, budget_s, name and epochs count. Latencies are measured here, or estimated for `device`.
    Raises InputError, NotFound, Damaged, StorageFull,
    MissingExtra, Cancelled.
    """
    settings, home, watch = settings or TuneSettings(), home or open_home(), watch or Watch()
    require_training()
    if out is not None:
        require_absent(out)
    opened = open_teacher(teacher, home)
    bundle = _readable(opened, teacher, home)
    budget = Budget(settings.budget_s, RESERVE_S)
    learnt = lesson(opened.predictor, bundle, train, test, home, settings.seed, watch)
    with closing(open_ledger(home)) as ledger:
        name = free_name(settings.name, f"{slug(bundle.manifest.name)}-small", (row.name for row in ledger.models()))
    folder = _folder(home, opened, learnt, settings)
    search = Search(bundle, opened, learnt, goal, settings, folder, budget, watch, device)
    found = search.run()
    front = with_front([*found, *search.untrained])
    alone = [search.teacher] if len(opened.digests) == 1 else []  # of several, no bundle is as good as all together
    search.bundles[search.teacher.name] = bundle
    chosen = best([*front, *alone], goal)
    if chosen is None:
        return Compressed(None, None, None, None, nearest(front, goal), search.teacher, front, goal, learnt.source)
    sealed, report = _sealed(search, chosen, front, learnt, goal, name, home, out, watch)
    return Compressed(sealed, name, report, chosen, None, search.teacher, front, goal, learnt.source)


def _readable(teacher: Teacher, name: str, home: Home) -> Bundle:
    """The bundle whose weights are used. Raises InputError where it has none that can be cut."""
    from nanosmith.store.named import bundle_of

    first = name.split(",")[0].strip()
    path = None if teacher.remote else bundle_of(first, home)
    if path is None:
        raise InputError(
            "a remote model has no weights to start from", got=name, param="bundle",
            remedy="Label texts with it (nanosmith label), tune on them, and compress what comes out.",
        )  # fmt: skip
    bundle = open_bundle(path)
    manifest = bundle.manifest
    if manifest.predictor not in READABLE or manifest.task.kind not in ("choice", "labels") or not manifest.task.labels:
        raise InputError(
            "this kind of model cannot be compressed", where=str(path), param="bundle",
            got=f"{manifest.predictor} of kind {manifest.task.kind}",
            allowed=f"{', '.join(READABLE)} of kind choice or labels",
            remedy="Compress a model that gives labels; of a cascade or an ensemble, its parts.",
        )  # fmt: skip
    return bundle


def _folder(home: Home, teacher: Teacher, learnt: Lesson, settings: TuneSettings) -> Path:
    """Where a run of these inputs keeps how far it is."""
    inputs = {
        "teacher": teacher.digests, "data": learnt.data.digest, "train": learnt.train, "held": learnt.held.digest,
        "outside": learnt.outside, "seed": settings.seed, "epochs": settings.epochs, "budget_s": settings.budget_s,
    }  # fmt: skip
    return home.cache / "compress" / run_key(inputs)


def _sealed(
    search: Search, chosen: Point, front: list[Point], learnt: Lesson, goal: Goal, name: str, home: Home,
    out: Path | None, watch: Watch,
) -> tuple[Bundle, Report]:  # fmt: skip
    """The chosen student under its own name, with the front in its notes and report. Raises StorageFull."""
    student = search.bundles[chosen.name]
    told = {"teacher": search.teacher, "goal": goal, "judged_on": learnt.source, "front": front}
    notes = {**student.manifest.notes, "compressed": msgspec.to_builtins(told)}
    manifest = msgspec.structs.replace(student.manifest, name=name, created_at=int(time.time()), notes=notes)
    make_folders(home.bundles)
    with tempfile.TemporaryDirectory(dir=home.bundles, prefix=part_prefix()) as place:
        draft = Path(place) / "draft"
        with disk_errors(draft):
            shutil.copytree(student.path, draft, ignore=shutil.ignore_patterns("manifest.json", "report.*"))
        bundle = seal(draft, manifest, out or new_folder(home, name))
    try:
        report = _report(bundle, learnt, front, watch)
        bundle = _with_report(bundle, report, goal)
        with closing(open_ledger(home)) as ledger:
            ledger.add_model(row_of(name, bundle, home))
    except BaseException:
        shutil.rmtree(bundle.path, ignore_errors=True)
        raise
    return bundle, report


def _report(bundle: Bundle, learnt: Lesson, front: list[Point], watch: Watch) -> Report:
    told = {"evaluated_file": f"examples {learnt.source}", **made(bundle.manifest)}
    told.pop("compressed")
    inputs = [example.messages for example in learnt.held.examples]
    return evaluate(
        open_predictor(bundle), inputs, learnt.held.values, watch=watch, bytes=size_bytes(bundle.manifest),
        made={**told, "candidates": [as_row(point) for point in front if point.loss]},
    )  # fmt: skip


def as_row(point: Point) -> dict[str, Any]:
    """A point as a row of a table."""
    assert point.loss is not None
    return {"student": point.name, "accuracy": point.loss.accuracy, "points_lost": round(point.loss.points, 2),
            "latency_ms": point.latency_ms, "bytes": point.bytes, "on_front": point.on_front}  # fmt: skip


def _with_report(bundle: Bundle, report: Report, goal: Goal) -> Bundle:
    """As much of it as the bytes allow: the page only where there is room."""
    files = {"report.json": msgspec.json.encode(report), "report.html": as_html(report).encode()}
    for name, content in files.items():
        grown = 2 * len(name) + 200  # of the manifest
        if goal.bytes is None or folder_bytes(bundle) + len(content) + grown <= goal.bytes:
            bundle = add_files(bundle, {name: content})
    return bundle
