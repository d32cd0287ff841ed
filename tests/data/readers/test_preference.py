from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanosmith.data.load import inspect, load


def line(better: str = "Yes.", worse: str = "No.", **change: Any) -> str:
    record = {
        "input": {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Really?"}],
                  "tools": [], "parallel_tool_calls": True},
        "preferred_output": [{"role": "assistant", "content": better}],
        "non_preferred_output": [{"role": "assistant", "content": worse}],
    }  # fmt: skip
    return json.dumps(record | change) + "\n"


def test_preferences_are_texts(tmp_path: Path) -> None:
    """A file in OpenAI's preference format is recognised; each line has an answer and a worse one, and two lines with
    another worse answer are different examples."""
    path = tmp_path / "preferences.jsonl"
    path.write_text(line() * 9 + line(worse="Maybe."))
    data = load(path)
    assert (data.task.kind, data.format) == ("text", "preference")
    first, last = data.examples[0], data.examples[-1]
    assert (first.answer, first.rejected) == ("Yes.", "No.")
    assert [message.role for message in first.messages] == ["system", "user"]
    assert first.digest != last.digest


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (line(better="No."), "equal_preference"),
        (line(better=" "), "empty_answer"),
        (line(non_preferred_output=[]), "bad_preference"),
        (line(preferred_output=[{"role": "user", "content": "x"}]), "bad_preference"),
        (line(input="Really?"), "bad_preference"),
        (line(input={"messages": [{"role": "assistant", "content": "x"}]}), "bad_preference"),
        (line(input={"messages": [{"role": "nobody", "content": "x"}]}), "bad_message"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, bad: str, code: str) -> None:
    """What is wrong with a line is said with its number."""
    path = tmp_path / "preferences.jsonl"
    path.write_text(line() * 10 + bad)
    found = inspect(path)
    assert [(problem.code, problem.line) for problem in found.errors] == [(code, 11)]
