"""The linear head and its losses, for one label (softmax) and for several (sigmoids)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nanosmith.core.task import Task
from nanosmith.core.watch import Watch

LABEL_SMOOTHING = 0.1
MAX_ITERATIONS = 100
TEMPERATURE = 0.1  # of the contrastive loss
FAR = -1e9  # a score of no weight that leaves gradients finite
SOFT_SHARE = 0.7  # of the loss that a teacher's probabilities have, where there are any
SOFTENING = 2.0  # temperature at which a teacher is listened to
LEAST = 1e-8  # probability that a teacher gives a label it does not name
FREEDOM = 30.0  # C of the head's fit; from 10 to 100 hardly moves accuracy, on 5 as on 130 examples per label


def loss_of(
    task: Task, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, smoothing: float = LABEL_SMOOTHING,
    soft: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """Weighted mean loss of logits (N, L): cross-entropy against indices (N), with label smoothing (choice), or binary
    cross-entropy against memberships (N, L), summed over the labels (labels). With a teacher's probabilities `soft`
    (N, L) it is mixed with the distance from these."""
    if task.kind == "choice":
        each = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    else:
        each = functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none").sum(1)
    if soft is not None:
        each = (1 - SOFT_SHARE) * each + SOFT_SHARE * _from_teacher(task, logits, soft)
    return (each * weights).sum() / weights.sum().clamp(min=1e-6)


def _from_teacher(task: Task, logits: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """How far each row (N) of logits (N, L) is from a teacher's probabilities, both softened (Hinton, Vinyals & Dean
    2015, "Distilling the Knowledge in a Neural Network"): KL divergence, and for labels the sum of that of each."""
    sure = soft.clamp(LEAST, 1 - LEAST)
    if task.kind == "choice":
        wanted = (sure.log() / SOFTENING).log_softmax(1)
        each = functional.kl_div((logits / SOFTENING).log_softmax(1), wanted, reduction="none", log_target=True).sum(1)
    else:
        wanted = torch.sigmoid(sure.logit() / SOFTENING)
        crossed = functional.binary_cross_entropy_with_logits(logits / SOFTENING, wanted, reduction="none")
        each = (crossed + torch.special.entr(wanted).neg() + torch.special.entr(1 - wanted).neg()).sum(1)
    return each * SOFTENING**2


def correct(task: Task, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Whether each row (N) is right: the same label, or exactly the same set of labels."""
    if task.kind == "choice":
        return logits.argmax(1) == targets
    return ((logits > 0) == targets).all(1)


def fit_head(
    task: Task, vectors: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, *, watch: Watch | None = None
) -> torch.nn.Linear:
    """A linear layer (D → L) on fixed unit vectors (N, D): a convex problem, solved by L-BFGS from zero.

    The L2 penalty falls with the number of examples, as logistic regression's does with C = FREEDOM (decision 0005).
    """
    head = torch.nn.Linear(vectors.shape[1], len(task.labels))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    penalty = 1 / (2 * FREEDOM * float(weights.sum().clamp(min=1)))
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


def linear(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> torch.nn.Linear:
    """A linear layer (D → L) of its own from weight (D, L) and bias (L)."""
    head = torch.nn.Linear(*weight.shape)
    head.load_state_dict({"weight": torch.tensor(weight.T), "bias": torch.tensor(bias)})
    return head


def contrastive_loss(vectors: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al. 2020) of unit vectors (B, D) with label indices (B): each example
    against all others of its batch, those of its label being the right ones; weighted mean over the examples that have
    any, 0 where none has. Examples of weight 0 are not there."""
    counts = weights > 0
    others = ~torch.eye(len(targets), dtype=torch.bool) & counts  # (B, B)
    same = (targets[:, None] == targets) & others  # (B, B)
    scores = (vectors @ vectors.T / TEMPERATURE).masked_fill(~others, FAR)
    log_shares = (scores - scores.logsumexp(1, keepdim=True)).masked_fill(~same, 0.0)
    partners = same.sum(1)  # (B)
    each = -log_shares.sum(1) / partners.clamp(min=1)
    counted = weights * (partners > 0)
    return (each * counted).sum() / counted.sum().clamp(min=1e-6)
