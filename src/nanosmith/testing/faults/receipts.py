"""What was acknowledged to clients, and whether the server still has it."""

from __future__ import annotations

import hashlib
from collections import Counter
from threading import Lock
from typing import Any

import msgspec

from nanosmith.jobs.messages import COMPLETED
from nanosmith.server.models.models import OWNER
from nanosmith.testing.faults.client import Client, Reply
from nanosmith.testing.faults.folder import CHECKPOINT, MODEL
from nanosmith.testing.faults.found import Findings

MARK = "n"
"""The key of the metadata that tells one thing that was created from all others."""
FILES, JOBS, BATCHES, COMPLETIONS = "/files", "/fine_tuning/jobs", "/batches", "/chat/completions"
PAGE = {FILES: 10_000}
ENDED = {JOBS: ("succeeded", "failed", "cancelled"), BATCHES: ("completed", "failed", "expired", "cancelled")}
EVENTS = 1000


class Receipts:
    """Filled by several threads; `files` has the SHA-256 of each file, the others their mark, by path and id."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = Lock()
        self._new: set[str] = set()
        self.files: dict[str, str] = {}
        self.marks: dict[str, dict[str, str]] = {JOBS: {}, BATCHES: {}, COMPLETIONS: {}}
        self.lines: dict[str, list[str]] = {}
        """The custom ids of each batch."""

    def add_file(self, id: str, content: bytes) -> None:
        with self._lock:
            self.files[id] = hashlib.sha256(content).hexdigest()
            self._new.add(id)

    def add(self, path: str, id: str, mark: str, lines: list[str] | None = None) -> None:
        with self._lock:
            self.marks[path][id] = mark
            self._new.add(id)
            self.lines |= {id: lines} if lines else {}

    @property
    def count(self) -> int:
        return len(self.files) + sum(len(marks) for marks in self.marks.values())

    @property
    def work(self) -> list[str]:
        """The paths of all jobs and batches."""
        return [f"{path}/{id}" for path in (JOBS, BATCHES) for id in self.marks[path]]

    def check(self, found: Findings, *, everything: bool = False) -> None:
        """Everything is listed, once; of what is new since the last time, or of everything, all bytes are right."""
        with self._lock:
            files, marks = dict(self.files), {path: dict(of) for path, of in self.marks.items()}
            new, self._new = self._new, set()
        self._check_listed(FILES, set(files), found)
        for path, marked in marks.items():
            rows = self._check_listed(path, set(marked), found)
            twice = Counter((row["metadata"] or {}).get(MARK) for row in rows)
            found.duplicates += [f"{count} of {path} {mark}" for mark, count in twice.items() if count > 1]
        for id in files if everything else new & files.keys():
            reply = self._client.get(f"{FILES}/{id}/content")
            _compare(f"{FILES}/{id}", reply, hashlib.sha256(reply.content).hexdigest() == files[id], found)
        for path, marked in marks.items():
            for id in marked if everything else new & marked.keys():
                reply = self._client.get(f"{path}/{id}")
                _compare(f"{path}/{id}", reply, marked[id].encode() in reply.content, found)

    def _check_listed(self, path: str, ids: set[str], found: Findings) -> list[dict[str, Any]]:
        rows = self._client.all(path, PAGE.get(path, 100))
        found.lost += [f"{path}/{id}" for id in sorted(ids - {row["id"] for row in rows})]
        return rows

    def is_done(self) -> bool:
        """Whether all jobs and batches have come to an end."""
        return all(row["status"] in ENDED[path] for path in (JOBS, BATCHES) for row in self._client.all(path))

    def check_jobs(self, found: Findings) -> None:
        """Each has succeeded, once, with one final model; there are no other models."""
        jobs = self._client.all(JOBS)
        for job in jobs:
            self._check_job(job, found)
        listed = self._client.get("/models").json["data"]
        models = {row["id"] for row in listed if row["owned_by"] != OWNER}
        finals = {job["fine_tuned_model"] for job in jobs}
        found.lost += [f"the model {name}" for name in sorted(finals - models - {None})]
        others = {name for name in models if name.partition(CHECKPOINT)[0] not in finals | {MODEL}}
        found.duplicates += [f"a model besides, {name}" for name in sorted(others)]

    def _check_job(self, job: dict[str, Any], found: Findings) -> None:
        id = job["id"]
        if job["status"] != "succeeded":
            found.wrong.append(f"{id} has {job['status']}: {job['error']}")
            return
        events = self._client.get(f"{JOBS}/{id}/events?limit={EVENTS}").json["data"]
        said = [event["message"] for event in events].count(COMPLETED)
        if said != 1:
            found.duplicates.append(f"{said} messages of success of {id}")
        if len(job["result_files"]) != 1 or not self._client.get(f"{FILES}/{job['result_files'][0]}/content").is_good:
            found.lost.append(f"the result file of {id}")
        reply = self._client.post(
            COMPLETIONS, {"model": job["fine_tuned_model"], "messages": [{"role": "user", "content": "refund"}]}
        )
        if not reply.is_good:
            found.lost.append(f"the answers of {job['fine_tuned_model']} ({reply.content.decode()[:200]})")

    def check_batches(self, found: Findings) -> None:
        """Each is completed, and each of its requests was answered once."""
        for id, lines in self.lines.items():
            batch = self._client.get(f"{BATCHES}/{id}").json
            if batch["status"] != "completed":
                found.wrong.append(f"{id} is {batch['status']}: {batch.get('errors')}")
                continue
            output = self._client.get(f"{FILES}/{batch.get('output_file_id')}/content").content
            answered = Counter(msgspec.json.decode(line)["custom_id"] for line in output.splitlines())
            found.lost += [f"line {line} of {id}" for line in lines if line not in answered]
            found.duplicates += [f"line {line} of {id}" for line, count in answered.items() if count > 1]


def _compare(what: str, reply: Reply, is_same: bool, found: Findings) -> None:
    if not reply.is_good:
        found.lost.append(f"{what} ({reply.status})")
    elif not is_same:
        found.wrong.append(f"{what} has another content")
