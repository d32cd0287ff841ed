"""A folder of small sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

WORDS = {"card": "travel", "money": "banking", "weather": "home"}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows(count: int) -> list[dict[str, Any]]:
    """So many rows of each of three labels, each with a word of its own."""
    return [
        {"text": f"please tell me something about the {word} number {i}", "label": word, "domain": domain}
        for i in range(count)
        for word, domain in WORDS.items()
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sets clinc150 (with rows that are out of scope), sgd_domain16 (with context), snips and mixsnips."""
    outside = [{"text": f"sing a song about {i}", "label": "oos", "domain": "oos"} for i in range(6)]
    clinc, sgd = tmp_path / "data" / "clinc150", tmp_path / "data" / "sgd_domain16"
    for name, count in (("train", 20), ("train_10shot", 10), ("train_5shot", 5), ("test", 4)):
        write(clinc / f"{name}.jsonl", rows(count) + (outside if "shot" not in name else []))
        write(sgd / f"{name}.jsonl", [{**row, "context": "What is it about?"} for row in rows(count)])
        write(tmp_path / "data" / "snips" / f"{name}.jsonl", rows(count))
    both = [{"text": "the card and the money", "labels": ["money", "card"]}]
    write(tmp_path / "data" / "mixsnips" / "test.jsonl", both)
    return tmp_path / "data"
