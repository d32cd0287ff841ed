"""Evals, their runs and output items: how they are kept, and as what they are shown.

Each is a Document; the parent of a run is its eval, that of an output item its run. Only the process that grades a run
writes the run's body, and only its status is changed by others.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.store.records import Document

EVAL = "eval"
RUN = "eval.run"
ITEM = "eval.run.output_item"
OPEN = ("queued", "in_progress")
RUN_STATUSES = (*OPEN, "completed", "canceled", "failed")
ITEM_STATUSES = {"pass": "pass", "fail": "fail", "failed": "fail", "error": "error"}
"""Filters of output items; OpenAI's reference has both names for those that failed."""
KEY = "key"
"""Of a run's body: the key that made it, whose budgets its calls count to."""
NO_ERROR = {"code": "", "message": ""}
"""What OpenAI's types want where there was no error."""


class Counts(msgspec.Struct):
    """Of a run's first `done` rows: by status of the item, by criterion and by model that was asked."""

    done: int
    items: dict[str, int]
    criteria: dict[str, dict[str, int]]
    models: dict[str, dict[str, int]]

    @classmethod
    def none(cls, criteria: list[dict[str, Any]]) -> Counts:
        none = {"passed": 0, "failed": 0, "errored": 0}
        return cls(0, {"pass": 0, "fail": 0, "error": 0}, {one["id"]: dict(none) for one in criteria}, {})


def eval_object(row: Document) -> dict[str, Any]:
    return {
        "id": row.id, "object": EVAL, "created_at": row.created_at, "name": row.body["name"],
        "data_source_config": row.body["data_source_config"], "testing_criteria": row.body["testing_criteria"],
        "metadata": row.metadata or {},
    }  # fmt: skip


def run_object(row: Document, base_url: str) -> dict[str, Any]:
    counts, source = msgspec.convert(row.body["counts"], Counts), row.body["data_source"]
    items = counts.items
    return {
        "id": row.id, "object": RUN, "created_at": row.created_at, "eval_id": row.parent, "status": row.status,
        "name": row.body["name"], "model": source.get("model") or "", "data_source": source,
        "report_url": f"{base_url}/v1/evals/{row.parent}/runs/{row.id}",
        "result_counts": {
            "total": counts.done, "passed": items["pass"], "failed": items["fail"], "errored": items["error"],
        },
        "per_testing_criteria_results": [{"testing_criteria": id} | one for id, one in counts.criteria.items()],
        "per_model_usage": [_model_usage(name, one) for name, one in counts.models.items()],
        "error": row.body["error"] or NO_ERROR, "metadata": row.metadata or {},
    }  # fmt: skip


def item_object(row: Document, eval_id: str) -> dict[str, Any]:
    shown = {name: row.body[name] for name in ("datasource_item_id", "datasource_item", "results", "sample")}
    head = {"id": row.id, "object": ITEM, "created_at": row.created_at, "status": row.status}
    return head | {"eval_id": eval_id, "run_id": row.parent} | shown


def _model_usage(name: str, used: dict[str, int]) -> dict[str, Any]:
    prompt, completion = used["prompt_tokens"], used["completion_tokens"]
    return {
        "model_name": name, "invocation_count": used["invocation_count"], "prompt_tokens": prompt,
        "completion_tokens": completion, "total_tokens": prompt + completion, "cached_tokens": 0,
    }  # fmt: skip
