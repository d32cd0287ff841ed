"""Single tokens of decoders in the kernel: the same model as ONNX Runtime's, whoever computes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.predict.native import decoder_reference
from tests.predict.native.conftest import kernels

from nanosmith.core.generation import Piece, Sampling, TokenLogprob
from nanosmith.predict.decoder import Decoder
from nanosmith.predict.native.decoder import NativeDecoder, open_native_decoder
from nanosmith.predict.native.decoder_plan import DecoderPlan, decoder_plan_of
from nanosmith.predict.native.library import VARIABLE
from nanosmith.predict.native.onnx_file import read_graph
from nanosmith.predict.text.graph import GRAPH_FILE, DecoderGraph, SequenceState
from nanosmith.recipes.parts.decoder_export import Precision, write_base
from nanosmith.testing.tiny_decoder import save_tiny_decoder
from nanosmith.testing.tiny_text import SIZES, save_random_adapter, save_tiny, seal_adapter, seal_base

pytestmark = pytest.mark.usefixtures("kernel_library")
PROMPT = "A prompt of more than thirty-two bytes, so that a block of it is kept."
IDS = [5, 77, 130, 9, 9, 201, 44, 3] * 5
PRECISIONS = ("int4", "int8")
Matrices = Mapping[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a base's bundle holds, by precision."""
    folder = tmp_path_factory.mktemp("bases")
    hf = save_tiny(folder / "hf")
    precisions: tuple[Precision, ...] = ("int4", "int8", "fp32")
    for precision in precisions:
        write_base(hf, folder / precision, precision)
    return {precision: folder / precision for precision in precisions} | {"hf": hf}


def plan_in(folder: Path) -> DecoderPlan:
    return decoder_plan_of(read_graph(folder / GRAPH_FILE))


def some_adapter(graph: DecoderGraph, rank: int = 3) -> Matrices:
    random = np.random.default_rng(5)
    return {
        name: random.normal(0, 0.2, [rank if size == -1 else size for size in shape]).astype(np.float32)
        for name, shape in graph.loras.items()
        if ".1." not in name  # the second layer has none
    }


def steps(native: NativeDecoder, adapter: Matrices) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Logits of each of IDS (L, V), and keys and values."""
    cache = np.zeros((4, 2, len(IDS), 16), dtype=np.float32)
    logits = np.zeros((len(IDS), 258), dtype=np.float32)
    matrices = native.adapter(adapter)
    assert matrices is not None
    for position, token in enumerate(IDS):
        native.step(token, position, cache, matrices, logits[position])
    return logits, cache


@pytest.mark.parametrize("precision", PRECISIONS)
def test_is_the_reference(bases: dict[str, Path], precision: str) -> None:
    """Every kernel's logits lie near those that NumPy computes without rounding activations, with and without an
    adapter; and as near as ONNX Runtime's, which rounds them, too."""
    plan, graph = plan_in(bases[precision]), DecoderGraph(bases[precision], threads=1)
    for adapter in ({}, some_adapter(graph)):
        wanted = decoder_reference.logits(plan, IDS, adapter)
        ort = np.abs(SequenceState(graph, len(IDS), adapter).run(IDS, rows=len(IDS)) - wanted).mean()
        for kernel in set(kernels()) - {"portable"}:
            found, _ = steps(NativeDecoder(plan, kernel, threads=1), adapter)
            apart = np.abs(found - wanted).mean()
            assert apart < 0.02 * np.abs(wanted).mean(), kernel
            assert apart < 2 * ort + 1e-3, kernel


@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_change_no_bit(bases: dict[str, Path], precision: str) -> None:
    """One, two or five threads give the same logits, keys and values."""
    plan, graph = plan_in(bases[precision]), DecoderGraph(bases[precision], threads=1)
    adapter = some_adapter(graph)
    alone = steps(NativeDecoder(plan, kernels()[-1], threads=1), adapter)
    for threads in (2, 5):
        found = steps(NativeDecoder(plan, kernels()[-1], threads=threads), adapter)
        assert all(np.array_equal(one, other) for one, other in zip(found, alone, strict=True))


def test_goes_on_where_onnx_runtime_stopped(bases: dict[str, Path]) -> None:
    """Keys and values have one layout: a prompt that ONNX Runtime read is continued."""
    graph = DecoderGraph(bases["int8"], threads=1)
    assert graph.native is not None
    adapter = some_adapter(graph)
    wanted = SequenceState(graph, len(IDS), adapter).run(IDS, rows=len(IDS))
    state = SequenceState(graph, len(IDS), adapter, graph.native.adapter(adapter))
    state.run(IDS[:20])
    found = [state.step(token).copy() for token in IDS[20:]]
    assert np.abs(np.array(found) - wanted[20:]).mean() < 0.02 * np.abs(wanted).mean()


def test_other_graphs_stay_with_onnx_runtime(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights in float32, other families of decoders, files that are damaged, and where the user wants it so."""
    assert open_native_decoder(bases["fp32"] / GRAPH_FILE, threads=1) is None
    write_base(save_tiny_decoder(tmp_path / "hf", "qwen3", **SIZES), tmp_path / "qwen3", "int8")
    assert open_native_decoder(tmp_path / "qwen3" / GRAPH_FILE, threads=1) is None
    assert DecoderGraph(tmp_path / "qwen3", threads=1).native is None
    (tmp_path / GRAPH_FILE).write_bytes((bases["int8"] / GRAPH_FILE).read_bytes())  # without its weights
    assert open_native_decoder(tmp_path / GRAPH_FILE, threads=1) is None
    monkeypatch.setenv(VARIABLE, "0")
    assert open_native_decoder(bases["int8"] / GRAPH_FILE, threads=1) is None


def test_the_same_bits_beside_others(bases: dict[str, Path], tmp_path: Path) -> None:
    """Two adapters whose steps alternate write what each writes alone, from a cached prompt, too."""
    base = seal_base(bases["hf"], tmp_path, "int8")
    peft = [save_random_adapter(bases["hf"], tmp_path / f"peft{seed}", seed) for seed in (1, 2)]
    models = [Decoder(seal_adapter(base, folder, tmp_path / f"model{i}")) for i, folder in enumerate(peft)]
    assert models[0].engine._graph.native is not None
    sampling = Sampling(max_tokens=12, temperature=0.0, top_logprobs=0)
    alone = [probabilities(model.generate(PROMPT, sampling, lambda: False)) for model in models]
    turns = list(zip_longest(*(model.generate(PROMPT, sampling, lambda: False) for model in models)))
    assert [probabilities(filter(None, pieces)) for pieces in zip(*turns, strict=True)] == alone
    assert alone[0] != alone[1]


def probabilities(pieces: Iterable[Piece]) -> list[TokenLogprob]:
    """Of all tokens that were written."""
    return [token for piece in pieces for token in piece.logprobs]


def test_no_step_beyond_the_room(bases: dict[str, Path]) -> None:
    """A position that the keys and values have no room for is an error, and so is a token that is none."""
    native = NativeDecoder(plan_in(bases["int4"]), kernels()[-1], threads=1)
    cache, logits = np.zeros((4, 2, 3, 16), dtype=np.float32), np.zeros(258, dtype=np.float32)
    matrices = native.adapter({})
    assert matrices is not None
    for token, position in ((5, 3), (5, -1), (258, 0)):
        with pytest.raises(ValueError, match="beyond"):
            native.step(token, position, cache, matrices, logits)


def test_an_adapter_that_half_precision_cannot_hold(bases: dict[str, Path]) -> None:
    """It is left to ONNX Runtime."""
    graph = DecoderGraph(bases["int4"], threads=1)
    assert graph.native is not None
    adapter = {name: matrix * np.float32(1e6) for name, matrix in some_adapter(graph).items()}
    assert graph.native.adapter(adapter) is None
