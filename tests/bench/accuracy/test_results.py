"""Results are kept, summed up and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bench.accuracy import results
from bench.accuracy.contenders import contenders
from bench.accuracy.figures import summary
from bench.accuracy.page import BEGIN, END, write_page


def result(contender: str = "tfidf_lr", seed: int = 0, accuracy: float = 90.0, version: str = "1", **more: Any):  # type: ignore[no-untyped-def]
    return {
        "set": "banking77", "shots": "full", "contender": contender, "seed": seed, "version": version, "budget": None,
        "figures": {"accuracy": accuracy, "ece": 2.0}, "counts": {"accuracy": 3_080, "ece": 3_080}, "seconds": 12.3,
        "cpu_seconds": 23.4, "cpu": "a processor", "threads": "2", **more,
    }  # fmt: skip


def test_half_a_line_is_left_out(tmp_path: Path) -> None:
    """A killed run may leave half a line; the next one is written where it began."""
    file = tmp_path / "r.jsonl"
    results.append(file, result(seed=0))
    with file.open("a") as lines:
        lines.write('{"set": "bank')
    assert [one["seed"] for one in results.read(file)] == [0]
    results.append(file, result(seed=1))
    assert [one["seed"] for one in results.read(file)] == [0, 1]


def test_newest_version_counts() -> None:
    """Results of a version that was measured before another are not averaged with that one's."""
    found = results.newest([result(version="1"), result(version="2"), result(version="2", seed=1)])
    assert [one["version"] for one in found["banking77", "full", "tfidf_lr"]] == ["2", "2"]


def test_mean_and_interval() -> None:
    """The interval of a share holds the spread of the seeds and that of a test of so many rows."""
    one = summary([result(accuracy=90)], "accuracy")
    assert one
    assert (one.mean, one.seeds) == (90, 1)
    assert one.half == pytest.approx(196 * (0.9 * 0.1 / 3080) ** 0.5, rel=1e-3)
    three = summary([result(accuracy=value) for value in (89, 90, 91)], "accuracy")
    assert three
    assert three.half == pytest.approx(196 * (0.9 * 0.1 / 3080 + 0.01**2 / 3) ** 0.5, rel=1e-3)


def test_figures_that_are_no_shares_need_seeds() -> None:
    """Of one run of a calibration error no interval is told, and of a figure that was not measured nothing."""
    found = summary([result()], "ece")
    assert found
    assert found.half is None
    assert summary([result()], "joined") is None


def test_page(tmp_path: Path) -> None:
    """The tables stand between the marks, the best is bold, what stands around them stays."""
    file, page = tmp_path / "accuracy.jsonl", tmp_path / "accuracy.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    for one in (result(accuracy=90), result("fasttext", accuracy=88), result("fasttext", seed=1, accuracy=89)):
        results.append(file, one)
    write_page(file, contenders("python3"))
    text = page.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("The end.\n")
    assert "old" not in text
    assert "|  | TF-IDF + logistic regression | fastText |" in text
    assert "| BANKING77, all rows | **90.00 ± 1.06** | 88.50 ± 1.49 |" in text
    assert "| BANKING77 | **2.00** | **2.00 ± 0.00** |" in text
    assert "- `fasttext`: 1, seeds 0, 1" in text
    root = ElementTree.fromstring((tmp_path / "accuracy.svg").read_text())
    assert "BANKING77, all rows" in "".join(root.itertext())
