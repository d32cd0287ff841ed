"""What an attempt leaves behind: its working folder, and models that its job never announced."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs.names import is_checkpoint_of, model_name, result_file_id
from nanosmith.store.atomic import sweep_parts
from nanosmith.store.bundles import read_manifest
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ENDED, JobRow


def log_file(home: Home, job_id: str) -> Path:
    """What the job's process printed, and the traceback of what stopped it."""
    return home.jobs / job_id / "log.txt"


@contextmanager
def working_folder(home: Home, job_id: str) -> Iterator[None]:
    """A place for all temporary files of the block, on the disk of the data folder; removed in every case."""
    folder = _work(home, job_id)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    usual = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = usual
        _remove_folder(folder)


def clear_folder(home: Home, job_id: str) -> None:
    """Remove what a job's process left in its folder; a log that holds something stays."""
    log = log_file(home, job_id)
    with contextlib.suppress(OSError):
        if not log.stat().st_size:
            log.unlink()
    _remove_folder(_work(home, job_id))


def sweep(ledger: Ledger, home: Home) -> None:
    """At the start of a server: remove what killed processes left unfinished, and the folders of ended jobs."""
    for folder in (home.blobs, home.bundles):
        sweep_parts(folder)
    for folder in home.jobs.glob("*/"):
        job = ledger.job(folder.name)
        if job is None or job.status in ENDED:
            clear_folder(home, folder.name)


def remove_final(ledger: Ledger, home: Home, job: JobRow) -> None:
    """Remove a final model and result file that the job did not come to announce; its checkpoints stay."""
    _remove_models(ledger, home, lambda name: name == model_name(job))
    ledger.delete_file(result_file_id(job))


def remove_all(ledger: Ledger, home: Home, job: JobRow) -> None:
    """Remove everything that an earlier attempt of this job made, before it starts again."""
    sweep_parts(home.bundles)
    _remove_models(ledger, home, lambda name: name == model_name(job) or is_checkpoint_of(job, name))
    ledger.delete_checkpoints(job.id)
    ledger.delete_file(result_file_id(job))


def _remove_models(ledger: Ledger, home: Home, is_ours: Callable[[str], bool]) -> None:
    """A row before its folder, so that no row ever names a folder that is gone; then folders without a row."""
    for row in ledger.models():
        if is_ours(row.name):
            ledger.delete_model(row.name)
            if (folder := home.bundles / row.bundle).parent == home.bundles:
                shutil.rmtree(folder, ignore_errors=True)
    for folder in home.bundles.glob("*/"):
        with contextlib.suppress(NanosmithError):
            if is_ours(read_manifest(folder).name):
                shutil.rmtree(folder, ignore_errors=True)


def _remove_folder(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    with contextlib.suppress(OSError):  # the log is there
        work.parent.rmdir()


def _work(home: Home, job_id: str) -> Path:
    return home.jobs / job_id / "work"
