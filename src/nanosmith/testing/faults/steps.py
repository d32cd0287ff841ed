"""Points in a process at which it can be killed or stopped: just before it makes something durable."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from nanosmith.store.ledger.database import Database


def before_flush(number: int, act: Callable[[], None]) -> None:
    """Let this process call `act` just before it flushes for the `number`th time: an fsync, or a commit of SQLite,
    which is one."""
    around = _counting(number, act)
    os.fsync = around(os.fsync)
    DefaultDialect.do_commit = around(DefaultDialect.do_commit)  # type: ignore[method-assign]


def before_step(number: int, act: Callable[[], None]) -> None:
    """Let this process call `act` just before the `number`th of all that others may see: an fsync, a rename, a removed
    folder, a transaction."""
    around = _counting(number, act)
    os.fsync = around(os.fsync)
    Path.replace = around(Path.replace)  # type: ignore[method-assign]
    shutil.rmtree = around(shutil.rmtree)  # type: ignore[assignment]
    Database.write = around(Database.write)  # type: ignore[method-assign]


def die() -> None:
    """As by `kill -9`: nothing of this process is tidied."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Go on only after SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def _counting(number: int, act: Callable[[], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    calls = itertools.count(1)

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if next(calls) == number:
                act()
            return real(*given, **named)

        return call

    return around
