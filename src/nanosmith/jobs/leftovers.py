"""What an attempt leaves behind: its working folder, and models that its job never announced."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs.names import is_checkpoint_of, model_name, result_file_id
from nanosmith.store.atomic import sweep_parts
from nanosmith.store.blobs import BlobFolder
from nanosmith.store.bundles import read_manifest
from nanosmith.store.home import DEFAULT_PROJECT, Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.naming import sweep_unnamed
from nanosmith.store.records import ENDED, IDEMPOTENCY, JobRow


def log_file(home: Home, job_id: str) -> Path:
    """What the job's process printed, and the traceback of what stopped it."""
    return home.jobs / job_id / "log.txt"


@contextmanager
def working_folder(home: Home, job_id: str, token: int) -> Iterator[None]:
    """A place for all temporary files of the block, on the disk of the data folder; removed in every case.

    It is that of one claim, so that a process that lost its lease, and then tidies, does not disturb the next one.
    """
    clear_folder(home, job_id, up_to=token)
    folder = _work(home, job_id) / str(token)
    folder.mkdir(parents=True)
    usual = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = usual
        shutil.rmtree(folder, ignore_errors=True)
        _remove_if_empty(home, job_id)


def clear_folder(home: Home, job_id: str, *, up_to: int | None = None) -> None:
    """Remove what a job's processes left in its folder, those of the claims up to this token, or all; a log that holds
    something stays."""
    log = log_file(home, job_id)
    with contextlib.suppress(OSError):
        if not log.stat().st_size:
            log.unlink()
    for folder in _work(home, job_id).glob("*"):
        if up_to is None or int(folder.name) <= up_to:
            shutil.rmtree(folder, ignore_errors=True)
    _remove_if_empty(home, job_id)


def state_folder(home: Home, job_id: str) -> Path:
    """Where an attempt keeps its training state for the next one."""
    return home.jobs / job_id / "state"


def forget(home: Home, job_id: str) -> None:
    """The job has ended: remove its training state too."""
    shutil.rmtree(state_folder(home, job_id), ignore_errors=True)
    clear_folder(home, job_id)


def sweep(ledger: Ledger, home: Home) -> None:
    """When a worker starts: remove what killed processes left unfinished, and the folders of what has ended."""
    ledger.purge(IDEMPOTENCY, int(time.time()))
    own = [home.of(path.name) for path in (home.root / "projects").glob("*/")]
    for one in (home.of(DEFAULT_PROJECT), *own):
        for folder in (one.blobs, one.bundles):
            sweep_parts(folder)
        sweep_unnamed(ledger.of(one.project), BlobFolder(one.blobs))
        for folder in one.jobs.glob("*/"):
            job = ledger.of(one.project).job(folder.name)
            if (job is None or job.status in ENDED) and ledger.work(folder.name) is None:
                forget(one, folder.name)


def remove_final(ledger: Ledger, home: Home, job: JobRow) -> None:
    """Remove a final model and result file that the job did not come to announce; its checkpoints stay."""
    _remove_models(ledger, home, job)
    ledger.delete_file(result_file_id(job))


def remove_unannounced(ledger: Ledger, home: Home, job: JobRow) -> None:
    """Remove what an earlier attempt of this job made and did not come to announce, before the next one begins. Its
    announced checkpoints stay callable."""
    sweep_parts(home.bundles)
    remove_final(ledger, home, job)


def _remove_models(ledger: Ledger, home: Home, job: JobRow) -> None:
    """The final model, its row before its folder, so that no row ever names a folder that is gone; then folders of the
    job's models that no row names, as far as they were there while this process had the job."""
    final = ledger.model(model_name(job))
    if final is not None:
        ledger.delete_model(final.name)
    named = {home.bundles / row.bundle for row in ledger.models()}
    left = [folder for folder in home.bundles.glob("*/") if folder not in named and _is_of(job, folder)]
    _check_lease(ledger)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)


def _check_lease(ledger: Ledger) -> None:
    """Raises LeaseLost when others may have the job by now."""
    if ledger.lease is not None:
        ledger.renew(ledger.lease)


def _is_of(job: JobRow, bundle: Path) -> bool:
    try:
        name = read_manifest(bundle).name
    except NanosmithError:
        return False
    return name == model_name(job) or is_checkpoint_of(job, name)


def _remove_if_empty(home: Home, job_id: str) -> None:
    work = _work(home, job_id)
    for folder in (work, work.parent):
        with contextlib.suppress(OSError):  # other claims', or the log
            folder.rmdir()


def _work(home: Home, job_id: str) -> Path:
    return home.jobs / job_id / "work"
