"""The speed bench: turns of a contender in its own process, the figures of them, and the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from bench.speed.__main__ import figures
from bench.speed.fleet import Contender, Worker
from bench.speed.page import BEGIN, END, ratio, write_page
from bench.speed.worker import answers, calls, in_batches

from nanosmith.testing import tiny_bundle

ASKED = {"batch": 2, "clients": 1, "seconds": 0.02, "offset": 0}


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A tiny bundle, answering in a process of its own."""
    monkeypatch.chdir(Path(__file__).resolve().parents[3])
    bundle = tiny_bundle(tmp_path / "tiny")
    running = Worker(Contender("Nanosmith tiny", "ours", {"bundle": str(bundle.path)}, 1_000, sys.executable))
    yield running
    running.stop()


def test_a_process_and_its_page(worker: Worker, tmp_path: Path) -> None:
    """It answers as the bundle does, its turns become figures, and these a page that keeps what stood around them."""
    texts = ["my refund", "the login", "a delivery"]
    assert worker.load(texts, answer=2) == ["refund", "login", "delivery"]
    row = figures([worker.turn(batch=1, clients=2, seconds=0.05, offset=turn) for turn in range(2)])
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["texts_per_s"] > 100
    assert worker.peak_bytes > 10_000_000
    about = {"accuracy": 0.9, "bytes": 1_000, "opened_s": worker.opened_s, "peak_bytes": worker.peak_bytes}
    rows = [row | {"tokens": tokens, "batch": 1, "clients": 1, "contender": "Nanosmith tiny"} for tokens in (0, 16)]
    page = tmp_path / "speed.md"
    found = {"cpu": "a cpu", "load": 0.5, "nanosmith": "1", "day": "today", "short": False, "data": "tiny",
             "rows": rows, "contenders": {"Nanosmith tiny": about}}  # fmt: skip
    page.with_suffix(".json").write_text(json.dumps(found))
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_page(page)
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert "| Nanosmith tiny | 90.0 |" in written
    assert "### 16 tokens" in written
    assert "<svg" in page.with_suffix(".svg").read_text()


def test_a_contender_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is what its process said last."""
    monkeypatch.chdir(Path(__file__).resolve().parents[3])
    with pytest.raises(OSError, match="KeyError"):
        Worker(Contender("none", "none", {}, 0, sys.executable))


def test_clients_and_batches() -> None:
    """Batches go round the texts from the offset on; every client's calls count; all texts are answered."""
    assert list(islice(in_batches(["a", "b", "c"], 2, 1), 3)) == [["b", "c"], ["a", "b"], ["c", "a"]]
    sizes: list[int] = []

    def answer(texts: Any) -> list[str]:
        sizes.append(len(texts))
        return list(texts)

    assert len(calls(answer, ["a", "b", "c"], ASKED | {"clients": 3})) == len(sizes)
    assert set(sizes) == {2}
    assert answers(answer, ["a", "b", "c"], 2) == ["a", "b", "c"]
    assert answers(answer, ["a"], 0) == []


def test_ratios_are_of_the_same_turns() -> None:
    """The median of the turns' ratios, whatever the machine did between them."""
    slow, fast = {"by_turn_ms": [10.0, 100.0, 30.0]}, {"by_turn_ms": [1.0, 10.0, 6.0]}
    assert ratio(fast, slow) == "0.100 ×"
    assert ratio(fast, None) == "–"
