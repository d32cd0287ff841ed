"""An encoder's graph, opened: in the kernel of our own where it knows the graph and the machine, else in ONNX Runtime.

Letters: T tokens of a row, D width, L labels, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.graph_names import CODE_INPUT, INPUT
from nanosmith.predict.native.encoder import open_native

if TYPE_CHECKING:
    import onnxruntime

PREDICTORS = ("encoder/1", "record/1", "segments/1")  # that open a graph here
Floats = NDArray[np.float32]
Rows = Sequence[Sequence[int]]


class GraphSession(Protocol):
    """`engine` is what computes it, `outputs` the width of each output by its name."""

    engine: str
    outputs: dict[str, int]

    def run(self, wanted: Sequence[str], rows: Rows, codes: Rows | None = None) -> list[tuple[Floats, ...]]:
        """Of each row of token ids the `wanted` outputs: `logits` (L), `embedding` (D), `tags` (T, C), `tokens` (T, D).
        A row's numbers do not depend on the rows beside it."""
        ...


def open_graph(path: Path, threads: int = 1) -> GraphSession:
    """The kernel is for one core: with more `threads`, ONNX Runtime shares a row out among them."""
    native = open_native(path) if threads == 1 else None
    return native or OnnxSession(path, threads)


def engine_of(path: Path) -> str:
    """What would compute the graph here, on one core; ONNX Runtime is not started to find out."""
    native = open_native(path)
    return native.engine if native else OnnxSession.engine


def open_session(path: str, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session. The arena is off: one row at a time gains nothing from it, and memory stays flat."""
    import onnxruntime  # takes longer to import than the kernel to open a graph

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class OnnxSession:
    """ONNX Runtime, row by row: its activations have one scale per tensor, so rows together would not be as alone."""

    engine = "onnxruntime"

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = open_session(str(path), threads)
        self.outputs = {out.name: _width(out.shape) for out in self._session.get_outputs()}
        self._codes = any(given.name == CODE_INPUT for given in self._session.get_inputs())

    def run(self, wanted: Sequence[str], rows: Rows, codes: Rows | None = None) -> list[tuple[Floats, ...]]:
        return [self._row(wanted, row, codes[i] if codes else None) for i, row in enumerate(rows)]

    def _row(self, wanted: Sequence[str], row: Sequence[int], codes: Sequence[int] | None) -> tuple[Floats, ...]:
        given = {INPUT: np.asarray([row], dtype=np.int64)}
        if self._codes:
            given[CODE_INPUT] = np.asarray([codes], dtype=np.int64)
        return tuple(found[0] for found in self._session.run(list(wanted), given))


def _width(shape: Sequence[Any]) -> int:
    return shape[-1] if isinstance(shape[-1], int) else 0
