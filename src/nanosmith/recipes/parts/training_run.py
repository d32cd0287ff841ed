"""What a training loop over shuffled batches needs besides its step: the rate's course, a time limit, and its state."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nanosmith.core.watch import Watch
from nanosmith.recipes.parts.training_state import arrays_of, put_back
from nanosmith.recipes.work import FitState, Keeper

WARM_UP = 0.1  # share of the steps
CLIP_NORM = 1.0
MORE = "more."


class TrainingRun:
    """How far a run of `steps` steps is. `told` are all figures so far; `ends_s` the monotonic time of its end; `more`
    are arrays, under names that begin with MORE, that are kept with its state."""

    def __init__(
        self, groups: list[dict[str, Any]], steps: int, watch: Watch, keeper: Keeper | None, ends_s: float | None
    ) -> None:
        self.steps, self.watch, self.keeper, self.ends_s = steps, watch, keeper, ends_s
        self.step, self.finished = 0, False
        self.told: list[tuple[int, dict[str, float]]] = []
        self.more: dict[str, NDArray[Any]] = {}
        self.trained_tokens = 0
        self.trains_from_s = time.monotonic()
        self.rates = [group["lr"] for group in groups]
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)

    def share_done(self) -> float:
        """How much of the run is over, 0–1: by steps, or by time where that runs out earlier."""
        by_steps = float(self.step / self.steps)
        if self.ends_s is None:
            return by_steps
        gone_s = time.monotonic() - self.trains_from_s
        return max(by_steps, gone_s / max(1e-3, self.ends_s - self.trains_from_s))

    def learn(self, loss: torch.Tensor) -> None:
        """One step down the loss."""
        self.learn_all([loss])

    def learn_all(self, losses: Iterable[torch.Tensor]) -> None:
        """One step down the sum of the losses, each computed when the one before is done with, at the rate of now:
        linear warm-up, then linear decay to zero at the end."""
        share = self.share_done()
        factor = min(1.0, (share + 1 / self.steps) / WARM_UP) * min(1.0, (1 - share) / (1 - WARM_UP))
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = rate * max(0.0, factor)
        self.optimizer.zero_grad()
        for loss in losses:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()
        self.step += 1

    def tell(self, figures: dict[str, float]) -> None:
        self.told.append((self.step, figures))
        self.watch.metrics(self.step, self.steps, figures)

    def keep(self) -> None:
        """Save all that `resume` needs."""
        if not self.keeper:
            return
        notes = {
            "finished": self.finished,
            "told": self.told,
            "trained_tokens": self.trained_tokens,
            "gone_s": time.monotonic() - self.trains_from_s,
            "span_s": self.ends_s - self.trains_from_s if self.ends_s else None,
        }
        self.keeper.save(FitState(self.step, {**arrays_of(self.parameters, self.optimizer), **self.more}, notes))

    def resume(self) -> None:
        """Be where an interrupted attempt saved. The time that it had is what it has left."""
        kept = self.keeper.load() if self.keeper else None
        if kept is None:
            return
        put_back(kept.arrays, self.parameters, self.optimizer)
        self.more = {name: np.array(array) for name, array in kept.arrays.items() if name.startswith(MORE)}
        notes = kept.notes
        self.step, self.finished, self.trained_tokens = kept.step, notes["finished"], notes["trained_tokens"]
        self.told = [
            (step, {name: value for name, value in figures.items() if value is not None})  # JSON has no NaN
            for step, figures in notes["told"]
        ]
        self.trains_from_s = time.monotonic() - notes["gone_s"]
        self.ends_s = self.trains_from_s + notes["span_s"] if notes["span_s"] else None
        self.watch.resumed(self.told)


def layer_groups(encoder: torch.nn.Module, rate: float, decay: float, weight_decay: float) -> Iterator[dict[str, Any]]:
    """Layer-wise rates; no weight decay on biases and norms; embeddings are frozen."""
    for parameter in encoder.embeddings.parameters():
        parameter.requires_grad_(False)
    layers = list(encoder.encoder.layer)
    for depth, layer in enumerate(layers):
        own = rate * decay ** (len(layers) - 1 - depth)
        parameters = list(layer.parameters())
        yield {"params": [p for p in parameters if p.ndim > 1], "lr": own, "weight_decay": weight_decay}
        yield {"params": [p for p in parameters if p.ndim == 1], "lr": own, "weight_decay": 0.0}
