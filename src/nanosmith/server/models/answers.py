"""Answers that were given before: a model that takes milliseconds answers the same input in microseconds.

What is kept is the model's decision, not the response: its labels or its record with their probabilities, which the
input alone decides. All other parameters of a request only change how it is told. Texts are not kept.

An answer is found again by the project that asked, the digest of the model and the digest of the whole input. So no
project can tell what another one has asked, not even by the time an answer takes, and no input stays in memory.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from typing import TypeAlias

import msgspec

from nanosmith.core.errors import Misconfigured
from nanosmith.core.example import Input
from nanosmith.core.limits import MAX_KEPT_ANSWER_BYTES
from nanosmith.core.prediction import Prediction

VARIABLE = "NANOSMITH_ANSWER_CACHE"
Key: TypeAlias = tuple[str, str, bytes]
"""Project, digest of the model, digest of the input."""
ENTRY_BYTES = 1_000  # of an answer, apart from what follows
PROBABILITY_BYTES = 32  # of each


class _Figure(msgspec.Struct, frozen=True):
    """How far out of scope an input is: the number alone, without the arrays that it came from."""

    value: float


class Answers:
    """The newest answers of all projects, of at most about `max_bytes`. For one thread."""

    def __init__(self, max_bytes: int = MAX_KEPT_ANSWER_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._by_key: OrderedDict[Key, tuple[Prediction, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: Key) -> Prediction | None:
        found = self._by_key.get(key)
        if found is None:
            return None
        self._by_key.move_to_end(key)
        return found[0]

    def keep(self, key: Key, answer: Prediction) -> None:
        """The oldest ones go when there are too many bytes."""
        size = size_bytes(answer)
        if size > self.max_bytes or key in self._by_key:
            return
        far = None if answer.out_of_scope is None else _Figure(answer.out_of_scope)
        self._by_key[key] = msgspec.structs.replace(answer, far=far, is_kept=True), size
        self.bytes += size
        while self.bytes > self.max_bytes:
            _, (_, freed) = self._by_key.popitem(last=False)
            self.bytes -= freed


def key_of(project: str, model_digest: str, given: Input) -> Key:
    return project, model_digest, hashlib.blake2b(msgspec.json.encode(given), digest_size=16).digest()


def size_bytes(answer: Prediction) -> int:
    """About what keeping it takes: labels are the model's own, and shared."""
    written = len(msgspec.json.encode([answer.value, answer.fields]))
    return ENTRY_BYTES + PROBABILITY_BYTES * len(answer.probabilities) + 4 * written


def from_environment() -> Answers:
    """Of as many bytes as $NANOSMITH_ANSWER_CACHE says, such as 64MB or 0. Raises Misconfigured."""
    said = os.environ.get(VARIABLE, "").strip()
    if not said:
        return Answers()
    found = re.fullmatch(r"(\d{1,9})\s*(|kB|MB|GB)", said)
    if not found:
        raise Misconfigured("not a size", where=VARIABLE, got=repr(said), allowed="bytes, kB, MB or GB, such as 64MB")
    return Answers(int(found[1]) * {"": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}[found[2]])
