"""Embedders from the weights of a base as they are, without any training data.

encoder  the base's own sentence vectors; its linear layers in 8-bit blocks, which keep directions far better than the
         int8 that classification uses (docs/embeddings.md)
static   the mean of token vectors distilled from the base (Model2Vec, Tulkens & van Dongen 2024)
"""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import save_file

from nanosmith.core.settings import Size
from nanosmith.predict.graph_names import GRAPH_FILE
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.static import WEIGHTS_FILE
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.encoder_model import plain_tokenizer
from nanosmith.recipes.parts.export import EncoderGraph
from nanosmith.recipes.parts.graph import Mode, quantise_rows
from nanosmith.recipes.static import start_vectors
from nanosmith.recipes.work import Draft

MODE: Mode = "block8"


def write(base: Base, size: Size, folder: Path) -> Draft:
    """Write the files of a bundle that only embeds: static for pico, the encoder for every other size."""
    plain_tokenizer(base).save(str(folder / TOKENIZER_FILE), pretty=False)
    if size == "pico":
        return _static(base, folder)
    return _encoder(base, folder)


def _encoder(base: Base, folder: Path) -> Draft:
    weights = {name: tensor.numpy() for name, tensor in base.new_encoder().state_dict().items()}
    graph = EncoderGraph(weights, None, base.config, base.pooling, base.max_tokens, ranges={})
    graph.write(folder / GRAPH_FILE, dict.fromkeys(graph.names, MODE))
    return Draft("encoder/1", base.max_tokens, {"mode": MODE, "pooling": base.pooling}, {})


def _static(base: Base, folder: Path) -> Draft:
    embeddings, scales = quantise_rows(start_vectors(base))
    save_file({"embeddings": embeddings, "scales": scales}, folder / WEIGHTS_FILE)
    return Draft("static/1", base.max_tokens, {"width": embeddings.shape[1]}, {})
