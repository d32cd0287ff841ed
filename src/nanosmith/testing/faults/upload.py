"""SIGKILL of a server before each flush of an upload."""

from __future__ import annotations

import hashlib
import itertools
from contextlib import closing
from functools import partial
from pathlib import Path

from nanosmith.jobs.leftovers import sweep
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing.faults.apart import apart
from nanosmith.testing.faults.client import GONE, Client, Reply
from nanosmith.testing.faults.folder import check_blobs, new_home
from nanosmith.testing.faults.forked import break_by, forked_server
from nanosmith.testing.faults.found import Findings, Outcome, Tick, unheard
from nanosmith.testing.faults.steps import before_flush, die

PART_BYTES = 100_000
LEAST = 10
"""Flushes that there are at least: fewer, and the fault does not see them."""


def upload(folder: Path, *, broken: str = "", tick: Tick = unheard) -> Outcome:
    """Before each flush of one upload and one upload in parts the server is killed. What it acknowledged is there with
    its bytes; an upload in parts can be completed; nothing half lies about. Raises FaultFound, NotPossible."""
    return apart(f"{__name__}:_upload", folder, tick, broken=broken)


def _upload(folder: Path, tick: Tick, broken: str) -> Outcome:
    import nanosmith.server.app  # noqa: F401  (once, not in each child)

    home, checked = new_home(folder / "home"), 0
    for number in itertools.count(1):
        round, found = _Round(number), Findings()
        with forked_server(home, partial(_doom, number, broken)) as client:
            was_killed = not round.upload(client)
        with forked_server(home, partial(break_by, broken)) as client:
            round.check(client, found)
        _check_blobs(home, found)
        found.raise_if_any()
        checked += round.acknowledged
        if not was_killed:
            break
        tick(number, 0)
    if number < LEAST:
        raise RuntimeError(f"only {number - 1} flushes were seen")
    return Outcome(number - 1, checked)


def _doom(number: int, broken: str) -> None:
    break_by(broken)
    before_flush(number, die)


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
