"""Keys and values of prompts' beginnings, kept to be used again: a system prompt is computed once.

Prompts are read in blocks of BLOCK tokens that begin at multiples of BLOCK, with or without this cache, and only whole
blocks are kept. Each block is thus always computed by a run of the same shape on the same bytes, and an answer has the
same bits whether its prompt was cached or not.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.float32]
"""Keys and values (layers × 2, heads, BLOCK, width)."""

BLOCK = 32
"""Tokens: as many as are read in about the time of ten written ones, so that no turn is long."""
MAX_BYTES = 256 * 1024**2


class Prefixes:
    """Blocks by what was read up to their end, of all models on one base; the longest unused go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Block | None:
        with self._lock:
            if (block := self._blocks.get(key)) is not None:
                self._blocks.move_to_end(key)
            return block

    def keep(self, key: bytes, block: Block) -> None:
        with self._lock:
            if key in self._blocks or block.nbytes > self._max_bytes:
                return
            self._blocks[key] = block
            self._bytes += block.nbytes
            while self._bytes > self._max_bytes:
                _, dropped = self._blocks.popitem(last=False)
                self._bytes -= dropped.nbytes

    def clear(self) -> None:
        with self._lock:
            self._blocks.clear()
            self._bytes = 0

    @property
    def bytes(self) -> int:
        return self._bytes


def block_keys(model: str, ids: Sequence[int]) -> list[bytes]:
    """One key per whole block of `ids`, of the model and all tokens up to the block's end; the last token of a prompt
    is always read again, for its logits."""
    so_far = hashlib.sha256(model.encode())
    keys = []
    for end in range(BLOCK, len(ids), BLOCK):
        so_far.update(np.asarray(ids[end - BLOCK : end], dtype=np.int64).tobytes())
        keys.append(so_far.digest())
    return keys
