"""The training loop over shuffled batches: the rate's course, a time limit, checkpoints, and its state."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from nanosmith.recipes.parts.training_state import arrays_of, put_back
from nanosmith.recipes.work import AnyWork, FitState

WARM_UP = 0.1  # share of the steps
CLIP_NORM = 1.0
MORE = "more."
Net = TypeVar("Net")


class TrainingRun(ABC):
    """One training run over shuffled batches, of `settings["n_epochs"]` passes of `epoch_steps` steps: subclasses say
    what a pass holds (`batches`), what a step does, and what is made of it.

    `told` are all figures so far; `ends_s` the monotonic time of its end; `more` are arrays, under names that begin
    with MORE, that are kept with its state; `start` are the parameters before the first step."""

    checkpoints = 3
    """Of the last passes."""

    def __init__(
        self, work: AnyWork, settings: dict[str, Any], epoch_steps: int, groups: list[dict[str, Any]], began_s: float
    ) -> None:
        self.watch, self.keeper, self._checkpoint = work.watch, work.keeper, work.checkpoint
        self.settings, self.epoch_steps = settings, epoch_steps
        self.steps = settings["n_epochs"] * epoch_steps
        self.ends_s = began_s + work.limit_s if work.limit_s else None
        self.step, self.finished = 0, False
        self.told: list[tuple[int, dict[str, float]]] = []
        self.more: dict[str, NDArray[Any]] = {}
        self.trained_tokens = 0
        self.trains_from_s = time.monotonic()
        self.rates = [group["lr"] for group in groups]
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.start = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)

    @abstractmethod
    def batches(self, epoch: int) -> Sequence[Any]:
        """Those of one pass. What is random hangs on seed and epoch, so that a run that goes on after a crash sees the
        same."""

    @abstractmethod
    def one_step(self, batch: Any) -> dict[str, float]:
        """Learn from one of the `batches`; gives the figures of it."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures of a few held-out examples; empty where there are none."""

    @abstractmethod
    def model(self) -> Any:
        """What the run has made so far."""

    def train(self) -> None:
        """Go on from what an interrupted attempt saved, to the end."""
        self.resume()
        while not self.finished:
            self._epoch()
        if self._checkpoint:  # what becomes of the checkpoints of this run must be the same should the rest be repeated
            self.keep()

    def is_over(self) -> bool:
        """Asked after each pass."""
        return self.share_done() >= 1

    def _epoch(self) -> None:
        """Train to the end of the pass that the next step is of."""
        epoch, done = divmod(self.step, self.epoch_steps)
        for batch in self.batches(epoch)[done:]:
            if self.keeper and self.keeper.due():
                self.keep()
            if self.share_done() >= 1:
                break
            self.tell(self.one_step(batch))
            self.watch.progress("train", self.step, self.steps)
            self.watch.check()
        if figures := self.validate():
            self.tell(figures)
        if self._checkpoint and epoch >= self.settings["n_epochs"] - self.checkpoints:
            self._checkpoint(self.step, figures, self.model())
        self.finished = self.is_over()

    def pulled_back(self, net: Net, kept: float) -> Net:
        """A copy of `net` whose trained parameters lie `kept` of the way between their first values and those of now
        (WiSE-FT, Wortsman et al. 2022)."""
        copies: dict[int, Any] = {}
        net = copy.deepcopy(net, copies)
        with torch.no_grad():
            for start, parameter in zip(self.start, self.parameters):
                if id(parameter) in copies:
                    copies[id(parameter)].copy_(torch.lerp(start, parameter, kept))
        return net

    def settings_so_far(self) -> dict[str, Any]:
        """The settings, and how much of them was done."""
        return {**self.settings, "steps": self.step, "epochs_done": round(self.step / self.epoch_steps, 2)}

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
