"""The head of an earlier model with rows for new labels, fitted on the vectors of its own encoder."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.recipes.parts.from_bundle import Head
from nanosmith.recipes.parts.head import FREEDOM, MAX_ITERATIONS, linear, loss_of
from nanosmith.recipes.work import Samples


def grown_head(
    old: Task, task: Task, head: Head, vectors: NDArray[np.float32], samples: Samples, watch: Watch
) -> torch.nn.Linear:
    """A linear layer (D → L) for `task` from the `head` of `old`, whose labels `task` has too.

    Solved by L-BFGS on the vectors (N, D) of the samples, as `fit_head`. But rows begin at what they were, those of new
    labels at zero, and it is their way from there that is penalised (L2-SP, Li, Grandvalet & Davoine 2018). The rows of
    labels that have no sample stay: their scores for a text are the old ones.
    """
    grown = _widened(old, task, head)
    start, way = grown.weight.detach().clone(), torch.zeros_like(grown.weight, requires_grad=True)  # (L, D)
    start_bias, way_bias = grown.bias.detach().clone(), torch.zeros_like(grown.bias, requires_grad=True)
    inputs, targets, weights = map(torch.from_numpy, (vectors, samples.targets, samples.weights))
    learned = torch.from_numpy(_has_sample(samples, len(task.labels))).float()  # (L)
    penalty = 1 / (2 * FREEDOM * float(weights.sum().clamp(min=1)))
    solver = torch.optim.LBFGS([way, way_bias], max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe")

    def reached() -> tuple[torch.Tensor, torch.Tensor]:
        return start + learned[:, None] * way, start_bias + learned * way_bias

    def closure() -> torch.Tensor:
        watch.check()
        solver.zero_grad()
        weight, bias = reached()
        loss = loss_of(task, inputs @ weight.T + bias, targets, weights) + penalty * way.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        weight, bias = reached()
    return linear(weight.T.numpy(), bias.numpy())


def _has_sample(samples: Samples, labels: int) -> NDArray[np.bool_]:
    """Whether each label (L) is the answer, or in the answer, of a sample."""
    if samples.targets.ndim > 1:
        return np.asarray(samples.targets.any(axis=0))
    return np.isin(np.arange(labels), samples.targets)


def _widened(old: Task, task: Task, head: Head) -> torch.nn.Linear:
    """The old rows at their labels' places; new rows are zero, with the mean bias of the old ones."""
    places = [task.labels.index(label) for label in old.labels]
    weight = np.zeros((len(head[0]), len(task.labels)), dtype=np.float32)
    bias = np.full(len(task.labels), head[1].mean(), dtype=np.float32)
    weight[:, places], bias[places] = head
    return linear(weight, bias)
