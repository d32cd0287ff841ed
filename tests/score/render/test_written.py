"""Records and texts in reports."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.score.kinds.test_records import GIVEN, WANTED, report_of
from tests.score.kinds.test_texts import Echo

from nanosmith.score.evaluate import evaluate
from nanosmith.score.render import as_html, as_json, as_object, as_text
from nanosmith.score.report import Report


@pytest.fixture(scope="module")
def record_report() -> Report:
    return report_of(GIVEN, WANTED)


@pytest.fixture(scope="module")
def text_report() -> Report:
    return evaluate(Echo(), ["a <b> day", "no"], ["a <b> day", "yes"], others=[("c",), ()])


def test_json_of_records(record_report: Report) -> None:
    """Scripts find the figures at the top, and the whole report below."""
    shown = as_object(record_report)
    assert shown["record_match"] == shown["accuracy"] == 0.25
    assert shown["span_f1"] == shown["record"]["spans"]["f1"]
    row = next(row for row in shown["fields"] if row["name"] == "city")
    assert {"precision", "recall", "f1", "f1_interval", "support", "accuracy"} <= row.keys()
    assert msgspec.json.decode(msgspec.json.encode(record_report), type=Report) == record_report


def test_text_of_records(record_report: Report) -> None:
    """The headline, the fields with the lowest F1 first, and wrong records field by field."""
    shown = as_text(record_report)
    lines = shown.splitlines()
    assert lines[1].split()[:3] == ["record", "match", "25.00"]
    assert "span F1" in shown
    assert shown.index("city (entity)") < shown.index("label (choice)")
    assert "    label: wanted cancel, given book" in lines
    assert "Classes by F1" not in shown
    assert max(map(len, lines)) <= 100


def test_page_of_records(record_report: Report) -> None:
    """The page has the same, without any table of classes."""
    page = as_html(record_report)
    assert "Record match" in page
    assert "city (entity)" in page
    assert "xx [3–5]" in page
    assert "Classes, lowest" not in page


def test_texts(text_report: Report) -> None:
    """BLEU and ROUGE-L stand in the headline; the page escapes what models write."""
    shown = json.loads(as_json(text_report))
    assert shown["exact_match"] == 0.5
    assert {"bleu", "chrf", "rouge_l"} <= shown.keys()
    assert "record_match" not in shown
    assert "BLEU" in as_text(text_report)
    page = as_html(text_report)
    assert "Exact match" in page
    assert "a &lt;b&gt; day" in page
