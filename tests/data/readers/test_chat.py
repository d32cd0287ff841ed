"""The chat reader: the OpenAI rules of a training line, and a Problem for each way to break them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanosmith.core.example import Message
from nanosmith.core.limits import MAX_MESSAGES
from nanosmith.data.readers.chat import content_text, read
from nanosmith.data.reading import BadLine, Reading

USER = {"role": "user", "content": "where is my card"}
ANSWER = {"role": "assistant", "content": "card_arrival"}


def read_lines(folder: Path, *records: Any) -> Reading:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return read(path)


def read_messages(folder: Path, *messages: Any, **more: Any) -> Reading:
    return read_lines(folder, {"messages": list(messages), **more})


def codes(reading: Reading) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.line) for problem in reading.problems]


def test_one_turn(tmp_path: Path) -> None:
    """A system, a user and an assistant message give one Example with its line."""
    reading = read_messages(tmp_path, {"role": "system", "content": "s"}, USER, ANSWER)
    (example,) = reading.examples
    assert example.messages == (Message("system", "s"), Message("user", "where is my card"))
    assert (example.answer, example.line) == ("card_arrival", 1)
    assert reading.problems == []


def test_every_weighted_answer_is_a_target(tmp_path: Path) -> None:
    """Each assistant turn is an answer with the turns before it as input; with weight 0 it is input only."""
    turns = [USER, ANSWER, USER, {**ANSWER, "content": "skipped", "weight": 0}, USER, {**ANSWER, "weight": 1}]
    reading = read_messages(tmp_path, *turns)
    assert [(len(example.messages), example.answer) for example in reading.examples] == [
        (1, "card_arrival"),
        (5, "card_arrival"),
    ]
    assert reading.examples[1].messages[3] == Message("assistant", "skipped")


@pytest.mark.parametrize("role", ["system", "developer", "tool", "function"])
def test_roles_of_context(tmp_path: Path, role: str) -> None:
    """Every role of the API may stand before the answer."""
    reading = read_messages(tmp_path, USER, {"role": role, "content": "c"}, ANSWER)
    assert reading.examples[0].messages[1] == Message(role, "c")


def test_text_parts(tmp_path: Path) -> None:
    """Content may be a list of text parts, which are joined by line breaks."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    reading = read_messages(tmp_path, {"role": "user", "content": parts}, ANSWER)
    assert reading.examples[0].messages == (Message("user", "a\nb"),)


def test_system_prompts_share_memory(tmp_path: Path) -> None:
    """A prompt that all lines repeat is held once."""
    line = {"messages": [{"role": "system", "content": "long prompt"}, USER, ANSWER]}
    first, second = read_lines(tmp_path, line, line).examples
    assert first.messages[0] is second.messages[0]


BAD: dict[str, list[Any]] = {
    "bad_message": ["text", ANSWER],
    "missing_role": [{"content": "x"}, ANSWER],
    "unknown_role": [{"role": "human", "content": "x"}, ANSWER],
    "bad_content": [{"role": "user", "content": 7}, ANSWER],
    "bad_weight": [USER, {**ANSWER, "weight": 0.5}],
    "no_assistant": [USER],
    "no_target": [USER, {**ANSWER, "weight": 0}],
    "no_user": [{"role": "system", "content": "s"}, ANSWER],
    "empty_text": [{"role": "user", "content": " \n"}, ANSWER],
    "empty_answer": [USER, {"role": "assistant", "content": ""}],
    "bad_call": [USER, {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {}}]}],
    "many_messages": [USER, ANSWER] * MAX_MESSAGES,
    "no_messages": [],
}


@pytest.mark.parametrize("code", BAD)
def test_bad_line(tmp_path: Path, code: str) -> None:
    """A line that breaks a rule is an error with its line and a remedy; the lines around it are read."""
    good = {"messages": [USER, ANSWER]}
    reading = read_lines(tmp_path, good, {"messages": BAD[code]}, good)
    assert codes(reading) == [(code, 2)]
    assert reading.problems[0].level == "error"
    assert reading.problems[0].remedy
    assert [example.line for example in reading.examples] == [1, 3]


@pytest.mark.parametrize("content", [None, {"text": "x"}, [{"type": "image_url", "image_url": {"url": "u"}}], ["x"]])
def test_content_that_is_not_text(tmp_path: Path, content: object) -> None:
    """Content other than text, and parts other than text, are refused."""
    assert codes(read_messages(tmp_path, {"role": "user", "content": content}, ANSWER)) == [("bad_content", 1)]


@pytest.mark.parametrize("weight", [True, "1", 2, -1, [1]])
def test_weights_other_than_0_and_1(tmp_path: Path, weight: object) -> None:
    """Only the numbers 0 and 1 are weights."""
    assert codes(read_messages(tmp_path, USER, {**ANSWER, "weight": weight})) == [("bad_weight", 1)]


def call(name: str = "book", arguments: Any = '{"seats": 2}') -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def test_a_call_is_an_answer(tmp_path: Path) -> None:
    """The arguments of a tool call, or of the older function call, are the answer; its function is kept."""
    older = {"role": "assistant", "function_call": {"name": "book", "arguments": '{"seats": 3}'}}
    reading = read_lines(tmp_path, {"messages": [USER, call()]}, {"messages": [USER, older]})
    assert [example.answer for example in reading.examples] == ['{"seats":2}', '{"seats":3}']
    assert (reading.function, reading.declared, codes(reading)) == ("book", "record", [])


def test_a_call_before_the_answer_is_context(tmp_path: Path) -> None:
    """A call with weight 0 is a turn of the input."""
    reading = read_messages(tmp_path, USER, {**call(), "weight": 0}, {"role": "tool", "content": "done"}, ANSWER)
    assert [message.content for message in reading.examples[0].messages[1:]] == ['{"seats":2}', "done"]
    assert reading.function is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({**call(), "tool_calls": call()["tool_calls"] * 2}, "several_calls"),
        (call("cancel"), "several_functions"),
        (ANSWER, "mixed_answers"),
        (call(arguments="{"), "bad_call"),
        (call(arguments="[]"), "bad_call"),
    ],
)
def test_calls_that_are_no_answer(tmp_path: Path, answer: dict[str, Any], code: str) -> None:
    """Several calls, another function, a text among calls and arguments that are no object are errors of their line."""
    assert codes(read_lines(tmp_path, {"messages": [USER, call()]}, {"messages": [USER, answer]})) == [(code, 2)]


@pytest.mark.parametrize(
    "named",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
        {"tools": [{"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}]},
        {"functions": [{"name": "other"}, {"name": "book", "parameters": {"type": "object"}}]},
    ],
)
def test_the_schema_of_a_line(tmp_path: Path, named: dict[str, Any]) -> None:
    """A line names its answer's schema as a request does; two schemas in one file are an error."""
    line = {"messages": [USER, call()], **named}
    other = json.loads(json.dumps(line).replace('"type": "object"', '"type": "string"'))
    reading = read_lines(tmp_path, line, line, other)
    assert reading.schema == {"type": "object"}
    assert codes(reading) == [("other_schema", 3)]


def test_other_training_formats(tmp_path: Path) -> None:
    """A prompt/completion line and a preference line are named, with the way out."""
    preference = {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [ANSWER]}
    reading = read_lines(tmp_path, {"prompt": "p", "completion": "c"}, preference, {"question": "q"})
    assert codes(reading) == [("completions_format", 1), ("preference_format", 2), ("no_messages", 3)]


def test_turns_that_are_not_learnt(tmp_path: Path) -> None:
    """A greeting before the first user message and a question without an answer are warned about."""
    reading = read_messages(tmp_path, {"role": "assistant", "content": "hello"}, USER, ANSWER, USER)
    assert codes(reading) == [("answer_before_user", 1), ("unanswered_turn", 1)]
    assert {problem.level for problem in reading.problems} == {"warning"}
    assert [example.answer for example in reading.examples] == ["card_arrival"]


def test_repeated_id(tmp_path: Path) -> None:
    """Two lines with the same `id` are an error that names both."""
    line = {"messages": [USER, ANSWER], "id": 7}
    reading = read_lines(tmp_path, line, {**line, "id": 8}, line)
    assert codes(reading) == [("duplicate_id", 3)]
    assert "lines 1 and 3" in reading.problems[0].message


def test_content_text() -> None:
    """The text of a message's content is what other packages may ask for, too."""
    assert content_text([{"type": "text", "text": "a"}]) == "a"
    with pytest.raises(BadLine, match="null"):
        content_text(None)


def test_probabilities_belong_to_the_last_answer(tmp_path: Path) -> None:
    """A teacher's probabilities stand beside the messages, and are those of the last wanted answer."""
    turns = [{"role": role, "content": f"{role} {i}"} for i in range(2) for role in ("user", "assistant")]
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"messages": turns, "probabilities": {"assistant 1": 0.9}}) + "\n")
    assert [example.soft for example in read(path).examples] == [None, {"assistant 1": 0.9}]
