"""The story of a tuning on records, on a tiny base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.example import Example, Message
from nanosmith.core.json_schema import fits
from nanosmith.core.record import RecordForm
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.flows import tune_record
from nanosmith.flows.budget import Budget
from nanosmith.flows.record_settings import check_record_settings
from nanosmith.flows.tune import tune
from nanosmith.predict.open import open_predictor
from nanosmith.store.home import Home, open_home
from nanosmith.testing import topic_rows

ODD = ["", " ", "\0", "refund " * 3_000, "👩‍👩‍👧‍👦 7", "\ud800 refund", "a" * 5_000]


class Told(Watch):
    """Keeps checkpoints, and ends the process at a step."""

    def __init__(self, killed_at: int = 0) -> None:
        self.checkpoints: list[str] = []
        self.fits = 0
        self._killed_at = killed_at

    def resolved(self, settings: Mapping[str, Any]) -> None:
        self.fits += 1

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        if self.fits == 2 and step == self._killed_at:
            raise KeyboardInterrupt

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        self.checkpoints.append(model)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """Rows with a label, and an entity at their end."""
    rows = []
    for text, topic in topic_rows(60):
        place = text.rindex(" ") + 1
        entity = {"label": "number", "start": place, "end": len(text), "text": text[place:]}
        rows.append({"text": text, "label": topic, "entities": [entity]})
    file = tmp_path / "numbers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def settings(base: Path, **more: Any) -> TuneSettings:
    given = {"epochs": 8, "batch_size": 8, "learning_rate_multiplier": 5.0, **more}
    return TuneSettings(base=str(base), **given)


def test_a_budget_is_not_split(train: Path, base_folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first fit took what the budget has, it is kept: none that would be cut short comes after it."""
    monkeypatch.setattr(Budget, "left_s", lambda self: 0.5)
    watch = Told()
    tuned = tune(train, settings=settings(base_folder, epochs=500, budget_s=600), home=home, watch=watch)
    [candidate] = tuned.report.made["candidates"]
    assert (watch.fits, candidate["fits"], tuned.report.made["fitted_on_all"]) == (1, 1, False)
    assert tuned.report.made["settings"]["epochs_done"] < 500


def test_a_tuning_on_records(train: Path, base_folder: Path, home: Home) -> None:
    """It ends with a sealed bundle whose answers obey the schema whatever is asked, with calibrated confidences, a
    report, and checkpoints; neighbours in a batch do not matter."""
    told = Told()
    made = tune(train, settings=settings(base_folder), home=home, watch=told, keep_checkpoints=1)
    assert made.recipe == "tune_record/1"
    assert made.report.kind == "record"
    assert made.report.accuracy > 0.3
    assert len(told.checkpoints) == 1
    assert sorted(made.bundle.manifest.files) == [
        "model.onnx", "record.json", "report.html", "report.json", "tokenizer.json",
    ]  # fmt: skip
    predictor = open_predictor(made.bundle)
    form = predictor.task.record
    assert form is not None
    asked = [*ODD, *(text for text, _ in topic_rows(6))]
    answers = predictor.predict(asked)
    for answer in answers:
        assert fits(json.loads(str(answer.value)), form.schema, dict(form.schema))
        assert answer.confidence is not None
        assert 0 <= answer.confidence <= 1
    assert [predictor.predict([one])[0] for one in asked] == answers
    assert answers[3].dropped_tokens > 0


def test_goes_on_after_a_crash(train: Path, base_folder: Path, home: Home, tmp_path: Path) -> None:
    """A run that is killed in its second fit and started again gives the model of one that was left alone, and does not
    repeat the first fit."""
    plan = settings(base_folder, epochs=2, name="numbers")
    whole = tune(train, settings=plan, home=open_home(tmp_path / "other"))
    state = {"home": home, "state": tmp_path / "state", "state_interval_s": 0.0}
    with pytest.raises(KeyboardInterrupt):
        tune(train, settings=plan, watch=Told(killed_at=3), **state)
    told = Told()
    again = tune(train, settings=plan, watch=told, **state)
    assert told.fits == 2
    assert again.bundle.manifest.model_digest == whole.bundle.manifest.model_digest


def test_many_examples_are_fitted_once(
    train: Path, base_folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many examples a share is held out, and there is one fit."""
    monkeypatch.setattr(tune_record, "FEW", 10)
    told = Told()
    made = tune(train, settings=settings(base_folder, epochs=3), home=home, watch=told)
    assert told.fits == 1
    assert made.bundle.manifest.notes["fitted_on_all"] is False


def test_long_texts_are_not_fitted_crosswise(
    train: Path, base_folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few examples have long texts, one fit tells how sure the last one is."""
    monkeypatch.setattr(tune_record, "SHORT", 10)
    told = Told()
    made = tune(train, settings=settings(base_folder, epochs=2), home=home, watch=told)
    assert told.fits == 2
    assert made.bundle.manifest.notes["fitted_on_all"] is True


WRONG = [({"size": "pico"}, "size"), ({"recipe": "static"}, "recipe"), ({"combined": True}, "combined"),
         ({"oos_label": "none"}, "oos_label"), ({"label_errors": "drop"}, "label_errors")]  # fmt: skip


@pytest.mark.parametrize(("wrong", "param"), WRONG)
def test_what_records_cannot_have(wrong: dict[str, Any], param: str) -> None:
    """Settings that are for labels are refused by their name."""
    with pytest.raises(InputError) as refused:
        check_record_settings(TuneSettings(**wrong))
    assert refused.value.param == param


def test_refused_before_any_training(train: Path, base_folder: Path, home: Home) -> None:
    """A size that records do not have is refused when the data is known, and nothing is trained."""
    told = Told()
    with pytest.raises(InputError, match="records"):
        tune(train, settings=settings(base_folder, size="pico"), home=home, watch=told)
    assert told.fits == 0


def test_finding_a_little_beats_finding_nothing() -> None:
    """Where nearly all records are empty, a model that finds some of the others is worth more than the empty record."""
    empty = '{"entities":[]}'
    full = '{"entities":[{"label":"city","start":0,"end":4,"text":"Oslo"}]}'
    task = Task("record", record=RecordForm((), ("city",)))
    examples = tuple(Example((Message("user", "Oslo"),), answer, i) for i, answer in enumerate([empty] * 9 + [full]))
    test = Dataset(examples, task)
    assert tune_record.finds_more(SimpleNamespace(micro_f1=0.1), test, empty)  # type: ignore[arg-type]
    assert not tune_record.finds_more(SimpleNamespace(micro_f1=0.0), test, empty)  # type: ignore[arg-type]
