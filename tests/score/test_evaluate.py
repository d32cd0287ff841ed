"""evaluate: from a predictor and wanted answers to a Report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nanosmith.core.errors import Cancelled, InputError
from nanosmith.core.example import Input, Message
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Value
from nanosmith.core.watch import Watch
from nanosmith.predict.open import open_predictor
from nanosmith.score.cost import CoreHour, Prices
from nanosmith.score.evaluate import evaluate
from nanosmith.score.report import Report
from nanosmith.testing import FakePredictor, tiny_bundle, topic_rows

LABELS = ("delivery", "login", "refund")


class Uncalibrated(FakePredictor):
    """Gives answers and nothing else, as a remote endpoint would."""

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return [Prediction(p.value, None, (), (), self.name) for p in super().predict(inputs)]


class Told(Watch):
    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[tuple[str, int, int]] = []
        self.stop_at = stop_at

    def progress(self, stage: str, done: int, total: int) -> None:
        self.seen.append((stage, done, total))

    def should_stop(self) -> bool:
        return self.stop_at is not None and len(self.seen) >= self.stop_at


def test_figures_of_a_known_predictor() -> None:
    """Three of four are right: accuracy, its interval, F1, the confusion and the wrong row follow."""
    inputs = ["a refund", "my login", "refund it", "what is this"]
    report = evaluate(FakePredictor(LABELS), inputs, ["refund", "login", "refund", "login"], bytes=123)
    assert (report.n, report.labels, report.accuracy, report.micro_f1) == (4, 3, 0.75, 0.75)
    assert report.accuracy_interval[0] < 0.75 < report.accuracy_interval[1]
    assert report.macro_f1 == pytest.approx((0 + 2 / 3 + 1) / 3)
    assert [(row.wanted, row.given, row.examples) for row in report.confusions] == [
        ("login", "delivery", ("what is this",))
    ]
    assert [(row.index, row.wanted, row.given) for row in report.wrong] == [(3, "login", "delivery")]
    assert (report.wrong_count, report.bytes, report.model, report.kind) == (1, 123, "fake", "choice")


def test_calibration_of_a_known_predictor() -> None:
    """A confidence of 0.9 with three of four right is off by 0.15; 90 % cannot be reached by any threshold."""
    inputs = ["a refund", "my login", "refund it", "what is this"]
    found = evaluate(FakePredictor(LABELS), inputs, ["refund", "login", "refund", "login"]).calibration
    assert found is not None
    assert found.ece == pytest.approx(0.15)
    assert found.nll == pytest.approx(-(3 * np.log(0.9) + np.log(0.05)) / 4)
    assert found.brier is not None
    assert found.targets[0].best is None


def test_unseen_labels_count_as_wrong() -> None:
    """A wanted label that the model does not have is wrong, is listed, is noted, and has its own row."""
    report = evaluate(FakePredictor(LABELS), ["a refund", "about tax", "tax"], ["refund", "tax", "tax"])
    assert report.accuracy == pytest.approx(1 / 3)
    assert [(row.label, row.count) for row in report.unseen] == [("tax", 2)]
    assert "'tax'" in report.notes[0]
    assert next(row for row in report.per_class if row.label == "tax").recall == 0
    assert report.calibration is not None
    assert np.isfinite(report.calibration.nll or 0.0)


def test_right_answers_by_number_of_labels(tmp_path: Path) -> None:
    """Where sets of different sizes are wanted, a note tells how many of each size are wholly right."""
    predictor = open_predictor(tiny_bundle(tmp_path / "several", kind="labels"))
    report = evaluate(predictor, ["refund", "login", "login refund"], [("refund",), (), ("login", "refund")])
    assert report.notes[0] == (
        "Wholly right by the number of labels: 0.0% of 1 that want 0, 100.0% of 1 that want 1, 100.0% of 1 that want 2."
    )
    assert not any("number of labels" in note for note in evaluate(predictor, ["refund"], [("refund",)]).notes)


def test_labels(tmp_path: Path) -> None:
    """For sets of labels the accuracy counts equal sets; a label missed and one unseen are told apart."""
    predictor = open_predictor(tiny_bundle(tmp_path / "several", kind="labels"))
    inputs = ["login and refund", "login", "neither", "refund"]
    wanted: list[Value] = [("login", "refund"), ("delivery", "login"), (), ("refund", "tax")]
    report = evaluate(predictor, inputs, wanted)
    assert report.accuracy == 0.5
    assert report.micro_f1 == pytest.approx(2 * 4 / (4 + 6))
    assert {(row.wanted, row.given) for row in report.confusions} == {("delivery", None), ("tax", None)}
    assert [row.label for row in report.unseen] == ["tax"]
    assert report.calibration is not None
    assert 0 <= (report.calibration.brier or 0.0) <= 1


def test_real_bundle_through_the_runtime(tmp_path: Path) -> None:
    """A sealed bundle is measured as it serves: tokens, latency and costs are those of its calls."""
    predictor = open_predictor(tiny_bundle(tmp_path / "tiny"))
    rows = [(f"{label} please", label) for label in LABELS * 4]
    report = evaluate(predictor, [text for text, _ in rows], [label for _, label in rows])
    assert report.accuracy == 1
    assert report.cost.input_tokens == 2
    assert report.latency_ms.calls == 12
    assert 0 < report.latency_ms.p50 <= report.latency_ms.p95
    assert report.cost.rows[0].usd == pytest.approx(report.latency_ms.mean / 3.6 * report.cost.core_hour.usd)


def test_conversations_are_inputs(tmp_path: Path) -> None:
    """Turns of a conversation are asked as they are."""
    turns = (Message("user", "hello"), Message("assistant", "yes?"), Message("user", "my login"))
    assert evaluate(FakePredictor(LABELS), [turns], ["login"]).accuracy == 1


def test_predictor_without_confidence() -> None:
    """There is no calibration, and a note says so."""
    report = evaluate(Uncalibrated(LABELS), ["a refund", "b"], ["refund", "login"])
    assert report.calibration is None
    assert report.wrong[0].confidence is None
    assert any("not calibrated" in note for note in report.notes)


def test_cut_inputs_are_noted(tmp_path: Path) -> None:
    """Inputs beyond the model's limit are counted; their unread tokens count for the costs."""
    predictor = open_predictor(tiny_bundle(tmp_path / "tiny"))
    report = evaluate(predictor, ["refund " * 100, "refund"], ["refund", "refund"])
    assert report.cut_inputs == 1
    assert report.cost.input_tokens == pytest.approx((100 + 1) / 2)
    assert "1 of 2 inputs were longer" in report.notes[0]


def test_large_report_is_small_and_round_trips() -> None:
    """5,000 examples with 150 classes, every third wrong: at most 500 rows, under 300 kB, the same after decoding."""
    labels = [f"a_rather_long_label_name_{i:03d}" for i in range(150)]
    random = np.random.default_rng(0)
    answers = random.integers(0, 150, 5000)
    wanted = np.where(random.random(5000) < 0.66, answers, random.integers(0, 150, 5000))
    inputs = [f"a text with {labels[i]} in its middle, number {n}" for n, i in enumerate(answers)]
    report = evaluate(FakePredictor(labels), inputs, [labels[i] for i in wanted])
    content = msgspec.json.encode(report)
    assert report.wrong_count > len(report.wrong) == 500
    assert len(report.per_class) == 150
    assert len(content) < 200_000
    assert msgspec.json.decode(content, type=Report) == report


def test_made_is_kept_as_plain_values() -> None:
    """numpy's numbers and paths become what JSON holds."""
    made = {"accuracy": np.float32(0.5), "folder": Path("a/b"), "tried": [{"n": np.int64(3)}], "row": np.arange(2)}
    report = evaluate(FakePredictor(LABELS), ["x"], ["login"], made=made)
    assert report.made == {"accuracy": 0.5, "folder": str(Path("a/b")), "tried": [{"n": 3}], "row": [0, 1]}


def test_own_prices() -> None:
    """The caller's price table is used and named in the report."""
    prices = Prices("2031-02", "our contract", CoreHour(36.0))
    cost = evaluate(FakePredictor(LABELS), ["x"], ["login"], prices=prices).cost
    assert (cost.source, cost.core_hour, len(cost.rows)) == ("our contract", CoreHour(36.0), 1)


def test_progress_and_stop() -> None:
    """Progress is told at most 200 times and ends with everything; a stop ends the run early."""
    rows = topic_rows(900)
    inputs, wanted = [text for text, _ in rows], [label for _, label in rows]
    watch = Told()
    evaluate(FakePredictor(LABELS), inputs, wanted, watch=watch)
    assert watch.seen[-1] == ("evaluate", 900, 900)
    assert 100 <= len(watch.seen) <= 200
    stopped = Told(stop_at=3)
    with pytest.raises(Cancelled):
        evaluate(FakePredictor(LABELS), inputs, wanted, watch=stopped)
    assert len(stopped.seen) == 3


@pytest.mark.parametrize(
    ("inputs", "wanted", "message"),
    [
        ([], [], "there is nothing to evaluate"),
        (["a", "b"], ["refund"], "got 2 inputs and 1 wanted answers"),
        (["a", "b"], ["refund", ("refund",)], "example 2: the wanted answer is of another kind"),
    ],
)
def test_wrong_arguments(inputs: list[Input], wanted: list[Value], message: str) -> None:
    """No examples, too few answers, or an answer of another kind: refused before any call."""
    with pytest.raises(InputError, match=message):
        evaluate(FakePredictor(LABELS), inputs, wanted)
