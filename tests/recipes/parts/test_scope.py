"""The fit of the score for "none of these"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nanosmith.predict.scope import ScopeScore, features
from nanosmith.recipes.parts.scope import fit_scope, fit_weight, held_out, tensors_of
from nanosmith.recipes.work import Samples
from nanosmith.score.scope import auroc

WIDTH, LABELS = 16, 4


class PointModel:
    """Texts are numbers of points on the unit sphere; logits are similarities with the classes' centres."""

    def __init__(self, points: np.ndarray, centres: np.ndarray) -> None:
        self.points, self.centres = points.astype(np.float32), centres

    def embeddings(self, texts: Sequence[str]) -> np.ndarray:
        return self.points[[int(text) for text in texts]]

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        return (20 * self.embeddings(texts) @ self.centres.T).astype(np.float32)


@pytest.fixture(scope="module")
def cloud() -> tuple[PointModel, Samples, list[str], list[str]]:
    """Four classes with 60 training and 60 held-out points each, and 120 points around two other centres."""
    random = np.random.default_rng(0)
    centres = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0]
    targets = np.repeat(np.arange(LABELS), 60)
    rows = [centres[targets], centres[targets], centres[LABELS + np.repeat([0, 1], 60)]]
    points = np.concatenate([row + 0.15 * random.normal(size=row.shape) for row in rows])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    names = [str(i) for i in range(len(points))]
    samples = Samples(names[:240], targets, np.ones(240, dtype=np.float32))
    return PointModel(points, centres[:LABELS]), samples, names[240:480], names[480:]


def scored(scope, tensors, model, texts):
    one = ScopeScore(scope, tensors)
    return np.array([one.of(*row) for row in zip(model.embeddings(texts), model.logits(texts))])


def test_distance_is_that_of_the_nearest_class_less_that_of_all(cloud):
    """The packed terms give what the definition gives, class by class."""
    model, train, texts, _ = cloud
    made = tensors_of(model, train)
    vectors = model.embeddings(train.texts).astype(float)
    means = np.stack([vectors[train.targets == c].mean(0) for c in range(LABELS)])

    def precision(rest, freedom):
        found = rest.T @ rest / freedom
        return np.linalg.inv(0.5 * found + 0.5 * np.trace(found) / WIDTH * np.eye(WIDTH))

    near = precision(vectors - means[train.targets], len(vectors) - LABELS)
    far = precision(vectors - vectors.mean(0), len(vectors) - 1)
    x = model.embeddings(texts[:1])[0].astype(float)
    wanted = min((x - m) @ near @ (x - m) for m in means) - (x - vectors.mean(0)) @ far @ (x - vectors.mean(0))
    found = features(made, x[np.newaxis], model.logits(texts[:1]))[0, 0]
    assert found == pytest.approx(wanted, rel=1e-3)


def test_the_tolerated_share_of_queries_in_scope_is_refused(cloud):
    """The threshold from one half of the held-out examples holds for the other half."""
    model, train, texts, outside = cloud
    found = held_out(model, train, texts[::2], model.logits(texts[::2]))
    scope = fit_scope(found.inside, found.outside, refuse=0.1, label=None)
    scores = scored(scope, tensors_of(model, train), model, texts[1::2])
    assert 0.02 <= (scores >= 0.5).mean() <= 0.2
    assert (scored(scope, tensors_of(model, train), model, outside) >= 0.5).mean() > 0.9


def test_outside_examples_move_the_weights_to_what_tells_them(cloud):
    """With examples of one of two outside centres, the order of the queries is not worse than without."""
    model, train, texts, outside = cloud
    shown, asked = outside[:30], outside[30:]
    orders = []
    for known in ([], shown):
        found = held_out(model, train, texts, model.logits(texts), known)
        scope = fit_scope(found.inside, found.outside, refuse=0.05, label="none")
        made = tensors_of(model, train, known)
        orders.append(auroc(scored(scope, made, model, texts), scored(scope, made, model, asked)))
        assert scope.outside == len(known)
    assert orders[1] >= orders[0] - 0.005


@pytest.mark.parametrize(("shift", "low", "high"), [(6, 0.5, 20), (-6, 0, 0), (0, 0, 0.3)])
def test_weight_is_that_of_a_feature_that_tells(shift, low, high):
    """A feature that separates weighs much, one that misleads nothing, one that says nothing hardly anything."""
    random = np.random.default_rng(0)
    inside, outside = random.normal(size=(300, 2)), random.normal(size=(100, 2))
    outside[:, 0] += 2
    outside[:, 1] += shift
    assert low <= fit_weight(inside, outside) <= high


def test_few_outside_examples_leave_the_weights_alone(cloud):
    """Below ten they are compared with, but do not weigh the features."""
    model, train, texts, outside = cloud
    found = held_out(model, train, texts, model.logits(texts), outside[:4])
    with_few = fit_scope(found.inside, found.outside, refuse=0.05, label=None)
    assert with_few.weights[2] == 0


def test_nothing_is_fitted_without_held_out_examples():
    """There is no threshold then, and so no score."""
    nothing = np.zeros((0, 3), dtype=np.float32)
    assert fit_scope(nothing, nothing, refuse=0.05, label=None) is None


def test_class_without_examples_and_a_single_example_per_class(cloud):
    """Neither makes a figure that is not finite."""
    model, train, texts, _ = cloud
    few = Samples([train.texts[0], train.texts[-1]], np.array([0, 3]), np.ones(2, dtype=np.float32))
    found = held_out(model, few, texts[:20], model.logits(texts[:20]))
    assert np.isfinite(found.inside).all()
