"""A disk that fails: the kernel answers EIO to a flush of a server, by strace."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

from nanosmith.store.atomic import SYNC_FAILED
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing.faults.client import GONE, Client
from nanosmith.testing.faults.folder import check_folder, new_home
from nanosmith.testing.faults.found import Findings, NotPossible, Outcome, Tick, unheard
from nanosmith.testing.faults.process import LOOK_S, Server, ended

BYTES = 100_000
UPLOADS = 3
CALLS = "fsync,fdatasync"
INJECTED = "(INJECTED)"
REMEDY = "install it with: apt-get install strace"
LEAST = 3
"""Flushes of an upload that there are at least: of the file, its folders and the ledger."""
STOPS_S = 5.0


def eio(folder: Path, *, every: int = 1, broken: str = "", tick: Tick = unheard) -> Outcome:
    """Each `every`th flush of each thread of a server fails in turn, while a client uploads. The server must end with
    status 74 and acknowledge nothing more; what it had acknowledged is there.

    Raises FaultFound, NotPossible.
    """
    strace, home = find_strace(folder / "calls.txt"), new_home(folder / "home")
    kept: dict[str, str] = {}
    for times, number in enumerate(itertools.count(1, every)):
        server = Server(home.root, broken=broken, under=[*strace, "-e", f"inject={CALLS}:error=EIO:when={number}"])
        found, has_failed = Findings(), False
        with ended(server):
            if server.wait():
                kept |= _uploaded(server.client, number)
            has_failed = INJECTED in (folder / "calls.txt").read_text()
            if has_failed:
                _check_stopped(server, found)
        _check_kept(home, kept, found)
        found.raise_if_any()
        if not has_failed:
            break
        tick(times + 1, 0)
    if number <= LEAST:
        raise RuntimeError(f"only {times} flushes were seen")
    return Outcome(times, len(kept))


def _uploaded(client: Client, number: int) -> dict[str, str]:
    """The ids of what was acknowledged, with the SHA-256 of each."""
    kept = {}
    for upload in range(UPLOADS):
        content = b"%d.%d" % (number, upload) * BYTES
        try:
            reply = client.upload(content)
        except GONE:
            break
        if reply.is_good:
            kept[str(reply.json["id"])] = hashlib.sha256(content).hexdigest()
    return kept


def _check_stopped(server: Server, found: Findings) -> None:
    end = time.monotonic() + STOPS_S
    while server.status is None and time.monotonic() < end:
        time.sleep(LOOK_S)
    if server.status is None:
        found.wrong.append("the server went on after a failed flush")
    elif server.status != SYNC_FAILED:
        found.wrong.append(f"after a failed flush the server ended with {server.status}: {server.words()[-300:]}")


def _check_kept(home: Home, kept: dict[str, str], found: Findings) -> None:
    with closing(open_ledger(home)) as ledger:
        rows = {row.id: row.sha256 for row in ledger.files()}
    found.lost += [f"the row of {id}" for id, sha256 in kept.items() if rows.get(id) != sha256]
    check_folder(home, found)


def find_strace(log: Path) -> list[str]:
    """The command that writes down the flushes of a process and its threads; `-e inject=…` is to be added, and the
    process. Raises NotPossible."""
    program = shutil.which("strace")
    if program is None:
        raise NotPossible(f"there is no strace; {REMEDY}")
    command = [program, "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}"]
    trial = [*command, "-e", f"inject={CALLS}:error=EIO:when=1", "true"]
    tried = subprocess.run(trial, check=False, capture_output=True, text=True)
    if tried.returncode:
        raise NotPossible(f"strace cannot be used here ({tried.stderr.strip()}); allow ptrace")
    return command
