"""Clients who never give up: what they ask for, they ask for again until it is acknowledged."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from nanosmith.testing.faults.client import GONE, Client, Reply
from nanosmith.testing.faults.folder import MODEL
from nanosmith.testing.faults.receipts import BATCHES, COMPLETIONS, JOBS, MARK, Receipts
from nanosmith.testing.tiny import TOPICS, chat_lines, topic_rows

THREADS = 3
PAUSE_S = 0.3  # at most, between two wishes of one
AGAIN_S = 0.05
MAX_BYTES = 200_000
REQUESTS = 30  # of a batch
EPOCHS = 20
FOR_NOW = (429, 503)
RETRY = "x-stainless-retry-count"
"""Set by OpenAI's client, which repeats what it saw no answer to."""


class Customers:
    """Threads that upload, store completions, and create up to `work` jobs and as many batches."""

    def __init__(self, client: Client, receipts: Receipts, *, work: int, seed: int) -> None:
        self.complaints: list[str] = []
        """Answers that must not be."""
        self._client = client
        self._receipts = receipts
        self._left = {self._job: work, self._batch: work}
        self._seed = seed
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @contextmanager
    def shopping(self) -> Iterator[None]:
        """While the block runs; after it no request is under way."""
        threads = [threading.Thread(target=self._shop, args=(number,), daemon=True) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._closed.set()
            for thread in threads:
                thread.join()

    def _shop(self, number: int) -> None:
        chance = random.Random(self._seed * THREADS + number)  # noqa: S311
        wishes: list[Callable[[random.Random], None]] = [self._upload, self._completion, self._job, self._batch]
        while not self._closed.wait(chance.uniform(0, PAUSE_S)):
            [wish] = chance.choices(wishes, (3, 4, 1, 1))
            if self._may(wish):
                wish(chance)

    def _may(self, wish: Callable[[random.Random], None]) -> bool:
        with self._lock:
            left = self._left.get(wish, 1)
            if wish in self._left:
                self._left[wish] = left - 1
            return left > 0

    def _upload(self, chance: random.Random) -> None:
        self._kept_file(chance.randbytes(chance.randint(1, MAX_BYTES)), "user_data")

    def _completion(self, chance: random.Random) -> None:
        asked = [{"role": "user", "content": chance.choice(list(TOPICS))}]
        self._create(COMPLETIONS, {"model": MODEL, "messages": asked, "store": True})

    def _job(self, _chance: random.Random) -> None:
        file = self._kept_file(chat_lines(topic_rows()), "fine-tune")
        method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": EPOCHS}}}
        if file is not None:
            self._create(JOBS, {"model": "gpt-4.1-nano", "training_file": file, "method": method})

    def _batch(self, chance: random.Random) -> None:
        ids = [f"line-{number}" for number in range(REQUESTS)]
        body = {"model": MODEL, "messages": [{"role": "user", "content": chance.choice(list(TOPICS))}]}
        lines = [{"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body} for id in ids]
        file = self._kept_file(b"".join(msgspec.json.encode(line) + b"\n" for line in lines), "batch")
        asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        if file is not None:
            self._create(BATCHES, asked, ids)

    def _kept_file(self, content: bytes, purpose: str) -> str | None:
        reply = self._insist(lambda _: self._client.upload(content, purpose))
        if reply is None:
            return None
        id: str = reply.json["id"]
        self._receipts.add_file(id, content)
        return id

    def _create(self, path: str, body: dict[str, Any], lines: list[str] | None = None) -> None:
        mark = uuid.uuid4().hex
        whole = body | {"metadata": {MARK: mark}}
        reply = self._insist(lambda count: self._client.post(path, whole, **{RETRY: str(count)}))
        if reply is not None:
            self._receipts.add(path, reply.json["id"], mark, lines)

    def _insist(self, ask: Callable[[int], Reply]) -> Reply | None:
        """Ask until it is acknowledged; None when it is refused, which the server has no reason for."""
        count = 0
        while True:
            try:
                reply = ask(count)
                if reply.is_good:
                    return reply
                if reply.status not in FOR_NOW:
                    self.complaints.append(f"{reply.status}: {reply.content.decode(errors='replace')[:300]}")
                    return None
            except GONE:
                pass
            count += 1
            threading.Event().wait(AGAIN_S)
