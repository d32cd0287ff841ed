"""Evals over the tiny models, and what runs them: the criteria and rows that several tests have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.conftest import Served, running

from nanosmith.jobs.run import main
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.store.home import Home

ITEM_SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "label": {"type": "string"},
        "notes": {"type": "array", "items": {"type": "object", "properties": {"by": {"type": "string"}}}},
        "free": {"type": "object"},
    },
    "required": ["text", "label"],
}
CUSTOM = {"type": "custom", "item_schema": ITEM_SCHEMA, "include_sample_schema": True}
RIGHT = {
    "type": "string_check", "name": "right label", "input": "{{ sample.output_text }}",
    "reference": "{{ item.label }}", "operation": "eq",
}  # fmt: skip
NEAR = {
    "type": "text_similarity", "name": "near", "input": "{{ sample.output_text }}", "reference": "{{ item.label }}",
    "evaluation_metric": "rouge_1", "pass_threshold": 0.5,
}  # fmt: skip
ASK = [{"role": "developer", "content": "Which topic?"}, {"role": "user", "content": "{{ item.text }}"}]
LABEL = {
    "type": "label_model", "name": "topic", "model": "tiny", "input": ASK, "labels": ["refund", "login", "other"],
    "passing_labels": ["refund"],
}  # fmt: skip
SCORE = {"type": "score_model", "name": "stars", "model": "numbers", "input": ASK, "range": [0, 5], "pass_threshold": 4}
TEMPLATE = {"type": "template", "template": ASK}
ROWS = [
    {"item": {"text": "my refund", "label": "refund"}},
    {"item": {"text": "the login fails", "label": "login"}},
    {"item": {"text": "my refund", "label": "delivery"}},
]


def make(client: OpenAI, *criteria: Any, config: Any = CUSTOM, **options: Any) -> Any:
    given = {"name": "Tickets", "metadata": {"team": "support"}} | options
    return client.evals.create(data_source_config=config, testing_criteria=list(criteria or (RIGHT,)), **given)


def inline(*rows: Any) -> dict[str, Any]:
    return {"type": "file_content", "content": list(rows)}


def jsonl(*rows: Any) -> dict[str, Any]:
    return {"type": "jsonl", "source": inline(*rows)}


def completions(*rows: Any, model: str = "tiny", **options: Any) -> dict[str, Any]:
    source = options.pop("source", None) or inline(*rows)
    return {"type": "completions", "model": model, "input_messages": TEMPLATE, "source": source} | options


class Runner:
    """A client of a server without workers, whose runs are worked off when asked."""

    def __init__(self, served: Served) -> None:
        self.home = served.home
        self.ledger = served.services.ledger
        self.client = served.client()
        self.evals = self.client.evals
        self.http = httpx.Client(base_url=f"{served.url}/v1", timeout=20)

    def run(self, source: Any, *criteria: Any, config: Any = CUSTOM, **options: Any) -> Any:
        """A run of a new eval, at its end."""
        made = make(self.client, *criteria, config=config)
        run = self.evals.runs.create(made.id, data_source=source, **options)
        assert run.status == "queued"
        main(run.id, self.home)
        return self.evals.runs.retrieve(run.id, eval_id=made.id)

    def items(self, run: Any, **options: Any) -> list[Any]:
        return list(self.evals.runs.output_items.list(run.id, eval_id=run.eval_id, **options))

    def refused(self, source: Any, **body: Any) -> openai.APIStatusError:
        made = make(self.client)
        with pytest.raises(openai.APIStatusError) as caught:
            self.evals.runs.create(made.id, data_source=source, **body)
        assert list(self.evals.runs.list(made.id)) == []
        return caught.value

    def upload(self, content: bytes, purpose: Any = "evals") -> dict[str, Any]:
        file = self.client.files.create(file=("rows.jsonl", content), purpose=purpose)
        return {"type": "file_id", "id": file.id}


@pytest.fixture
def runner(fresh: Served) -> Iterator[Runner]:
    made = Runner(fresh)
    yield made
    made.client.close()
    made.http.close()


@pytest.fixture
def working(stocked: Home) -> Iterator[Runner]:
    """A server with a worker."""
    supervisor = Supervisor(stocked, poll_s=0.05)
    supervisor.start()
    with running(stocked, supervisor=supervisor) as served:
        made = Runner(served)
        yield made
        made.client.close()
        made.http.close()
        supervisor.stop()
