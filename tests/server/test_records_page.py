"""The examples of docs/records.md run, one after the other, against a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
from tests.server.records import FUNCTION, add_record
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.core.record import Field
from nanosmith.data.load import load
from nanosmith.testing.records import INVOICE, INVOICE_WORDS

PAGE = Path(__file__).parents[2] / "docs" / "records.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FORM = msgspec.structs.replace(INVOICE, fields=(*INVOICE.fields, Field(("contact",), "span", missing="null")))
WORDS = INVOICE_WORDS | {"1": "total", ",": "+total", "250": "+total", ".": "+total", "00": "+total", "ann": "contact"}
TEXT = "Invoice 4711 of 3 May 2026, overdue, total EUR 1,250.00"


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if name == language]


def test_examples_run(fresh: Any, capsys: Any) -> None:
    """Every Python block works as it stands, with the address of the test's server."""
    add_record(fresh.home, "invoices", FORM, WORDS)
    scope: dict[str, Any] = {"__name__": "page"}
    try:
        for block in blocks("python"):
            exec(
                compile(block.replace("http://localhost:8000", fresh.url), PAGE.name, "exec", dont_inherit=True), scope
            )
    finally:
        scope["client"].close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["2026-05-03", "1250.0", f"{FUNCTION} 1250.0"]
    assert [line.split()[0] for line in lines[3:]] == ["number", "date", "total", "status", "contact"]


def test_predict_as_shown(fresh: Any, monkeypatch: Any) -> None:
    """The record, a line per field, and the marked text have the form that the page shows."""
    add_record(fresh.home, "invoices", FORM, WORDS)
    monkeypatch.setenv("NANOSMITH_HOME", str(fresh.home.root))
    said = CliRunner().invoke(app, ["predict", "invoices", TEXT, "--spans"]).stdout.splitlines()
    shown = next(block for block in blocks("") if "predict invoices" in block).splitlines()[1:]
    numbers = re.compile(r"\s+0\.\d\d$")
    assert [numbers.sub("", line) for line in said] == [numbers.sub("", line) for line in shown]


def test_rows_are_read(tmp_path: Path) -> None:
    """Both rows of the page are examples of a record."""
    for row in blocks("json")[:2]:
        assert json.loads(row)["text"]
        (tmp_path / "rows.jsonl").write_text(row * 10)
        assert load(tmp_path / "rows.jsonl", kind="record").task.kind == "record"
