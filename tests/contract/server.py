"""The server of the contract tests, as a process of its own: it has the client of its environment, not the tested one.

python -m tests.contract.server KEY     # prints its URL and its data folder; ends when its standard input does
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.server.conftest import add_models, add_writers, running
from tests.server.records import add_records

from nanosmith.jobs.supervisor import Supervisor
from nanosmith.store.home import open_home


def main(key: str) -> None:
    """Tiny models, and fine-tuning jobs that take a second; everything else is what `nanosmith serve` runs."""
    with tempfile.TemporaryDirectory() as folder:
        home = open_home(Path(folder))
        add_models(home)
        add_records(home)
        add_writers(home)
        supervisor = Supervisor(home, poll_s=0.1, tune="nanosmith.testing:slow_tune")
        with running(home, key, supervisor) as served:
            supervisor.start()
            print(f"{served.url}/v1", home.root, flush=True)
            sys.stdin.read()
            supervisor.stop()


if __name__ == "__main__":
    main(sys.argv[1])
