"""The linear head and its losses, for one label (softmax) and for several (sigmoids)."""

from __future__ import annotations

import torch
from torch.nn import functional

from nanosmith.core.task import Task
from nanosmith.core.watch import Watch

LABEL_SMOOTHING = 0.1
MAX_ITERATIONS = 60


def loss_of(
    task: Task, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, smoothing: float = LABEL_SMOOTHING
) -> torch.Tensor:
    """Weighted mean loss of logits (N, L): cross-entropy against indices (N), with label smoothing (choice), or binary
    cross-entropy against memberships (N, L), summed over the labels (labels)."""
    if task.kind == "choice":
        each = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    else:
        each = functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none").sum(1)
    return (each * weights).sum() / weights.sum().clamp(min=1e-6)


def correct(task: Task, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Whether each row (N) is right: the same label, or exactly the same set of labels."""
    if task.kind == "choice":
        return logits.argmax(1) == targets
    return ((logits > 0) == targets).all(1)


def fit_head(
    task: Task,
    vectors: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    decay: float = 2e-6,
    watch: Watch | None = None,
) -> torch.nn.Linear:
    """A linear layer (D → L) on fixed vectors (N, D): a convex problem, solved by L-BFGS from zero.

    `decay` is the L2 penalty per weight, in units of the vectors' mean squared norm.
    """
    head = torch.nn.Linear(vectors.shape[1], len(task.labels))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    penalty = decay * vectors.square().sum(1).mean() / len(task.labels)
    solver = torch.optim.LBFGS(head.parameters(), max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        if watch:
            watch.check()
        solver.zero_grad()
        loss = loss_of(task, head(vectors), targets, weights) + penalty * head.weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    return head
