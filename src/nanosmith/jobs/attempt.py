"""One process's hold of a work: its lease, its working folder, and what becomes of it when it stops early."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from nanosmith.core.errors import Cancelled, InputError, NanosmithError
from nanosmith.jobs.leftovers import log_file, working_folder
from nanosmith.jobs.pulse import Pulse
from nanosmith.store.atomic import disk_errors
from nanosmith.store.home import Home
from nanosmith.store.ledger import LeaseLost, Ledger
from nanosmith.store.records import Lease, Stop


class Stopped(BaseException):
    """The process was asked to end (SIGTERM, SIGINT); no recipe may swallow this."""


class Endings(Protocol):
    """How a kind of work comes to an end other than success; `ledger` is fenced by the lease."""

    def stop(self, ledger: Ledger, home: Home, id: str, how: Stop) -> None:
        """It was cancelled or paused."""

    def put_back(self, ledger: Ledger, home: Home, id: str) -> None:
        """It was interrupted, and waits for the next process."""

    def fail(
        self, ledger: Ledger, home: Home, id: str, *, code: str, message: str, param: str | None = None
    ) -> None: ...


@contextmanager
def attempt(
    ledger: Ledger, home: Home, lease: Lease, endings: Endings, *, parent: int | None = None
) -> Iterator[Pulse]:
    """Work on what `lease` was given for; `ledger` is fenced by it, `home` that of its project.

    An error inside ends the work as failed and goes no further; so does Cancelled, as cancelled or paused. Stopped
    passes on, after the work was put back. When the lease is lost nothing is written any more. The working folder is
    gone in every case.
    """
    try:
        with (
            disk_errors(home.root),
            Pulse(ledger, lease, parent=parent) as pulse,
            working_folder(home, lease.id, lease.token),
        ):
            yield pulse
    except (Stopped, KeyboardInterrupt):
        release(ledger, home, lease, endings)
        raise
    except LeaseLost:
        return
    except Cancelled:
        release(ledger, home, lease, endings)
    except Exception as error:
        if not isinstance(error, InputError):
            _log(home, lease.id)
        code, message, param = _body(error, lease.id)
        with contextlib.suppress(LeaseLost):
            endings.fail(ledger, home, lease.id, code=code, message=message, param=param)


def release(ledger: Ledger, home: Home, lease: Lease, endings: Endings) -> None:
    """Work on it no more: it is stopped where that was asked for, else it waits again. Nothing happens when it is not
    ours any more."""
    with contextlib.suppress(LeaseLost):
        stop = ledger.renew(lease)
        if stop is not None:
            endings.stop(ledger, home, lease.id, stop)
        else:
            endings.put_back(ledger, home, lease.id)
        ledger.release(lease)


def _body(error: Exception, id: str) -> tuple[str, str, str | None]:
    """Code, message and param of OpenAI's error object."""
    if isinstance(error, NanosmithError):
        return error.code or "failed", str(error), error.param
    if isinstance(error, MemoryError):
        return "out_of_memory", "there was not enough memory", None
    reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}"
    return "internal_error", f"unexpected {reason}. The data folder has the details in jobs/{id}/log.txt", None


def _log(home: Home, id: str) -> None:
    path = log_file(home, id)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
