"""Batches with the official client, a real server and real worker processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from openai import OpenAI
from openai.types import Batch
from tests.server.conftest import add_writer

from nanosmith.jobs import run
from nanosmith.jobs.batches.input import Line
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.server.batches.lines import opened
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import Document, FileRow, Work

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture(scope="module")
def worked(models: Path, tmp_path_factory: pytest.TempPathFactory, start: Any) -> Iterator[Any]:
    """One server with a worker, for all tests of this file."""
    root = tmp_path_factory.mktemp("worked")
    shutil.copytree(models, root, dirs_exist_ok=True)
    home = Home(root)
    supervisor = Supervisor(home, poll_s=0.05)
    with start(home) as served:
        supervisor.start()
        yield served
        supervisor.stop()


@pytest.fixture(scope="module")
def client(worked: Any) -> Iterator[OpenAI]:
    with worked.client() as client:
        yield client


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}]} | more


def jsonl(bodies: list[Any], url: str = CHAT) -> bytes:
    rows = [{"custom_id": f"r{i}", "method": "POST", "url": url, "body": body} for i, body in enumerate(bodies)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def create(client: OpenAI, content: bytes, endpoint: Any = CHAT, **more: Any) -> Batch:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


def wait_for(client: OpenAI, id: str, true: Callable[[Batch], Any], within_s: float = 60) -> Batch:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        batch = client.batches.retrieve(id)
        if true(batch):
            return batch
        time.sleep(0.05)
    raise AssertionError(f"still {batch.status} after {within_s} s")


def ended(batch: Batch) -> bool:
    return batch.status in ENDED


def lines_of(client: OpenAI, file: str | None) -> list[Any]:
    return [json.loads(line) for line in client.files.content(file).text.splitlines()] if file else []


def test_a_batch_from_end_to_end(client: OpenAI) -> None:
    """Requests are answered as by the live endpoint, refused ones are in the error file; the object is complete."""
    good = [chat("where is my refund"), chat("login", logprobs=True, top_logprobs=2), chat("refund", stream=False)]
    bad = [chat("x", tools=[{"type": "function"}]), chat("x", model="no-such"), chat("x", stream=True), {}]
    made = create(
        client, jsonl(good + bad), metadata={"kind": "test"},
        output_expires_after={"anchor": "created_at", "seconds": 3600},
    )  # fmt: skip
    assert made.id.startswith("batch_")
    assert (made.object, made.endpoint, made.metadata) == ("batch", CHAT, {"kind": "test"})
    assert made.expires_at == made.created_at + 24 * 3600
    done = wait_for(client, made.id, ended)
    assert (done.status, done.errors, done.model) == ("completed", None, None)
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (7, 3, 4)
    assert made.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at  # type: ignore[operator]
    output, errors = lines_of(client, done.output_file_id), lines_of(client, done.error_file_id)
    assert [line["custom_id"] for line in output] == ["r0", "r1", "r2"]
    for line, body in zip(output, good, strict=True):
        live = client.chat.completions.create(**body)
        assert line["response"]["status_code"] == 200
        assert line["response"]["request_id"].startswith("req_")
        assert line["error"] is None
        told = line["response"]["body"]
        assert told["choices"] == live.to_dict()["choices"]
        assert told["usage"] == live.usage.to_dict()  # type: ignore[union-attr]
    found = [(line["custom_id"], line["response"]["status_code"]) for line in errors]
    assert found == [("r3", 400), ("r4", 404), ("r5", 400), ("r6", 400)]
    said = [line["response"]["body"]["error"] for line in errors]
    assert [(one["param"], one["code"]) for one in said] == [
        ("tools", "unsupported_parameter"), ("model", "model_not_found"), ("stream", "unsupported_parameter"),
        ("model", "missing_required_parameter"),
    ]  # fmt: skip
    assert done.usage is not None
    usages = [line["response"]["body"]["usage"] for line in output]
    assert done.usage.input_tokens == sum(one["prompt_tokens"] for one in usages)
    assert done.usage.output_tokens == sum(one["completion_tokens"] for one in usages)
    file = client.files.retrieve(done.output_file_id or "")
    assert (file.purpose, file.expires_at) == ("batch_output", file.created_at + 3600)
    assert next(iter(client.batches.list())) == done


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/responses", {"model": "tiny", "input": "where is my refund", "metadata": {"a": "b"}}),
        ("/v1/embeddings", {"model": "tiny", "input": "where is my refund", "encoding_format": "base64"}),
        ("/v1/decisions", {"model": "tiny", "input": "refund", "questions": [{"type": "predicate", "name": "refund"}]}),
    ],
)
def test_the_other_endpoints(client: OpenAI, endpoint: str, body: dict[str, Any]) -> None:
    """Each is answered; a response is kept, and can be retrieved."""
    if endpoint == "/v1/decisions":
        body["questions"][0]["instructions"] = "refund"
    done = wait_for(client, create(client, jsonl([body] * 2, endpoint), endpoint).id, ended)
    output = lines_of(client, done.output_file_id)
    assert (done.status, done.model, len(output)) == ("completed", "tiny", 2), lines_of(client, done.error_file_id)
    if endpoint == "/v1/responses":
        ids = [line["response"]["body"]["id"] for line in output]
        assert [client.responses.retrieve(id).output_text for id in ids] == ["refund", "refund"]
        assert len(set(ids)) == 2


def test_killed_in_the_middle(worked: Any, client: OpenAI) -> None:
    """After kill -9 of its process every request is answered once, and what it stores is stored once."""
    count = 2000
    made = create(client, jsonl([chat(f"refund {i}", store=True, metadata={"n": str(i)}) for i in range(count)]))
    wait_for(client, made.id, lambda one: one.request_counts.completed > 0)
    work = worked.services.ledger.work(made.id)
    os.kill(int(work.owner.rpartition(":")[2]), signal.SIGKILL)
    done = wait_for(client, made.id, ended)
    assert (done.status, done.error_file_id) == ("completed", None)
    output = lines_of(client, done.output_file_id)
    assert [line["custom_id"] for line in output] == [f"r{i}" for i in range(count)]
    stored = worked.services.ledger.documents("chat.completion", limit=2 * count)
    assert sorted(row.id for row in stored) == sorted(line["response"]["body"]["id"] for line in output)


def test_cancelled_in_the_middle(client: OpenAI) -> None:
    """Within seconds it is cancelled, with the answers that it has; a second cancel is refused."""
    made = create(client, jsonl([chat("refund")] * 20_000))
    wait_for(client, made.id, lambda one: one.request_counts.completed > 0)
    asked = time.monotonic()
    assert client.batches.cancel(made.id).status == "cancelling"
    done = wait_for(client, made.id, ended)
    assert time.monotonic() - asked < 15  # 1 s on an idle machine
    assert done.status == "cancelled"
    assert done.created_at <= done.cancelling_at <= done.cancelled_at  # type: ignore[operator]
    output, errors = lines_of(client, done.output_file_id), lines_of(client, done.error_file_id)
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (len(output), len(errors))
    assert 0 < len(output) < 20_000
    assert [line["custom_id"] for line in output + errors] == [f"r{i}" for i in range(20_000)]
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.batches.cancel(made.id)
    assert refused.value.code == "batch_ended"


def test_cancelled_while_it_waits(client: OpenAI) -> None:
    """A batch that no process has is cancelled too."""
    first = create(client, jsonl([chat("refund")] * 20_000))
    second = create(client, jsonl([chat("refund")]))
    assert client.batches.cancel(second.id).status == "cancelling"
    assert wait_for(client, second.id, ended).status == "cancelled"
    client.batches.cancel(first.id)
    assert wait_for(client, first.id, ended).status == "cancelled"


def test_bad_lines(client: OpenAI) -> None:
    """The batch fails, and each bad line is named with its number."""
    content = jsonl([chat("a"), chat("b")]) + b"not json\n" + jsonl([chat("c")])
    done = wait_for(client, create(client, content).id, ended)
    assert done.status == "failed"
    assert done.failed_at is not None
    assert done.errors is not None
    assert done.errors.data is not None
    assert [(one.line, one.code) for one in done.errors.data] == [(3, "invalid_json_line"), (4, "duplicate_custom_id")]
    assert (done.output_file_id, done.error_file_id) == (None, None)


def test_refused_at_once(worked: Any, client: OpenAI) -> None:
    """What can be seen when a batch is created is a 400 that names the field, and makes no batch."""
    good = client.files.create(file=("in.jsonl", jsonl([chat("a")])), purpose="batch")
    other = client.files.create(file=("in.jsonl", b"x"), purpose="fine-tune")
    row = worked.services.ledger.file(good.id)
    large = msgspec.structs.replace(row, id="file-large", bytes=300 * 1024**2)
    worked.services.ledger.add(large)
    before = len(list(client.batches.list()))
    for wrong, param, code in (
        ({"endpoint": "/v1/images/generations"}, "endpoint", "invalid_value"),
        ({"input_file_id": "file-none"}, "input_file_id", "invalid_file"),
        ({"input_file_id": other.id}, "input_file_id", "invalid_file"),
        ({"input_file_id": large.id}, "input_file_id", "file_too_large"),
        ({"completion_window": "1h"}, "completion_window", "invalid_value"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after.seconds", None),
        ({"metadata": {"k" * 65: "v"}}, "metadata", "invalid_value"),
    ):
        given: Any = {"input_file_id": good.id, "endpoint": CHAT, "completion_window": "24h"} | wrong
        with pytest.raises(openai.BadRequestError) as refused:
            client.batches.create(**given)
        assert refused.value.param == param
        assert refused.value.code == code or code is None
    assert len(list(client.batches.list())) == before
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            call("batch_none")


def test_created_once(client: OpenAI) -> None:
    """A request that is sent twice makes one batch."""
    file = client.files.create(file=("in.jsonl", jsonl([chat("a")])), purpose="batch")
    given: Any = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    first, second = (
        client.batches.create(**given, extra_headers={"Idempotency-Key": f"key-{file.id}"}) for _ in range(2)
    )
    retried = client.batches.create(**given, extra_headers={"x-stainless-retry-count": "1"})
    assert first.id == second.id
    assert retried.id in (first.id, second.id)
    assert client.batches.create(**given).id != first.id


def test_pages(client: OpenAI) -> None:
    """Newest first, in pages."""
    made = [create(client, jsonl([chat("a")])).id for _ in range(3)]
    page = client.batches.list(limit=2)
    assert [batch.id for batch in page.data] == made[:0:-1]
    assert page.has_more
    assert page.get_next_page().data[0].id == made[0]


def test_a_batch_sees_its_own_project(stocked: Home) -> None:
    """The models of another project are not there."""
    with closing(Ledger(stocked.ledger)) as ledger:
        theirs, content = ledger.of("proj_b"), jsonl([chat("refund")])
        blob = open_blobs(stocked.of("proj_b")).put([content])
        body = {
            "endpoint": CHAT, "input_file_id": "file-b", "expires_at": time.time() + 60, "request_counts": {"total": 0}
        }  # fmt: skip
        theirs.add(
            FileRow("file-b", 1, len(content), "in.jsonl", "batch", blob.sha256),
            Document("batch", "batch_b", 1, body, status="validating"), Work("batch_b", "batch"),
        )  # fmt: skip
        run.main("batch_b", stocked)
        done = theirs.document("batch", "batch_b")
        assert done is not None
        assert (done.status, done.body["request_counts"]["failed"]) == ("completed", 1)
        file = theirs.file(done.body["error_file_id"])
        assert file is not None
        said = json.loads(open_blobs(stocked.of("proj_b")).path(file.sha256).read_bytes())
        assert said["response"]["body"]["error"]["code"] == "model_not_found"
        assert ledger.document("batch", "batch_b") is None


def test_texts(home: Home) -> None:
    """Lines of a text model are written in turns; an error of one is its own."""
    home.bundles.mkdir(exist_ok=True)
    add_writer(home, "writer")
    bodies = [chat("say: one two", model="writer"), chat("word " * 300, model="writer")]
    row = Document("batch", "batch_a", 1, {"endpoint": CHAT})
    with closing(open_ledger(home)) as ledger, opened(ledger, home, row) as answer:
        waiting = [answer(Line(i, f"r{i}", json.dumps(body).encode())) for i, body in enumerate(bodies)]
        first, second = (one.result(20) for one in waiting)
    assert json.loads(first.body)["choices"][0]["message"]["content"] == "one two"
    assert (second.status, json.loads(second.body)["error"]["code"]) == (400, "context_length_exceeded")
