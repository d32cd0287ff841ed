"""Labelling by teachers, beside a provider that misbehaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fake_teacher import LABELS, table, teaching, write_texts

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.money import NANO
from nanosmith.data.load import load
from nanosmith.flows.label import Hardest, LabelReport, LabelSettings, Plan, as_object, label
from nanosmith.flows.labelling.asking import Asking
from nanosmith.flows.labelling.task import Wanted
from nanosmith.flows.labelling.teachers import Asked
from nanosmith.predict.endpoint.client import Patience
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.store.home import Home
from nanosmith.testing import tiny_bundle
from nanosmith.testing.provider import FakeProvider

ROWS = table(60)
QUICK = Patience(timeout_s=0.5, deadline_s=5.0, retries=3)


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    with teaching(tmp_path, monkeypatch, ROWS) as running:
        yield running


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_texts(tmp_path, ROWS)


def run(file: Path, home: Home, *teachers: str, plans: list[Plan] | None = None, **options: Any) -> LabelReport:
    asked = Asked(teachers or ("fake/big",), options.pop("samples", 1), options.pop("patience", QUICK))
    settings = LabelSettings(asked, options.pop("wanted", Wanted(LABELS)), **options)
    return label(file, file.with_name("out.jsonl"), settings, home, confirm=([] if plans is None else plans).append)


def rows_of(report: LabelReport) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.out.read_text().splitlines()]


def test_all_texts_are_labelled(provider: FakeProvider, texts: Path, home: Home) -> None:
    """In the file's order, with probabilities, in a form that tuning reads; the cost is the provider's own."""
    report = run(texts, home)
    assert [(row["text"], row["label"]) for row in rows_of(report)] == list(ROWS.items())
    assert (report.labelled, report.cached, report.left_out, report.stopped) == (60, 0, (), None)
    assert report.cost == round(provider.seen()["cost_usd"] * NANO)
    data = load(report.out)
    assert data.task.labels == LABELS
    assert dict(data.examples[0].soft or {}) == {"card": 0.9, "login": 0.05, "refund": 0.05}


def test_second_run_asks_nothing(provider: FakeProvider, texts: Path, home: Home) -> None:
    """What was answered is not asked again, also where the file has new lines and others have gone."""
    run(texts, home)
    asked, plans = provider.seen()["requests"], list[Plan]()
    again = run(texts, home, plans=plans)
    assert (again.labelled, again.cached, again.cost) == (60, 60, 0)
    assert (plans[0].questions, plans[0].cached, plans[0].likely) == (0, 60, 0)
    texts.write_text("a new one\ntext 3\ntext 3\n")
    third = run(texts, home)
    assert provider.seen()["requests"] == asked + 2  # the new one has a wrong label, and is tried twice
    assert [row["text"] for row in rows_of(third)] == ["text 3", "text 3"]
    assert [(one.line, one.reason) for one in third.left_out] == [(1, "wrong_answer")]


def test_faults_lose_and_double_nothing(provider: FakeProvider, texts: Path, home: Home) -> None:
    """With all faults at once: right labels alone, each text that lacks one is named, and a healthy second run fills
    the gaps with as many questions as there are gaps."""
    provider.set_faults("429=0.1:0.01,503=0.1,reset=0.05,half=0.05,garbage=0.05,wrong=0.1,hang=0.02:9")
    report = run(texts, home, patience=Patience(0.5, 5.0, 1))
    rows = rows_of(report)
    assert all(ROWS[row["text"]] == row["label"] for row in rows)
    assert len(rows) + len(report.left_out) == 60
    assert report.cost is not None
    assert report.cost <= round(provider.seen()["cost_usd"] * NANO) <= report.cost + report.unsure
    provider.set_faults("")
    provider.clear()
    again = run(texts, home)
    assert (again.labelled, again.left_out) == (60, ())
    assert provider.seen()["requests"] == len(report.left_out)


def test_teacher_that_stops_answering(provider: FakeProvider, texts: Path, home: Home) -> None:
    """After some answers it hangs: the run ends soon, keeps what it has, names the rest, and goes on later."""
    first = run(texts, home, "fake/big", wanted=Wanted(LABELS), budget=NANO // 2_000)
    assert first.stopped == "budget"
    provider.set_faults("hang=1:60")
    stopped = run(texts, home, patience=Patience(0.2, 1.0, 0), how=Asking(4, 0.5))
    assert (stopped.stopped, stopped.labelled) == ("teacher", first.labelled)
    assert len(stopped.left_out) == 60 - first.labelled
    assert {one.reason for one in stopped.left_out} <= {"not_asked", "timeout"}
    provider.set_faults("")
    provider.clear()
    last = run(texts, home)
    assert (last.labelled, last.cached) == (60, first.labelled)
    assert provider.seen()["requests"] == 60 - first.labelled


def test_one_silent_teacher_among_others(provider: FakeProvider, tmp_path: Path, texts: Path, home: Home) -> None:
    """An ensemble whose one member is away stops after the patience, not after all texts."""
    bundle = tiny_bundle(tmp_path / "tiny", LABELS).path
    report = run(texts, home, str(bundle), "http://127.0.0.1:9/v1#away", how=Asking(4, 0.5), patience=Patience(1, 2, 0))
    assert (report.stopped, report.labelled, len(report.left_out)) == ("teacher", 0, 60)
    assert "away" in report.why


def test_pause_of_the_teacher_is_waited_for(provider: FakeProvider, texts: Path, home: Home) -> None:
    """A teacher that comes back within the patience costs time alone: no text is left out for it."""
    provider.set_faults("hang=1:60")
    healed = threading.Timer(1.5, provider.set_faults, [""])
    healed.start()
    report = run(texts, home, patience=Patience(0.2, 1.0, 0), how=Asking(4, 60.0))
    assert (report.labelled, report.left_out, report.stopped) == (60, (), None)


@pytest.mark.parametrize("budget", [0, 1, NANO // 1_000, NANO // 700])
def test_budget_is_never_exceeded(provider: FakeProvider, texts: Path, home: Home, budget: int) -> None:
    """Not by one unit, over several runs; what is left out says so."""
    for _ in range(2):
        report = run(texts, home, budget=budget)
        assert report.spent is not None
        assert report.spent <= budget
    assert round(provider.seen()["cost_usd"] * NANO) <= budget
    assert report.stopped == "budget"
    assert {one.reason for one in report.left_out} == {"budget"}
    assert (report.labelled > 0) == (budget > 1)


def test_budget_needs_a_price(provider: FakeProvider, texts: Path, home: Home) -> None:
    """Where nobody knows the price nothing is asked."""
    with pytest.raises(InputError, match="budget needs prices"):
        run(texts, home, provider.remote(), budget=NANO)
    assert run(texts, home, provider.remote()).cost is None


def test_ensemble_of_bundle_and_endpoint(provider: FakeProvider, tmp_path: Path, texts: Path, home: Home) -> None:
    """The mean of their probabilities; the bundle says what the labels are."""
    bundle = tiny_bundle(tmp_path / "tiny", LABELS).path
    texts.write_text("text 1\nrefund refund\n")
    report = run(texts, home, str(bundle), "fake/big", wanted=Wanted())
    row = rows_of(report)[0]
    assert (row["label"], row["probabilities"]["login"]) == ("login", pytest.approx((1 / 3 + 0.9) / 2, abs=1e-3))
    with pytest.raises(InputError, match="other labels"):
        run(texts, home, str(tiny_bundle(tmp_path / "other", ("x", "y")).path), str(bundle), wanted=Wanted())


def test_hardest_alone(provider: FakeProvider, tmp_path: Path, texts: Path, home: Home) -> None:
    """Only the texts that the student is least sure of are asked about."""
    student = tiny_bundle(tmp_path / "tiny", LABELS).path
    texts.write_text("a refund\ntext 1\nmy login\nText 1!\n")
    report = run(texts, home, hardest=Hardest(1, student))
    assert [row["text"] for row in rows_of(report)] == ["text 1"]
    assert provider.seen()["requests"] == 1


def test_conversations_keep_their_turns(provider: FakeProvider, texts: Path, home: Home) -> None:
    """Rows with context become conversations, which tuning reads with the context."""
    file = texts.with_name("texts.jsonl")
    file.write_text('{"text": "text 1", "context": "Yes?"}\n{"text": "text 2"}\n')
    data = load(run(file, home).out, min_examples=1)
    assert [[turn.content for turn in one.messages] for one in data.examples] == [["Yes?", "text 1"], ["text 2"]]
    assert data.values == ["login", "refund"]


def test_records_and_samples(texts: Path, tmp_path: Path, home: Home) -> None:
    """Answers that do not fit the schema are left out; several samples are asked for, and agree."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    texts.write_text("good\nbad\n")
    with FakeProvider(table={"good": '{"n": 1}', "bad": '{"n": "x"}'}) as own:
        report = run(texts, home, own.remote(), wanted=Wanted(schema=schema), samples=3)
        assert [(row["text"], row["output"]) for row in rows_of(report)] == [("good", {"n": 1})]
        assert [one.reason for one in report.left_out] == ["wrong_answer"]
        assert own.seen()["texts"]["good"] == 3


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [(Wanted(), '{"text": "text 1", "label": "card"}\n{"text": "text 2", "label": "login"}\n{"text": "x", "label": '
      '"refund"}\n'), (Wanted(kind="text"), "text 1\n")],
)  # fmt: skip
def test_task_of_the_file(provider: FakeProvider, texts: Path, home: Home, wanted: Wanted, rows: str) -> None:
    """The file's own answers tell the labels, and are not the labels that are written; texts need none."""
    file = texts.with_suffix(".jsonl" if rows.startswith("{") else ".txt")
    file.write_text(rows)
    row = rows_of(run(file, home, wanted=wanted))[0]
    assert row.get("label", row.get("output")) == "login"


def test_wrong_questions(provider: FakeProvider, texts: Path, tmp_path: Path, home: Home) -> None:
    """What cannot be is told before anything is asked."""
    for wanted in (Wanted(), Wanted(("one",)), Wanted(schema=tmp_path / "absent.json"), Wanted(like=texts)):
        with pytest.raises(InputError):
            run(texts, home, wanted=wanted)
    for teacher in ("nosuch", "fake/bigger", "http://127.0.0.1:9/v1", str(tmp_path)):
        with pytest.raises(InputError):
            run(texts, home, teacher)
    with pytest.raises(NotFound, match="no teacher"):
        run(texts, home, "nosuch")
    assert provider.seen()["requests"] == 0


def test_hopeless_error_ends_the_run(texts: Path, home: Home) -> None:
    """A wrong key is told at once, not after all texts."""
    with FakeProvider(table=ROWS, key="right") as own:
        with pytest.raises(EndpointError, match="401"):
            run(texts, home, own.remote())
        assert own.seen()["requests"] <= Asking().parallel


def test_object_for_scripts(provider: FakeProvider, texts: Path, home: Home) -> None:
    """The fields that scripts read, with reasons counted."""
    texts.write_text("text 1\nunknown text\n")
    shown = as_object(run(texts, home))
    assert (shown["labelled"], shown["cached"], shown["reasons"]) == (1, 0, {"wrong_answer": 1})
    assert shown["left_out"][0]["line"] == 2
    assert shown["cost_usd"] == pytest.approx(provider.seen()["cost_usd"])
