"""SIGKILL of API and worker, again and again, while clients upload, ask, and create jobs and batches."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing, suppress
from pathlib import Path

from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.testing.faults.customers import Customers
from nanosmith.testing.faults.folder import check_folder, new_home
from nanosmith.testing.faults.found import Findings, Outcome, Tick, unheard
from nanosmith.testing.faults.launch import SLOW
from nanosmith.testing.faults.process import Process, Server, ended, until
from nanosmith.testing.faults.receipts import Receipts

PAUSE_S = 0.6  # at most, between a start and the next kill: also before the process is ready
WORK_EACH = 7
"""Kills for each job and each batch that is created."""
WITHIN_S = 60.0
EACH_S = 10.0
"""How long the work may take in the end: WITHIN_S, and EACH_S for each of it."""
TARGETS = {"api": 3, "worker": 3, "both": 2, "all": 1, "process": 1}
"""What is killed, and how often in ten: "all" includes the processes of jobs and batches, "process" is one of these
alone, of work that had not lost one before, as three losses end it."""


def kill(
    folder: Path, *, cycles: int = 20, seed: int = 0, tune: str = SLOW, broken: str = "", tick: Tick = unheard
) -> Outcome:
    """Kill, start again, and look at once for everything that was acknowledged; at the end all work has succeeded, with
    one final model for each job and one line for each request of a batch.

    Raises FaultFound.
    """
    home, found = new_home(folder / "home"), Findings()
    server = Server(home.root, tune=tune, broken=broken)
    worker = Process(home.root, "worker", tune=tune, broken=broken)
    receipts = Receipts(server.client)
    customers = Customers(server.client, receipts, work=max(2, cycles // WORK_EACH), seed=seed)
    with ended(server, worker), closing(open_ledger(home)) as ledger:
        server.wait()
        killer = Killer(server, worker, ledger, random.Random(seed))  # noqa: S311
        with customers.shopping():
            for cycle in range(cycles):
                if killer.strike():
                    receipts.check(found)
                found.raise_if_any()
                tick(cycle + 1, cycles)
        _finish(receipts, found, server)
    with suppress(RuntimeError):
        until(lambda: not processes_of(home), "all processes end")
    found.wrong += [f"process {pid}, which does not end" for pid in processes_of(home)]
    check_folder(home, found)
    found.wrong += customers.complaints
    found.raise_if_any()
    return Outcome(cycles, receipts.count)


def _finish(receipts: Receipts, found: Findings, server: Server) -> None:
    """Wait for all work, then look at everything."""
    until(receipts.is_done, "all jobs and batches end", server.words, WITHIN_S + EACH_S * len(receipts.work))
    receipts.check(found, everything=True)
    receipts.check_jobs(found)
    receipts.check_batches(found)


class Killer:
    """Picks a moment and a target."""

    def __init__(self, server: Server, worker: Process, ledger: Ledger, chance: random.Random) -> None:
        self._server = server
        self._worker = worker
        self._ledger = ledger
        self._chance = chance
        self._bereft: set[str] = set()

    def strike(self) -> bool:
        """Kill something and start it again; returns once the API answers. False when that had gone on all along."""
        time.sleep(self._chance.uniform(0, PAUSE_S))
        [target] = self._chance.choices(list(TARGETS), list(TARGETS.values()))
        hit = {self._server: ("api", "both", "all"), self._worker: ("worker", "both", "all")}
        struck = [process for process, targets in hit.items() if target in targets]
        for process in struck:
            process.kill()
        if target in ("all", "process"):
            self._kill_work(everything=target == "all")
        for process in struck:
            process.start()
        if not self._server.wait():
            raise RuntimeError(f"the server ended by itself:\n{self._server.words()}")
        return self._server in struck

    def _kill_work(self, *, everything: bool) -> None:
        running = [work for work in self._ledger.open_work() if work.owner]
        if not everything:
            running = [work for work in running if work.id not in self._bereft][:1]
            self._bereft.update(work.id for work in running)
        for work in running:
            pid = int(str(work.owner).rpartition(":")[2])
            with suppress(ProcessLookupError):
                if _is_called_with(pid, work.id):  # else a supervisor, which has work for a moment
                    os.kill(pid, signal.SIGKILL)


def processes_of(home: Home) -> list[int]:
    """Those that serve, or work for, this data folder. Linux alone tells."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_called_with(int(path.name), str(home.root))]


def _is_called_with(pid: int, word: str) -> bool:
    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
