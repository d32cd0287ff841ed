"""Models that answer with sets: from rows with several labels, and from single labels with `combined`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows.assemble import tune_data
from nanosmith.flows.evaluate import evaluate
from nanosmith.flows.tune import tune
from nanosmith.predict.open import open_predictor
from nanosmith.store.home import Home
from nanosmith.testing import topic_rows, write_chat

BOTH = "please refund the payment of 7 and my password is not accepted on 8"


@pytest.fixture
def single(tmp_path: Path) -> Path:
    return write_chat(tmp_path / "topics.jsonl", topic_rows(60))


def write_sets(path: Path, rows: list[tuple[str, list[str]]]) -> Path:
    lines = [json.dumps({"text": text, "labels": labels}) for text, labels in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def set_rows(n: int) -> list[tuple[str, list[str]]]:
    """Every other row has two topics."""
    rows = topic_rows(n)
    return [
        (f"{text}, {rows[i - 1][0]}", sorted({label, rows[i - 1][1]})) if i % 2 else (text, [label])
        for i, (text, label) in enumerate(rows)
    ]


@pytest.mark.parametrize("settings", [TuneSettings(combined=True), TuneSettings(oos_label="login")])
def test_labels_alone(tmp_path: Path, settings: TuneSettings) -> None:
    """Where queries are joined or out of scope, entities beside labels are left aside."""
    path = tmp_path / "d.jsonl"
    rows = [{"text": text, "label": label, "entities": []} for text, label in topic_rows(60)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    task = tune_data(path, None, settings, Watch()).train.task
    assert task.kind == ("labels" if settings.combined else "choice")
    assert set(task.labels) <= {"delivery", "login", "refund"}


def test_combined(single: Path, home: Home, base_folder: Path, tmp_path: Path) -> None:
    """From single labels comes a model that answers one label where one is asked, and two where two are."""
    settings = TuneSettings(base=str(base_folder), recipe="static/1", combined=True)
    tuned = tune(single, settings=settings, home=home)
    predictor = open_predictor(tuned.bundle)
    [one, two] = predictor.predict(["please refund the payment of 7", BOTH])
    assert (one.value, two.value) == (("refund",), ("login", "refund"))
    assert predictor.task.render(two.value) == '["login", "refund"]'
    assert any("number of labels" in note for note in tuned.report.notes)
    assert "joined" in tuned.report.made["evaluated_file"]
    for name, rows in (("plain", [("please refund the payment of 7", "refund")]), ("list", [(BOTH, '["login"]')])):
        file = write_chat(tmp_path / f"{name}.jsonl", rows)
        assert evaluate(tuned.bundle.path, file).accuracy == (name == "plain")


def test_sets(home: Home, base_folder: Path, tmp_path: Path) -> None:
    """Rows of text and labels are learned and reported: whole sets, single decisions, calibration."""
    train = write_sets(tmp_path / "sets.jsonl", set_rows(90))
    test = write_sets(tmp_path / "test.jsonl", set_rows(120)[90:])
    settings = TuneSettings(base=str(base_folder), recipe="static/1")
    report = tune(train, test=test, settings=settings, home=home).report
    assert (report.kind, report.n) == ("labels", 30)
    assert report.accuracy >= 0.8
    assert report.micro_f1 >= report.accuracy
    assert report.calibration
    assert report.calibration.ece <= 0.3


def test_test_file_of_single_labels(single: Path, tmp_path: Path) -> None:
    """With `combined` a test file may be written as the training file is."""
    test = write_chat(tmp_path / "test.jsonl", topic_rows(90)[60:])
    data = tune_data(single, test, TuneSettings(combined=True), Watch())
    assert data.train.task.kind == data.test.task.kind == "labels"
    assert data.test.values[0] == ("refund",)
    assert len(data.test) == 30
