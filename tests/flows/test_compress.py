"""From a teacher to a smaller model that holds a budget, on a tiny base."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.goal import Goal
from nanosmith.core.settings import TuneSettings
from nanosmith.flows.compress import Compressed, compress
from nanosmith.flows.student_search import folder_bytes
from nanosmith.flows.tune import tune
from nanosmith.predict.open import open_predictor
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts import plans, start
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing import topic_rows, write_chat

FEW = TuneSettings(epochs=2)
BYTES = 95_000  # the teacher's own shape fits with four bits per weight, and not with eight


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> tuple[Home, Path]:
    """A data folder with the model `teacher`, and the file that it was tuned on."""
    folder = tmp_path_factory.mktemp("taught")
    home = open_home(folder / "home")
    file = write_chat(folder / "train.jsonl", topic_rows(300))
    tune(file, settings=TuneSettings(base=str(base_folder), recipe="tune_encoder", name="teacher", epochs=2), home=home)
    return home, file


@pytest.fixture(scope="module")
def made(taught: tuple[Home, Path], tmp_path_factory: pytest.TempPathFactory) -> Compressed:
    """What comes of bounds that the smaller students hold."""
    home, file = taught
    out = tmp_path_factory.mktemp("out") / "small"
    return compress("teacher", file, goal=Goal(bytes=BYTES, loss_points=100), settings=FEW, home=home, out=out)


def test_budget_is_held_by_the_sealed_bundle(made: Compressed) -> None:
    """The bundle is no larger than asked, can be opened and answers."""
    assert made.bundle is not None
    assert folder_bytes(made.bundle) <= BYTES
    opened = open_predictor(open_bundle(made.bundle.path))
    assert opened.task.labels == ("delivery", "login", "refund")
    assert opened.predict(["please refund the payment of 8"])[0].value in opened.task.labels


def test_the_whole_front_is_told(made: Compressed) -> None:
    """Each student has its bytes and time, each trained one its loss, and the notes of the bundle keep them all."""
    assert made.bundle is not None
    assert made.chosen is not None
    assert any(point.on_front for point in made.front)
    assert all(point.bytes > 0 and point.latency_ms > 0 for point in made.front)
    assert all((point.loss is None) == (point.why is not None) or point.loss for point in made.front)
    told = made.bundle.manifest.notes["compressed"]
    assert [row["name"] for row in told["front"]] == [point.name for point in made.front]


def test_four_bits_where_eight_do_not_fit(made: Compressed) -> None:
    """The teacher's own shape is there without training, in four bits; what fits in eight bits has these."""
    weights = {point.details["layers"]: point.details["weights"] for point in made.front if "layers" in point.details}
    assert weights == {1: "int8", 2: "int4"}
    whole = next(point for point in made.front if point.details.get("epochs") == 0)
    assert whole.details["weights"] == "int4"
    assert whole.loss is not None
    assert whole.bytes <= BYTES


def test_model_is_registered(made: Compressed, taught: tuple[Home, Path]) -> None:
    """It can be called by its name."""
    with closing(open_ledger(taught[0])) as ledger:
        assert made.model_name in [row.name for row in ledger.models()]


def test_teacher_whose_base_is_not_at_hand(made: Compressed, taught: tuple[Home, Path]) -> None:
    """A static student has neither an encoder nor a base that could be found; the error says what is possible."""
    home, file = taught
    assert made.bundle is not None
    assert made.bundle.manifest.predictor == "static/1"
    with pytest.raises(InputError, match="encoder/1"):
        compress(str(made.bundle.path), file, goal=Goal(), settings=FEW, home=home)


def test_static_teacher(taught: tuple[Home, Path], base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its students are static, and start from its base. Where none holds what it holds itself, it is taken."""
    home, file = taught
    monkeypatch.setattr(start, "find_base", lambda name: find_base(str(base_folder)))
    tune(file, settings=TuneSettings(base=str(base_folder), recipe="static", name="words", epochs=2), home=home)
    found = compress("words", file, goal=Goal(bytes=400_000, loss_points=100), settings=FEW, home=home)
    assert {point.recipe for point in found.front} == {"static/1"}
    assert found.chosen in found.front
    monkeypatch.setattr(plans, "plans", lambda config, trims: iter(()))
    itself = compress("words", file, goal=Goal(bytes=400_000, loss_points=0), settings=FEW, home=home)
    assert itself.chosen == itself.teacher
    assert itself.bundle is not None
    assert itself.bundle.manifest.name == itself.model_name == "words-small-2"


def test_labels_that_the_teacher_lacks(taught: tuple[Home, Path], tmp_path: Path) -> None:
    """They are named before anything is trained."""
    file = write_chat(tmp_path / "other.jsonl", [(f"weather {i}", "weather") for i in range(20)])
    with pytest.raises(InputError, match="weather"):
        compress("teacher", file, goal=Goal(), home=taught[0])


def test_too_few_examples(taught: tuple[Home, Path], tmp_path: Path) -> None:
    """Nothing can be judged on none."""
    file = write_chat(tmp_path / "few.jsonl", topic_rows(4))
    with pytest.raises(InputError, match="too few"):
        compress("teacher", file, goal=Goal(), home=taught[0])


def test_nothing_holds(taught: tuple[Home, Path]) -> None:
    """Where no student is small enough there is no bundle, and every student says why it was left."""
    home, file = taught
    found = compress("teacher", file, goal=Goal(bytes=1_000), settings=FEW, home=home)
    assert (found.bundle, found.chosen, found.nearest) == (None, None, None)
    assert {point.why for point in found.front} == {"misses the bytes or the latency"}
