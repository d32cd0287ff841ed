"""The process of one work: `python -m nanosmith.jobs.run ID --home DIR`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from contextlib import closing
from typing import Any

from nanosmith.jobs.attempt import Stopped, attempt, release
from nanosmith.jobs.kinds import KINDS
from nanosmith.jobs.owner import is_dead, owner_name
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import Work

TERMINATED = 143  # 128 + SIGTERM, as shells report it
NICENESS = 5
ENDS_S = 20
"""How long a process that was asked to end may take for it."""
PATIENCE_S = 120.0
"""How long the work waits for a database that is away, as while PostgreSQL restarts."""


def main(id: str, home: Home, *, parent: int | None = None, **options: Any) -> None:
    """Do a work, up to its end, unless another process has it. `options` go to its kind."""
    with closing(open_ledger(home, patience_s=PATIENCE_S)) as ledger:
        work = ledger.work(id)
        if work is not None and work.kind in KINDS:
            _do(ledger, home, work, parent, options)


def _do(ledger: Ledger, home: Home, work: Work, parent: int | None, options: dict[str, Any]) -> None:
    dead = work.owner if work.owner and is_dead(work.owner) else None
    lease = ledger.claim(work.id, owner_name(), instead_of=dead)
    if lease is None:
        return
    own, fenced, kind = home.of(lease.project), ledger.under(lease), KINDS[work.kind]
    endings = kind.load_endings()
    with attempt(fenced, own, lease, endings, parent=parent) as pulse:
        kind.load_run()(fenced, own, work.id, pulse, **options)
    release(fenced, own, lease, endings)


def _stop(*_: object) -> None:
    """The first signal stops the work; later ones do not disturb the tidying. That must come to its end: it may wait
    for a thread that was about to be started, and the parent may be gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.alarm(ENDS_S)  # SIGALRM ends the process
    raise Stopped


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nanosmith.jobs.run", description="Do one work of the queue.")
    parser.add_argument("id")
    parser.add_argument("--home", help="the data folder")
    parser.add_argument("--parent", type=int, help="end when this process is no longer the parent")
    parser.add_argument("--only-validate", action="store_true", help="of a fine-tuning job: check its files alone")
    parser.add_argument("--tune", help="of a fine-tuning job: the flow, as module:attribute")
    return parser.parse_args()


def cli() -> None:
    given = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    with contextlib.suppress(OSError, AttributeError):  # requests are answered first; Windows has no nice
        os.nice(NICENESS)
    options = {"only_validate": True} if given.only_validate else {}
    options |= {"tune": given.tune} if given.tune else {}
    try:
        main(given.id, open_home(given.home), parent=given.parent, **options)
    except Stopped:
        sys.exit(TERMINATED)


if __name__ == "__main__":
    cli()
