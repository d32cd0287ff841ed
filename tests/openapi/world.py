"""A server with something of everything in it: jobs, batches and eval runs that have ended, completions, responses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from openai import OpenAI
from tests.server.conftest import add_models, running

from nanosmith.jobs.supervisor import Supervisor
from nanosmith.store.home import open_home
from nanosmith.testing import topic_rows, write_chat

TURN: Any = [{"role": "user", "content": "my refund"}]
CRITERION = {
    "type": "string_check", "name": "same", "input": "{{sample.output_text}}", "reference": "{{item.label}}",
    "operation": "eq",
}  # fmt: skip
ITEM = {"type": "object", "properties": {"text": {"type": "string"}, "label": {"type": "string"}}}


class World(msgspec.Struct, frozen=True):
    """Its address, as for clients, and what is in it from the beginning, by the names of parameters."""

    url: str
    known: dict[str, str]


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Workers run only while it is made, so what is created later stays queued."""
    home = open_home(folder)
    add_models(home)
    supervisor = Supervisor(home, poll_s=0.05, tune="nanosmith.testing:slow_tune")
    with running(home) as served:
        supervisor.start()
        with OpenAI(base_url=f"{served.url}/v1", api_key="any") as client:
            known = _fill(client, folder)
        supervisor.stop()
        yield World(f"{served.url}/v1", known)


def _fill(client: OpenAI, folder: Path) -> dict[str, str]:
    training = client.files.create(file=write_chat(folder / "train.jsonl", topic_rows()), purpose="fine-tune").id
    job = client.fine_tuning.jobs.create(model="nanosmith-nano", training_file=training)
    batch = client.batches.create(
        input_file_id=client.files.create(file=("batch.jsonl", _lines()), purpose="batch").id,
        endpoint="/v1/chat/completions", completion_window="24h",
    )  # fmt: skip
    run_id, eval_id = _eval_run(client)
    for i in range(3):
        client.chat.completions.create(model="tiny", messages=TURN, store=True, metadata={"i": str(i)}, logprobs=True)
        client.responses.create(model="tiny", input="my login")
    _until(lambda: client.fine_tuning.jobs.retrieve(job.id), "succeeded")
    _until(lambda: client.batches.retrieve(batch.id), "completed")
    _until(lambda: client.evals.runs.retrieve(run_id, eval_id=eval_id), "completed")
    item = client.evals.runs.output_items.list(run_id, eval_id=eval_id).data[0]
    return {
        "fine_tuning_job_id": job.id, "batch_id": batch.id, "eval_id": eval_id, "run_id": run_id,
        "output_item_id": item.id,
    }  # fmt: skip


def _lines() -> bytes:
    rows = [
        {"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": {"model": m, "messages": TURN}}
        for i, m in enumerate(("tiny", "none"))
    ]
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _eval_run(client: OpenAI) -> tuple[str, str]:
    config: Any = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
    criteria: Any = [CRITERION]
    made = client.evals.create(data_source_config=config, testing_criteria=criteria, name="topics")
    rows = [{"item": {"text": "my refund", "label": "refund"}}, {"item": {"text": "my login", "label": "refund"}}]
    asked: Any = {
        "type": "completions", "model": "tiny", "source": {"type": "file_content", "content": rows},
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.text}}"}]},
    }  # fmt: skip
    return client.evals.runs.create(made.id, data_source=asked).id, made.id


def _until(read: Callable[[], Any], status: str, limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while (found := read()).status != status:
        assert found.status not in ("failed", "cancelled"), found
        assert time.monotonic() < end, found
        time.sleep(0.05)
