"""What users save from OpenAI's API: objects with all the fields that it sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nanosmith.testing import topic_rows, write_chat

OLD_MODEL = "ft:gpt-4.1-nano-2025-04-14:acme:support:AbCd1234"
COMPLETION = "chatcmpl-AyPNinnUqUDYo9SAdA52NobMflmj"


def job(**changes: Any) -> dict[str, Any]:
    """A job that has succeeded, as GET /fine_tuning/jobs/{id} shows it."""
    values = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8}
    made: dict[str, Any] = {
        "object": "fine_tuning.job", "id": "ftjob-abc123", "model": "gpt-4.1-nano-2025-04-14",
        "created_at": 1721764800, "finished_at": 1721767000, "fine_tuned_model": OLD_MODEL,
        "organization_id": "org-123", "result_files": ["file-res1"], "status": "succeeded",
        "validation_file": "file-valid1", "training_file": "file-train1", "hyperparameters": values,
        "trained_tokens": 5768, "error": {"code": None, "message": None, "param": None}, "integrations": [],
        "seed": 683058546, "estimated_finish": None, "user_provided_suffix": "support", "usage_metrics": None,
        "method": {"type": "supervised", "supervised": {"hyperparameters": values}}, "metadata": {"team": "help"},
        "shared_with_openai": False,
    }  # fmt: skip
    return made | changes


def file(id: str, path: Path, **changes: Any) -> dict[str, Any]:
    """A file object, as GET /files lists it."""
    made: dict[str, Any] = {
        "object": "file", "id": id, "bytes": path.stat().st_size, "created_at": 1721764700, "expires_at": None,
        "filename": path.name, "purpose": "fine-tune", "status": "processed", "status_details": None,
    }  # fmt: skip
    return made | changes


def completion(number: int = 0, answer: str | None = "refund", **changes: Any) -> dict[str, Any]:
    """A stored completion, as GET /chat/completions lists it: without its request's messages."""
    made: dict[str, Any] = {
        "object": "chat.completion", "id": f"{COMPLETION}{number}", "model": "gpt-4o-2024-08-06",
        "created": 1738960610 + number, "request_id": "req_ded8ab984ec4bf840f37566c1011c417", "tool_choice": None,
        "usage": {"total_tokens": 31, "completion_tokens": 18, "prompt_tokens": 13}, "seed": 4944116822809979520,
        "top_p": 1.0, "temperature": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
        "system_fingerprint": "fp_50cad350e4", "input_user": None, "service_tier": "default", "tools": None,
        "metadata": {"usecase": "support"}, "response_format": None,
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": None,
            "message": {"content": answer, "role": "assistant", "tool_calls": None, "function_call": None},
        }],
    }  # fmt: skip
    return made | changes


def messages(number: int = 0, text: str = "where is my money") -> list[dict[str, Any]]:
    """Those of its request, as GET /chat/completions/{id}/messages lists them."""
    id = f"{COMPLETION}{number}"
    parts = [{"type": "text", "text": text}]
    return [
        {"id": f"{id}-0", "role": "system", "content": "Name the topic.", "name": None, "content_parts": None},
        {"id": f"{id}-1", "role": "user", "content": None, "name": None, "content_parts": parts},
    ]


def eval_(**changes: Any) -> dict[str, Any]:
    """An eval over rows of one's own, as GET /evals/{id} shows it."""
    schema = {
        "type": "object", "required": ["item", "sample"],
        "properties": {
            "item": {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]},
            "sample": {"type": "object", "properties": {"output_text": {"type": "string"}}},
        },
    }  # fmt: skip
    grader = {
        "name": "Same label", "id": "Same label-9b876f24-4762-4be9-aff4-db7a9b31c673", "type": "string_check",
        "input": "{{sample.output_text}}", "reference": "{{item.label}}", "operation": "eq",
    }  # fmt: skip
    made: dict[str, Any] = {
        "object": "eval", "id": "eval_67abd54d9b0081909a86353f6fb9317a", "name": "External Data Eval",
        "data_source_config": {"type": "custom", "schema": schema}, "testing_criteria": [grader],
        "created_at": 1739314509, "metadata": {"test": "synthetics"},
    }  # fmt: skip
    return made | changes


def page(data: list[dict[str, Any]]) -> dict[str, Any]:
    ids = [one["id"] for one in data] or [None]
    return {"object": "list", "data": data, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}


def save(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return path


def save_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def save_all(folder: Path) -> Path:
    """Something of everything: 2 files, 1 job, 3 completions with their messages, 1 eval."""
    folder.mkdir(exist_ok=True)
    train = write_chat(folder / "train.jsonl", topic_rows(30))
    valid = write_chat(folder / "valid.jsonl", topic_rows(36)[30:])
    save(folder / "files.json", page([file("file-train1", train), file("file-valid1", valid)]))
    save(folder / "jobs.json", page([job()]))
    save(folder / "completions.json", page([completion(i) for i in range(3)]))
    save_lines(folder / "messages.jsonl", [page(messages(i, f"question {i}")) for i in range(3)])
    save(folder / "eval.json", eval_())
    return folder
