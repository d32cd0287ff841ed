"""A head with rows for new labels."""

from __future__ import annotations

import numpy as np
import torch

from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.recipes.parts.grown_head import grown_head
from nanosmith.recipes.work import Samples

OLD, NEW = Task("choice", ("a", "c")), Task("choice", ("a", "b", "c"))
WIDTH = 6
HEAD = (np.zeros((WIDTH, 2), dtype=np.float32), np.array([0.5, -0.5], dtype=np.float32))
HEAD[0][0, 0] = HEAD[0][1, 1] = 5.0


def vectors(*directions: int) -> np.ndarray:
    """Unit vectors near these axes."""
    random = np.random.default_rng(len(directions))
    rows = np.eye(WIDTH, dtype=np.float32)[list(directions)] + 0.1 * random.normal(size=(len(directions), WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def grown(old: Task, new: Task, directions: list[int], targets: list[int]) -> torch.nn.Linear:
    samples = Samples([""] * len(targets), np.array(targets), np.ones(len(targets), dtype=np.float32))
    return grown_head(old, new, HEAD, vectors(*directions), samples, Watch())


def answers(head: torch.nn.Linear, *directions: int) -> list[int]:
    with torch.inference_mode():
        return head(torch.from_numpy(vectors(*directions))).argmax(1).tolist()


def test_new_row_is_learnt_and_old_ones_stay() -> None:
    """From examples of the new label alone it is learnt; rows of labels without examples are what they were."""
    head = grown(OLD, NEW, [2] * 8, [1] * 8)
    assert answers(head, 2, 2, 0, 0, 1, 1) == [1, 1, 0, 0, 2, 2]
    assert np.array_equal(head.weight.detach().numpy()[[0, 2]].T, HEAD[0])
    assert np.array_equal(head.bias.detach().numpy()[[0, 2]], HEAD[1])


def test_old_rows_can_be_corrected() -> None:
    """Enough examples of an old label in another place move its row."""
    head = grown(OLD, OLD, [0] * 20, [1] * 20)
    assert answers(head, 0, 0) == [1, 1]


def test_same_labels_same_head() -> None:
    """Without anything to learn the head is what it was."""
    head = grown_head(OLD, OLD, HEAD, vectors(0), Samples([""], np.array([0]), np.zeros(1, dtype=np.float32)), Watch())
    assert np.array_equal(head.weight.detach().numpy().T, HEAD[0])
    assert np.array_equal(head.bias.detach().numpy(), HEAD[1])
