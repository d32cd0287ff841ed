"""The examples of docs/api.md run, one after the other, against a real server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import add_writer
from tests.server.records import DOCS_FORM, DOCS_MODEL, DOCS_WORDS, add_record

from nanosmith.core import limits
from nanosmith.server.chat import sampling
from nanosmith.server.chat.request import IGNORED, ChatRequest
from nanosmith.server.http.strict_schema import MAX_ENUM_VALUES, MAX_LEVELS, MAX_PROPERTIES
from nanosmith.server.responses import request as responses_request
from nanosmith.server.responses.request import ResponseRequest
from nanosmith.testing import topic_rows, write_chat

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
TEXT_MODEL = "ft:nanosmith-text:local:notes:abcd1234"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_run(fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Every Python block works as it stands, with the address of the test's server."""
    monkeypatch.chdir(tmp_path)
    add_writer(fresh.home, TEXT_MODEL)
    add_record(fresh.home, DOCS_MODEL, DOCS_FORM, DOCS_WORDS)
    write_chat(tmp_path / "my.jsonl", topic_rows())
    scope: dict[str, Any] = {}
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    try:
        for block in blocks:
            exec(block.replace("http://localhost:8000", fresh.url), scope)
    finally:
        if "client" in scope:
            scope["client"].close()
    said = capsys.readouterr().out
    assert "refund" in said
    assert "the quick brown fox" in said
    assert "Created fine-tuning job" in said


def test_the_table_names_every_parameter() -> None:
    """Each field of a chat request is in the table, and ignored ones are said to be."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| Parameter |") : text.index("Ranges are checked")]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = {name: row for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    fields = set(ChatRequest.__struct_fields__) - {"stream_options", "tool_choice", "function_call"}
    assert fields <= set(named)
    assert [name for name in IGNORED if name in fields and "ignored" not in named[name]] == []


def test_the_table_of_text_models_names_every_parameter() -> None:
    """Each field of a chat request is in it; what is said to be ignored is what is ignored."""
    text = PAGE.read_text(encoding="utf-8")
    start = text.index("| Of a text model |")
    rows = [line for line in text[start : text.index("- **Ends.**", start)].splitlines() if line.startswith("| `")]
    named = {name: row for row in rows for name in re.findall(r"`([a-z_]+)[`.]", row.split("|")[1])}
    assert set(ChatRequest.__struct_fields__) <= set(named)
    assert {name for name in named if "| ignored" in named[name]} == set(sampling.IGNORED)


def test_the_table_of_responses_names_every_field() -> None:
    """Each field of a response's request is in its table, and ignored ones are said to be."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| Field |") : text.index("## Decisions")]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    said = {name: row for row in rows for name in re.findall(r"`([a-z_]+)[`.]", row)}
    assert set(ResponseRequest.__struct_fields__) <= set(said)
    assert [name for name in responses_request.IGNORED if "ignored" not in said[name]] == []


def test_the_limits_are_those_of_the_code() -> None:
    """Figures in the page are the ones that hold."""
    text = PAGE.read_text(encoding="utf-8")
    assert f"{limits.MAX_INPUT_CHARS:,} characters" in text
    assert f"{limits.MAX_BODY_BYTES // 1024**2} MiB of JSON" in text
    assert f"{limits.MAX_FILE_BYTES // 1024**2} MiB" in text
    assert f"{limits.MAX_PART_BYTES // 1024**2} MiB" in text
    assert f"{limits.MAX_UPLOAD_PARTS:,} parts" in text
    assert f"{limits.MAX_WAITING_PREDICTIONS} predictions" in text
    assert f"writes {limits.MAX_WRITERS} texts at a time" in text
    assert f"{limits.MAX_WAITING_WRITERS} texts of one model wait" in text
    assert f"a text waited {limits.MAX_WRITER_WAIT_S} s" in text
    assert f"not finished after {limits.MAX_WRITING_S} s" in text
    assert f"{MAX_LEVELS} levels, {MAX_PROPERTIES:,} properties, {MAX_ENUM_VALUES:,} values" in text
