"""A tuning whose model tells what is out of scope."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nanosmith.core.errors import InputError
from nanosmith.core.settings import TuneSettings
from nanosmith.flows.evaluate import evaluate
from nanosmith.flows.progress import Progress
from nanosmith.flows.scope import FittedScope
from nanosmith.flows.tune import tune
from nanosmith.predict.open import open_predictor
from nanosmith.predict.scope import SCOPE_FILE, ScopeScore, features
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home
from nanosmith.testing import topic_rows, write_chat
from nanosmith.testing.tiny import tiny_scope

STRANGE = [f"{word} {i} {i + 1} {i + 2}" for i in range(12) for word in ("7 7 7", "3 1 4 1 5")]


@pytest.fixture
def test_file(tmp_path: Path) -> Path:
    rows = [*topic_rows(90)[60:], *((text, "oos") for text in STRANGE[12:])]
    return write_chat(tmp_path / "test.jsonl", rows)


@pytest.mark.parametrize("recipe", ["static", "frozen_linear"])
@pytest.mark.parametrize("shown", [0, 12])
def test_tuned_model_refuses_what_is_out_of_scope(
    tmp_path: Path, home: Home, base_folder: Path, test_file: Path, recipe: str, shown: int
) -> None:
    """With and without examples of it; their label is none of those that compete, and is answered."""
    rows = [*topic_rows(60), *((text, "oos") for text in STRANGE[:shown])]
    train = write_chat(tmp_path / "train.jsonl", rows)
    settings = TuneSettings(base=str(base_folder), recipe=recipe, oos_label="oos")
    tuned = tune(train, test=test_file, settings=settings, home=home)
    assert tuned.bundle.manifest.task.labels == ("delivery", "login", "refund")
    assert tuned.bundle.manifest.scope.outside >= shown > 0 or shown == 0
    assert (tuned.report.n, tuned.report.scope.outside) == (30, 12)
    assert tuned.report.scope.auroc > 0.9
    predictor = open_predictor(open_bundle(tuned.bundle.path))
    assert [answer.answer for answer in predictor.predict([STRANGE[-1], "please refund the payment of 7"])] == [
        "oos", "refund",
    ]  # fmt: skip


def test_every_choice_gets_a_score_and_answers_as_before(
    tmp_path: Path, home: Home, base_folder: Path, test_file: Path
) -> None:
    """Without a label for it the best class is answered; a later evaluation may name the label."""
    train = write_chat(tmp_path / "train.jsonl", topic_rows(60))
    tuned = tune(train, settings=TuneSettings(base=str(base_folder), recipe="static"), home=home)
    answer = open_predictor(tuned.bundle).predict([STRANGE[0]])[0]
    assert answer.out_of_scope is not None
    assert answer.answer in tuned.bundle.manifest.task.labels
    report = evaluate(tuned.bundle.path, test_file, oos_label="oos")
    assert (report.n, report.scope.outside, report.unseen) == (30, 12, ())
    assert report.scope.recall is not None


def test_examples_of_it_are_held_out_for_the_report_too(tmp_path: Path, home: Home, base_folder: Path) -> None:
    """Where no test file is given, some of them are asked and not trained with."""
    rows = [*topic_rows(60), *((text, "oos") for text in STRANGE)]
    train = write_chat(tmp_path / "train.jsonl", rows)
    settings = TuneSettings(base=str(base_folder), recipe="static", oos_label="oos")
    tuned = tune(train, settings=settings, home=home)
    assert 0 < tuned.report.scope.outside < len(STRANGE)


def test_sets_of_labels_get_no_score(tmp_path: Path, home: Home, base_folder: Path) -> None:
    """The empty set says it there; a label for it is refused."""
    file = tmp_path / "sets.jsonl"
    lines = [json.dumps({"text": text, "labels": [label]}) for text, label in topic_rows(60)]
    file.write_text("\n".join(lines))
    settings = TuneSettings(base=str(base_folder), recipe="static")
    assert tune(file, settings=settings, home=home).bundle.manifest.scope is None
    with pytest.raises(InputError, match="one label each"):
        tune(file, settings=TuneSettings(base=str(base_folder), oos_label="login"), home=home)


@pytest.mark.parametrize("refuse", [0.0, 1.0, -0.1, float("nan")])
def test_tolerance_out_of_range_is_refused(tmp_path: Path, home: Home, base_folder: Path, refuse: float) -> None:
    """Before any work."""
    train = write_chat(tmp_path / "train.jsonl", topic_rows(60))
    with pytest.raises(InputError, match="may be refused"):
        tune(train, settings=TuneSettings(base=str(base_folder), refuse=refuse), home=home)


def test_what_was_seen_before_a_crash_is_not_lost(tmp_path: Path) -> None:
    """The features of a fit that is over are saved with its scores."""
    import numpy as np

    from nanosmith.core.watch import Watch

    first = Progress(tmp_path, Watch(), 0)
    first.keep(1, "scope-inside", np.ones((4, 3), dtype=np.float32))
    first.finish(1, np.zeros((4, 2), dtype=np.float32), 0.0)
    first.begin(2)
    later = Progress(tmp_path, Watch(), 0)
    assert later.kept(1, "scope-inside").shape == (4, 3)
    assert later.kept(2, "scope-inside") is None


def test_file_is_half_of_float32_and_scores_the_same(tmp_path: Path) -> None:
    """Matrices are float16, but for those whose numbers are too large for that; distances stay within a hundredth of
    what they are from text to text."""
    random = np.random.default_rng(2)
    square = random.normal(size=(64, 64)) * 50
    made = {"square": square, "linear": random.normal(size=(64, 5)) * 90, "constant": random.normal(size=5) * 800,
            "classes": np.eye(64)[:5], "outside": np.full((1, 64), 1e5)}  # fmt: skip
    tensors = {name: array.astype(np.float32) for name, array in made.items()}
    FittedScope(tiny_scope(), tensors).write(tmp_path)
    stored = load_file(tmp_path / SCOPE_FILE)
    assert {name: array.dtype for name, array in stored.items() if array.dtype != np.float16} == {
        "constant": np.float32, "outside": np.float32,
    }  # fmt: skip
    opened = ScopeScore.open(tiny_scope(), tmp_path / SCOPE_FILE)
    vectors = random.normal(size=(200, 64)).astype(np.float32) / 8
    logits = np.zeros((200, 5), dtype=np.float32)
    before = features({**tensors, "outside": tensors["outside"][:0]}, vectors, logits)[:, 0]
    after = features({**opened._tensors, "outside": tensors["outside"][:0]}, vectors, logits)[:, 0]
    assert np.abs(after - before).max() < 0.01 * before.std()
