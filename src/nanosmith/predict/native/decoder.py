"""A decoder whose single tokens the kernel computes, from the weights where they lie in the base's file.

It reads a step's weights once, where ONNX Runtime also spends time between its many small operators; a prompt's blocks
stay with ONNX Runtime, whose keys and values have the same layout. Adapters are kept in half precision for it.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanosmith.predict.native.decoder_plan import BlockLinear, DecoderLayer, DecoderPlan, decoder_plan_of
from nanosmith.predict.native.encoder import Arrays
from nanosmith.predict.native.library import (
    BAD_ID,
    BAD_KERNEL,
    BAD_SHAPE,
    KERNELS,
    BlockLinearStruct,
    DecoderDescriptionStruct,
    DecoderLayerStruct,
    PairStruct,
    StepStruct,
    kernel_name,
    library,
)
from nanosmith.predict.native.onnx_file import read_graph
from nanosmith.predict.native.walk import UnknownGraph

Floats = NDArray[np.float32]
EIGHT = 8  # columns of an adapter come in multiples of it
MAX_THREADS = 8  # a token's work is short: more would wait for each other longer than they compute


def open_native_decoder(path: Path, *, threads: int) -> NativeDecoder | None:
    """The graph in the kernel that this machine runs, or None where ONNX Runtime has to compute it."""
    kernel = kernel_name()
    if kernel is None:
        return None
    try:
        return NativeDecoder(decoder_plan_of(read_graph(path)), kernel, min(threads, MAX_THREADS))
    except (ValueError, OverflowError):  # not an ONNX file, or not a graph that is known
        return None


class NativeAdapter:
    """An adapter's matrices by place, as the kernel takes them; `pairs` None: no adapter."""

    def __init__(self, plan: DecoderPlan, matrices: Mapping[str, Floats]) -> None:
        self._arrays = Arrays()
        self.pairs: Any = None
        if matrices:
            places = [linear.lora for layer in plan.layers for linear in layer.linear]
            self.pairs = (PairStruct * len(places))(*(self._pair(matrices, place) for place in places))

    def _pair(self, matrices: Mapping[str, Floats], place: str) -> PairStruct:
        if f"{place}.a" not in matrices:
            return PairStruct(0)
        a, b = (_half(matrices[f"{place}.{letter}"]) for letter in "ab")
        (inner, rank), (_, outer) = a.shape, b.shape
        starts, ends = _used(b)
        keep = self._arrays.address
        return PairStruct(
            rank, keep(np.ascontiguousarray(a.T), np.float16, rank, inner), keep(b, np.float16, rank, outer),
            keep(starts, np.int32, rank), keep(ends, np.int32, rank),
        )  # fmt: skip


class NativeDecoder:
    """An opened decoder; one thread at a time may run it. Raises UnknownGraph where its shapes do not fit."""

    def __init__(self, plan: DecoderPlan, kernel: str, threads: int) -> None:
        self.engine = f"native/{kernel}"
        self._plan = plan
        found = library()
        assert found is not None  # kernel_name() gave its name
        arrays = Arrays()
        self._arrays = arrays.kept  # which the decoder refers to
        self._decoder, self._step = ctypes.c_void_p(), found.nanosmith_decoder_step
        description = _description(plan, arrays, threads)
        failed = found.nanosmith_decoder_open(description, KERNELS[kernel], ctypes.byref(self._decoder))
        if failed in (BAD_SHAPE, BAD_KERNEL):
            raise UnknownGraph("a size that the kernel does not compute")
        if failed:
            raise MemoryError("no memory for the decoder")
        closing = weakref.finalize(self, found.nanosmith_decoder_close, self._decoder)
        closing.atexit = False  # other threads may still be answering then

    def adapter(self, matrices: Mapping[str, Floats]) -> NativeAdapter | None:
        """None where numbers are too large for half precision."""
        try:
            return NativeAdapter(self._plan, matrices)
        except OverflowError:
            return None

    def step(self, token: int, position: int, cache: Floats, adapter: NativeAdapter, logits: Floats) -> None:
        """Reads a token after `position` others: its keys and values go to `cache` (layers · 2, G, room, W), what
        follows to `logits` (V). Both are C-contiguous."""
        room = cache.shape[2]
        asked = StepStruct(token, position, room, cache.ctypes.data, logits.ctypes.data, adapter.pairs)
        failed = self._step(self._decoder, ctypes.byref(asked))
        if failed in (BAD_SHAPE, BAD_ID):
            raise ValueError(f"token {token} or position {position} is beyond vocabulary, context or room ({room})")
        if failed:
            raise MemoryError("no memory for a token")


def _used(b: NDArray[np.float16]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where what is not 0 begins and ends in each row (R, N), in multiples of EIGHT: layers that the graph joins have a
    block-diagonal matrix."""
    used = b != 0
    some, outer = used.any(axis=1), b.shape[1]
    starts = np.where(some, used.argmax(axis=1), 0) // EIGHT * EIGHT
    ends = np.where(some, outer - used[:, ::-1].argmax(axis=1), 0)
    return starts.astype(np.int32), ((ends + EIGHT - 1) // EIGHT * EIGHT).astype(np.int32)


def _half(matrix: Floats) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        found = matrix.astype(np.float16)
    if not np.isfinite(found).all():
        raise OverflowError("too large for half precision")
    return found


def _description(plan: DecoderPlan, arrays: Arrays, threads: int) -> DecoderDescriptionStruct:
    vocabulary, blocks = plan.head.scale.shape
    width, (positions, half) = blocks * 32, plan.attention.cosine.shape
    layers = (DecoderLayerStruct * len(plan.layers))(*(_layer(layer, width, arrays) for layer in plan.layers))
    arrays.kept.append(layers)
    return DecoderDescriptionStruct(
        vocabulary=vocabulary, width=width, layer_count=len(plan.layers), heads=plan.attention.heads,
        groups=plan.attention.groups, head_width=2 * half, positions=positions, threads=threads, epsilon=plan.epsilon,
        scale=plan.attention.scale, words=None if plan.words is None else arrays.floats(plan.words, vocabulary, width),
        cosine=arrays.floats(plan.attention.cosine, positions, half),
        sine=arrays.floats(plan.attention.sine, positions, half), norm=arrays.floats(plan.norm, width),
        head=_linear(plan.head, arrays), layers=layers,
    )  # fmt: skip


def _layer(layer: DecoderLayer, width: int, arrays: Arrays) -> DecoderLayerStruct:
    linear = (BlockLinearStruct * len(layer.linear))(*(_linear(one, arrays) for one in layer.linear))
    return DecoderLayerStruct(linear, arrays.floats(layer.norm1, width), arrays.floats(layer.norm2, width))


def _linear(linear: BlockLinear, arrays: Arrays) -> BlockLinearStruct:
    outer, blocks = linear.scale.shape
    return BlockLinearStruct(
        blocks * 32, outer, linear.bits, arrays.address(linear.weight, np.uint8, outer, blocks, 4 * linear.bits),
        arrays.floats(linear.scale, outer, blocks),
    )  # fmt: skip
