"""One process's hold of a job: its heartbeat, its working folder, and what becomes of the job when work stops early."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from nanosmith.core.errors import Cancelled, InputError, NanosmithError
from nanosmith.jobs import ending
from nanosmith.jobs.leftovers import log_file, working_folder
from nanosmith.jobs.pulse import Pulse
from nanosmith.store.atomic import disk_errors
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import JobRow


class Stopped(BaseException):
    """The process was asked to end (SIGTERM, SIGINT); no recipe may swallow this."""


@contextmanager
def attempt(ledger: Ledger, home: Home, job: JobRow, *, parent: int | None = None) -> Iterator[Pulse]:
    """Work on a job that this process has taken.

    An error inside ends the job as failed and goes no further; so does Cancelled, as cancelled. Stopped passes on,
    after the job was put back (or cancelled, where that was asked for). The working folder is gone by then.
    """
    try:
        with (
            disk_errors(home.root),
            Pulse(ledger, job.id, parent=parent) as pulse,
            working_folder(home, job.id),
        ):
            yield pulse
    except (Stopped, KeyboardInterrupt):
        ending.release(ledger, home, job)
        raise
    except Cancelled:
        ending.release(ledger, home, job)
    except Exception as error:
        if not isinstance(error, InputError):
            _log(home, job.id)
        code, message, param = _body(error, job.id)
        ending.fail(ledger, home, job, code=code, message=message, param=param)


def _body(error: Exception, job_id: str) -> tuple[str, str, str | None]:
    """Code, message and param of OpenAI's error object."""
    if isinstance(error, NanosmithError):
        return error.code or "failed", str(error), error.param
    if isinstance(error, MemoryError):
        return "out_of_memory", "there was not enough memory", None
    reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}"
    return "internal_error", f"unexpected {reason}. The data folder has the details in jobs/{job_id}/log.txt", None


def _log(home: Home, job_id: str) -> None:
    path = log_file(home, job_id)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
