"""Frozen splits: which examples train, which are held out for tuning.

What decides is the hash of seed and normalised text, never the position in the file: another order changes nothing.
Appended examples leave the others where they are, except that a label which had to borrow an example for one side may
give it back. Examples with the same normalised text, or from the same conversation, are always on the same side.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.data.dataset import Dataset
from nanosmith.data.normal import groups, normalise
from nanosmith.data.record.strata import strata
from nanosmith.data.summary import labels_of

NO_LABEL = ""
"""Stands for the empty answer of a `labels` task, which is balanced like a label."""


class Split(msgspec.Struct, frozen=True):
    """Positions in the Dataset, ascending; every example is in exactly one of the two."""

    train: list[int]
    tune: list[int]


class _Block(msgspec.Struct, frozen=True, eq=False):
    """Examples that must stay together; `place` in [0, 1) is their hash."""

    place: float
    members: list[int]
    labels: frozenset[str]


def split(dataset: Dataset, seed: int, tune_share: float = 0.1) -> Split:
    """Hold out about `tune_share` of the examples of each label.

    Every label is in `train`; every label with two different texts is also in `tune`. Raises InputError.
    """
    if not 0 < tune_share < 1:
        raise InputError("the share of held-out examples is out of range", got=tune_share, allowed="above 0, below 1")
    blocks = _blocks(dataset, seed)
    return _split(blocks, _balanced(blocks, {i for i, block in enumerate(blocks) if block.place < tune_share}))


def folds(dataset: Dataset, seed: int, k: int) -> list[Split]:
    """`k` splits whose `tune` sides do not overlap and hold about 1/k of each label.

    Every label is in `train` of each split; examples that this needs are in no `tune`. Raises InputError.
    """
    if k < 2:
        raise InputError("too few folds", got=k, allowed="2 or more")
    blocks = _blocks(dataset, seed)
    sides = [{i for i, block in enumerate(blocks) if int(block.place * k) == fold} for fold in range(k)]
    return [_split(blocks, _with_all_labels_in_train(blocks, side)) for side in sides]


def _split(blocks: Sequence[_Block], tune: set[int]) -> Split:
    sides: tuple[list[int], list[int]] = ([], [])
    for i, block in enumerate(blocks):
        sides[i in tune].extend(block.members)
    return Split(sorted(sides[0]), sorted(sides[1]))


def _blocks(dataset: Dataset, seed: int) -> list[_Block]:
    """Examples joined by equal normalised text or by line, ordered by hash."""
    texts = [normalise(text) for text in dataset.texts]
    joined = _Joined(len(texts))
    for together in (*groups(texts), *groups(example.line for example in dataset.examples)):
        for i in together:
            joined.join(together[0], i)
    members: dict[int, list[int]] = {}
    for i in range(len(texts)):
        members.setdefault(joined.root(i), []).append(i)
    blocks = [
        _Block(place(min(texts[i] for i in together), seed), together, _labels(dataset, together))
        for together in members.values()
    ]
    return sorted(blocks, key=lambda block: block.place)


def _labels(dataset: Dataset, members: Sequence[int]) -> frozenset[str]:
    if dataset.task.kind == "text":
        return frozenset((NO_LABEL,))  # one label that all have: neither side is empty
    if dataset.task.kind == "record":
        return frozenset(name for i in members for name in strata(dataset, i)) | {NO_LABEL}
    return frozenset(label for i in members for label in labels_of(dataset.values[i]) or [NO_LABEL])


def place(text: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}\n{text}".encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def _with_all_labels_in_train(blocks: Sequence[_Block], tune: set[int]) -> set[int]:
    """Move the block with the highest hash back to train for every label that would have none there."""
    kept = set(tune)
    in_train = Counter(label for i, block in enumerate(blocks) if i not in kept for label in block.labels)
    missing = sorted({label for block in blocks for label in block.labels} - in_train.keys())
    for label in missing:
        if not in_train[label]:
            last = max(i for i in kept if label in blocks[i].labels)
            kept.remove(last)
            in_train.update(blocks[last].labels)
    return kept


def _balanced(blocks: Sequence[_Block], tune: set[int]) -> set[int]:
    """As above; then take the block with the lowest hash for every label that is absent from tune and can spare one."""
    kept = _with_all_labels_in_train(blocks, tune)
    in_train = Counter(label for i, block in enumerate(blocks) if i not in kept for label in block.labels)
    in_tune = {label for i in kept for label in blocks[i].labels}
    of_label: dict[str, list[int]] = {}
    for i, block in enumerate(blocks):
        for label in block.labels:
            of_label.setdefault(label, []).append(i)
    for label in sorted(of_label):
        if label in in_tune:
            continue
        spare = next((i for i in of_label[label] if all(in_train[name] > 1 for name in blocks[i].labels)), None)
        if spare is not None:
            kept.add(spare)
            in_train.subtract(blocks[spare].labels)
            in_tune |= blocks[spare].labels
    return kept


class _Joined:
    """Disjoint sets of positions (union-find with path halving)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        self._parent[self.root(j)] = self.root(i)
