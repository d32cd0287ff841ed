"""What holds for every recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.recipes.conftest import CHOICE, LABELS, Stopper, topic_samples

from nanosmith.core import registry
from nanosmith.core.errors import Cancelled
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.task import Task
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.recipes.work import Work
from nanosmith.store.bundles import seal
from nanosmith.version import __version__

OTHERS = ("tune_record/1", "tune_decoder/1", "tune_segments/1")  # for other examples; they have tests of their own
RECIPES = sorted(set(registry.registered("recipes")).difference(OTHERS))
ODD_TEXTS = ["", "   ", "Where is my REFUND? 💸", "привет\u0000мир", "refund " * 2_500, "\ud800 lone surrogate"[1:]]


def opened(work: Work, recipe: str, folder: Path) -> tuple[LocalPredictor, object]:
    """Fit, write, seal and open."""
    model = registry.load("recipes", recipe)(work)
    (folder / "draft").mkdir(parents=True)
    draft = model.write(folder / "draft", work.tune)
    manifest = Manifest(
        name="m", created_at=0, predictor=draft.predictor, recipe=recipe, task=work.task, max_tokens=draft.max_tokens,
        base=BaseRef("tiny", "0"), data=DataRef("0", len(work.train), 0), calibration=Calibration(examples=1),
        settings=draft.settings, notes=draft.notes, files={}, nanosmith=__version__,
    )  # fmt: skip
    predictor = open_predictor(seal(folder / "draft", manifest, folder / "bundle"))
    assert isinstance(predictor, LocalPredictor)
    return predictor, model


@pytest.mark.parametrize("task", [CHOICE, LABELS], ids=["choice", "labels"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_learns_the_easy_topics(recipe: str, task: Task, work: Callable[..., Work], tmp_path: Path) -> None:
    """The sealed bundle answers nearly all of new, easy examples right."""
    predictor, _ = opened(work(task, n=60), recipe, tmp_path)
    held_out = topic_samples(task, 90)
    given = [prediction.value for prediction in predictor.predict(held_out.texts)]
    index = {label: i for i, label in enumerate(task.labels)}
    if task.kind == "choice":
        right = [index[value] == wanted for value, wanted in zip(given, held_out.targets)]
    else:
        right = [
            {index[v] for v in value} == set(np.flatnonzero(wanted)) for value, wanted in zip(given, held_out.targets)
        ]
    assert np.mean(right) >= 0.9


@pytest.mark.parametrize("recipe", RECIPES)
def test_same_seed_same_model(recipe: str, work: Callable[..., Work]) -> None:
    """Two fits with one seed give the same scores to the last bit."""
    fit = registry.load("recipes", recipe)
    texts = topic_samples(CHOICE, 9).texts
    assert np.array_equal(fit(work()).logits(texts), fit(work()).logits(texts))


@pytest.mark.parametrize("recipe", RECIPES)
def test_runtime_says_what_the_training_graph_says(recipe: str, work: Callable[..., Work], tmp_path: Path) -> None:
    """The bundle's scores are those of the training graph, up to the rounding of int8."""
    predictor, model = opened(work(), recipe, tmp_path)
    texts = topic_samples(CHOICE, 20).texts
    runtime = np.stack([predictor.logits(predictor.token_ids(text)[0]) for text in texts])
    graph = model.logits(texts)  # type: ignore[attr-defined]
    assert np.array_equal(runtime.argmax(1), graph.argmax(1))
    assert np.abs(runtime - graph).mean() < 0.15 * np.abs(graph).mean()


@pytest.mark.parametrize("recipe", RECIPES)
def test_odd_texts_are_answered(recipe: str, work: Callable[..., Work], tmp_path: Path) -> None:
    """Empty, long and strange texts get an answer, the same alone and among others."""
    predictor, _ = opened(work(), recipe, tmp_path)
    together = predictor.predict(ODD_TEXTS)
    assert together == [predictor.predict([text])[0] for text in ODD_TEXTS]
    assert all(sum(prediction.probabilities) == pytest.approx(1, abs=1e-5) for prediction in together)
    assert together[4].dropped_tokens > 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_stops_when_asked(recipe: str, work: Callable[..., Work]) -> None:
    """A request to stop ends the fit with Cancelled."""
    with pytest.raises(Cancelled):
        registry.load("recipes", recipe)(work(watch=Stopper(3)))
