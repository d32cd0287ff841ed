"""An encoder's graph that the kernel computes: rows of any lengths, unpadded, on one core.

Letters: V vocabulary, D width, K inputs and N outputs of a linear layer, L labels, C tags, T tokens.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanosmith.core.errors import Damaged
from nanosmith.predict.graph_names import EMBEDDING, OUTPUT
from nanosmith.predict.native.library import (
    BAD_ID,
    BAD_SHAPE,
    KERNELS,
    DescriptionStruct,
    LayerStruct,
    LinearStruct,
    RequestStruct,
    kernel_name,
    library,
)
from nanosmith.predict.native.onnx_file import read_graph
from nanosmith.predict.native.plan import Head, Layer, Linear, Plan, plan_of
from nanosmith.predict.native.walk import UnknownGraph
from nanosmith.store.bundles import REMEDY

LANES = 8  # columns of a head come in multiples of it
Array = NDArray[Any]
Floats = NDArray[np.float32]
Rows = Sequence[Sequence[int]]


def open_native(path: Path) -> NativeEncoder | None:
    """The graph in the kernel that this machine runs, or None where ONNX Runtime has to compute it."""
    kernel = kernel_name()
    if kernel is None:
        return None
    try:
        return NativeEncoder(plan_of(read_graph(path)), kernel)
    except (ValueError, OverflowError):  # not an ONNX file, or not a graph that is known
        return None


class NativeEncoder:
    """An opened encoder. Several threads may run it at once. Raises UnknownGraph where its shapes do not fit."""

    def __init__(self, plan: Plan, kernel: str) -> None:
        self.engine = f"native/{kernel}"
        self.outputs = plan.outputs
        self._codes = plan.codes is not None
        found = library()
        assert found is not None  # kernel_name() gave its name
        arrays = Arrays()
        self._arrays = arrays.kept  # which the encoder refers to
        self._encoder, self._run = ctypes.c_void_p(), found.nanosmith_run
        failed = found.nanosmith_open(_description(plan, arrays), KERNELS[kernel], ctypes.byref(self._encoder))
        if failed == BAD_SHAPE:
            raise UnknownGraph("a size that the kernel does not compute")
        if failed:
            raise MemoryError("no memory for the encoder")
        closing = weakref.finalize(self, found.nanosmith_close, self._encoder)
        closing.atexit = False  # other threads may still be answering then

    def run(self, wanted: Sequence[str], rows: Rows, codes: Rows | None = None) -> list[tuple[Floats, ...]]:
        """Of each row of token ids the `wanted` outputs: `logits` (L), `embedding` (D), `tags` (T, C), `tokens` (T, D).

        A row's numbers are the same whatever rows are beside it, bit for bit. Raises Damaged for ids that the
        embeddings do not have, and for rows that are empty or too long.
        """
        lengths = [len(row) for row in rows]
        tokens = sum(lengths)
        given: dict[str, Array] = {"lengths": np.array(lengths, dtype=np.int32), "ids": _joined(rows, tokens)}
        if self._codes:
            given["codes"] = _joined(codes or [], tokens)
        whole = {
            name: np.empty((len(rows) if name in (OUTPUT, EMBEDDING) else tokens, self.outputs[name]), dtype=np.float32)
            for name in wanted
        }
        self._check(self._run(self._encoder, _request(len(rows), given | whole)))
        ends = list(accumulate(lengths))
        parts = [_parts(whole[name], ends, by_row=name in (OUTPUT, EMBEDDING)) for name in wanted]
        return list(zip(*parts))

    def _check(self, code: int) -> None:
        if code == BAD_ID:
            raise _unknown_token()
        if code == BAD_SHAPE:
            raise Damaged("a row of tokens that the graph does not read: empty, or too long", remedy=REMEDY)
        if code:
            raise MemoryError("no memory for a row of tokens")


def _joined(rows: Rows, tokens: int) -> NDArray[np.int32]:
    numbers = list(chain.from_iterable(rows))
    if len(numbers) != tokens:
        raise Damaged("as many codes as tokens are needed", got=len(numbers), allowed=tokens)
    try:
        return np.array(numbers, dtype=np.int32)
    except OverflowError:
        raise _unknown_token() from None


def _unknown_token() -> Damaged:
    return Damaged("the tokenizer knows tokens or codes that the graph does not", remedy=REMEDY)


def _request(rows: int, arrays: Mapping[str, Array]) -> Any:
    return ctypes.byref(RequestStruct(rows, **{name: array.ctypes.data for name, array in arrays.items()}))


def _parts(whole: Floats, ends: Sequence[int], *, by_row: bool) -> list[Floats]:
    if by_row:
        return list(whole)
    return [whole[start:end] for start, end in zip([0, *ends], ends)]


class Arrays:
    """Keeps arrays alive and gives their addresses, after a look at their type and shape."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def address(self, array: Array, dtype: type[np.generic], *shape: int) -> int:
        if array.dtype != dtype or array.shape != shape:
            raise UnknownGraph(f"an array of {array.dtype} {array.shape} where {shape} is needed")
        ready = array if array.dtype.itemsize == 1 else np.require(array, requirements=("C", "A"))
        self.kept.append(ready)
        return int(ready.ctypes.data)

    def floats(self, array: Array, *shape: int) -> int:
        return self.address(array, np.float32, *shape)


def _description(plan: Plan, arrays: Arrays) -> DescriptionStruct:
    vocabulary, width = plan.words.shape
    layers = (LayerStruct * len(plan.layers))(*(_layer(layer, width, arrays) for layer in plan.layers))
    arrays.kept.append(layers)
    found = DescriptionStruct(
        vocabulary=vocabulary, width=width, layer_count=len(plan.layers), max_tokens=len(plan.positions),
        codes=0 if plan.codes is None else len(plan.codes), pools_first=plan.pools_first, epsilon=plan.epsilon,
        words=arrays.address(plan.words, np.int8, vocabulary, width),
        word_scales=arrays.floats(plan.word_scales, vocabulary, 1),
        positions=arrays.floats(plan.positions, len(plan.positions), width),
        norm_scale=arrays.floats(plan.norm[0], width), norm_shift=arrays.floats(plan.norm[1], width), layers=layers,
    )  # fmt: skip
    if plan.codes is not None:
        found.code_table = arrays.floats(plan.codes, len(plan.codes), width)
    if plan.head:
        found.labels, found.head_weight, found.head_bias = _head(plan.head, width, arrays)
    if plan.tags:
        found.tags, found.tag_weight, found.tag_bias = _head(plan.tags, width, arrays)
    return found


def _layer(layer: Layer, width: int, arrays: Arrays) -> LayerStruct:
    attended, inner = layer.attention_out.weight.shape[0], layer.down.weight.shape[0]
    (scale1, shift1), (scale2, shift2) = layer.norm1, layer.norm2
    return LayerStruct(
        _linear(layer.qkv, width, 3 * attended, arrays), _linear(layer.attention_out, attended, width, arrays),
        _linear(layer.up, width, inner, arrays), _linear(layer.down, inner, width, arrays),
        arrays.floats(scale1, width), arrays.floats(shift1, width), arrays.floats(scale2, width),
        arrays.floats(shift2, width), layer.heads,
    )  # fmt: skip


def _linear(linear: Linear, inner: int, outer: int, arrays: Arrays) -> LinearStruct:
    return LinearStruct(
        inner, outer, arrays.address(linear.weight, np.int8, inner, outer), arrays.floats(linear.scale, outer),
        None if linear.bias is None else arrays.floats(linear.bias, outer), arrays.floats(linear.factor, inner),
    )  # fmt: skip


def _head(head: Head, width: int, arrays: Arrays) -> tuple[int, int, int]:
    """How many columns, and the addresses of weight and bias with columns up to a multiple of LANES."""
    columns = head.bias.size
    if head.weight.shape != (width, columns) or head.bias.shape != (columns,):
        raise UnknownGraph("a head of another shape")
    more = -columns % LANES
    weight = np.pad(head.weight, ((0, 0), (0, more)))
    bias = np.pad(head.bias, (0, more))
    return columns, arrays.floats(weight, *weight.shape), arrays.floats(bias, *bias.shape)
