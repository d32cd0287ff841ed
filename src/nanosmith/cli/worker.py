"""`nanosmith worker`: one more process that works off the queue."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer


def worker(
    home: Annotated[Path | None, typer.Option(help="Data folder. Default: $NANOSMITH_HOME, else ~/.nanosmith.")] = None,
) -> None:
    """Work off fine-tuning jobs, batches and eval runs beside `nanosmith serve`, which does so too.

    Several workers share one ledger. On another machine it must be PostgreSQL (NANOSMITH_DATABASE), and the data
    folder one that both machines see.
    """
    from nanosmith.jobs.owner import owner_name
    from nanosmith.jobs.supervisor import Supervisor
    from nanosmith.store.home import open_home

    opened = open_home(home)
    supervisor, asked = Supervisor(opened), threading.Event()

    def stop(*_: Any) -> None:
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    typer.echo(f"Nanosmith works as {owner_name()} (data folder: {opened.root}). Ctrl-C stops it.")
    supervisor.start()
    asked.wait()
    supervisor.stop()
