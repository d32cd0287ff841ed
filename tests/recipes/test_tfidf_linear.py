"""The TF-IDF recipe: how its method is found, weights, absent labels, added copies, size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.recipes.conftest import CHOICE, LABELS, topic_samples

from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.recipes import tfidf_linear
from nanosmith.recipes.parts.svm import Method, fit_separators
from nanosmith.recipes.parts.terms import Counts, learn
from nanosmith.recipes.work import Samples, Work


def settings_of(work: Work, folder: Path) -> dict[str, object]:
    return tfidf_linear.fit(work).write(folder, work.tune).settings


def some(count: int, random: np.random.Generator) -> Samples:
    """Texts of twenty words; a third of them have a word of their class."""
    classes = random.integers(0, 3, count)
    texts = [
        " ".join([*(f"w{i}" for i in random.integers(0, 400, 20)), *([f"mark{c}"] if random.random() < 0.7 else [])])
        for c in classes
    ]
    return Samples(texts, classes, np.ones(count, np.float32))


@pytest.mark.parametrize("task", [CHOICE, LABELS], ids=["choice", "labels"])
def test_eight_examples_are_enough_to_answer(task: Task, work: Callable[..., Work]) -> None:
    """A handful of examples gives a model that knows them."""
    made = work(task, train=topic_samples(task, 8))
    scores = tfidf_linear.fit(made).logits(made.train.texts)
    if task.kind == "choice":
        assert scores.argmax(1).tolist() == made.train.targets.tolist()
    else:
        assert np.array_equal(scores > 0, made.train.targets)


def test_method_is_looked_for_where_examples_suffice(work: Callable[..., Work], tmp_path: Path) -> None:
    """With few examples the first method is taken; with many each is tried, and the choice is told as a stage."""
    stages: list[str] = []

    class Told(Watch):
        def progress(self, stage: str, done: int, total: int) -> None:
            stages.append(stage)

    few = settings_of(work(train=some(300, np.random.default_rng(0))), tmp_path)
    assert (few["c"], few["naive_bayes"]) == (tfidf_linear.METHODS[0].c, tfidf_linear.METHODS[0].bayes)
    many = settings_of(work(train=some(1_200, np.random.default_rng(0)), watch=Told()), tmp_path)
    assert Method(many["c"], many["naive_bayes"]) in tfidf_linear.METHODS  # type: ignore[arg-type]
    assert list(dict.fromkeys(stages)) == ["read the texts once", "find the method", "fit"]


def test_the_end_of_a_long_text_is_read(work: Callable[..., Work]) -> None:
    """A word behind those that an encoder would read decides."""
    filler = " ".join(f"w{i % 40}" for i in range(600))
    texts = [f"{filler} mark{i % 3}" for i in range(30)]
    targets = np.arange(30) % 3
    train = Samples(texts, targets, np.ones(30, np.float32))
    scores = tfidf_linear.fit(work(train=train)).logits(texts)
    assert scores.argmax(1).tolist() == targets.tolist()


def test_weights_count(work: Callable[..., Work]) -> None:
    """Of two examples that contradict each other, the heavier one is believed; one of weight 0 is not looked at."""
    train = topic_samples(CHOICE, 30)
    texts = [*train.texts, "gizmo", "gizmo"]
    targets = np.array([*train.targets, 0, 1])
    for weights, wanted in (((1, 0), 0), ((0, 1), 1), ((9, 1), 0), ((1, 9), 1)):
        given = Samples(texts, targets, np.array([*train.weights, *weights], np.float32))
        assert tfidf_linear.fit(work(train=given)).logits(["gizmo"])[0, :2].argmax() == wanted


def test_label_without_examples_is_never_answered(work: Callable[..., Work]) -> None:
    """A label that no example has lies below all others."""
    task = Task("choice", ("absent", *CHOICE.labels))
    train = topic_samples(CHOICE, 30)
    train = Samples(train.texts, train.targets + 1, train.weights)
    assert tfidf_linear.fit(work(task, train=train)).logits(train.texts).argmin(1).tolist() == [0] * 30


def test_texts_without_words_are_no_obstacle(work: Callable[..., Work]) -> None:
    """Examples of nothing but spaces give a model that says the same to everything."""
    empty = Samples([" "] * 6, np.arange(6) % 3, np.ones(6, np.float32))
    assert np.isfinite(tfidf_linear.fit(work(train=empty)).logits(["", "refund"])).all()


def test_one_changed_copy_is_added(work: Callable[..., Work]) -> None:
    """What `augment` makes of the examples is trained on beside them."""
    calls = []

    def augment(samples: Samples, random: np.random.Generator) -> Samples:
        calls.append(random)
        return Samples([text.replace("refund", "rfnd") for text in samples.texts], samples.targets, samples.weights)

    made = work()
    changed = tfidf_linear.fit(work(augment=augment))
    assert len(calls) == 1
    assert changed.trained_tokens == 2 * tfidf_linear.fit(made).trained_tokens
    refund = CHOICE.labels.index("refund")
    plain = tfidf_linear.fit(made).logits(["rfnd"])[0, refund]
    assert changed.logits(["rfnd"])[0, refund] > plain


def test_rounding_moves_little(work: Callable[..., Work]) -> None:
    """The int8 weights give the margins of the fit, up to a fiftieth of the largest."""
    made = work()
    terms, vectors = learn(Counts.of([text.lower().split() for text in made.train.texts]), 10**6, 10**9)
    wanted = tfidf_linear.memberships(made.train.targets, 3)
    [exact] = fit_separators(vectors, wanted, made.train.weights, tfidf_linear.METHODS[:1], 3, lambda done: None)
    model = tfidf_linear.TfidfModel(terms, exact, {}, 0)
    margins = tfidf_linear.SCALE * exact.margins(vectors)
    assert np.abs(model.logits(made.train.texts) - margins).max() < np.abs(margins).max() / 50


def test_bundle_is_bounded(work: Callable[..., Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many terms there are, the files stay near their bound."""
    monkeypatch.setattr(tfidf_linear, "MAX_BYTES", 20_000)
    made = work(train=some(300, np.random.default_rng(0)))
    tfidf_linear.fit(made).write(tmp_path, made.tune)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert 10_000 < size < 30_000
    assert msgspec.json.decode((tmp_path / "vocabulary.json").read_bytes())["words"]
