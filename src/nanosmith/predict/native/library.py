"""The shared library of the kernel: where it is, which instructions it may use, and its structs and functions.

`NANOSMITH_NATIVE` chooses: `0` for ONNX Runtime, the name of a kernel for just that one (avx2, avx512vnni, portable),
nothing, `1` or `auto` for the best that this machine can run. Without the library, or without such instructions, ONNX
Runtime answers. The structs are those of native/encoder.h and native/decoder.h.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_float, c_int32, c_void_p
from functools import cache
from pathlib import Path

from nanosmith.core.errors import Misconfigured

VARIABLE = "NANOSMITH_NATIVE"
LIBRARY = Path(__file__).with_name("libencoder.so")  # so named on every platform; native/build.py makes it
ABI = 2  # the number in native/encoder.h
KERNELS = {"portable": 0, "avx2": 1, "avx512vnni": 2}
BY_ITSELF = ("avx512vnni", "avx2")  # best first; the portable one is slower than ONNX Runtime, and for tests
OFF = ("0", "off")
AUTO = ("", "1", "auto")
BAD_SHAPE, BAD_ID, NO_MEMORY, BAD_KERNEL = 1, 2, 3, 4  # error codes
PLACES = 5  # linear layers in a decoder's layer


class LinearStruct(Structure):
    """struct linear"""

    _fields_ = (
        ("inner", c_int32), ("outer", c_int32), ("weight", c_void_p), ("scale", c_void_p), ("bias", c_void_p),
        ("factor", c_void_p),
    )  # fmt: skip


class LayerStruct(Structure):
    """struct layer"""

    _fields_ = (
        ("qkv", LinearStruct), ("attention_out", LinearStruct), ("up", LinearStruct), ("down", LinearStruct),
        ("norm1_scale", c_void_p), ("norm1_shift", c_void_p), ("norm2_scale", c_void_p), ("norm2_shift", c_void_p),
        ("heads", c_int32),
    )  # fmt: skip


class DescriptionStruct(Structure):
    """struct description"""

    _fields_ = (
        ("vocabulary", c_int32), ("width", c_int32), ("layer_count", c_int32), ("max_tokens", c_int32),
        ("codes", c_int32), ("labels", c_int32), ("tags", c_int32), ("pools_first", c_int32), ("epsilon", c_float),
        ("words", c_void_p), ("word_scales", c_void_p), ("positions", c_void_p), ("norm_scale", c_void_p),
        ("norm_shift", c_void_p), ("code_table", c_void_p), ("layers", POINTER(LayerStruct)),
        ("head_weight", c_void_p), ("head_bias", c_void_p), ("tag_weight", c_void_p), ("tag_bias", c_void_p),
    )  # fmt: skip


class BlockLinearStruct(Structure):
    """struct block_linear"""

    _fields_ = (
        ("inner", c_int32), ("outer", c_int32), ("bits", c_int32), ("weight", c_void_p), ("scale", c_void_p),
    )  # fmt: skip


class DecoderLayerStruct(Structure):
    """struct decoder_layer"""

    _fields_ = (("linear", BlockLinearStruct * PLACES), ("norm1", c_void_p), ("norm2", c_void_p))


class DecoderDescriptionStruct(Structure):
    """struct decoder_description"""

    _fields_ = (
        ("vocabulary", c_int32), ("width", c_int32), ("layer_count", c_int32), ("heads", c_int32), ("groups", c_int32),
        ("head_width", c_int32), ("positions", c_int32), ("threads", c_int32), ("epsilon", c_float), ("scale", c_float),
        ("words", c_void_p), ("cosine", c_void_p), ("sine", c_void_p), ("norm", c_void_p), ("head", BlockLinearStruct),
        ("layers", POINTER(DecoderLayerStruct)),
    )  # fmt: skip


class PairStruct(Structure):
    """struct pair"""

    _fields_ = (
        ("rank", c_int32), ("a", c_void_p), ("b", c_void_p), ("starts", c_void_p), ("ends", c_void_p),
    )  # fmt: skip


class StepStruct(Structure):
    """struct step"""

    _fields_ = (
        ("token", c_int32), ("position", c_int32), ("room", c_int32), ("cache", c_void_p), ("logits", c_void_p),
        ("adapter", POINTER(PairStruct)),
    )  # fmt: skip


class RequestStruct(Structure):
    """struct request"""

    _fields_ = (
        ("rows", c_int32), ("lengths", c_void_p), ("ids", c_void_p), ("codes", c_void_p), ("logits", c_void_p),
        ("embedding", c_void_p), ("tags", c_void_p), ("tokens", c_void_p),
    )  # fmt: skip


def kernel_name() -> str | None:
    """The kernel that answers on this machine; None: ONNX Runtime does. Raises Misconfigured."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted in OFF:
        return None
    if wanted in AUTO:
        return next((name for name in BY_ITSELF if _runs(name)), None)
    if wanted not in KERNELS or not _runs(wanted):
        runs = [*OFF, *filter(None, AUTO), *filter(_runs, KERNELS)]
        raise Misconfigured(
            "no kernel of this name runs here", where=VARIABLE, got=repr(wanted), allowed=", ".join(runs),
            remedy=f"Unset it, or use {VARIABLE}=0 for ONNX Runtime.",
        )  # fmt: skip
    return wanted


@cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built for this machine."""
    try:
        found = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    if found.nanosmith_abi() != ABI:
        return None  # left over from another version
    found.nanosmith_open.argtypes = (POINTER(DescriptionStruct), c_int32, POINTER(c_void_p))
    found.nanosmith_close.argtypes = (c_void_p,)
    found.nanosmith_close.restype = None
    found.nanosmith_run.argtypes = (c_void_p, POINTER(RequestStruct))
    found.nanosmith_decoder_open.argtypes = (POINTER(DecoderDescriptionStruct), c_int32, POINTER(c_void_p))
    found.nanosmith_decoder_close.argtypes = (c_void_p,)
    found.nanosmith_decoder_close.restype = None
    found.nanosmith_decoder_step.argtypes = (c_void_p, POINTER(StepStruct))
    return found


def _runs(name: str) -> bool:
    found = library()
    return found is not None and bool(found.nanosmith_supports(KERNELS[name]))
