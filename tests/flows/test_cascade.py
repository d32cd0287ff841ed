"""Two bundles become one: on which examples the threshold is chosen, what is sealed, and what is refused."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.flows.stages import examples, of_data, quick_stage, rows, thorough_stage, with_held_out

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.manifest import Calibration
from nanosmith.data.kept import Kept, keep
from nanosmith.data.load import load
from nanosmith.flows.cascade import cascade
from nanosmith.predict.cascade import CascadePredictor
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import Bundle, add_files, open_bundle
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.testing import tiny_bundle, write_chat


@pytest.fixture
def stages(tmp_path: Path) -> tuple[Bundle, Bundle]:
    return quick_stage(tmp_path / "quick"), thorough_stage(tmp_path / "thorough")


def joined(stages: tuple[Bundle, Bundle], home: Home, **more: Any) -> Any:
    return cascade(stages[0].path, stages[1].path, home=home, **more)


def names(home: Home) -> list[str]:
    with closing(open_ledger(home)) as ledger:
        return [row.name for row in ledger.models()]


def test_from_examples_to_a_model(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """The quick stage answers the two labels that it knows; the bundle is sealed, reported on and can be called."""
    test = write_chat(tmp_path / "test.jsonl", rows(30))
    made = joined(stages, home, data=examples(tmp_path / "data.jsonl"), test=test, max_loss_points=1.5)
    assert made.stages.share == pytest.approx(2 / 3)
    assert made.stages.threshold > 0.9
    assert (made.stages.quick_accuracy, made.stages.accuracy) == (pytest.approx(2 / 3), 1.0)
    assert (made.report.accuracy, made.report.made["recipe"]) == (1.0, "cascade/1")
    assert made.report.made["stages"]["share"] == made.stages.share
    sealed = open_bundle(made.bundle.path)
    assert sealed.manifest.settings["quick"] == "quick"
    assert sealed.manifest.calibration.examples == 150
    assert sum("report" in name for name in sealed.manifest.files) == 2
    predictor = open_predictor(sealed)
    assert isinstance(predictor, CascadePredictor)
    assert [answer.value for answer in predictor.predict([text for text, _ in rows(6)])] == [one for _, one in rows(6)]
    assert names(home) == [made.model_name] == ["tiny-encoder-cascade"]


def test_no_loss_allowed_where_it_answers_wrong(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """With too few examples to be sure that nothing is lost, the thorough stage answers all."""
    made = joined(stages, home, data=examples(tmp_path / "data.jsonl", 60), max_loss_points=0.0)
    assert (made.stages.share, made.report) == (0.0, None)


def test_on_what_both_held_out(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """Training data choose nothing: where both were tuned on the same, the examples that both held out do."""
    data = examples(tmp_path / "data.jsonl", 300)
    digest = load(data).digest
    quick = with_held_out(of_data(stages[0], digest), [True] * 200 + [False] * 50)
    thorough = with_held_out(of_data(stages[1], digest), [True] * 250, first_row=50)
    for more in ({"data": data}, {}):
        made = joined((quick, thorough), home, max_loss_points=1.0, **more)
        assert made.stages.n == 200
        assert made.stages.share == 0.75
        assert made.bundle.manifest.settings["source"] == "that both tunings held out"


def test_examples_in_training_are_left_out(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """Also those that the report is about; the others of the file choose."""
    quick, thorough = (of_data(stage, "a" * 64) for stage in stages)
    kept = [load(write_chat(tmp_path / f"{i}.jsonl", part)) for i, part in enumerate((rows(60), rows(90)[60:]))]
    keep(home.examples, "a" * 64, Kept(*kept))
    made = joined((quick, thorough), home, data=examples(tmp_path / "data.jsonl"), max_loss_points=3)
    assert made.stages.n == 60
    assert (made.report.n, made.report.accuracy) == (30, 1.0)


def test_too_few_examples(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """Without examples that neither has seen there is no honest threshold; nothing is left behind."""
    for more in ({}, {"data": examples(tmp_path / "data.jsonl", 30)}):
        with pytest.raises(InputError, match="too few examples"):
            joined(stages, home, **more)
    assert not home.bundles.exists() or not list(home.bundles.iterdir())


def test_a_report_that_fails_leaves_nothing(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """A test file that is not there: no bundle, no name."""
    with pytest.raises((InputError, NotFound)):
        joined(stages, home, data=examples(tmp_path / "data.jsonl"), test=tmp_path / "none.jsonl")
    assert list(home.bundles.iterdir()) == []
    assert names(home) == []


def test_stages_that_do_not_fit(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """In the wrong order, twice the same, of other labels, without calibration, a cascade itself: each is told."""
    data = examples(tmp_path / "data.jsonl")
    with pytest.raises(InputError, match="Name the quick one first"):
        joined(stages[::-1], home, data=data)
    with pytest.raises(InputError, match="the same bundle"):
        joined((stages[0], stages[0]), home, data=data)
    with pytest.raises(InputError, match="same task and labels"):
        joined((tiny_bundle(tmp_path / "other", ["a", "b"]), stages[1]), home, data=data)
    raw = msgspec.structs.replace(stages[0].manifest, calibration=Calibration())
    with pytest.raises(InputError, match="not calibrated"):
        joined((add_files(Bundle(stages[0].path, raw), {}), stages[1]), home, data=data)


def test_no_cascade_as_a_stage(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """A cascade has two steps already."""
    data = examples(tmp_path / "data.jsonl")
    made = joined(stages, home, data=data, max_loss_points=2)
    with pytest.raises(InputError, match="in one step"):
        joined((stages[0], made.bundle), home, data=data)


@pytest.mark.parametrize("loss", [-0.1, 100.0, float("nan")])
def test_losses_out_of_range(stages: tuple[Bundle, Bundle], home: Home, loss: float) -> None:
    """Told before anything is opened."""
    with pytest.raises(InputError, match="out of range"):
        joined(stages, home, max_loss_points=loss)


def test_names(stages: tuple[Bundle, Bundle], home: Home, tmp_path: Path) -> None:
    """A name that is taken is refused, an unnamed one gets a number; --out says where."""
    data, out = examples(tmp_path / "data.jsonl"), tmp_path / "out"
    assert joined(stages, home, data=data, name="both", out=out).bundle.path == out
    with pytest.raises(InputError, match="exists already"):
        joined(stages, home, data=data, name="both")
    with pytest.raises(InputError, match="exists already"):
        joined(stages, home, data=data, out=out)
    assert [joined(stages, home, data=data).model_name for _ in range(2)] == [
        "tiny-encoder-cascade", "tiny-encoder-cascade-2",
    ]  # fmt: skip
