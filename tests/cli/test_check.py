"""`nanosmith check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.testing import topic_rows, write_chat

ROWS = topic_rows(30)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_good_file(tmp_path: Path) -> None:
    """A good file prints format, task and reasons, label table, lengths and digest, and ends with 0."""
    result = run(write_chat(tmp_path / "d.jsonl", ROWS, system="Classify."))
    assert result.exit_code == 0
    for part in (
        "format chat, 30 examples",
        "task: choice, 3 labels",
        "one of 3 strings",
        "digest: ",
        "p50 ",
        "usable: 0 errors",
    ):
        assert part in result.output
    assert [line.split()[:2] for line in result.output.splitlines() if "33.3 %" in line] == [
        ["delivery", "10"],
        ["login", "10"],
        ["refund", "10"],
    ]


def test_json(tmp_path: Path) -> None:
    """With --json one object holds everything."""
    result = run(write_chat(tmp_path / "d.jsonl", [*ROWS, ("one more", "refund")]), "--json")
    found = json.loads(result.stdout)
    assert found["labels"] == {"refund": 11, "delivery": 10, "login": 10}
    assert (found["format"], found["kind"], found["usable"], found["examples"]) == ("chat", "choice", True, 31)
    assert found["task"]["labels"] == ["delivery", "login", "refund"]
    assert found["lengths_chars"]["max"] == max(len(text) for text, _ in ROWS)
    assert len(found["digest"]) == 64
    assert found["test"] is None
    assert found["why"]


def bad_file(folder: Path) -> Path:
    path = write_chat(folder / "d.jsonl", ROWS)
    path.write_text(path.read_text() + "{}\n" * 25 + '{"messages": [{"role": "user", "content": ""}]}\n')
    return path


def test_errors_as_text(tmp_path: Path) -> None:
    """Errors are grouped by code, at most 20 lines of each are named, and the exit code is 2."""
    result = run(bad_file(tmp_path))
    assert result.exit_code == 2
    assert "error no_messages, 25 times" in result.output
    assert "lines 31, 32, 33," in result.output
    assert "50, …: there are no `messages`" in result.output
    assert "and 5 more (see --json)" in result.output
    assert "line 56: there is no assistant message" in result.output
    assert "not usable: 26 errors" in result.output


def test_errors_as_json(tmp_path: Path) -> None:
    """With --json every problem is there, and the exit code is 2 as well."""
    result = run(bad_file(tmp_path), "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    lines = [problem["line"] for problem in found["problems"] if problem["level"] == "error"]
    assert lines == list(range(31, 57))
    assert found["usable"] is False
    assert found["examples"] == 30


def test_held_out_file(tmp_path: Path) -> None:
    """A test file is read as the training file's task, and what both share is warned about."""
    train = write_chat(tmp_path / "train.jsonl", ROWS)
    test = write_chat(tmp_path / "test.jsonl", [ROWS[0], ("a new text", "pets")])
    result = run(train, "--test", test, "--json")
    assert result.exit_code == 0
    problems = json.loads(result.stdout)["test"]["problems"]
    assert [problem["code"] for problem in problems].count("unseen_label") == 1
    assert "shared_text" in [problem["code"] for problem in problems]
    assert "warning shared_text" in run(train, "--test", test).output


def test_bad_held_out_file(tmp_path: Path) -> None:
    """An error in the test file makes the exit code 2, whether or not the training file is good."""
    train = write_chat(tmp_path / "train.jsonl", ROWS)
    assert run(train, "--test", tmp_path / "missing").exit_code == 2
    assert run(tmp_path / "missing", "--test", train).exit_code == 2


@pytest.mark.parametrize(("n", "hidden"), [(30, False), (31, True)])
def test_many_labels(tmp_path: Path, n: int, hidden: bool) -> None:
    """Up to 30 labels are all shown; of more, the most and the least frequent ten."""
    rows = [(f"text {i} {label}", f"label_{label:02d}") for label in range(n) for i in range(2)]
    result = run(write_chat(tmp_path / "d.jsonl", rows))
    assert (f"… {n - 20} more (see --json)" in result.output) is hidden
    assert ("label_15" in result.output) is not hidden
    assert "label_29" in result.output


def test_options(tmp_path: Path) -> None:
    """--kind and --format override what would be recognised."""
    path = write_chat(tmp_path / "d.jsonl", [(text, f"label {i}") for i, (text, _) in enumerate(ROWS)])
    assert "task: text" in run(path).stdout
    assert run(path, "--kind", "choice").exit_code == 0
    assert run(path, "--format", "csv").exit_code == 2
    assert run(path, "--format", "xml").exit_code == 2


def test_text_of_the_file_is_shown_safely(tmp_path: Path) -> None:
    """Markup and control characters in labels and texts are shown as text."""
    rows = [(text, {"refund": "[red]x", "login": "\x1b[31mlogin"}.get(label, label)) for text, label in [*ROWS, *ROWS]]
    result = run(write_chat(tmp_path / "d.jsonl", rows))
    assert "[red]x" in result.output
    assert "\x1b" not in result.output


def record_file(path: Path, **more: object) -> Path:
    """Thirty orders; one of their numbers is not in its text."""
    rows = [
        {"text": f"order {i + 100}", "output": {"n": i + (100 if i else 999), "paid": i % 2 == 0, **more}}
        for i in range(30)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_records(tmp_path: Path) -> None:
    """A record's fields are a table with what cannot be learnt; the JSON form has the same."""
    path = record_file(tmp_path / "d.jsonl")
    result = run(path)
    assert "task: record, 2 fields, 0 entity labels" in result.stdout
    assert "1 (line 1)" in " ".join(result.stdout.split())
    shown = json.loads(run(path, "--json").stdout)
    assert [(row["name"], row["type"], row["has"], row["unlocated"]) for row in shown["record"]["fields"]] == [
        ("n", "span", 30, [1]), ("paid", "choice", 30, []),
    ]  # fmt: skip
    assert shown["labels"] == {}


def test_entities(tmp_path: Path) -> None:
    """Entities are counted by label."""
    path = tmp_path / "d.conll"
    path.write_text("".join(f"Anna\tB-PER\nin\tO\nRome\tB-LOC\nand\tO\nBari{i}\tB-LOC\n\n" for i in range(12)))
    result = run(path)
    assert "format conll, 12 examples" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["LOC", "24", "66.7", "%"] in rows


def test_schema(tmp_path: Path) -> None:
    """--schema names the schema that the answers must obey."""
    path = record_file(tmp_path / "d.jsonl", more="x")
    (tmp_path / "s.json").write_text('{"type": "object", "properties": {"n": {"type": "string"}}}')
    result = run(path, "--schema", tmp_path / "s.json")
    assert result.exit_code == 2
    assert "schema_mismatch, 30 times" in result.stdout
