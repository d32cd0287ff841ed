"""Going on from an earlier model with new data, on a tiny base."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nanosmith.core.errors import GateRefused, InputError, NotFound
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows.tune import Tuned, tune
from nanosmith.predict.open import open_predictor
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing import topic_rows, write_chat

SYSTEM = "Which topic?"
First = Callable[..., Tuned]


class Told(Watch):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str, level: str = "info") -> None:
        self.messages.append(text)


def rows(*topics: str, n: int = 60) -> list[tuple[str, str]]:
    return [(text, topic) for text, topic in topic_rows(3 * n) if topic in topics][:n]


@pytest.fixture
def first(tmp_path: Path, home: Home, base_folder: Path) -> First:
    """Tune a model `first` that knows refund and login."""

    def first(recipe: str = "frozen_linear", **more: Any) -> Tuned:
        file = write_chat(tmp_path / "old.jsonl", rows("refund", "login"), system=SYSTEM)
        return tune(file, settings=TuneSettings(base=str(base_folder), recipe=recipe, name="first", **more), home=home)

    return first


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Examples of a label that `first` lacks."""
    return write_chat(tmp_path / "new.jsonl", rows("delivery", n=20), system=SYSTEM)


def again(train: Path, home: Home, watch: Watch | None = None, test: Path | None = None, **more: Any) -> Tuned:
    settings = TuneSettings(**{"base": "first", "name": "second", **more})
    return tune(train, test=test, settings=settings, home=home, watch=watch)


def answers(tuned: Tuned, *texts: str) -> list[Any]:
    return [prediction.value for prediction in open_predictor(tuned.bundle).predict(texts)]


def names(home: Home) -> list[str]:
    with closing(open_ledger(home)) as ledger:
        return [row.name for row in ledger.models()]


@pytest.mark.parametrize("recipe", ["frozen_linear", "static"])
def test_new_label_is_learnt_and_old_ones_are_kept(recipe: str, first: First, new: Path, home: Home) -> None:
    """The model answers with old and new labels, and its manifest and report tell what the old ones lost."""
    earlier, watch = first(recipe), Told()
    tuned = again(new, home, watch)
    manifest = tuned.bundle.manifest
    assert manifest.task.labels == ("delivery", "login", "refund")
    assert manifest.task.system == SYSTEM
    assert (manifest.predictor, manifest.base.name) == (earlier.bundle.manifest.predictor, "first")
    texts = ("where is the parcel number 7", "please refund the payment of 8", "I cannot sign in to account 9")
    assert answers(tuned, *texts) == ["delivery", "refund", "login"]
    told = manifest.notes["retrained"]
    assert (told["earlier"], told["new_labels"], told["replayed_examples"]) == ("first", ["delivery"], 44)
    assert told["old_accuracy_after"] >= told["old_accuracy_before"] - 0.01
    assert told["old_examples_tested"] > 0
    assert told["new_accuracy"] >= 0.5
    assert tuned.report.made["retrained"] == told
    assert any(message.startswith("Old classes:") for message in watch.messages)


def test_corrections(first: First, tmp_path: Path, home: Home) -> None:
    """New examples of old labels are learnt, and replace what the old ones said of the same texts."""
    first()
    wrong = [(text, "login") for text, _ in rows("refund")[::2]]
    tuned = again(write_chat(tmp_path / "corrected.jsonl", wrong, system=SYSTEM), home)
    assert tuned.bundle.manifest.task.labels == ("login", "refund")
    assert tuned.bundle.manifest.notes["retrained"]["new_labels"] == []
    kept = home.examples / tuned.bundle.manifest.data.digest / "train.jsonl"
    said: dict[str, set[str]] = {}
    for line in kept.read_text().splitlines():
        *_, user, answer = json.loads(line)["messages"]
        said.setdefault(user["content"], set()).add(answer["content"])
    assert all(len(found) == 1 for found in said.values())


def test_without_old_examples(first: First, new: Path, home: Home) -> None:
    """Where the old examples were not kept only the head learns, and it is said that the loss is not measured."""
    first(keep_examples=False)
    assert not home.examples.exists()
    watch = Told()
    tuned = again(new, home, watch)
    assert tuned.recipe == "frozen_linear/1"
    assert any("were not kept" in message for message in watch.messages)
    assert any("was not measured" in message for message in watch.messages)
    assert tuned.bundle.manifest.notes["retrained"]["old_accuracy_before"] is None
    assert answers(tuned, "where is the parcel number 7") == ["delivery"]


def test_old_examples_from_a_file(first: First, new: Path, tmp_path: Path, home: Home) -> None:
    """A file of old examples takes the place of those that were not kept."""
    first(keep_examples=False)
    told = again(new, home, replay=str(tmp_path / "old.jsonl")).bundle.manifest.notes["retrained"]
    assert told["replayed_examples"] > 40
    assert told["old_examples_tested"] > 0


def test_model_that_forgets_is_refused(first: First, tmp_path: Path, home: Home) -> None:
    """A model that loses more than a point on old classes does not pass, and nothing of it is left."""
    first(keep_examples=False)
    before = sorted(home.root.rglob("*.onnx"))
    taken = write_chat(tmp_path / "taken.jsonl", [(text, "other") for text, _ in rows("refund")], system=SYSTEM)
    test = write_chat(tmp_path / "test.jsonl", rows("refund", "login", n=90)[60:], system=SYSTEM)
    with pytest.raises(GateRefused, match=r"forgets too much.*points lost on 30 examples.*--replay"):
        again(taken, home, test=test)
    assert names(home) == ["first"]
    assert sorted(home.root.rglob("*.onnx")) == before
    assert not home.examples.exists()


def test_a_retrained_model_can_be_retrained(first: First, new: Path, tmp_path: Path, home: Home) -> None:
    """The examples of all rounds go with the model; its folder does as well as its name."""
    first()
    second = again(new, home)
    more = write_chat(tmp_path / "more.jsonl", [(f"thanks a lot {i}", "thanks") for i in range(12)], system=SYSTEM)
    third = again(more, home, base=str(second.bundle.path), name="third")
    assert third.bundle.manifest.task.labels == ("delivery", "login", "refund", "thanks")
    assert answers(third, "where is the parcel number 7", "my password is not accepted on 4") == ["delivery", "login"]


def test_tuned_encoder_goes_on(first: First, new: Path, home: Home) -> None:
    """An encoder is tuned further, and the share of the way that was taken is in the settings."""
    first("tune_encoder", epochs=2)
    settings = again(new, home, epochs=1).bundle.manifest.settings
    assert settings["interpolation"] in (0.0, 0.25, 0.5, 0.75, 1.0)


def test_same_again(first: First, new: Path, home: Home) -> None:
    """The same seed gives the same model."""
    first()
    digests = {again(new, home, name=f"second-{i}").bundle.manifest.model_digest for i in range(2)}
    assert len(digests) == 1


def test_sets_go_on(tmp_path: Path, home: Home, base_folder: Path) -> None:
    """A model that answers with sets learns a new label too."""
    old = [(text, json.dumps([label])) for text, label in rows("refund", "login")]
    old += [(f"{a} and {b}", '["login", "refund"]') for (a, _), (b, _) in zip(rows("refund"), rows("login"))]
    tune(write_chat(tmp_path / "old.jsonl", old), home=home,
         settings=TuneSettings(base=str(base_folder), recipe="static", name="first"))  # fmt: skip
    new = write_chat(tmp_path / "new.jsonl", [(text, json.dumps([label])) for text, label in rows("delivery", n=20)])
    tuned = again(new, home)
    assert tuned.bundle.manifest.task.kind == "labels"
    assert len(tuned.bundle.manifest.calibration.thresholds) == 3
    assert answers(tuned, "where is the parcel number 7") == [("delivery",)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"size": "pico"}, "cannot be trained further with this size"),
        ({"recipe": "static"}, "cannot be trained further with this recipe"),
        ({"kind": "labels"}, "cannot be trained further with this kind"),
    ],
)
def test_what_does_not_fit_is_refused(
    more: dict[str, Any], message: str, first: First, new: Path, home: Home
) -> None:  # fmt: skip
    """A size, recipe or kind that the earlier model does not have is refused before any work."""
    first()
    with pytest.raises(InputError, match=message) as caught:
        again(new, home, **more)
    assert caught.value.param == next(iter(more))


def test_other_forms_are_refused(first: First, tmp_path: Path, home: Home) -> None:
    """Answers that the earlier model could not write are named with their lines."""
    first()
    new = tmp_path / "new.jsonl"
    new.write_text('{"text": "both", "labels": ["login", "refund"]}\n' * 3)
    with pytest.raises(InputError, match=r"lines 1, 2, 3: the answer has not the form"):
        again(new, home)


def test_names_that_are_not_there(first: First, new: Path, home: Home) -> None:
    """A misspelt model is answered with near names; old examples without an earlier model are refused."""
    first()
    with pytest.raises(NotFound, match="Did you mean first"):
        again(new, home, base="frist")
    with pytest.raises(InputError, match="go with an earlier model"):
        again(new, home, base="minilm-l6", replay=str(new))


def test_replay_with_other_labels_is_refused(first: First, new: Path, home: Home) -> None:
    """A file of old examples may have no label that the earlier model lacks."""
    first(keep_examples=False)
    with pytest.raises(InputError, match=r"has labels that first lacks.*delivery"):
        again(new, home, replay=str(new))
