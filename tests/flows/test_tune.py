"""The story of a tuning, on a tiny base: what is left at the end, and what is not left when it goes wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanosmith.core.errors import Cancelled, GateRefused, InputError, StorageFull
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows import choose
from nanosmith.flows import tune as flow
from nanosmith.flows.assemble import open_base
from nanosmith.flows.tune import Tuned, tune
from nanosmith.predict.open import open_predictor
from nanosmith.recipes.parts.base import Base
from nanosmith.score.report import Report
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger
from nanosmith.testing import topic_rows, write_chat


class Told(Watch):
    """Keeps messages and checkpoints; stops at the given stage."""

    def __init__(self, stop_at: str = "") -> None:
        self.messages: list[str] = []
        self.checkpoints: list[str] = []
        self._stop_at, self._stop = stop_at, False

    def message(self, text: str, level: str = "info") -> None:
        self.messages.append(text)

    def progress(self, stage: str, done: int, total: int) -> None:
        self._stop = self._stop or (stage == self._stop_at)

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        self.checkpoints.append(model)

    def should_stop(self) -> bool:
        return self._stop


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_chat(tmp_path / "topics.jsonl", topic_rows(60), system="Which topic?")


def settings(base: Path, **more: Any) -> TuneSettings:
    return TuneSettings(base=str(base), **more)


def left_in(home: Home) -> list[str]:
    """What is in the home but the ledger, the cache and empty folders."""
    kept = {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    files = [path for path in home.root.rglob("*") if path.is_file() and path.name not in kept]
    return [str(path.relative_to(home.root)) for path in files if not path.is_relative_to(home.cache)]


def test_auto_end_to_end(train: Path, home: Home, base_folder: Path) -> None:
    """From a file to a sealed bundle with its report, registered under the file's name."""
    watch = Told()
    tuned = tune(train, settings=settings(base_folder), home=home, watch=watch)
    bundle = open_bundle(tuned.bundle.path)
    assert tuned.report.accuracy >= 0.9
    assert tuned.model_name == "topics"
    assert [row.name for row in _models(home)] == ["topics"]
    stored = msgspec.json.decode(bundle.file("report.json").read_bytes(), type=Report)
    assert (stored.n, stored.accuracy, stored.wrong) == (tuned.report.n, tuned.report.accuracy, tuned.report.wrong)
    assert bundle.file("report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    recipes = [candidate["recipe"] for candidate in bundle.manifest.notes["candidates"]]
    assert recipes == ["static/1", "frozen_linear/1", "tune_encoder/1"]
    assert any("held out for the report" in message for message in watch.messages)
    assert any("system prompt" in message for message in watch.messages)
    assert open_predictor(bundle).predict(["please refund the payment of 99"])[0].value == "refund"


def test_smaller_is_kept_when_not_worse(train: Path, home: Home, base_folder: Path) -> None:
    """Where all recipes are right every time, the static one is kept."""
    assert tune(train, settings=settings(base_folder), home=home).recipe == "static/1"


def test_report_is_on_examples_never_trained_on(train: Path, home: Home, base_folder: Path) -> None:
    """Training and report share no example."""
    tuned = tune(train, settings=settings(base_folder, recipe="static"), home=home)
    assert tuned.bundle.manifest.data.train_examples + tuned.report.n == 60


def test_test_file_is_used(train: Path, tmp_path: Path, home: Home, base_folder: Path) -> None:
    """With a test file all training examples train, and its warnings are told."""
    test = write_chat(tmp_path / "test.jsonl", topic_rows(66)[54:], system="Which topic?")
    watch = Told()
    tuned = tune(train, test=test, settings=settings(base_folder, recipe="static"), home=home, watch=watch)
    assert tuned.bundle.manifest.data.train_examples == 60
    assert tuned.report.n == 12
    assert any("also in the training data" in message for message in watch.messages)


def test_labels_task(tmp_path: Path, home: Home, base_folder: Path) -> None:
    """Answers that are JSON lists give a model that answers sets, with a threshold per label."""
    rows = topic_rows(90)
    pairs = [(f"{a} and {b}", f'["{x}", "{y}"]') if x != y else (a, f'["{x}"]')
             for (a, x), (b, y) in zip(rows, random.Random(2).sample(rows, 90))]  # fmt: skip
    tuned = tune(write_chat(tmp_path / "sets.jsonl", pairs), settings=settings(base_folder, recipe="static"), home=home)
    assert tuned.bundle.manifest.task.kind == "labels"
    assert len(tuned.bundle.manifest.calibration.thresholds) == 3
    assert tuned.report.accuracy >= 0.8


def test_names_do_not_collide(train: Path, home: Home, base_folder: Path) -> None:
    """A second run of the same file gets a number; a name that was asked for must be free."""
    chosen = settings(base_folder, recipe="static")
    assert [tune(train, settings=chosen, home=home).model_name for _ in range(2)] == ["topics", "topics-2"]
    with pytest.raises(InputError, match="exists already"):
        tune(train, settings=msgspec.structs.replace(chosen, name="topics"), home=home)


def test_checkpoints_can_be_called(train: Path, home: Home, base_folder: Path) -> None:
    """The last epochs' models are registered beside the final one and answer."""
    watch = Told()
    chosen = settings(base_folder, recipe="tune_encoder", epochs=4, batch_size=16, learning_rate_multiplier=0.1)
    tune(train, settings=chosen, home=home, watch=watch, keep_checkpoints=3)
    assert watch.checkpoints == [f"topics:ckpt-step-{step}" for step in (8, 12, 16)]
    rows = {row.name: row for row in _models(home)}
    assert set(rows) == {"topics", *watch.checkpoints}
    assert (
        open_predictor(home.bundles / rows["topics:ckpt-step-8"].bundle).predict(["refund"])[0].confidence is not None
    )


def test_budget_is_kept(train: Path, home: Home, base_folder: Path) -> None:
    """A budget too small for full tuning leaves it out, and says so."""
    watch = Told()
    tune(train, settings=settings(base_folder, budget_s=18.0), home=home, watch=watch)
    assert any("tune_encoder/1 is left out" in message for message in watch.messages)


def test_words_alone_for_long_texts(tmp_path: Path, home: Home, base_folder: Path) -> None:
    """Words alone are tried for few examples too, where their texts are long."""
    rows = [(" ".join([text] * 4), label) for text, label in topic_rows(60)]
    watch = Told()
    tune(write_chat(tmp_path / "long.jsonl", rows), settings=settings(base_folder, size="pico"), home=home, watch=watch)
    assert any(message.startswith("tfidf_linear/1: ") for message in watch.messages)


def test_token_vectors_within_the_budget(
    train: Path, home: Home, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A static model is left out where its token vectors would take most of the budget, and made where they exist."""
    monkeypatch.setattr(Base, "token_vectors_s", lambda _: 1_000.0)
    watch = Told()
    tuned = tune(train, settings=settings(base_folder, budget_s=18.0), home=home, watch=watch)
    assert tuned.recipe == "frozen_linear/1"
    assert any("static/1 is left out" in message for message in watch.messages)
    alone = tune(train, settings=settings(base_folder, budget_s=18.0, size="pico"), home=home)
    assert alone.recipe == "static/1"


def test_token_vectors_are_timed_once(home: Home, base_folder: Path) -> None:
    """Where they are kept they take no time."""
    base = open_base(str(base_folder), home)
    assert base.token_vectors_s() > 0
    base.token_vectors()
    assert base.token_vectors_s() == 0.0


def test_nonsense_is_refused(tmp_path: Path, home: Home, base_folder: Path) -> None:
    """A model that is worse than the most frequent answer does not pass the gate, and nothing of it is left."""
    rows = [(text, "yes") for text, _ in topic_rows(60)]
    train = write_chat(tmp_path / "train.jsonl", [*rows[:30], *((text, "no") for text, _ in rows[30:])])
    test = write_chat(tmp_path / "test.jsonl", [(text, "no") for text, _ in rows[:30]])
    with pytest.raises(GateRefused, match="most frequent answer"):
        tune(train, test=test, settings=settings(base_folder, recipe="static"), home=home)
    assert left_in(home) == []
    assert _models(home) == []


@pytest.mark.parametrize("stage", ["train static embeddings", "train", "write the bundle", "evaluate"])
def test_stopping_leaves_nothing(stage: str, train: Path, tmp_path: Path, home: Home, base_folder: Path) -> None:
    """A stop in any stage leaves neither bundle nor draft nor model."""
    chosen = settings(base_folder, recipe="static" if "static" in stage else "tune_encoder")
    with pytest.raises(Cancelled):
        tune(train, settings=chosen, home=home, out=tmp_path / "out", watch=Told(stop_at=stage))
    assert left_in(home) == []
    assert not (tmp_path / "out").exists()
    assert _models(home) == []


def test_interrupt_leaves_nothing(train: Path, home: Home, base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after sealing removes the sealed bundle too."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "as_html", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(train, settings=settings(base_folder, recipe="static"), home=home)
    assert left_in(home) == []


def test_full_disk(train: Path, tiny_disk: Path, base_folder: Path) -> None:
    """A disk that fills up while the model is written gives one clear error and leaves no part behind."""
    home = open_home(tiny_disk / "home")
    filler = tiny_disk / "filler"
    Ledger(home.ledger).close()
    filler.write_bytes(bytes(800 * 1024))
    with pytest.raises(StorageFull, match="disk is full"):
        tune(train, settings=settings(base_folder, recipe="tune_encoder", epochs=1), home=home)
    filler.unlink()
    assert left_in(home) == []


def test_existing_out_is_refused_at_once(train: Path, tmp_path: Path, home: Home) -> None:
    """A folder that exists already is refused before the file is even read."""
    with pytest.raises(InputError, match="exists already"):
        tune(train.with_name("absent.jsonl"), home=home, out=tmp_path)


def _models(home: Home) -> list[Any]:
    ledger = Ledger(home.ledger)
    try:
        return list(ledger.models())
    finally:
        ledger.close()


def test_result_is_complete(train: Path, home: Home, base_folder: Path) -> None:
    """The manifest tells recipe, settings, base and data; tokens were counted."""
    tuned: Tuned = tune(train, settings=settings(base_folder, recipe="frozen_linear", seed=5), home=home)
    manifest = tuned.bundle.manifest
    assert (manifest.recipe, manifest.predictor, manifest.base.name) == ("frozen_linear/1", "encoder/1", "tiny")
    assert manifest.calibration.examples > 0
    assert manifest.notes["parity"]["checked"] > 0
    assert tuned.trained_tokens > 0


def test_checkpoints_of_another_recipe_are_dropped(
    train: Path, home: Home, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `auto` keeps the static model, no checkpoint of the tuned encoder is registered or left."""
    monkeypatch.setattr(choose, "FOLDS_BELOW", 0)  # one held-out tenth: the trial itself makes checkpoints
    tuned = tune(train, settings=settings(base_folder, epochs=3), home=home, keep_checkpoints=3)
    assert tuned.recipe == "static/1"
    assert [row.name for row in _models(home)] == ["topics"]
    assert len(list(home.bundles.iterdir())) == 1


def test_checkpoints_are_of_the_last_fit(
    train: Path, home: Home, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second fit, on all examples, replaces the checkpoints of the first."""
    monkeypatch.setattr(choose, "FOLDS_BELOW", 0)
    chosen = settings(base_folder, recipe="tune_encoder", epochs=2, batch_size=1, learning_rate_multiplier=0.1)
    tuned = tune(train, settings=chosen, home=home, keep_checkpoints=3)
    examples = tuned.bundle.manifest.data.train_examples
    assert tuned.bundle.manifest.notes["fitted_on_all"]
    assert {row.name for row in _models(home)} == {
        "topics", f"topics:ckpt-step-{examples}", f"topics:ckpt-step-{2 * examples}"
    }  # fmt: skip
