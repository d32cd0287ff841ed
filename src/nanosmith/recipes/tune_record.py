"""tune_record/1: all layers of the encoder, tag heads and choice heads, trained jointly on the fields of records.

One softmax per unit and group of span labels, one per `choice` field, one sigmoid per value of a `choices` field; the
losses are added. Token embeddings stay as they are; what an uncased vocabulary hides comes in through the shapes'
table (predict/pieces.py). What the parts are worth: docs/decisions/0014.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nanosmith.predict.pieces import CODES, code_of, parts_of
from nanosmith.predict.record_layout import choice_columns, chosen_fields, width_of
from nanosmith.recipes.parts.batches import shuffled
from nanosmith.recipes.parts.forward import training_type
from nanosmith.recipes.parts.record_model import RecordModel
from nanosmith.recipes.parts.record_net import RecordNet, tag_loss
from nanosmith.recipes.parts.record_rows import RecordSamples, Row, RowMaker
from nanosmith.recipes.parts.record_work import RecordWork
from nanosmith.recipes.parts.span_swap import mentions, swapped
from nanosmith.recipes.parts.training_run import TrainingRun, layer_groups

LEARNING_RATE = 2e-4  # of the top layer, at multiplier 1
HEAD_LEARNING_RATE = 1e-3
LAYER_DECAY = 0.9
WEIGHT_DECAY = 0.01
DROPOUT = 0.1  # of the units' vectors
CASELESS = 0.1  # share of the texts that are read as if all were in small letters
SWAPPED = 0.5  # share of the texts with other spans, where there are fewer than FEW
FEW = 2_000
READ_TOKENS, READ_TEXTS = 1_500_000, 50_000  # in all passes together, at most
PASSES = (3, 30)
LEAST_BATCH, BATCH_TOKENS = 4, 2_000
BATCH = 32  # held-out examples at once
VALIDATED = 200  # held-out examples looked at after each epoch


def fit(work: RecordWork) -> RecordModel:
    """Train on work.train within work.limit_s. Deterministic by seed, unless the time limit cuts the run short."""
    began_s = time.monotonic()
    torch.manual_seed(work.seed)
    maker = RowMaker(work.reader(), work.layout)
    rows = [maker.rows(work.train, i) for i in range(len(work.train))]
    settings = resolve(sum(len(row.ids) for own in rows for row in own), len(rows), work.options)
    work.watch.resolved(settings)
    run = _Fit(work, rows, settings, began_s)
    run.train()
    return run.model()


def resolve(tokens: int, examples: int, options: Any) -> dict[str, Any]:
    """The hyperparameters for so many tokens in so many examples: what the user said, else what was found to serve."""
    least, most = PASSES
    passes = round(min(READ_TOKENS / max(1, tokens), READ_TEXTS / max(1, examples)))
    epochs = options.get("n_epochs") or min(most, max(least, passes))
    return {
        "n_epochs": int(epochs),
        "batch_size": int(options.get("batch_size") or _batch_size(tokens, examples)),
        "learning_rate_multiplier": float(options.get("learning_rate_multiplier") or 1.0),
        "learning_rate": float(options.get("learning_rate", LEARNING_RATE)),
        "head_learning_rate": float(options.get("head_learning_rate", HEAD_LEARNING_RATE)),
        "layer_decay": float(options.get("layer_decay", LAYER_DECAY)),
        "weight_decay": WEIGHT_DECAY,
        "dropout": float(options.get("dropout", DROPOUT)),
        "swapped": float(options.get("swapped", SWAPPED if examples < FEW else 0.0)),
        "caseless": float(options.get("caseless", CASELESS)),
        "matrix_products": str(training_type()).removeprefix("torch."),
    }


def _batch_size(tokens: int, examples: int) -> int:
    """Fewer of few examples, and of long ones: what counts is the number of steps."""
    usual = 32 if examples >= FEW else 16 if examples >= 500 else 8
    return max(LEAST_BATCH, min(usual, BATCH_TOKENS * examples // max(1, tokens)))


class _Fit(TrainingRun):
    def __init__(self, work: RecordWork, rows: list[list[Row]], settings: dict[str, Any], began_s: float) -> None:
        self.work, self.rows = work, rows
        width = int(work.base.config["hidden_size"])
        tags = sum(1 + 2 * len(names) for names in work.layout.groups)
        self.net = RecordNet(work.base.new_encoder(), width, tags, sum(map(width_of, chosen_fields(work.form))))
        epoch_steps = math.ceil(len(rows) / settings["batch_size"])
        super().__init__(work, settings, epoch_steps, _groups(self.net, settings), began_s)
        self.losses = Losses(work)
        self.maker, self.mentions = RowMaker(work.reader(), work.layout), mentions(work.train)

    def batches(self, epoch: int) -> list[list[int]]:
        random = np.random.default_rng((self.work.seed, epoch))
        if self.settings["swapped"]:
            self._swap(random)
        sizes = [range(sum(len(row.ids) for row in own)) for own in self.rows]
        return shuffled(sizes, self.settings["batch_size"], random)

    def _swap(self, random: np.random.Generator) -> None:
        """Other spans in some of the texts, for one pass."""
        work = self.work
        samples = swapped(work.train, self.mentions, self.settings["swapped"], random)
        self.rows = [self.maker.rows(samples, i) for i in range(len(samples))]

    def model(self) -> RecordModel:
        return RecordModel(self.work, copy.deepcopy(self.net), self.settings_so_far(), self.trained_tokens)

    def one_step(self, batch: list[int]) -> dict[str, float]:
        random = np.random.default_rng((self.work.seed, self.step, 1))
        caseless = random.random(len(batch)) < self.settings["caseless"]
        rows = [[_caseless(row) for row in self.rows[i]] if one else self.rows[i] for i, one in zip(batch, caseless)]
        loss, accuracy = self._loss(self.work.train, batch, rows, training_type(), self.settings["dropout"])
        self.learn(loss)
        self.trained_tokens += sum(len(row.ids) for own in rows for row in own)
        return {"train_loss": loss.item(), "train_mean_token_accuracy": accuracy}

    def validate(self) -> dict[str, float]:
        few = self.work.tune.subset(range(min(VALIDATED, len(self.work.tune))))
        if not len(few):
            return {}
        rows = [self.maker.rows(few, i) for i in range(len(few))]
        found = []
        with torch.no_grad():
            for start in range(0, len(few), BATCH):
                batch = list(range(start, min(start + BATCH, len(few))))
                loss, accuracy = self._loss(few, batch, [rows[i] for i in batch], torch.float32, 0.0)
                found.append((loss.item(), accuracy, len(batch)))
        loss_sum, accuracy_sum = (sum(one[i] * one[2] for one in found) for i in (0, 1))
        return {"valid_loss": loss_sum / len(few), "valid_mean_token_accuracy": accuracy_sum / len(few)}

    def _loss(
        self, samples: RecordSamples, batch: list[int], rows: list[list[Row]], dtype: torch.dtype, dropout: float
    ) -> tuple[torch.Tensor, float]:
        """The joint loss of a batch whose windows are `rows`, and the share of tags that are right."""
        base = self.work.base
        flat = [row for own in rows for row in own]
        owners = [owner for owner, own in enumerate(rows) for _ in own]
        tags, vectors = self.net(flat, pad_id=int(base.config["pad_token_id"]), pooling=base.pooling, dtype=dtype,
                                 dropout=dropout)  # fmt: skip
        return self.losses(self.net, samples, batch, flat, owners, tags, vectors)


class Losses:
    """The joint loss of a batch, and the share of tags that are right."""

    def __init__(self, work: RecordWork) -> None:
        self._layout, self._form = work.layout, work.form
        self._columns = choice_columns(work.form)

    def __call__(
        self, net: RecordNet, samples: RecordSamples, batch: list[int], rows: list[Row], owners: list[int],
        tags: torch.Tensor, vectors: torch.Tensor,
    ) -> tuple[torch.Tensor, float]:  # fmt: skip
        wanted = [samples.wanted[i] for i in batch]
        weights = torch.tensor([one.weight for one in wanted], dtype=torch.float32)
        owner = torch.tensor(owners)
        loss, accuracy = tags.new_zeros(()), 1.0
        if self._layout.groups:
            unit_weights = weights[owner].repeat_interleave(torch.tensor([len(row.places) for row in rows]))
            loss, accuracy = self._of_tags(rows, tags, unit_weights)
        if self._columns:
            sums = vectors.new_zeros(len(batch), vectors.shape[1]).index_add(0, owner, vectors)
            means = sums / torch.bincount(owner, minlength=len(batch))[:, None]
            loss = loss + self._of_choices(net.chosen(means), wanted, weights)
        return loss, accuracy

    def _of_tags(self, rows: list[Row], tags: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, float]:
        targets = torch.from_numpy(np.concatenate([row.tags for row in rows]))  # (U, G)
        total, right = tags.new_zeros(()), torch.ones(len(targets), dtype=torch.bool)
        for group, columns in enumerate(self._layout.tag_columns):
            logits = tags[:, columns]
            each = tag_loss(logits, targets[:, group], self._free(rows, group, columns.stop - columns.start))
            total = total + (each * weights).sum() / weights.sum().clamp(min=1e-6)
            right &= logits.detach().argmax(1) == targets[:, group]
        return total, float(right.float().mean())

    def _free(self, rows: list[Row], group: int, width: int) -> torch.Tensor | None:
        """Tags (U, K) of a group that a unit may as well have, as the field was not found in its text."""
        if not any(g == group for row in rows for g, _ in row.unknown):
            return None
        free = torch.zeros(sum(len(row.places) for row in rows), width, dtype=torch.bool)
        start = 0
        for row in rows:
            for g, label in row.unknown:
                if g == group:
                    free[start : start + len(row.places), [1 + label, 1 + width // 2 + label]] = True
            start += len(row.places)
        return free

    def _of_choices(self, logits: torch.Tensor, wanted: list[Any], weights: torch.Tensor) -> torch.Tensor:
        total = logits.new_zeros(())
        single = several = 0
        for field in chosen_fields(self._form):
            own = logits[:, self._columns[field.name]]
            if field.type == "choice":
                targets = [-1 if one.classes[single] is None else one.classes[single] for one in wanted]
                single += 1
                each = functional.cross_entropy(own, torch.tensor(targets), ignore_index=-1, reduction="none")
            else:
                members = torch.zeros_like(own)
                for i, one in enumerate(wanted):
                    members[i, list(one.members[several])] = 1
                several += 1
                each = functional.binary_cross_entropy_with_logits(own, members, reduction="none").sum(1)
            total = total + (each * weights).sum() / weights.sum().clamp(min=1e-6)
        return total


_SMALL = [code_of(0 if parts_of(code)[0] < 5 else parts_of(code)[0], *parts_of(code)[1:]) for code in range(CODES)]


def _caseless(row: Row) -> Row:
    """The same, all in small letters."""
    return row._replace(codes=[_SMALL[code] for code in row.codes])


def _groups(net: RecordNet, settings: dict[str, Any]) -> list[dict[str, Any]]:
    multiplier = settings["learning_rate_multiplier"]
    head = {"lr": multiplier * settings["head_learning_rate"], "weight_decay": 0.0}
    rate = multiplier * settings["learning_rate"]
    groups = [
        *layer_groups(net.encoder, rate, settings["layer_decay"], settings["weight_decay"]),
        {"params": [*net.tags.parameters(), *net.choices.parameters()], **head},
        {"params": list(net.shapes.parameters()), **head},
    ]
    return [group for group in groups if group["params"]]
