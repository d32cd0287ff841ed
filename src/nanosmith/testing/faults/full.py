"""A disk that fills up under a server, and is freed again."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

from nanosmith.testing.faults.client import Client, Reply
from nanosmith.testing.faults.disk import small_disk
from nanosmith.testing.faults.folder import MODEL, check_folder, new_home
from nanosmith.testing.faults.found import Findings, Outcome, Tick, unheard
from nanosmith.testing.faults.process import Server, ended, until
from nanosmith.testing.faults.receipts import COMPLETIONS, FILES, JOBS, MARK, Receipts
from nanosmith.testing.tiny import chat_lines, topic_rows

DISK_BYTES = 64 * 1024**2
SIZES_BYTES = (4 * 1024**2, 1024**2, 64 * 1024, 4096)
"""Of uploads: of each as many as fit, so that in the end nothing does."""
WORDS = (2000, 20)
"""Of what is stored after that."""
FULL = (507, 503)
HUNGRY = "nanosmith.testing.slow:hungry_tune"
STEPS = 6


def full(folder: Path, *, broken: str = "", tick: Tick = unheard) -> Outcome:
    """A server on a file system of 64 MiB takes uploads until it is full. Then whatever must be kept is refused with
    507 or 503, the rest is answered, a job fails in words, and nothing half lies about; when files were deleted there
    is room again. Raises FaultFound, NotPossible."""
    found = Findings()
    with small_disk(folder / "disk", DISK_BYTES) as disk:
        home = new_home(disk / "home")
        server = Server(home.root, tune=HUNGRY, broken=broken, log=folder / "serve.log")
        visit = _Visit(server.client, found)
        with ended(server):
            server.wait()
            for step, act in enumerate((visit.job, visit.fill, visit.ask, visit.free, visit.fill, visit.free), 1):
                act()
                found.raise_if_any()
                tick(step, STEPS)
        check_folder(home, found)
    found.raise_if_any()
    return Outcome(2, visit.receipts.count)


class _Visit:
    """A client of a server whose disk is small."""

    def __init__(self, client: Client, found: Findings) -> None:
        self.receipts = Receipts(client)
        self._client = client
        self._found = found
        self._chance = random.Random(0)  # noqa: S311

    def job(self) -> None:
        """One that fills the disk by itself fails, says why, and gives the room back."""
        file = self._upload(chat_lines(topic_rows()), "fine-tune")
        asked = {"model": "gpt-4.1-nano", "training_file": file, "metadata": {MARK: "job"}}
        id = self._client.post(JOBS, asked).json["id"]
        until(lambda: self._client.get(f"{JOBS}/{id}").json["status"] == "failed", "the job fails")
        error = self._client.get(f"{JOBS}/{id}").json["error"]
        if error["code"] != "insufficient_storage":
            self._found.wrong.append(f"a job on a full disk failed with {error}")
        self.receipts.add(JOBS, id, "job")

    def fill(self) -> None:
        """Uploads and completions until nothing fits any more."""
        for size in SIZES_BYTES:
            while self._upload(self._chance.randbytes(size)):
                continue
        for words in WORDS:
            while self._is_kept(reply := self._complete(words, store=True)):
                shown = reply.json
                self.receipts.add(COMPLETIONS, shown["id"], shown["metadata"][MARK])
        self.receipts.check(self._found)

    def ask(self) -> None:
        """What needs no room is answered; what does is refused."""
        answers = {path: self._client.get(path) for path in (FILES, JOBS, COMPLETIONS, "/models")}
        answers |= {f"{FILES}/ID/content": self._client.get(f"{FILES}/{self._any_file()}/content")}
        answers |= {"POST without store": self._complete(1, store=False)}
        self._found.wrong += [f"{what}: {reply.status}" for what, reply in answers.items() if not reply.is_good]
        refused = self._client.post(JOBS, {"model": "gpt-4.1-nano", "training_file": next(iter(self.receipts.files))})
        if self._is_kept(refused):
            self._found.wrong.append("a job was created on a full disk")

    def free(self) -> None:
        """Two large files go, another comes."""
        for _ in range(2):
            id = self._any_file()
            reply = self._client.delete(f"{FILES}/{id}")
            if not reply.is_good:
                self._found.wrong.append(f"on a full disk a file cannot be deleted: {reply.content.decode()}")
                return
            del self.receipts.files[id]
        if not self._upload(self._chance.randbytes(SIZES_BYTES[0])):
            self._found.wrong.append("there is room again, but an upload is refused")
        self.receipts.check(self._found, everything=True)

    def _any_file(self) -> str:
        """A large one."""
        return list(self.receipts.files)[1]

    def _upload(self, content: bytes, purpose: str = "user_data") -> str:
        """The id; empty when there is no room."""
        reply = self._client.upload(content, purpose)
        if not self._is_kept(reply):
            return ""
        id = str(reply.json["id"])
        self.receipts.add_file(id, content)
        return id

    def _complete(self, words: int, *, store: bool) -> Reply:
        messages = [{"role": "user", "content": "refund " * words}]
        asked: dict[str, Any] = {"model": MODEL, "messages": messages, "store": store}
        return self._client.post(COMPLETIONS, asked | ({"metadata": {MARK: os.urandom(8).hex()}} if store else {}))

    def _is_kept(self, reply: Reply) -> bool:
        """Else it must be refused in the right words."""
        if not reply.is_good and reply.status not in FULL:
            self._found.wrong.append(f"a full disk is answered with {reply.status}: {reply.content.decode()[:200]}")
        return reply.is_good
