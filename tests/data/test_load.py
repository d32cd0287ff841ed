"""From a file to a checked Dataset: the whole way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.example import Message
from nanosmith.core.task import Task
from nanosmith.data.load import Inspection, inspect, load
from nanosmith.testing import topic_rows, write_chat

ROWS = topic_rows(30)


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def codes(found: Inspection, level: str = "error") -> list[str]:
    return [problem.code for problem in found.problems if problem.level == level]


def test_chat_file(tmp_path: Path) -> None:
    """A good chat file gives its examples in order, the task with sorted labels, and the reasons."""
    data = load(write_chat(tmp_path / "d.jsonl", ROWS, system="Classify."))
    assert (len(data), data.format, data.source) == (30, "chat", tmp_path / "d.jsonl")
    assert data.task == Task("choice", ("delivery", "login", "refund"), system="Classify.")
    assert [data.texts[0], data.values[0]] == list(ROWS[0])
    assert "one of 3 strings" in data.why[0]
    assert "left out" in data.why[1]


def test_formats_agree(tmp_path: Path) -> None:
    """The same examples as chat, JSON lines and CSV have the same digest and the same labels."""
    files = [write_chat(tmp_path / "a.jsonl", ROWS)]
    files.append(write_lines(tmp_path / "b.jsonl", *({"text": text, "label": label} for text, label in ROWS)))
    files.append(tmp_path / "c.csv")
    files[-1].write_text("text,label\r\n" + "".join(f'"{text}",{label}\r\n' for text, label in ROWS))
    found = [load(file) for file in files]
    assert [data.format for data in found] == ["chat", "jsonl", "csv"]
    assert len({data.digest for data in found}) == 1
    assert len({data.task for data in found}) == 1


def test_digest_changes_with_content(tmp_path: Path) -> None:
    """One changed letter changes the digest; line ends and blank lines do not."""
    path = write_chat(tmp_path / "d.jsonl", ROWS)
    digest = load(path).digest
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert load(path).digest == digest
    assert load(write_chat(path, [*ROWS[:-1], (ROWS[-1][0] + "x", ROWS[-1][1])])).digest != digest


def test_no_system_prompts(tmp_path: Path) -> None:
    """Where no example has a system prompt, one that a request brings is left out: nothing was learnt about it."""
    lines = [{"text": text, "label": label} for text, label in ROWS]
    data = load(write_lines(tmp_path / "d.jsonl", *lines))
    asked = [Message("system", "You are a router."), Message("user", ROWS[0][0])]
    assert data.task.text_of(asked) == ROWS[0][0]


def test_varying_system_prompts(tmp_path: Path) -> None:
    """System prompts that differ stay in the input, and the reasons say so."""
    lines = [
        {"messages": [{"role": "system", "content": f"Shop {i % 2}"}, {"role": "user", "content": text},
                      {"role": "assistant", "content": label}]} for i, (text, label) in enumerate(ROWS)
    ]  # fmt: skip
    data = load(write_lines(tmp_path / "d.jsonl", *lines))
    assert data.task.system is None
    assert "Shop 0" in data.texts[0]
    assert "differ" in data.why[-1]


def test_labels_file(tmp_path: Path) -> None:
    """A `labels` file gives sorted tuples; an empty list is the empty tuple."""
    rows = [{"text": text, "labels": [label, "urgent"][: i % 3]} for i, (text, label) in enumerate(ROWS)]
    data = load(write_lines(tmp_path / "d.jsonl", *rows))
    assert data.task.kind == "labels"
    assert data.values[:3] == [(), (ROWS[1][1],), tuple(sorted((ROWS[2][1], "urgent")))]


@pytest.mark.parametrize("n", [9, 10])
def test_least_number_of_examples(tmp_path: Path, n: int) -> None:
    """Nine lines are too few, ten are enough; the number can be changed."""
    path = write_chat(tmp_path / "d.jsonl", ROWS[:n])
    assert codes(inspect(path)) == (["few_examples"] if n == 9 else [])
    assert codes(inspect(path, min_examples=n)) == []


def test_bad_lines_and_one_error(tmp_path: Path) -> None:
    """All errors are named in one InputError with lines and remedies, equal ones together; the rest stays readable."""
    path = write_chat(tmp_path / "d.jsonl", ROWS)
    lines = path.read_text().splitlines()
    lines[4], lines[6], lines[9] = "{}", '{"messages": []}', "{}"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="3 errors") as caught:
        load(path)
    assert f"{path}: the file cannot be used" in str(caught.value)
    assert "lines 5, 10: there are no `messages`" in str(caught.value)
    assert "line 7: `messages` is a list" in str(caught.value)
    found = inspect(path)
    assert found.dataset is None
    assert found.readable is not None
    assert len(found.readable) == 27


def test_message_stays_short(tmp_path: Path) -> None:
    """A thousand bad lines are counted in the error, and all reported by inspect."""
    path = write_lines(tmp_path / "d.jsonl", *({"text": "", "label": i} for i in range(1_000)))
    assert len(inspect(path).problems) == 1_000
    with pytest.raises(InputError, match="And 980 more") as caught:
        load(path)
    assert len(str(caught.value)) < 1_000


def test_misfits(tmp_path: Path) -> None:
    """One answer that has not the form of the others is an error of its line."""
    rows = [(text, json.dumps({"intent": label})) for text, label in ROWS]
    rows[3] = (rows[3][0], "login")
    found = inspect(write_chat(tmp_path / "d.jsonl", rows))
    assert [(problem.code, problem.line) for problem in found.errors] == [("answer_form", 4)]
    assert found.readable is not None
    assert found.readable.task.field == "intent"


def test_empty_label_inside_json(tmp_path: Path) -> None:
    """An empty label is an error, however it is wrapped."""
    rows = [(text, json.dumps([label if i else " "])) for i, (text, label) in enumerate(ROWS)]
    assert codes(inspect(write_chat(tmp_path / "d.jsonl", rows))) == ["empty_answer"]


def test_free_text(tmp_path: Path) -> None:
    """Answers of no closed set are a task of kind text; the answer is the value."""
    path = write_chat(
        tmp_path / "d.jsonl", [(text, f"Dear customer {i}, thank you.") for i, (text, _) in enumerate(ROWS)]
    )
    data = load(path)
    assert (data.task, data.values[3]) == (Task("text"), "Dear customer 3, thank you.")
    assert load(path, task=data.task).values == data.values


def test_references(tmp_path: Path) -> None:
    """The first text is the answer, the others are kept; a text with several answers is no conflict."""
    rows = [{"text": f"n {i // 2}", "output": f"One {i}.", "references": [f"Two {i}.", f"One {i}."]} for i in range(20)]
    data = load(write_lines(tmp_path / "d.jsonl", *rows))
    assert (data.task.kind, data.examples[1].answer, data.examples[1].others) == ("text", "One 1.", ("Two 1.",))
    assert "conflicting_labels" not in [problem.code for problem in data.problems]
    test = load(write_lines(tmp_path / "t.jsonl", {"text": "a", "references": ["x", "y"]}), task=data.task)
    assert (test.values, test.examples[0].others) == (["x"], ("y",))


def test_objects(tmp_path: Path) -> None:
    """Outputs that are objects, and the same objects as chat answers, are one record task."""
    outputs = [{"order": i + 100, "status": "open" if i % 3 else "late"} for i in range(30)]
    rows = [{"text": f"Order {i + 100} please", "output": output} for i, output in enumerate(outputs)]
    data = load(write_lines(tmp_path / "d.jsonl", *rows))
    chat = load(write_chat(tmp_path / "c.jsonl", [(row["text"], json.dumps(row["output"])) for row in rows]))
    assert data.task.record is not None
    assert [(field.name, field.type, field.normal) for field in data.task.record.fields] == [
        ("order", "span", "integer"), ("status", "choice", "verbatim"),
    ]  # fmt: skip
    assert (chat.task, chat.values) == (data.task, data.values)


def test_one_field(tmp_path: Path) -> None:
    """The values of a single field are labels where they recur, and copies where new ones stand in the texts."""
    names = [f"name{chr(97 + i % 26)}{i % 28}" for i in range(56)]
    copied = [{"text": f"I am {name}, number {i}", "output": {"who": name}} for i, name in enumerate(names)]
    labels = [{"text": f"{word} {i}", "output": {"mood": word}} for i in range(20) for word in ("glad", "sad")]
    assert inspect(write_lines(tmp_path / "copied.jsonl", *copied)).kind == "record"
    assert inspect(write_lines(tmp_path / "labels.jsonl", *labels)).kind == "choice"
    assert inspect(write_lines(tmp_path / "copied.jsonl", *copied), kind="choice").kind == "choice"


def test_a_field_called_entities(tmp_path: Path) -> None:
    """A list of texts under this key is a field like others."""
    rows = [{"text": f"get i{i} for town{i}", "output": {"entities": [f"i{i}"], "to": f"town{i}"}} for i in range(20)]
    found = inspect(write_lines(tmp_path / "data.jsonl", *rows))
    assert found.dataset is not None
    assert found.dataset.task.record is not None
    assert [field.name for field in found.dataset.task.record.fields] == ["entities", "to"]


def test_calls_are_records(tmp_path: Path) -> None:
    """Answers that call a function are records of that function, though their only field is a closed set."""
    call = {"type": "function", "function": {"name": "route", "arguments": '{"to": "sales"}'}}
    other = {"type": "function", "function": {"name": "route", "arguments": '{"to": "support"}'}}
    turns = [[{"role": "user", "content": f"x {i}"}, {"role": "assistant", "tool_calls": [call if i % 2 else other]}]
             for i in range(10)]  # fmt: skip
    data = load(write_lines(tmp_path / "d.jsonl", *({"messages": messages} for messages in turns)))
    assert data.task.record is not None
    assert (data.task.record.function, data.task.record.fields[0].values) == ("route", ('"sales"', '"support"'))


def entity_rows(**more: Any) -> list[dict[str, Any]]:
    """Thirty orders with their number as an entity."""
    entity = {"label": "number", "start": 6, "end": 9}
    return [{"text": f"order {i + 100} now", "entities": [entity], **more} for i in range(30)]


def test_labels_beside_entities(tmp_path: Path) -> None:
    """A label beside entities is a field of the record; where labels alone are asked for, it is the answer."""
    rows = [row | {"label": "ask" if i % 2 else "buy"} for i, row in enumerate(entity_rows())]
    path = write_lines(tmp_path / "d.jsonl", *rows)
    record = load(path).task.record
    assert record is not None
    assert ([field.path for field in record.fields], record.entities) == ([("label",)], ("number",))
    for alone in (load(path, kind="choice"), load(path, labels_alone=True)):
        assert (alone.task.kind, alone.task.labels, alone.values[1]) == ("choice", ("ask", "buy"), "ask")
    assert load(path, task=alone.task).values == alone.values


def test_entities_of_a_test_file(tmp_path: Path) -> None:
    """Labels of entities that the task lacks are kept as wanted, with a warning."""
    task = load(write_lines(tmp_path / "d.jsonl", *entity_rows())).task
    new = {"text": "in Paris", "entities": [{"label": "city", "start": 3, "end": 8}]}
    found = inspect(write_lines(tmp_path / "t.jsonl", *entity_rows(), new), task=task)
    assert codes(found, "warning") == ["unseen_label"]
    assert found.dataset is not None
    assert '"city"' in found.dataset.values[-1]


@pytest.mark.parametrize("kind", ["text", "record"])
def test_what_cannot_be_extracted_is_written(tmp_path: Path, kind: Any) -> None:
    """A field that is neither a closed set nor in the texts makes the task text, and why; a given kind stands."""
    rows = [
        {"text": f"order {i}", "output": {"n": i, "reply": f"We will see to it, number {i * i + 7}!"}}
        for i in range(30)
    ]
    path = write_lines(tmp_path / "d.jsonl", *rows)
    assert load(path).task.kind == "text"
    assert '"reply"' in load(path).why[0]
    data = load(path, kind=kind)
    assert data.task.kind == kind
    assert ("answered wrongly" in data.why[-1]) == (kind == "record")


def test_no_objects_where_records_are_asked_for(tmp_path: Path) -> None:
    """Answers that are no objects cannot be records."""
    assert codes(inspect(write_chat(tmp_path / "d.jsonl", ROWS), kind="record")) == ["no_record"]


def test_a_schema_that_contradicts_the_examples(tmp_path: Path) -> None:
    """Every answer that a given schema forbids is an error of its line, which names the field."""
    rows = [{"text": f"order {i}", "output": {"n": i if i != 4 else "four", "s": "a"}} for i in range(12)]
    path = write_lines(tmp_path / "d.jsonl", *rows)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"enum": ["a", "b"]}}}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    found = inspect(path, schema=tmp_path / "s.json")
    assert [(problem.code, problem.line) for problem in found.errors] == [("schema_mismatch", 5)]
    assert '`n` is "four" (allowed integer)' in found.errors[0].message
    (tmp_path / "s.json").write_text("[")
    assert codes(inspect(path, schema=tmp_path / "s.json")) == ["bad_schema"]


def test_kind_overrides(tmp_path: Path) -> None:
    """A given kind is used instead of the recognised one, where the answers allow it."""
    texts = write_chat(tmp_path / "a.jsonl", [(text, f"label {i}") for i, (text, _) in enumerate(ROWS)])
    assert load(texts).task.kind == "text"
    assert len(load(texts, kind="choice").task.labels) == 30
    labels = write_lines(tmp_path / "b.jsonl", *({"text": text, "label": label} for text, label in ROWS))
    assert load(labels, kind="labels").values[0] == (ROWS[0][1],)
    assert load(labels, kind="text").values[0] == ROWS[0][1]
    sets = write_lines(tmp_path / "c.jsonl", *({"text": text, "labels": [label]} for text, label in ROWS))
    data = load(sets, kind="choice")
    assert (data.values[0], data.examples[0].answer, data.task.form) == (ROWS[0][1], ROWS[0][1], "plain")


def test_two_labels_are_no_choice(tmp_path: Path) -> None:
    """Lines with several labels are errors when a choice is asked for."""
    rows = [{"text": text, "labels": [label, "urgent"][: 1 + i // 29]} for i, (text, label) in enumerate(ROWS)]
    found = inspect(write_lines(tmp_path / "d.jsonl", *rows), kind="choice")
    assert [(problem.code, problem.line) for problem in found.errors] == [("answer_form", 30)]


@pytest.mark.parametrize(
    ("task", "row", "value", "answer"),
    [
        (Task("choice", ("a",)), {"text": "x", "label": "a"}, "a", "a"),
        (Task("choice", ("a",), "json_field", "f"), {"text": "x", "label": "a"}, "a", '{"f": "a"}'),
        (Task("choice", ("a",)), {"text": "x", "labels": ["a"]}, "a", "a"),
        (Task("labels", ("a", "b"), "separated", None, ", "), {"text": "x", "labels": ["b", "a"]}, ("a", "b"), "a, b"),
        (Task("labels", ("a",), "json_list"), {"text": "x", "label": "a"}, ("a",), '["a"]'),
    ],
)
def test_task_is_given(tmp_path: Path, task: Task, row: Any, value: object, answer: str) -> None:
    """A test file of plain rows is read as the given task's, and its answers are written in that task's form."""
    data = load(write_lines(tmp_path / "d.jsonl", row), task=task)
    assert (data.task, data.values, data.examples[0].answer) == (task, [value], answer)


def test_answers_of_another_form_in_a_test_file(tmp_path: Path) -> None:
    """Chat answers that the given task cannot read are errors of their lines; labels it lacks are a warning."""
    path = write_chat(
        tmp_path / "d.jsonl", [("x", '{"f": "a"}'), ("y", "a"), ("z", '{"f": "new"}'), ("u", "[" * 99_999)]
    )
    found = inspect(path, task=Task("choice", ("a",), "json_field", "f"))
    assert [(problem.code, problem.line) for problem in found.errors] == [("answer_form", 2), ("answer_form", 4)]
    assert codes(found, "warning") == ["unseen_label"]


def test_labels_on_lines_of_their_own(tmp_path: Path) -> None:
    """Labels that are separated by line breaks may hold spaces."""
    rows = [(text, "\n".join([label, "very urgent"][: 1 + i % 2])) for i, (text, label) in enumerate(ROWS)]
    data = load(write_chat(tmp_path / "d.jsonl", rows))
    assert data.values[:2] == [(ROWS[0][1],), tuple(sorted((ROWS[1][1], "very urgent")))]
    assert data.task.parse(data.task.render(data.values[1])) == data.values[1]


def test_context_is_part_of_the_text(tmp_path: Path) -> None:
    """The previous turn of a plain row is read after the text."""
    rows = [{"text": text, "label": label, "context": "Hello?"} for text, label in ROWS]
    data = load(write_lines(tmp_path / "d.jsonl", *rows))
    assert data.examples[0].messages == (Message("assistant", "Hello?"), Message("user", ROWS[0][0]))
    assert data.texts[0] == f"user: {ROWS[0][0]}\nassistant: Hello?"


def test_format_is_given(tmp_path: Path) -> None:
    """A named reader is used whatever the content looks like; an unknown name is refused."""
    path = write_lines(tmp_path / "d.jsonl", *({"text": "x", "label": "a"} for _ in range(10)))
    assert set(codes(inspect(path, format="chat"))) == {"no_messages"}
    assert codes(inspect(path, format="csv")) == ["csv_header"]
    with pytest.raises(NotFound, match="chat, conll, csv, jsonl"):
        inspect(path, format="xml")


@pytest.mark.parametrize("name", ["missing", "folder", "empty", "blank", "header.csv"])
def test_files_without_examples(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and a file without examples are errors of the whole file, with and without a task."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "blank").write_text("\n\n")
    (tmp_path / "header.csv").write_text("text,label\n")
    expected = {"missing": "missing_file", "folder": "folder"}.get(name, "empty_file")
    assert codes(inspect(tmp_path / name)) == [expected]
    assert codes(inspect(tmp_path / name, task=Task("choice", ("a",)))) == [expected]
    with pytest.raises(InputError, match="1 error"):
        load(tmp_path / name)


def test_50_000_lines(tmp_path: Path) -> None:
    """A large file is read and checked whole, in a bounded time."""
    rows = [(f"{i} {hash_words(i)}", "abcdefgh"[i % 8]) for i in range(50_000)]
    assert len(load(write_chat(tmp_path / "d.jsonl", rows))) == 50_000


def hash_words(i: int) -> str:
    """Seven words that differ for every number."""
    return " ".join(f"{(i * 2_654_435_761 + k * 40_503) % 9_973:x}" for k in range(7))


LINES = [
    b'{"text": "x", "label": "a"}',
    b'{"text": 1}',
    b'{"messages": [{}]}',
    b"text,label",
    b'x,"a',
    b"[",
    b"{",
    b"a\tB-x",
    b'{"text": "x", "entities": [{"label": 1}]}',
    b'{"text": "x", "output": {"a": []}}',
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.binary(max_size=30) | st.sampled_from(LINES), max_size=12),
    st.sampled_from([None, "chat", "jsonl", "csv", "conll"]),
)
def test_any_file(tmp_path: Path, lines: list[bytes], format: str | None) -> None:
    """Whatever a file holds, inspect returns: a Dataset, or errors."""
    path = tmp_path / "d"
    path.write_bytes(b"\n".join(lines))
    found = inspect(path, format=format)
    assert (found.dataset is None) == bool(found.errors)
