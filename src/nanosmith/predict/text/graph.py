"""A decoder's ONNX graph, loaded once per process, and the state of one sequence that it reads and continues.

Letters: S tokens of one run, K rows of logits, V entries of the vocabulary, T tokens that a sequence has room for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import onnxruntime

from nanosmith.core.errors import Damaged, InputError
from nanosmith.predict.native.decoder import NativeAdapter, open_native_decoder
from nanosmith.predict.text.prefixes import Prefixes

Floats = npt.NDArray[np.float32]
GRAPH_FILE = "model.onnx"
IDS, MASK, POSITIONS, ROWS, LOGITS = "input_ids", "attention_mask", "position_ids", "rows", "logits"
PAST, PRESENT = "past_key_values.", "present."
LORA = "lora."
REMEDY = "Copy the bundle again from its source, or tune it again."


class Turns:
    """One at a time, in the order of asking: whoever wants another turn queues again, so all go on equally fast."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        gate.acquire()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class DecoderGraph:
    """The weights and what they can be asked. `loras` are the shapes (in, rank) or (rank, out) of an adapter's
    matrices by name, where -1 stands for the rank: an adapter has one of its own."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        self.session = _session(folder / GRAPH_FILE, threads)
        self.turns = Turns()
        self.prefixes = Prefixes()
        inputs = {part.name: part for part in self.session.get_inputs()}
        optional = {part.name: part for part in self.session.get_overridable_initializers()}
        self.loras = {
            name: tuple(size if isinstance(size, int) else -1 for size in part.shape)
            for name, part in optional.items()
            if name.startswith(LORA)
        }
        self.has_positions = POSITIONS in inputs
        self.pasts = sorted((name for name in inputs if name.startswith(PAST)), key=_place)
        try:
            _, self.heads, _, self.width = inputs[self.pasts[0]].shape
            self.vocabulary = next(out for out in self.session.get_outputs() if out.name == LOGITS).shape[-1]
            plain = all(isinstance(size, int) for size in (self.heads, self.width, self.vocabulary))
        except (IndexError, ValueError, StopIteration):
            plain = False
        if not plain or ROWS not in optional:
            raise Damaged("not the graph of a decoder", where=str(folder / GRAPH_FILE), remedy=REMEDY)
        self.native = open_native_decoder(folder / GRAPH_FILE, threads=threads)
        """What computes single tokens; None: ONNX Runtime does."""

    @property
    def bytes_per_token(self) -> int:
        """Of keys and values, for each token that a sequence has read."""
        return len(self.pasts) * int(self.heads) * int(self.width) * 4


class SequenceState:
    """What one sequence has read, as keys and values; memory is used for the tokens that were read, whatever the room.

    `cache` is float32 (layers × 2, heads, room, width). An adapter's matrices are inputs of the graph, bound here: two
    sequences with different adapters never touch each other. `native` are the same matrices for the kernel.
    """

    def __init__(
        self, graph: DecoderGraph, room: int, adapter: Mapping[str, Floats], native: NativeAdapter | None = None
    ) -> None:
        self._graph, self._native = graph, native
        self.length = 0
        shape = (1, graph.heads, room, graph.width)
        self.cache = np.empty((len(graph.pasts), *shape[1:]), dtype=np.float32)
        self._ones = np.ones(room, dtype=np.int64)
        self._logits = np.empty((1, 1, graph.vocabulary), dtype=np.float32)
        self._adapter = adapter  # the binding holds no reference of its own
        self._binding = graph.session.io_binding()
        for i, name in enumerate(graph.pasts):
            self._bind(self._binding.bind_input, name, self.cache[i], shape)
            self._bind(self._binding.bind_output, PRESENT + name.removeprefix(PAST), self.cache[i], shape)
        for name, matrix in adapter.items():
            self._bind(self._binding.bind_input, name, matrix, matrix.shape)

    def run(self, ids: Sequence[int], rows: int = 1) -> Floats:
        """Reads `ids` (S); the logits (K, V) after the last `rows` of them, good until the next run of one row."""
        size, binding = len(ids), self._binding
        tokens = np.asarray(ids, dtype=np.int64)
        self._bind(binding.bind_input, IDS, tokens, (1, size))
        self._bind(binding.bind_input, MASK, self._ones, (1, self.length + size))
        positions = np.arange(self.length, self.length + size)
        if self._graph.has_positions:
            self._bind(binding.bind_input, POSITIONS, positions, (1, size))
        wanted = np.arange(-rows, 0)
        self._bind(binding.bind_input, ROWS, wanted, (rows,))
        logits = self._logits if rows == 1 else np.empty((1, rows, self._graph.vocabulary), dtype=np.float32)
        self._bind(binding.bind_output, LOGITS, logits, logits.shape)
        with self._graph.turns:
            self._graph.session.run_with_iobinding(binding)
        self.length += size
        found: Floats = logits[0]
        return found

    def step(self, token: int) -> Floats:
        """Reads one token that was written; the logits (V) after it, good until the next step. In the kernel where it
        knows the graph."""
        if self._graph.native is None or self._native is None:
            logits: Floats = self.run([token])[0]
            return logits
        logits = self._logits[0, 0]
        with self._graph.turns:
            self._graph.native.step(token, self.length, self.cache, self._native, logits)
        self.length += 1
        return logits

    def read(self, block: Floats) -> None:
        """Takes over keys and values (layers × 2, heads, S, width) of the next S tokens, computed earlier."""
        size = block.shape[2]
        self.cache[:, :, self.length : self.length + size] = block
        self.length += size

    def copied(self, start: int, end: int) -> Floats:
        """Keys and values of the tokens [start, end)."""
        return self.cache[:, :, start:end].copy()

    def rewind(self, length: int) -> None:
        """Forgets all but the first `length` tokens."""
        self.length = length

    def _bind(self, bind: Any, name: str, values: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
        bind(name, "cpu", 0, values.dtype, shape, values.ctypes.data)


def _place(past: str) -> tuple[int, str]:
    """Layer by layer, keys before values."""
    layer, part = past.removeprefix(PAST).split(".")
    return int(layer), part


_open: WeakValueDictionary[tuple[str, int], DecoderGraph] = WeakValueDictionary()
_opening = threading.Lock()


def shared_graph(folder: Path, digest: str, *, threads: int) -> DecoderGraph:
    """The graph of a base, which all models on it share; closed with the last of them. Raises Damaged."""
    with _opening:
        graph = _open.get((digest, threads))
        if graph is None:
            graph = _open[(digest, threads)] = DecoderGraph(folder, threads=threads)
        return graph


def check_adapter(graph: DecoderGraph, adapter: Mapping[str, Floats], where: str) -> None:
    """Raises InputError where the matrices do not belong to this graph."""
    for name in sorted(adapter):
        if name not in graph.loras or not _fits(adapter, name, graph.loras[name]):
            raise InputError(
                "the adapter was made for another base",
                where=where,
                got=f"{name} of shape {list(adapter[name].shape)}",
                allowed=f"shape {list(graph.loras[name])}, -1 being the rank"
                if name in graph.loras
                else "no such matrix",
                remedy="Use the base that it was tuned on, or tune it again.",
                code="adapter_mismatch",
            )


def _fits(adapter: Mapping[str, Floats], name: str, wanted: tuple[int, ...]) -> bool:
    matrix = adapter[name]
    sizes = len(matrix.shape) == len(wanted) and all(want in (-1, got) for got, want in zip(matrix.shape, wanted))
    if not sizes or matrix.dtype != np.float32:
        return False
    stem, letter = name[:-1], name[-1]
    other = adapter.get(stem + ("b" if letter == "a" else "a"))
    rank = matrix.shape[1] if letter == "a" else matrix.shape[0]
    return other is not None and other.ndim == 2 and rank == other.shape[0 if letter == "a" else 1]


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class per status, without a common base
        raise Damaged(f"the graph cannot be loaded: {str(error)[:200]}", where=str(path), remedy=REMEDY) from error
