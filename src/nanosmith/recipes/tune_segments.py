"""tune_segments/1: for queries that combine two or three, from examples that have one label each.

Examples are joined in many ways. Each token is tagged as the beginning of a query, as inside of one, or as what stands
between queries; the mean of a query's tokens is labelled as that query alone would be. So nothing has to be learnt
about which labels come together, and a single query is answered as by `tune_encoder`. What it is worth:
docs/decisions/0016.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nanosmith.core.errors import InputError
from nanosmith.core.task import Task
from nanosmith.data.augment.joins import TRAINING_MIX, joined
from nanosmith.data.augment.patterns import TRAINED, with_random_words
from nanosmith.predict.segments import BEGIN, INSIDE, OUTSIDE
from nanosmith.recipes import tune_encoder
from nanosmith.recipes.parts.batches import shuffled
from nanosmith.recipes.parts.forward import Packing, token_vectors, training_type
from nanosmith.recipes.parts.head import contrastive_loss, fit_head, loss_of
from nanosmith.recipes.parts.segment_model import SegmentModel, SegmentNet
from nanosmith.recipes.parts.training_run import TrainingRun, layer_groups
from nanosmith.recipes.tune_encoder import (
    CONTRAST,
    HEAD_EXAMPLES,
    HEAD_LEARNING_RATE,
    LAYER_DECAY,
    LEARNING_RATE,
    READ,
    WEIGHT_DECAY,
)
from nanosmith.recipes.work import Samples, Work

PASSES = (3, 8)
TOKEN_DROP = 0.1
KEPT = 0.8  # of the way from the start to the end of the training
PARTS = 1 + TRAINING_MIX.pairs + 2 * TRAINING_MIX.triples  # queries in a joined text, on average
VALIDATED = 200  # held-out examples looked at after each epoch


def fit(work: Work) -> SegmentModel:
    """Train on work.train within work.limit_s. Deterministic by seed, unless the time limit cuts the run short.

    Raises InputError where an example has not exactly one label.
    """
    began_s = time.monotonic()
    if (odd := np.flatnonzero(work.train.targets.sum(axis=1) != 1)).size:
        raise InputError("tune_segments joins examples that have one label each", where=f"example {odd[0] + 1}",
                         got=f"{int(work.train.targets[odd[0]].sum())} labels", allowed="one",
                         remedy="Leave the recipe out: examples with several labels need no joining.")  # fmt: skip
    torch.manual_seed(work.seed)
    run = _Run(work, resolve(len(work.train), work.options), began_s)
    work.watch.resolved(run.settings)
    run.train()
    return run.model()


def resolve(examples: int, options: Any) -> dict[str, Any]:
    """The hyperparameters for a number of examples: what the user said, else what was found to serve."""
    least, most = PASSES
    own = {
        "n_epochs": options.get("n_epochs") or min(most, max(least, round(READ / examples))),
        "batch_size": options.get("batch_size") or (20 if examples >= 2_000 else 10),
        "kept": KEPT,
    }
    return tune_encoder.resolve(examples, {**options, **own}) | {"token_drop": TOKEN_DROP}


SINGLE = Task("choice", ())  # each query of a joined text has one label


class _Run(TrainingRun):
    def __init__(self, work: Work, settings: dict[str, Any], began_s: float) -> None:
        self.work = work
        self.net = SegmentNet(work.base.new_encoder(), _first_head(work))
        multiplier = settings["learning_rate_multiplier"]
        heads = {"params": [*self.net.head.parameters(), *self.net.tags.parameters()],
                 "lr": multiplier * HEAD_LEARNING_RATE, "weight_decay": 0.0}  # fmt: skip
        groups = [*layer_groups(self.net.encoder, multiplier * LEARNING_RATE, LAYER_DECAY, WEIGHT_DECAY), heads]
        epoch_steps = math.ceil(_texts(len(work.train)) / settings["batch_size"])
        super().__init__(work, settings, epoch_steps, groups, began_s)

    def batches(self, epoch: int) -> list[list[int]]:
        self._pass = _Pass(self.work, self.settings["batch_size"], epoch)
        return self._pass.batches

    def model(self) -> SegmentModel:
        """The encoder `kept` of the way between its first weights and those of now; the heads as they are now."""
        net = copy.deepcopy(self.net)
        net.encoder = self.pulled_back(self.net.encoder, self.settings["kept"])
        return SegmentModel(self.work, net, self.settings_so_far(), self.trained_tokens)

    def one_step(self, batch: list[int]) -> dict[str, float]:
        rows = [self._pass.row(i, self.step) for i in batch]
        packing = Packing([row.ids for row in rows], int(self.work.base.config["pad_token_id"]))
        hidden = token_vectors(self.net.encoder, packing, training_type())  # (P, D)
        vectors = functional.normalize(_means(hidden, rows), dim=1)  # (S, D) of all segments
        targets = torch.tensor([label for row in rows for label in row.labels])
        weights = torch.tensor([weight for row in rows for weight in row.weights])
        logits = self.net.head(vectors)
        loss = loss_of(SINGLE, logits, targets, weights)
        tags = torch.tensor([tag for row in rows for tag in row.tags])
        tagged = functional.cross_entropy(self.net.tags(hidden), tags)
        self.learn(loss + tagged + CONTRAST * contrastive_loss(vectors, targets, weights))
        self.trained_tokens += sum(len(row.ids) for row in rows)
        accuracy = float((logits.detach().argmax(1) == targets).float().mean())
        return {"train_loss": loss.item(), "train_mean_token_accuracy": accuracy}

    def validate(self) -> dict[str, float]:
        """The share of wholly right answers."""
        tune = self.work.tune
        every = max(1, len(tune) // VALIDATED)  # single queries come first, joined ones after them
        if not len(tune):
            return {}
        right = (self.model().logits(tune.texts[::every]) > 0) == tune.targets[::every]
        return {"valid_mean_token_accuracy": float(right.all(axis=1).mean())}


class _Row(NamedTuple):
    """Token ids and tags (T); the segments' label indices and weights, and the places of their tokens."""

    ids: list[int]
    tags: list[int]
    labels: list[int]
    weights: list[float]
    places: list[list[int]]


class _Pass:
    """One pass over the data: joined texts with about as many queries as there are examples. All that is random in it
    hangs on seed, epoch and step, so that a run which goes on after a crash sees the same."""

    def __init__(self, work: Work, batch: int, epoch: int) -> None:
        self._seed = work.seed
        random = np.random.default_rng((work.seed, epoch))
        samples = work.augment(work.train, random) if work.augment else work.train
        patterns = with_random_words(TRAINED, work.train.texts, random)
        self._made = joined(samples.texts, samples.targets, samples.weights, random, patterns=patterns)
        self._labels: NDArray[np.int64] = samples.targets.argmax(axis=1)
        self._weights = samples.weights
        texts = self._made.texts[: _texts(len(samples))]
        self._encoded = work.base.tokenizer.encode_batch(texts)
        self.batches = shuffled([encoded.ids for encoded in self._encoded], batch, random)

    def row(self, i: int, step: int) -> _Row:
        """Text i, without some of its tokens."""
        encoded, parts = self._encoded[i], self._made.parts[i]
        tags, owners = _tagged(encoded.offsets, self._made.spans[i])
        random = np.random.default_rng((self._seed, step, i))
        kept = _kept(tags, random)
        owners = [owners[place] for place in kept]
        inside = [[place for place, owner in enumerate(owners) if owner == part] for part in range(len(parts))]
        alive = [part for part, places in enumerate(inside) if places]  # what was cut off has no tokens
        return _Row(
            [encoded.ids[place] for place in kept],
            [tags[place] for place in kept],
            [int(self._labels[parts[part]]) for part in alive],
            [float(self._weights[parts[part]]) for part in alive],
            [list(range(len(kept)))] if len(parts) == 1 else [inside[part] for part in alive],
        )


def _tagged(offsets: list[tuple[int, int]], spans: tuple[tuple[int, int], ...]) -> tuple[list[int], list[int]]:
    """The tag of each token, and the number of the part that it is in (-1: none)."""
    tags, owners = [OUTSIDE] * len(offsets), [-1] * len(offsets)
    seen: set[int] = set()
    for place, (start, end) in enumerate(offsets):
        part = next((n for n, (first, last) in enumerate(spans) if first <= start < end <= last), -1)
        if part >= 0:
            owners[place], tags[place] = part, INSIDE if part in seen else BEGIN
            seen.add(part)
    return tags, owners


def _kept(tags: list[int], random: np.random.Generator) -> list[int]:
    """The places that are read: all but some that neither begin a query nor stand at an end of the text."""
    drawn = random.random(len(tags))
    last = len(tags) - 1
    return [i for i, tag in enumerate(tags) if tag == BEGIN or i in (0, last) or drawn[i] >= TOKEN_DROP]


def _means(hidden: torch.Tensor, rows: list[_Row]) -> torch.Tensor:
    """The means (S, D) of the tokens (P, D) of each segment."""
    places, owners, start, number = [], [], 0, 0
    for row in rows:
        for own in row.places:
            places += [start + place for place in own]
            owners += [number] * len(own)
            number += 1
        start += len(row.ids)
    owner = torch.tensor(owners)
    sums = hidden.new_zeros(number, hidden.shape[1]).index_add(0, owner, hidden[torch.tensor(places)])
    return sums / torch.bincount(owner, minlength=number)[:, None]


def _texts(examples: int) -> int:
    """Joined texts of one pass."""
    return max(1, round(examples / PARTS))


def _first_head(work: Work) -> torch.nn.Linear:
    """The head of single queries on the untouched encoder, from at most HEAD_EXAMPLES examples."""
    samples: Samples = work.train
    some = slice(None, None, -(-len(samples) // HEAD_EXAMPLES))
    vectors = torch.from_numpy(work.base.vectors(samples.texts[some], work.watch))
    targets = torch.from_numpy(samples.targets[some].argmax(axis=1))
    return fit_head(
        Task("choice", work.task.labels), vectors, targets, torch.from_numpy(samples.weights[some]), watch=work.watch
    )
