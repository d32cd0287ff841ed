"""SIGKILL before each flush to the disk: of uploads through a server, and of a training state."""

from __future__ import annotations

import hashlib
import itertools
import signal
from contextlib import closing
from pathlib import Path

from nanosmith.jobs.kinds import load
from nanosmith.jobs.leftovers import sweep
from nanosmith.store import checkpoints
from nanosmith.store.atomic import PART
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing.faults.apart import apart
from nanosmith.testing.faults.client import GONE, Client, Reply
from nanosmith.testing.faults.folder import check_blobs, new_home
from nanosmith.testing.faults.forked import fork, forked_server, wait
from nanosmith.testing.faults.found import Findings, Outcome, Tick, unheard
from nanosmith.testing.faults.steps import before_flush, die

PART_BYTES = 100_000
LEAST = 10
"""Flushes that there are at least: fewer, and the fault does not see them."""


def upload(folder: Path, *, broken: str = "", tick: Tick = unheard) -> Outcome:
    """Before each flush of one upload and one upload in parts the server is killed. What it acknowledged is there with
    its bytes; an upload in parts can be completed; nothing half lies about. Raises FaultFound, NotPossible."""
    return apart(f"{__name__}:_upload", folder, tick, broken=broken)


def checkpoint(folder: Path, *, broken: str = "", tick: Tick = unheard) -> Outcome:
    """Before each flush of a training state its process is killed. The newest state is then the old one or the new one,
    whole. Raises FaultFound, NotPossible."""
    return apart(f"{__name__}:_checkpoint", folder, tick, broken=broken)


def _upload(folder: Path, tick: Tick, broken: str) -> Outcome:
    import nanosmith.server.app  # noqa: F401  (once, not in each child)

    home, checked = new_home(folder / "home"), 0
    for number in itertools.count(1):
        round, found = _Round(number), Findings()
        with forked_server(home, lambda: (_break(broken), before_flush(number, die))) as client:  # noqa: B023
            was_killed = not round.upload(client)
        with forked_server(home, lambda: _break(broken)) as client:
            round.check(client, found)
        _check_blobs(home, found)
        found.raise_if_any()
        checked += round.acknowledged
        tick(number, 0)
        if not was_killed:
            break
    return _outcome("SIGKILL before each flush of an upload", number - 1, checked)


class _Round:
    """One client's uploads."""

    def __init__(self, number: int) -> None:
        self._parts = [hashlib.sha256(b"%d.%d" % (number, i)).digest() * (PART_BYTES // 32) for i in range(2)]
        self._file = ""
        self._upload = ""
        self._kept: list[str] = []

    @property
    def acknowledged(self) -> int:
        return bool(self._file) + bool(self._upload) + len(self._kept)

    def upload(self, client: Client) -> bool:
        """False when the server ended meanwhile."""
        try:
            self._file = _id(client.upload(self._parts[0]))
            asked = {"filename": "a", "purpose": "user_data", "bytes": 2 * len(self._parts[0]), "mime_type": "text/any"}
            self._upload = _id(client.post("/uploads", asked))
            self._complete(client)
        except GONE:
            return False
        return True

    def _complete(self, client: Client) -> str:
        """Send the parts that are missing, and give the id of the file that they make."""
        for part in self._parts[len(self._kept) :]:
            self._kept.append(_id(client.form(f"/uploads/{self._upload}/parts", {}, "data", part)))
        reply = client.post(f"/uploads/{self._upload}/complete", {"part_ids": self._kept})
        return str(reply.json["file"]["id"]) if reply.is_good else ""

    def check(self, client: Client, found: Findings) -> None:
        if self._file and client.get(f"/files/{self._file}/content").content != self._parts[0]:
            found.lost.append(f"the bytes of {self._file}")
        if self._upload:
            made = self._complete(client)
            if client.get(f"/files/{made}/content").content != b"".join(self._parts):
                found.lost.append(f"the parts of {self._upload}")


def _id(reply: Reply) -> str:
    return str(reply.json["id"])


def _check_blobs(home: Home, found: Findings) -> None:
    with closing(open_ledger(home)) as ledger:
        sweep(ledger, home)
        check_blobs(home, ledger, found)


def _checkpoint(folder: Path, tick: Tick, broken: str) -> Outcome:
    for number in itertools.count(1):
        states, found = folder / str(number), Findings()
        _save(states, 1)
        child = fork(lambda: (_break(broken), before_flush(number, die), _save(states, 2)))  # noqa: B023
        was_killed = wait(child) == -signal.SIGKILL
        saved = checkpoints.newest(states)
        if saved is None:
            found.lost.append(f"both states, at flush {number}")
        elif saved.step == 1 and not was_killed:
            found.lost.append("the new state, which was saved")
        elif (saved.path / "sub" / "weights").read_bytes() != _weights(saved.step):
            found.wrong.append(f"the state of step {saved.step} has another content, at flush {number}")
        _save(states, 3)
        found.wrong += [f"a partial state {path.name}" for path in states.glob(f"{PART}*")]
        found.raise_if_any()
        tick(number, 0)
        if not was_killed:
            break
    return _outcome("SIGKILL before each flush of a training state", number - 1, number)


def _save(folder: Path, step: int) -> None:
    def write(state: Path) -> None:
        (state / "sub").mkdir()
        (state / "sub" / "weights").write_bytes(_weights(step))
        (state / "about.json").write_bytes(b"{}")

    checkpoints.save(folder, step, write)


def _weights(step: int) -> bytes:
    return b"%d" % step * 10_000


def _break(broken: str) -> None:
    if broken:
        load(broken)()


def _outcome(done: str, times: int, checked: int) -> Outcome:
    if times < LEAST // 2:
        raise RuntimeError(f"only {times} flushes were seen")
    return Outcome(done, times, checked)
