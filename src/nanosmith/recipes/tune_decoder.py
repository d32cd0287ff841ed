"""tune_decoder/1: an adapter on all linear layers of a decoder learns to write answers (LoRA, Hu et al. 2021).

Three methods: `supervised` (the loss is that of the answers' tokens, each as heavy as its example), `dpo`
(parts/preference.py) and `domain` (every token of plain text). All share the loop: steps of whole rows in which answers
share their prompt (parts/decoder_batches.py), gradients accumulated over portions that fit the memory, and the passes'
held-out losses, of which the lowest one's adapter is the result. What was measured: docs/decisions/0015.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nanosmith.core.errors import InputError
from nanosmith.recipes.parts.decoder_batches import SHARED, Group, Layout, TextSample, grouped, portions, steps_of
from nanosmith.recipes.parts.decoder_forward import answer_logits
from nanosmith.recipes.parts.decoder_model import DecoderModel
from nanosmith.recipes.parts.preference import pairs, preference_losses
from nanosmith.recipes.parts.text_work import TextWork
from nanosmith.recipes.parts.training_run import MORE, TrainingRun

LEARNING_RATE = {"supervised": 1e-3, "domain": 5e-4, "dpo": 1e-4}  # at multiplier 1: ten times that of full tuning
EPOCHS_MAX = {"supervised": 6, "domain": 3, "dpo": 3}
READ = 18_000  # examples in all passes together, if there are enough
BETA = 0.1
PORTION = 17_694_720  # numbers of one layer's state times layers: 1,024 tokens of SmolLM2-135M, about 1.3 GB
VALIDATED = 200  # held-out examples looked at after each pass
PATIENCE = 2  # passes without a lower held-out loss, after which the training ends


def fit(work: TextWork) -> DecoderModel:
    """Train on work.train within work.limit_s. Deterministic by seed, unless the time limit cuts the run short."""
    began_s = time.monotonic()
    if not any(one.weight > 0 for one in work.train):
        raise InputError("there is nothing to learn", got=f"{len(work.train)} examples, none with a weight above 0")
    settings = resolve(work)
    work.watch.resolved(settings)
    run = _Run(work, settings, began_s)
    run.train()
    run.keep()  # should what follows be repeated, this is not
    return run.best()


def resolve(work: TextWork) -> dict[str, Any]:
    """The hyperparameters: what the user said, else what was found to serve; few examples need more passes."""
    options, examples = work.options, len(work.train) // (2 if work.method == "dpo" else 1)
    multiplier = float(options.get("learning_rate_multiplier") or 1.0)
    epochs = options.get("n_epochs") or min(EPOCHS_MAX[work.method], max(1, round(READ / examples)))
    settings = {
        "method": work.method,
        "n_epochs": int(epochs),
        "batch_size": int(options.get("batch_size") or (32 if examples >= 1_000 else 16 if examples >= 200 else 8)),
        "learning_rate_multiplier": multiplier,
        "learning_rate": multiplier * LEARNING_RATE[work.method],
        "matrix_products": str(work.base.dtype).removeprefix("torch."),
        "forward": "own" if work.base.is_fast else "transformers",
    }
    return settings | ({"beta": float(options.get("beta") or BETA)} if work.method == "dpo" else {})


class _Run(TrainingRun):
    """One training run of the model's adapter."""

    checkpoints = max(EPOCHS_MAX.values())

    def __init__(self, work: TextWork, settings: dict[str, Any], began_s: float) -> None:
        self._work, self.settings = work, settings
        self._model = work.base.new_model(work.seed)
        self._core = self._model.get_base_model()
        self._adapter = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        config = work.base.config
        self._portion = max(1, PORTION // (int(config["hidden_size"]) * int(config["num_hidden_layers"])))
        groups = [{"params": list(self._adapter.values()), "lr": settings["learning_rate"], "weight_decay": 0.0}]
        self._before = self.held_out()  # by the base: a new adapter adds nothing
        super().__init__(work, settings, len(self.batches(0)), groups, began_s)

    def best(self) -> DecoderModel:
        """The adapter of the pass with the lowest held-out loss."""
        with torch.no_grad():
            for name, parameter in self._adapter.items():
                if (kept := self.more.get(MORE + name)) is not None:
                    parameter.copy_(torch.from_numpy(kept))
        return self.model()

    def batches(self, epoch: int) -> list[list[Group]]:
        """Of one pass; all passes have as many."""
        random = np.random.default_rng((self._work.seed, epoch))
        answers = self.settings["batch_size"] * (2 if self._work.method == "dpo" else 1)
        return steps_of(self._groups(self._work.train, random), answers, random)

    def _groups(self, samples: Sequence[TextSample], random: np.random.Generator | None) -> list[Group]:
        if self._work.method == "dpo":
            found = pairs(samples)
            return found if random is None else [found[i] for i in random.permutation(len(found))]
        return grouped(samples, random, most=1 if self._work.method == "domain" else SHARED)

    def one_step(self, batch: list[Group]) -> dict[str, float]:
        figures = _Figures()
        self.learn_all(self._losses(batch, figures))
        self.trained_tokens += figures.read
        return {f"train_{name}": value for name, value in figures.means().items()}

    def _losses(self, groups: list[Group], figures: _Figures) -> Iterator[torch.Tensor]:
        """Of each portion its part of the loss of all."""
        whole = sum(self._scale(group) for group in groups) or 1.0
        for portion in portions(groups, self._portion):
            self._work.watch.check()
            yield self._loss(portion, figures) / whole

    def _scale(self, group: Group) -> float:
        """What the group adds to the loss: its weighted pairs, or tokens."""
        if self._work.method == "dpo":
            return group.weights[0]
        return sum(weight * len(answer) for weight, answer in zip(group.weights, group.answers))

    def _loss(self, groups: list[Group], figures: _Figures) -> torch.Tensor:
        """The sum over the groups, also told to `figures`."""
        layout = Layout(groups)
        logits = answer_logits(self._core, layout, self._work.base.dtype)
        targets = layout.targets.to(logits.device)
        losses = functional.cross_entropy(logits, targets, reduction="none").cpu()  # (M)
        figures.read += layout.tokens
        if self._work.method == "dpo":
            return self._preferred(groups, layout, losses, figures)
        weights = layout.weights[layout.answer_of]
        right = (logits.detach().argmax(1) == targets).cpu()
        loss = (losses * weights).sum()
        figures.add(float(weights.sum()), loss=loss.item(), mean_token_accuracy=float((right * weights).sum()))
        return loss

    def _preferred(self, groups: list[Group], layout: Layout, losses: torch.Tensor, figures: _Figures) -> torch.Tensor:
        """The loss of preferences; the share of pairs whose preferred answer has gained more stands as accuracy."""
        found = _of_answers(layout, losses)
        reference = torch.tensor([self._reference[answer] for group in groups for answer in _answers(group)])
        rows, margins = preference_losses(found, reference, self.settings["beta"])
        weights = layout.weights[::2]
        loss = (rows * weights).sum()
        right = (margins.detach() > 0).float()
        figures.add(float(weights.sum()), loss=loss.item(), mean_token_accuracy=float((right * weights).sum()))
        return loss

    @cached_property
    def _reference(self) -> dict[tuple[tuple[int, ...], tuple[int, ...]], float]:
        """Log-probabilities of all answers of pairs by prompt and answer, with the adapter off."""
        groups = pairs([*self._work.train, *self._work.tune])
        found: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
        done = 0
        with torch.inference_mode(), self._model.disable_adapter():
            for portion in portions(groups, 2 * self._portion):
                layout = Layout(portion)
                logits = answer_logits(self._core, layout, self._work.base.dtype)
                losses = functional.cross_entropy(logits, layout.targets.to(logits.device), reduction="none").cpu()
                answers = [answer for group in portion for answer in _answers(group)]
                found.update(zip(answers, _of_answers(layout, losses).tolist()))
                done += len(portion)
                self._work.watch.check()
                self._work.watch.progress("read the preferences once", done, len(groups))
        return found

    def validate(self) -> dict[str, float]:
        """Loss and accuracy on held-out examples; the adapter is kept where they are the best."""
        figures = {f"valid_{name}": value for name, value in self.held_out().items()}
        if not figures or figures["valid_loss"] < min(_valid_losses(self.told), default=math.inf):
            self.more = {MORE + name: p.detach().cpu().numpy().copy() for name, p in self._adapter.items()}
        return figures

    def held_out(self) -> dict[str, float]:
        """Mean loss and accuracy on work.tune; empty where there is none."""
        samples = self._work.tune[: VALIDATED * (2 if self._work.method == "dpo" else 1)]
        figures = _Figures()
        with torch.inference_mode():
            for portion in portions(self._groups(samples, None), 2 * self._portion):
                self._loss(portion, figures)
        return figures.means()

    def is_over(self) -> bool:
        """At the end, or where the held-out loss has risen for a while."""
        losses = _valid_losses(self.told)
        return super().is_over() or (len(losses) > PATIENCE and min(losses) < min(losses[-PATIENCE:]))

    def model(self) -> DecoderModel:
        notes = {"held_out": self._course()}
        return DecoderModel(self._work, self._model, self.settings_so_far(), self.trained_tokens, notes)

    def _course(self) -> dict[str, Any]:
        """Held-out loss of the untouched base, and after each pass."""
        return {"before": self._before.get("loss"), "passes": _valid_losses(self.told)}


class _Figures:
    """Weighted sums of one step, and the tokens that were `read` for it."""

    def __init__(self) -> None:
        self.read, self._weight, self._sums = 0, 0.0, dict[str, float]()

    def add(self, weight: float, **sums: float) -> None:
        self._weight += weight
        for name, value in sums.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        return {name: value / max(self._weight, 1e-9) for name, value in self._sums.items()}


def _of_answers(layout: Layout, losses: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (A) of whole answers from the losses (M) of their tokens."""
    return torch.zeros(len(layout.weights)).index_add(0, layout.answer_of, -losses)


def _answers(group: Group) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(group.prompt, answer) for answer in group.answers]


def _valid_losses(told: list[tuple[int, dict[str, float]]]) -> list[float]:
    return [figures["valid_loss"] for _, figures in told if "valid_loss" in figures]
