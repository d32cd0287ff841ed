"""client.batches: worked off to their end, and cancelled."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import refused, until

ENDPOINT = "/v1/chat/completions"


def line(id: str, text: str, model: str = "tiny") -> str:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return json.dumps({"custom_id": id, "method": "POST", "url": ENDPOINT, "body": body})


def create(client: OpenAI, *lines: str, **options: Any) -> Any:
    file = client.files.create(file=("batch.jsonl", "\n".join(lines).encode()), purpose="batch")
    given: Any = {"input_file_id": file.id, "endpoint": ENDPOINT, "completion_window": "24h"} | options
    return client.batches.create(**given)


def answers(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    """The lines of a file, by their custom_id."""
    assert file_id is not None
    lines = map(json.loads, client.files.content(file_id).text.splitlines())
    return {one["custom_id"]: one["response"] for one in lines}


@pytest.fixture(scope="module")
def done(client: OpenAI) -> Any:
    """A batch of three requests that has been worked off; one of them fails."""
    lines = [line("a", "refund"), line("b", "login"), line("c", "refund", model="unheard-of")]
    expires: Any = {"anchor": "created_at", "seconds": 3600}
    made = create(client, *lines, metadata={"a": "b"}, extra_body={"output_expires_after": expires})
    assert made.status in ("validating", "in_progress")
    return until(lambda: client.batches.retrieve(made.id), "completed")


def test_create(client: OpenAI, done: Any) -> None:
    """What succeeded and what failed, in a file each; the object counts them."""
    assert (done.object, done.endpoint, done.completion_window, done.metadata) == ("batch", ENDPOINT, "24h", {"a": "b"})
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
    assert done.created_at <= done.in_progress_at <= done.completed_at < done.expires_at
    right = answers(client, done.output_file_id)
    said = {id: one["body"]["choices"][0]["message"]["content"] for id, one in right.items()}
    assert said == {"a": "refund", "b": "login"}
    wrong = answers(client, done.error_file_id)["c"]
    assert (wrong["status_code"], wrong["body"]["error"]["code"]) == (404, "model_not_found")
    assert client.files.retrieve(done.output_file_id).purpose == "batch_output"


def test_create_with_a_bad_file(client: OpenAI) -> None:
    """A batch whose file cannot be used fails, and says which line it is."""
    made = create(client, line("a", "refund"), "no JSON")
    failed = until(lambda: client.batches.retrieve(made.id), "failed")
    assert failed.errors.data[0].line == 2
    assert failed.failed_at >= failed.created_at


def test_create_refused(client: OpenAI) -> None:
    """An unknown endpoint, file and window are 400s."""
    for options, param in (
        ({"endpoint": "/v1/unheard-of"}, "endpoint"),
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": "x" * 513}}, None),
    ):
        with refused(param=param):
            create(client, line("a", "refund"), **options)


def test_retrieve(client: OpenAI, done: Any) -> None:
    """The same batch again; another id is a 404."""
    assert client.batches.retrieve(done.id) == done
    with refused(openai.NotFoundError):
        client.batches.retrieve("batch_none")


def test_list(client: OpenAI, done: Any) -> None:
    """All batches, page by page; a wrong cursor is a 400."""
    assert done in list(client.batches.list(limit=1))
    with refused(param="after"):
        client.batches.list(after="batch_none")


def test_cancel(client: OpenAI, done: Any) -> None:
    """A batch under way is cancelled, with what was answered; one that has ended is not."""
    made = create(client, *(line(str(i), "refund") for i in range(2000)))
    assert client.batches.cancel(made.id).status in ("cancelling", "cancelled")
    ended = until(lambda: client.batches.retrieve(made.id), "cancelled")
    assert ended.cancelled_at >= ended.cancelling_at
    with refused():
        client.batches.cancel(done.id)
    with refused(openai.NotFoundError):
        client.batches.cancel("batch_none")
