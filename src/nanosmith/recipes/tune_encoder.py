"""tune_encoder/1: all layers of the encoder and the head are trained; token embeddings stay as they are.

The head starts from its fit on the frozen vectors (linear probing, then fine-tuning; Kumar et al. 2022), so that the
first steps do not distort the encoder. Cross-entropy is joined by a supervised contrastive loss, some tokens of each
text are left out in each pass, and the result lies between the weights at the start and those at the end (WiSE-FT,
Wortsman et al. 2022). What each of these is worth: docs/decisions/0008.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch

from nanosmith.recipes.parts.batches import shuffled, thinned
from nanosmith.recipes.parts.encoder_model import EncoderModel
from nanosmith.recipes.parts.forward import training_type
from nanosmith.recipes.parts.head import LABEL_SMOOTHING, contrastive_loss, correct, fit_head, linear, loss_of
from nanosmith.recipes.parts.training_run import TrainingRun, layer_groups
from nanosmith.recipes.work import Floats2d, Samples, Work, enlarged

LEARNING_RATE = 1e-4  # of the top layer, at multiplier 1
HEAD_LEARNING_RATE = 1e-3
LAYER_DECAY = 0.9  # each lower layer learns this much slower (Howard & Ruder 2018)
WEIGHT_DECAY = 0.01
TOKEN_DROP = 0.15
CONTRAST = 1.0  # weight of the contrastive loss
GUIDANCE = 3.0  # weight, in its place, of the distance (one less the cosine) from a teacher's vectors
KEPT = 0.7  # of the way from the start to the end of the training
VALIDATED = 200  # held-out examples looked at after each epoch
READ = 54_000  # texts in all passes together, if there are enough
HEAD_EXAMPLES = 10_000  # that the head's first fit reads at most


def fit(work: Work) -> EncoderModel:
    """Train on work.train within work.limit_s. Deterministic by seed, unless the time limit cuts the run short."""
    began_s = time.monotonic()
    torch.manual_seed(work.seed)
    settings = resolve(len(work.train), work.options)
    work.watch.resolved(settings)
    run = _Run(work, work.base.new_encoder(), _first_head(work), settings, began_s)
    run.train()
    return run.model()


def resolve(examples: int, options: Any) -> dict[str, Any]:
    """The hyperparameters for a number of examples: what the user said, else what was found to serve.

    Few examples need more passes, and many should not take hours: 8 below 7,000, 5 at 10,000, one from 36,000.
    """
    epochs = options.get("n_epochs") or min(8, max(1, round(READ / examples)))
    return {
        "n_epochs": int(epochs),
        "batch_size": int(options.get("batch_size") or (32 if examples >= 2_000 else 16)),
        "learning_rate_multiplier": float(options.get("learning_rate_multiplier") or 1.0),
        "learning_rate": LEARNING_RATE,
        "head_learning_rate": HEAD_LEARNING_RATE,
        "layer_decay": LAYER_DECAY,
        "weight_decay": WEIGHT_DECAY,
        "label_smoothing": LABEL_SMOOTHING,
        "token_drop": TOKEN_DROP,
        "contrast": CONTRAST,
        "kept": float(options.get("kept", KEPT)),
        "matrix_products": str(training_type()).removeprefix("torch."),
    }


def _first_head(work: Work) -> torch.nn.Linear:
    """The head on the untouched encoder, from at most HEAD_EXAMPLES examples, unless there is one already."""
    if work.start_head is not None:
        return linear(*work.start_head)
    samples = enlarged(work) if work.task.kind == "labels" else work.train  # joined queries have other sets of labels
    every = -(-len(samples) // HEAD_EXAMPLES)
    vectors = torch.from_numpy(work.base.vectors(samples.texts[::every], work.watch))
    targets, weights = _rows(samples, slice(None, None, every))
    return fit_head(work.task, vectors, targets, weights, watch=work.watch)


class _Run(TrainingRun):
    """One training run: encoder, head, and how far it is."""

    def __init__(
        self, work: Work, encoder: torch.nn.Module, head: torch.nn.Linear, settings: dict[str, Any], began_s: float
    ) -> None:
        self.work, self.encoder, self.head = work, encoder, head
        epoch_steps = math.ceil(len(work.train) / settings["batch_size"])
        super().__init__(work, settings, epoch_steps, _parameter_groups(encoder, head, settings), began_s)

    def batches(self, epoch: int) -> list[list[int]]:
        self._pass = _Pass(self.work, self.settings, epoch)
        return self._pass.batches

    def model(self) -> EncoderModel:
        """The model `kept` of the way between the first weights and those of now."""
        encoder, head = self.pulled_back((self.encoder, self.head), self.settings["kept"])
        return EncoderModel(self.work, encoder, head, self.settings_so_far(), self.trained_tokens)

    def one_step(self, batch: list[int]) -> dict[str, float]:
        work = self.work
        rows = self._pass.rows(batch, self.step)
        vectors = work.base.sentence_vectors(self.encoder, rows, training_type())  # (B, D)
        logits = self.head(vectors)  # (B, L)
        targets, weights = _rows(self._pass.samples, batch)
        soft, of_teacher = (_optional(told, batch) for told in (self._pass.samples.soft, self._pass.samples.vectors))
        loss = loss_of(work.task, logits, targets, weights, soft=soft)
        if of_teacher is not None:
            self.learn(loss + GUIDANCE * (1 - (vectors * of_teacher).sum(1)).mean())
        elif work.task.kind == "choice":
            self.learn(loss + CONTRAST * contrastive_loss(vectors, targets, weights))
        else:
            self.learn(loss)
        self.trained_tokens += sum(map(len, rows))
        accuracy = float(correct(work.task, logits.detach(), targets).float().mean())
        return {"train_loss": loss.item(), "train_mean_token_accuracy": accuracy}

    def validate(self) -> dict[str, float]:
        tune = self.work.tune
        if not len(tune):
            return {}
        few = slice(0, VALIDATED)
        logits = torch.from_numpy(self.model().logits(tune.texts[few]))
        targets, weights = _rows(tune, few)
        loss = loss_of(self.work.task, logits, targets, weights, smoothing=0.0)
        accuracy = correct(self.work.task, logits, targets).float().mean()
        return {"valid_loss": float(loss), "valid_mean_token_accuracy": float(accuracy)}


class _Pass:
    """One pass over the data: its own samples, in batches. All that is random in it hangs on seed, epoch and step, so
    that a run which goes on after a crash sees the same."""

    def __init__(self, work: Work, settings: dict[str, Any], epoch: int) -> None:
        self._seed, self._drop = work.seed, settings["token_drop"]
        random = np.random.default_rng((work.seed, epoch))
        self.samples = work.augment(work.train, random) if work.augment else work.train
        self._ids = work.base.token_ids(self.samples.texts)
        labels = np.where(self.samples.weights > 0, self.samples.targets, -1) if work.task.kind == "choice" else None
        self.batches = shuffled(self._ids, settings["batch_size"], random, labels)

    def rows(self, batch: list[int], step: int) -> list[list[int]]:
        """Token ids of a batch, some of them left out."""
        random = np.random.default_rng((self._seed, step, 1))
        return [thinned(self._ids[i], self._drop, random) for i in batch]


def _optional(table: Floats2d | None, batch: list[int]) -> torch.Tensor | None:
    """Its rows of a batch."""
    return None if table is None else torch.from_numpy(table[batch])


def _rows(samples: Samples, indices: list[int] | slice) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(samples.targets[indices]), torch.from_numpy(samples.weights[indices])


def _parameter_groups(
    encoder: torch.nn.Module, head: torch.nn.Linear, settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """Layer-wise rates below, the head's own above."""
    multiplier = settings["learning_rate_multiplier"]
    own = {"params": list(head.parameters()), "lr": multiplier * HEAD_LEARNING_RATE, "weight_decay": 0.0}
    return [*layer_groups(encoder, multiplier * LEARNING_RATE, LAYER_DECAY, WEIGHT_DECAY), own]
