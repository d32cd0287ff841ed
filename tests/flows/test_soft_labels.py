"""What a teacher says to texts and to their copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanosmith.core.watch import Watch
from nanosmith.flows.soft_labels import SoftLabels, asked, copies_of
from nanosmith.predict.open import open_predictor
from nanosmith.recipes.work import Samples
from nanosmith.testing import FakePredictor, tiny_bundle

TEXTS = ["my refund please", "the login page is away"]


def test_copies_are_of_the_same_texts() -> None:
    """The texts as they are come first; the copies are other ones, and the same for the same seed."""
    copies = copies_of(TEXTS * 20, seed=1)
    assert copies[0] == TEXTS * 20
    assert len(copies) == 3
    assert all(copy != copies[0] for copy in copies[1:])
    assert copies == copies_of(TEXTS * 20, seed=1)


def test_many_texts_get_no_copies() -> None:
    """Asking a teacher costs time."""
    assert len(copies_of(["a text"] * 20_000, seed=0)) == 1


def test_local_teacher_gives_probabilities_and_vectors(tmp_path: Path) -> None:
    """One reading gives both: the probabilities are those of a prediction, the vector that of an embedding."""
    teacher = open_predictor(tiny_bundle(tmp_path / "teacher"))
    told = asked(teacher, TEXTS, Watch())
    labels = len(teacher.task.labels)
    assert np.allclose(told[:, :labels], [one.probabilities for one in teacher.predict(TEXTS)], atol=1e-6)
    assert np.allclose(told[:, labels:], teacher.embed(TEXTS).vectors, atol=1e-6)  # type: ignore[attr-defined]


def test_any_predictor_can_teach() -> None:
    """One without embeddings gives probabilities alone."""
    teacher = FakePredictor(["login", "refund"])
    assert asked(teacher, TEXTS, Watch()).shape == (2, 2)


def test_each_text_keeps_its_own_label() -> None:
    """A pass takes some texts and some copies, each with what the teacher said to just that one."""
    texts = [["a", "b"] * 50, ["A", "B"] * 50]
    soft = np.zeros((2, 100, 2), dtype=np.float32)
    soft[0, :, 0] = soft[1, :, 1] = 1.0
    samples = Samples(texts[0], np.zeros(100, dtype=np.int64), np.ones(100, dtype=np.float32))
    made = SoftLabels(texts, soft, soft.copy()).augment(samples, np.random.default_rng(0))
    assert made.soft is not None
    assert made.vectors is not None
    assert {text.isupper() for text in made.texts} == {True, False}
    assert [bool(row[1]) for row in made.soft] == [text.isupper() for text in made.texts]
    assert np.array_equal(made.soft, made.vectors)
