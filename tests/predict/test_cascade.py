"""cascade/1: which stage answers, and what is opened when."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.predict.cascades import tiny_cascade

from nanosmith.core.errors import Damaged, InputError
from nanosmith.predict.cascade import CASCADE_FILE, QUICK, THOROUGH, CascadePredictor
from nanosmith.predict.embed import as_embedder
from nanosmith.predict.encoder import EncoderPredictor
from nanosmith.predict.explain import explain
from nanosmith.predict.open import open_predictor
from nanosmith.predict.static import StaticPredictor
from nanosmith.store.bundles import Bundle, read_manifest, seal
from nanosmith.testing.tiny import tiny_scope

SURE, UNSURE = "refund", "refund or login or delivery"


@pytest.fixture
def cascade(tmp_path: Path) -> CascadePredictor:
    predictor = open_predictor(tiny_cascade(tmp_path / "bundle"))
    assert isinstance(predictor, CascadePredictor)
    return predictor


def test_the_threshold_decides(cascade: CascadePredictor, tmp_path: Path) -> None:
    """A sure answer is the quick stage's, any other the thorough one's, each with the probabilities of its stage."""
    assert isinstance(cascade.stage_of(SURE), StaticPredictor)
    assert isinstance(cascade.stage_of(UNSURE), EncoderPredictor)
    quick, thorough = (open_predictor(tmp_path / "bundle" / stage) for stage in (QUICK, THOROUGH))
    assert cascade.predict([SURE, UNSURE]) == [quick.predict([SURE])[0], thorough.predict([UNSURE])[0]]
    assert {answer.by for answer in cascade.predict([SURE, UNSURE])} == {cascade.name}


def test_a_threshold_above_one_is_never_reached(tmp_path: Path) -> None:
    """Then the thorough stage answers all."""
    cascade: Any = open_predictor(tiny_cascade(tmp_path / "bundle", threshold=2.0))
    assert cascade.quick_answer(SURE) is None
    assert cascade.predict([SURE])[0].value == "refund"


def test_the_thorough_stage_is_opened_late(cascade: CascadePredictor, tmp_path: Path) -> None:
    """Sure answers need no graph: they come where it cannot be opened any more."""
    shutil.rmtree(tmp_path / "bundle" / THOROUGH)
    assert cascade.predict([SURE])[0].value == "refund"
    with pytest.raises(Exception, match="no bundle"):
        cascade.prepare()


def test_a_refusal_is_left_to_the_thorough_stage(tmp_path: Path) -> None:
    """Where there is a label for "none of these", the quick stage does not give it, however sure it is."""
    text = "nothing that it knows"
    cascade: Any = open_predictor(tiny_cascade(tmp_path / "none", threshold=0.0, scope=tiny_scope("none")))
    assert cascade.quick_answer(text) is None
    assert cascade.quick_answer(SURE) is not None
    silent: Any = open_predictor(tiny_cascade(tmp_path / "silent", threshold=0.0, scope=tiny_scope()))
    assert silent.quick_answer(text).refused


def test_explanations_are_the_stage_s(cascade: CascadePredictor) -> None:
    """Words are weighed by the stage that answered."""
    for text in (SURE, UNSURE):
        found = explain(cascade, text, "refund")
        assert max(found.labels[0].words, key=lambda word: word.value).text == "refund"


def test_embedding_without_vectors_is_refused(cascade: CascadePredictor) -> None:
    """The thorough stage's vectors are the cascade's; it may have none."""
    with pytest.raises(InputError, match="no output for embeddings"):
        as_embedder(cascade)


@pytest.mark.parametrize("threshold", ["high", None, [0.5]])
def test_a_damaged_threshold(tmp_path: Path, threshold: Any) -> None:
    """What is no number is told, with the file."""
    with pytest.raises(Damaged, match=CASCADE_FILE):
        open_predictor(tiny_cascade(tmp_path / "bundle", threshold=threshold))


def test_stages_that_do_not_fit(tmp_path: Path) -> None:
    """A stage of another task is no stage of this bundle."""
    bundle = tiny_cascade(tmp_path / "bundle")
    other = msgspec.structs.replace(bundle.manifest.task, labels=("a", "b"))
    changed = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, task=other))
    with pytest.raises(Damaged, match="does not fit"):
        open_predictor(changed)


def test_no_cascade_of_cascades(tmp_path: Path) -> None:
    """A bundle cannot make opening it go on without end."""
    inner = tiny_cascade(tmp_path / "inner")
    draft = tmp_path / "draft"
    shutil.copytree(inner.path, draft)
    shutil.rmtree(draft / QUICK)
    shutil.copytree(inner.path, draft / QUICK)
    (draft / "manifest.json").unlink()
    outer = seal(draft, read_manifest(inner.path), tmp_path / "outer")
    with pytest.raises(Damaged, match="does not fit"):
        open_predictor(outer)
