"""client.webhooks: deliveries of a real server, which every release of the client verifies."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import plain_environment

EVENTS = ["fine_tuning.job.cancelled", "batch.failed"]
OTHER_SECRET = "whsec_" + "A" * 43 + "="
LIMIT_S = 60


class Receiver(BaseHTTPRequestHandler):
    """Puts each delivery, headers and body, into the queue of its server."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.put((dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Any]:
    """A server that webhooks are sent to; it listens before anything is sent."""
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.received = queue.Queue()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def secret(server: tuple[str, str], receiver: Any) -> str:
    """The secret of an address that is told of events."""
    command = [sys.executable, "-m", "nanosmith", "webhooks", "add", f"http://127.0.0.1:{receiver.server_port}/hook"]
    options = [word for event in EVENTS for word in ("--event", event)] + ["--home", server[1]]
    done = subprocess.run([*command, *options], env=plain_environment(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def deliveries(client: OpenAI, receiver: Any, secret: str, training_file: str) -> dict[str, Any]:
    """What was sent when a job was cancelled and a batch failed: headers and body by the id of the object."""
    job = client.fine_tuning.jobs.create(model="nanosmith-nano", training_file=training_file)
    client.fine_tuning.jobs.cancel(job.id)
    file = client.files.create(file=("bad.jsonl", b"no JSON"), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    found: dict[str, Any] = {}
    while found.keys() < {job.id, batch.id}:
        headers, body = receiver.received.get(timeout=LIMIT_S)
        found[json.loads(body)["data"]["id"]] = headers, body
    return found


def test_unwrap(client: OpenAI, secret: str, deliveries: dict[str, Any]) -> None:
    """Every delivery is an event of the client's types, about the object that it names; another secret opens none."""
    kinds = set()
    for id, (headers, body) in deliveries.items():
        event: Any = client.webhooks.unwrap(body, headers, secret=secret)
        assert type(event).model_validate_json(body, strict=True) == event
        assert (event.object, event.data.id) == ("event", id)
        kinds.add(event.type)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, headers, secret=OTHER_SECRET)
    assert kinds == set(EVENTS)


def test_verify_signature(client: OpenAI, secret: str, deliveries: dict[str, Any]) -> None:
    """The signature is that of the body."""
    for headers, body in deliveries.values():
        client.webhooks.verify_signature(body, headers, secret=secret)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.verify_signature(body + b" ", headers, secret=secret)
