"""Explained wrong answers in text and HTML."""

from __future__ import annotations

import msgspec
import pytest

from nanosmith.core.explanation import Explanation, LabelExplanation, WordValue
from nanosmith.score.evaluate import evaluate
from nanosmith.score.render import as_html, as_text
from nanosmith.score.render.explained import MARKED_CHARS, segments
from nanosmith.score.report import Explained, Report
from nanosmith.testing import FakePredictor

TEXT = "no <b>refund</b>  for me"
WORDS = (WordValue("no", 0, 2, -1.0), WordValue("refund", 6, 12, 2.0), WordValue("for", 18, 21, 0.0))
LABEL = LabelExplanation("refund", 0.5, -0.5, WORDS)


@pytest.fixture(scope="module")
def report() -> Report:
    """One of two answers is wrong, and explained."""
    plain = evaluate(FakePredictor(["login", "refund"]), [TEXT, "login"], ["login", "login"])
    row = Explained(0, "login", "refund", 0.9, Explanation(TEXT, False, (LABEL,), 8, 12))
    return msgspec.structs.replace(plain, explained=(row,))


def test_segments_are_the_text() -> None:
    """The pieces put together are the text; each word has its colour, the strongest the strongest value."""
    pieces = list(segments(TEXT, LABEL))
    assert "".join(piece.text for piece in pieces) == TEXT
    marked = {piece.text: piece.background for piece in pieces if piece.background}
    assert marked == {
        "no": "rgba(218, 54, 51, 0.33)",
        "refund": "rgba(46, 160, 67, 0.65)",
        "for": "rgba(218, 54, 51, 0.00)",
    }


def test_long_texts_end_with_an_ellipsis() -> None:
    """Of a long text the beginning is shown."""
    words = tuple(WordValue("word", 5 * i, 5 * i + 4, 1.0) for i in range(400))
    shown = "".join(piece.text for piece in segments("word " * 400, msgspec.structs.replace(LABEL, words=words)))
    assert MARKED_CHARS - 10 < len(shown) <= MARKED_CHARS + 1
    assert shown.endswith("…")


def test_text_report(report: Report) -> None:
    """The report names the example, what was wanted and given, and the words by their size."""
    lines = as_text(report).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Wrong answers"))
    assert lines[at + 1] == "  example 1, confidence 0.90: wanted login, given refund"
    assert lines[at + 2] == "    refund +2.00, no -1.00, for +0.00"


def test_html_report(report: Report) -> None:
    """Words are marked where they stand, and the text is escaped."""
    page = as_html(report)
    assert '<mark style="background: rgba(46, 160, 67, 0.65)" title="+2.00">refund</mark>' in page
    assert "&lt;b&gt;" in page
    assert "no <b>" not in page


def test_nothing_explained(report: Report) -> None:
    """Without explanations neither form mentions them."""
    bare = msgspec.structs.replace(report, explained=())
    assert "words that carried" not in as_text(bare)
    assert "words that carried" not in as_html(bare)
