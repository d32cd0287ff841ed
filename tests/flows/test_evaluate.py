"""The evaluate flow: a bundle and a file in, a Report out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.watch import Level, Watch
from nanosmith.flows.evaluate import evaluate
from nanosmith.store.bundles import add_files, open_bundle
from nanosmith.testing import tiny_bundle, write_chat

ROWS = [("my refund", "refund"), ("the login page", "login"), ("no idea", "login")]


class Heard(Watch):
    def __init__(self) -> None:
        self.said: list[tuple[str, Level]] = []

    def message(self, text: str, level: Level = "info") -> None:
        self.said.append((text, level))


def test_report_of_a_file(tmp_path: Path) -> None:
    """Answers are read by the bundle's task; fewer than ten examples are enough; the making is told."""
    bundle = tiny_bundle(tmp_path / "tiny")
    report = evaluate(bundle.path, write_chat(tmp_path / "test.jsonl", ROWS))
    assert (report.n, report.accuracy, report.model) == (3, pytest.approx(2 / 3), "tiny")
    assert report.bytes == bundle.manifest.total_bytes
    assert (report.made["recipe"], report.made["evaluated_file"]) == ("static/1", "test.jsonl")


def test_a_report_inside_does_not_count(tmp_path: Path) -> None:
    """The size is that of the files that answer, before and after a report was added."""
    bundle = tiny_bundle(tmp_path / "tiny")
    file = write_chat(tmp_path / "test.jsonl", ROWS)
    before = evaluate(bundle.path, file).bytes
    add_files(bundle, {"report.json": b"x" * 1000})
    assert open_bundle(bundle.path).manifest.total_bytes > (before or 0)
    assert evaluate(bundle.path, file).bytes == before


def test_labels(tmp_path: Path) -> None:
    """A bundle for several labels reads lists."""
    bundle = tiny_bundle(tmp_path / "several", kind="labels")
    rows = [("login and refund", json.dumps(["refund", "login"])), ("nothing", "[]")]
    assert evaluate(bundle.path, write_chat(tmp_path / "test.jsonl", rows)).accuracy == 1


def test_warnings_of_the_file_are_told(tmp_path: Path) -> None:
    """A label that the model does not have is warned about, and counts as wrong."""
    bundle, heard = tiny_bundle(tmp_path / "tiny"), Heard()
    file = write_chat(tmp_path / "test.jsonl", [*ROWS, ("my tax", "tax")])
    report = evaluate(bundle.path, file, watch=heard)
    assert any("tax" in text and level == "warn" for text, level in heard.said)
    assert report.accuracy == 0.5


def test_bad_arguments(tmp_path: Path) -> None:
    """No bundle, no file, an empty file and a broken line are each the user's error."""
    bundle = tiny_bundle(tmp_path / "tiny")
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    broken = write_chat(tmp_path / "broken.jsonl", ROWS)
    broken.write_bytes(broken.read_bytes() + b"{oops\n")
    with pytest.raises(NotFound):
        evaluate(tmp_path / "absent", broken)
    with pytest.raises(InputError, match=r"empty\.jsonl"):
        evaluate(bundle.path, empty)
    with pytest.raises(InputError, match="line 4"):
        evaluate(bundle.path, broken)
    with pytest.raises(InputError, match=r"absent\.jsonl"):
        evaluate(bundle.path, tmp_path / "absent.jsonl")
