"""Objects are told by their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.server.migration import exports

from nanosmith.server.migration.recognise import OBJECTS, STAYS, completion_of, kind_of, refusal, stays_as

USER, ANSWER = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (exports.job(), "job"),
        (exports.completion(), "completion"),
        ({"completion": exports.completion(), "messages": [USER]}, "completion"),
        (exports.messages()[0], "message"),
        (exports.eval_(), "eval"),
        (exports.file("file-a", Path(__file__)), "file"),
        ({"messages": [USER, ANSWER]}, "examples"),
        ({"messages": [USER, ANSWER], "tools": []}, "examples"),
        ({"messages": [USER]}, "examples"),
        ({"text": "hi", "label": "greeting"}, "examples"),
        ({"prompt": "hi", "completion": "hello"}, "refused_examples"),
        ({"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}, "refused_examples"),
        ({"input": {"messages": []}, "preferred_completion": []}, "refused_examples"),
        ({"messages": [USER], "answer": "hello"}, "refused_examples"),
        ({"item": {"label": "a"}}, "eval_rows"),
        ({"item": {"label": "a"}, "sample": {"output_text": "a"}}, "eval_rows"),
        ({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}, "left"),
        ({"id": "batch_req_1", "custom_id": "1", "response": {"status_code": 200}, "error": None}, "left"),
        ({"object": "fine_tuning.job.event", "id": "ftevent-1", "message": "Step 1/9"}, "left"),
        ({"object": "eval.run", "id": "evalrun_1", "eval_id": "eval_1"}, "left"),
        ({"object": "thread", "id": "thread_1"}, "unknown"),
        ({"object": ["job"]}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_kinds(record: dict[str, Any], kind: str) -> None:
    """Each kind of object is known without looking at the file's name."""
    assert kind_of(record) == kind


def test_refusals_say_what_to_do() -> None:
    """Other training formats are named, with what to write instead; the chat format is not refused."""
    assert "(RFT)" in str(refusal({"messages": [USER], "answer": "hello"}))
    assert "DPO" in str(refusal({"input": {}, "preferred_output": []}))
    assert "prompt/completion" in str(refusal({"prompt": "", "completion": ""}))
    assert refusal({"messages": [USER, ANSWER], "parallel_tool_calls": False}) is None
    assert refusal({"messages": [None, 3], "x": 1}) is None


def test_names_do_not_meet() -> None:
    """What is imported is not listed among what stays behind."""
    assert not OBJECTS.keys() & STAYS.keys()
    assert stays_as({"object": "model"}) == "model"


def test_message_ids() -> None:
    """A message names the completion it belongs to."""
    assert completion_of({"id": "chatcmpl-a-b-12", "role": "user"}) == "chatcmpl-a-b"
    assert completion_of({"id": "msg_abc", "role": "user"}) is None
    assert completion_of({"id": "chatcmpl-a-0"}) is None
