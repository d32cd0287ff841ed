"""Typos and swapped groups in the report, as text and page."""

from __future__ import annotations

import re

import msgspec
import pytest

from nanosmith.score.evaluate import evaluate
from nanosmith.score.fairness import fairness
from nanosmith.score.render import as_html, as_json, as_text
from nanosmith.score.report import Report
from nanosmith.score.robustness import robustness
from nanosmith.testing import FakePredictor

LABELS = ("delivery", "login", "<refund>")
TEXTS = [f"please help Sarah with the {LABELS[i % 3]} of order {i}" for i in range(30)]
WANTED = [LABELS[i % 3] for i in range(30)]


@pytest.fixture(scope="module")
def report() -> Report:
    predictor = FakePredictor(LABELS)
    plain = evaluate(predictor, TEXTS, WANTED)
    return msgspec.structs.replace(
        plain, robustness=robustness(predictor, TEXTS, WANTED), fairness=fairness(predictor, TEXTS, WANTED)
    )


def test_text(report: Report) -> None:
    """Both tables and the sentence about the attack are there, and nothing is cut at 100 columns."""
    shown = as_text(report)
    part = shown[shown.index("Typos, on a sample of 30, of which 100.00 %") : shown.index("Cost of a million")]
    assert "one in each text" in part
    assert "in 20 % of the words" in part
    assert "One changed character" in part
    assert re.search(r"\n  name, found +30 ", part)
    assert "…" not in part


def test_page(report: Report) -> None:
    """The page has the plot, all rows, and the finds of the attack, escaped."""
    page = as_html(report)
    assert 'aria-label="typos"' in page
    assert "orientation, introduced" in page
    assert "Right answers that one character made wrong" in page
    assert "<refund>" not in page
    assert page.count("<table") == page.count("</table>")
    assert page.count("<details") == page.count("</details>")


def test_json_comes_back(report: Report) -> None:
    """What is written as JSON is read as the same figures."""
    again = msgspec.json.decode(as_json(report), type=Report)
    assert (again.robustness, again.fairness) == (report.robustness, report.fairness)
