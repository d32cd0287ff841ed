"""A Report as text, JSON and HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import numpy as np
import pytest

from nanosmith.core.errors import MissingExtra
from nanosmith.score.evaluate import evaluate
from nanosmith.score.render import as_html, as_json, as_text, html
from nanosmith.score.report import Report
from nanosmith.testing import FakePredictor

HOSTILE = '<script>alert("1")</script>'
VOID = {"meta", "link", "br", "img", "hr", "wbr", "input"}
MADE = {
    "recipe": "tune_encoder/1",
    "training_s": 312.4,
    "settings": {"epochs": 3, "note": HOSTILE},
    "why": [f"All answers are one of {HOSTILE}."],
    "parity": {"n": 100, "loss_points": 0.1},
    "candidates": [
        {"recipe": "static/1", "accuracy": 0.87, "seconds": 14.2},
        {"recipe": HOSTILE, "accuracy": 0.92, "seconds": 61.0, "kept": True},
    ],
}


def made_report(labels: list[str], n: int = 60, made: dict[str, Any] | None = None) -> Report:
    """Every sixth answer is wrong."""
    inputs = [f"{labels[i % len(labels)]} number {i}" for i in range(n)]
    wanted = [labels[(i + (i % 6 == 0)) % len(labels)] for i in range(n)]
    return evaluate(FakePredictor(labels), inputs, wanted, bytes=23_456_789, made=made)


@pytest.fixture(scope="module")
def report() -> Report:
    return made_report(["refund", "login", HOSTILE, "$\\frac{x}$ & ünï 漢字"], made=MADE)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return as_html(report)


class Page(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_text_starts_with_the_headline(report: Report) -> None:
    """The first lines tell accuracy with its interval, macro-F1, p50 and p95, and the size."""
    name, accuracy, macro, latency, size, *_ = as_text(report).splitlines()
    assert name == "fake (choice)"
    assert re.search(r"accuracy +83\.33 % +95 % interval 71\.\d\d – 90\.\d\d %, 50 of 60 right", accuracy)
    assert re.search(r"macro-F1 +\d\d\.\d\d % +95 % interval", macro)
    assert re.search(r"latency p50 +[\d.]+ ms +p95 [\d.]+ ms", latency)
    assert re.search(r"size +23\.5 MB +peak memory", size)


def test_text_fits_and_is_plain() -> None:
    """No line is over 100 columns, and a label's control characters do not reach the terminal."""
    long = [f"{'x' * 300}{i}\x1b[31m\nred" for i in range(3)]
    text = as_text(made_report(long, made={**MADE, "settings": {f"key{i}": i for i in range(100)}}))
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert not any(line.startswith("red") for line in text.splitlines())


def test_text_sections(report: Report) -> None:
    """What was made, candidates, confidence, confusions, classes and costs each have their place."""
    text = as_text(report)
    for part in (
        "How it was made", "5 min 12 s", "Candidates tried", "87.00 %", "Confidence", "expected calibration error",
        "Worst confusions", "Classes by F1", "gpt-6-luna", "an assumption",
    ):  # fmt: skip
        assert part in text


def test_json_is_the_whole_report(report: Report) -> None:
    """One line of JSON with the scripted fields, which decodes to the same Report."""
    content = as_json(report)
    plain = msgspec.json.decode(content)
    assert b"\n" not in content
    assert {"n", "accuracy", "macro_f1", "bytes"} <= plain.keys()
    assert {"p50", "p95"} <= plain["latency_ms"].keys()
    assert msgspec.json.decode(content, type=Report) == report


def test_page_is_well_formed(page: str) -> None:
    """Every element is closed in order, all ids differ, and there is one heading and three plots."""
    parsed = Page(page)
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert parsed.open == []
    assert len(ids) == len(set(ids))
    assert parsed.tags.count("h1") == 1
    assert parsed.tags.count("svg") == 3


def test_page_is_self_contained(page: str) -> None:
    """Nothing is loaded from anywhere: no script, no link, no address, and references only inside of the page."""
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(parsed.tags)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert all((value or "").startswith("#") for name, value in parsed.attributes if name in ("href", "src"))
    assert all(inner.startswith("#") for inner in re.findall(r"url\(([^)]*)\)", page))
    assert len(page.encode()) < 1_000_000


def test_page_escapes_hostile_text(page: str) -> None:
    """A label, an example, a setting and a candidate that look like markup are shown as text."""
    assert "<script" not in page
    assert "&lt;script&gt;alert(" in page
    assert not any(name.startswith("on") for name, _ in Page(page).attributes)


def test_page_has_its_sections(page: str) -> None:
    """Headline, reliability, coverage, confusions, classes, latency, cost, candidates and wrong answers are there."""
    for part in (
        "83.33 %", "Reliability.", "Coverage.", "Worst confusions", "Classes, lowest F1 first", "Latency",
        "Cost of a million requests", "Candidates tried", "Wrong answers", "prefers-color-scheme: dark", "@media print",
    ):  # fmt: skip
        assert part in page


def test_page_is_the_same_again(report: Report, page: str) -> None:
    """The same report gives the same bytes."""
    assert as_html(report) == page


def test_plots_follow_the_colours_of_the_page(page: str) -> None:
    """No plot has a colour of its own, so that it is readable in dark mode."""
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert "var(--accent)" in drawn
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) <= {"#ffffff"}


def test_many_classes_are_folded() -> None:
    """Beyond 20 classes the best ones are behind a fold, and all of them are in the page."""
    labels = [f"label {i:03d}" for i in range(150)]
    page = as_html(made_report(labels, n=600))
    assert "The other 130 classes" in page
    assert all(label in page for label in labels)
    assert len(page.encode()) < 1_000_000


def test_page_without_confidence_or_making(report: Report) -> None:
    """A report with nothing optional still makes a page."""
    bare = msgspec.structs.replace(
        report, calibration=None, made={}, bytes=None, peak_memory_bytes=None, wrong=(), confusions=()
    )
    page = as_html(bare)
    assert Page(page).tags.count("svg") == 1
    assert "Reliability" not in page
    assert "How it was made" not in page
    assert "How it was made" not in as_text(bare)


def test_one_example() -> None:
    """A single example gives figures, a text and a page without warnings of numpy or matplotlib."""
    with np.errstate(all="raise"):
        single = made_report(["a", "b"], n=1)
    assert "0.00 %" in as_text(single)
    assert "0.00 %" in as_html(single)


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_missing_extra(report: Report, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Without one of the two packages the message holds the pip line."""
    monkeypatch.setattr(html, "find_spec", lambda name: None if name == module else object())
    with pytest.raises(MissingExtra, match=rf"'{module}'.*pip install 'nanosmith\[train\]'"):
        as_html(report)
