from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from nanosmith.core.task import Task
from nanosmith.recipes.parts.head import SOFT_SHARE, contrastive_loss, correct, fit_head, loss_of

CHOICE = Task("choice", ("a", "b", "c"))
LABELS = Task("labels", ("a", "b", "c"))


def test_loss_is_a_weighted_mean() -> None:
    """A row with weight 0 does not count, and equal weights give torch's own mean."""
    logits, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    plain = torch.nn.functional.cross_entropy(logits, targets)
    assert loss_of(CHOICE, logits, targets, torch.ones(4), 0.0) == pytest.approx(float(plain))
    weights = torch.tensor([1.0, 1.0, 0.0, 0.0])
    half = torch.nn.functional.cross_entropy(logits[:2], targets[:2])
    assert loss_of(CHOICE, logits, targets, weights, 0.0) == pytest.approx(float(half))


@pytest.mark.parametrize("task", [CHOICE, LABELS])
def test_a_teacher_is_followed(task: Task) -> None:
    """With a teacher's probabilities the loss is least, per row, where the scores are the teacher's; where the teacher
    is as sure as the answer, nothing is left of its part."""
    teacher = torch.tensor([[2.0, -1.0, 0.5], [-1.0, 0.0, 3.0]])
    soft = teacher.softmax(1) if task.kind == "choice" else torch.sigmoid(teacher)
    hard = torch.tensor([0, 2]) if task.kind == "choice" else torch.tensor([[True, False, True], [False, False, True]])

    def part_of_teacher(logits: torch.Tensor) -> float:
        alone = loss_of(task, logits, hard, torch.ones(2), 0.0)
        return float(loss_of(task, logits, hard, torch.ones(2), 0.0, soft) - (1 - SOFT_SHARE) * alone)

    assert part_of_teacher(teacher) == pytest.approx(0.0, abs=1e-5)
    assert part_of_teacher(teacher + torch.tensor([1.0, 0.0, -1.0])) > 0.05


def test_labels_are_right_only_as_a_whole() -> None:
    """One missing label makes the row wrong."""
    logits, targets = torch.tensor([[1.0, -1.0, 1.0], [1.0, -1.0, -1.0]]), torch.tensor([[True, False, True]] * 2)
    assert correct(LABELS, logits, targets).tolist() == [True, False]


def test_head_is_as_good_as_scikit_learn() -> None:
    """On overlapping classes the fitted head is within two points of logistic regression on new data."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(3, 16))
    targets = random.integers(0, 3, size=2_000)
    vectors = (centres[targets] + 1.5 * random.normal(size=(2_000, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    head = fit_head(CHOICE, torch.from_numpy(vectors[:1_000]), torch.from_numpy(targets[:1_000]), torch.ones(1_000))
    ours = (head(torch.from_numpy(vectors[1_000:])).argmax(1).numpy() == targets[1_000:]).mean()
    theirs = LogisticRegression().fit(vectors[:1_000], targets[:1_000]).score(vectors[1_000:], targets[1_000:])
    assert ours >= theirs - 0.02


def test_contrast_by_hand() -> None:
    """Minus the log of a partner's share among all others, for those that have one; weight 0 is not there."""
    vectors = torch.nn.functional.normalize(torch.randn(4, 5), dim=1)
    targets, weights = torch.tensor([0, 0, 1, 0]), torch.tensor([1.0, 0.0, 1.0, 1.0])
    scores = vectors @ vectors.T / 0.1
    wanted = [scores[i, [2, 3 - i]].logsumexp(0) - scores[i, 3 - i] for i in (0, 3)]
    assert contrastive_loss(vectors, targets, weights) == pytest.approx(float(torch.stack(wanted).mean()), rel=1e-5)


def test_nobody_to_contrast_with() -> None:
    """A batch in which all labels differ has no contrastive loss, and a gradient that is no NaN."""
    vectors = torch.nn.functional.normalize(torch.randn(3, 5), dim=1).requires_grad_()
    loss = contrastive_loss(vectors, torch.tensor([0, 1, 2]), torch.ones(3))
    loss.backward()
    assert loss == 0
    assert vectors.grad is not None
    assert not vectors.grad.isnan().any()
