"""Models of records on the command line: predict, eval, ls and show."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.server.records import FUNCTION, RECORD, TEXT
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing.records import BOOKING, BOOKING_WORDS, INVOICE, tiny_record

BOOKED = {"label": "BookTable", "entities": [{"label": "city", "start": 3, "end": 12, "text": "Palo Alto"}]}


def call(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, words, input=stdin, env={"COLUMNS": "120"})


@pytest.fixture
def invoices(tmp_path: Path) -> str:
    return str(tiny_record(tmp_path / "invoices").path)


@pytest.fixture
def booking(tmp_path: Path) -> str:
    return str(tiny_record(tmp_path / "booking", BOOKING, BOOKING_WORDS, name="booking").path)


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_predict_for_scripts(invoices: str) -> None:
    """One object per text: the record, and each field with its confidence and its place in the text."""
    shown = json.loads(call("predict", invoices, TEXT, "--json").stdout)
    assert shown["value"] == RECORD
    assert [field["name"] for field in shown["fields"]] == ["number", "date", "total", "status"]
    (span,) = shown["fields"][1]["spans"]
    assert shown["text"][span["start"] : span["end"]] == "3 May 2026"
    assert 0 < shown["confidence"] < 1
    assert "probabilities" not in shown


def test_predict_for_people(invoices: str) -> None:
    """The record, a line per field, and with --spans the text with what was copied."""
    first, *lines = call("predict", invoices, "4712 of 3 May 2026", "--spans").stdout.splitlines()
    assert first.startswith('{"number":"4712","date":"2026-05-03","total":null,"status":"open"}  0.')
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["number", "4712"], ["date", "2026-05-03"], ["total", "–"], ["status", "open"],
    ]  # fmt: skip
    assert lines[-1] == "  [4712|number] of [3 May 2026|date]"


def test_marks_behind_earlier_turns(booking: str, tmp_path: Path) -> None:
    """Entities count from the newest user turn; rows may have a context and requested slots, as in data files."""
    file = write(tmp_path / "rows.jsonl", [{"text": "in Palo Alto", "context": "Berlin?", "requested": ["city"]}])
    result = call("predict", booking, "--file", file, "--spans")
    assert result.stdout.splitlines()[-3:] == [
        "  user: in [Palo Alto|city]",
        "  assistant: city?",
        "  assistant: Berlin?",
    ]


def test_uncalibrated(tmp_path: Path) -> None:
    """A model without confidences shows none."""
    path = str(tiny_record(tmp_path / "raw", calibrated=False).path)
    shown = json.loads(call("predict", path, TEXT, "--json").stdout)
    assert shown["confidence"] is None
    assert {field["confidence"] for field in shown["fields"]} == {None}
    assert call("predict", path, TEXT).stdout.splitlines()[2].split() == ["date", "2026-05-03"]


def test_words_are_not_explained(invoices: str) -> None:
    """The way to see where a record comes from is named."""
    result = call("predict", invoices, TEXT, "--explain")
    assert result.exit_code == 2
    assert "--spans" in result.stderr


def test_eval(booking: str, tmp_path: Path) -> None:
    """Scripts find record_match, span_f1 and fields; people a table of fields; --deep is refused."""
    rows: list[dict[str, object]] = [
        {"text": "in Palo Alto", **BOOKED},
        {"text": "CancelTable in rome", "label": "CancelTable", "entities": [
            {"label": "city", "start": 15, "end": 19, "text": "rome"}]},
    ]  # fmt: skip
    file = write(tmp_path / "test.jsonl", rows)
    result = call("eval", booking, file, "--json")
    report = json.loads(result.stdout)
    assert (report["record_match"], report["accuracy"]) == (0.5, 0.5)
    assert report["span_f1"] == pytest.approx(2 / 3)
    assert {row["name"]: row["f1"] for row in report["fields"]}["label"] == 1.0
    assert report["record"]["valid"] == 1.0
    assert "record match" in call("eval", booking, file).stdout
    refused = call("eval", booking, file, "--deep")
    assert refused.exit_code == 2
    assert "--deep" in refused.stderr


def test_ls_and_show(home: Home) -> None:
    """Fields and entities stand in the place of labels."""
    home.bundles.mkdir()
    called = msgspec.structs.replace(INVOICE, function=FUNCTION, entities=("city",))
    bundle = tiny_record(home.bundles / "b", called, {"4711": "number", "berlin": "city"})
    ledger = Ledger(home.ledger)
    ledger.add_model(ModelRow("invoices", 1_700_000_000, "b", bundle.digest, "none"))
    ledger.close()
    (shown,) = json.loads(call("ls", "--json").stdout)
    assert (shown["kind"], shown["labels"]) == ("record", 5)
    lines = {line.split()[0]: line for line in call("show", "invoices").stdout.splitlines()}
    assert "4: number (span), date (span), total (span), status (choice)" in lines["fields"]
    assert "city" in lines["entities"]
    assert FUNCTION in lines["function"]
