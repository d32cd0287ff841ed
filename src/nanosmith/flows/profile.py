"""Times of a device, from small models with random weights that are answered with there.

Letters: M timed models, C costs of each, K pieces.
"""

from __future__ import annotations

import itertools
import string
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from nanosmith.core.device import ENCODER, STATIC, Device, Timed, encoder_costs, static_costs
from nanosmith.core.errors import MissingExtra
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.open import open_predictor
from nanosmith.predict.static import WEIGHTS_FILE
from nanosmith.score.latency import measure
from nanosmith.score.machine import cpu
from nanosmith.store.bundles import Bundle, seal
from nanosmith.version import __version__

WIDTH, HEAD_WIDTH, LABELS = 384, 32, 100
SHAPES = ((1, 12, 1536), (2, 8, 1024), (3, 12, 1536), (4, 8, 1024), (6, 12, 1536))  # layers, heads, FFN columns
STATIC_WIDTHS = (64, 128, 256)
TOKENS = (6, 12, 20, 40)  # of a text, with the two special ones
CALLS, ROUNDS = 40, 3
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SYLLABLES = tuple("".join(pair) for pair in itertools.product(string.ascii_lowercase, repeat=2))


def profile(watch: Watch | None = None) -> Device:
    """Time this device, one thread. Raises MissingExtra, Cancelled."""
    if find_spec("onnx") is None:
        raise MissingExtra("onnx", "train")
    watch, times = watch or Watch(), list[Timed]()
    every = (len(SHAPES) + len(STATIC_WIDTHS)) * len(TOKENS)
    with tempfile.TemporaryDirectory(prefix="nanosmith-") as made:
        for one in _timed(Path(made)):
            times.append(one)
            watch.check()
            watch.progress("time models", len(times), every)
    encoder, static = ([one for one in times if one.kind == kind] for kind in (ENCODER, STATIC))
    errors = np.concatenate([_errors(encoder), _errors(static)])
    machine = cpu()
    return Device(
        machine.name, machine.cores, int(time.time()), __version__, _prices(encoder), _prices(static),
        float(errors.mean()), float(errors.max()), tuple(times),
    )  # fmt: skip


def _timed(folder: Path) -> Iterator[Timed]:
    for layers, heads, columns in SHAPES:
        bundle = _encoder(folder / f"{layers}-{heads}-{columns}", layers, heads, columns)
        for tokens in TOKENS:
            costs = encoder_costs(layers, heads, columns, WIDTH, HEAD_WIDTH, tokens)
            yield Timed(ENCODER, costs, _median_ms(bundle, tokens))
    for width in STATIC_WIDTHS:
        bundle = _static(folder / f"static-{width}", width)
        for tokens in TOKENS:
            yield Timed(STATIC, static_costs(width, tokens), _median_ms(bundle, tokens))


def _median_ms(bundle: Bundle, tokens: int) -> float:
    """Of one-text calls, the least of a few rounds: others only slow it down."""
    predictor, random = open_predictor(bundle), np.random.default_rng(tokens)
    texts = [" ".join(random.choice(SYLLABLES, tokens - 2)) for _ in range(CALLS)]
    return min(measure(predictor, texts).p50 for _ in range(ROUNDS))


def _prices(times: list[Timed]) -> tuple[float, ...]:
    """What each cost is worth, never negative, by least squares of relative errors."""
    from scipy.optimize import nnls

    costs, ms = _table(times)
    found, _ = nnls(costs / ms[:, None], np.ones(len(ms)))
    return tuple(float(price) for price in found)


def _errors(times: list[Timed]) -> NDArray[np.float64]:
    """Relative error (M) on each model by a fit to the others."""
    costs, ms = _table(times)
    found = [abs(float(costs[i] @ _prices(times[:i] + times[i + 1 :])) / ms[i] - 1) for i in range(len(times))]
    return np.array(found)


def _table(times: list[Timed]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Costs (M, C) and milliseconds (M)."""
    return np.array([one.costs for one in times]), np.array([one.ms for one in times])


def _encoder(folder: Path, layers: int, heads: int, columns: int) -> Bundle:
    """A sealed encoder with random weights, all of it int8."""
    import onnx

    from nanosmith.predict.graph_names import GRAPH_FILE
    from nanosmith.recipes.parts.graph import build, linear_names

    config = {"model_type": "bert", "num_hidden_layers": layers, "num_attention_heads": heads, "pad_token_id": 0,
              "layer_norm_eps": 1e-12, "hidden_size": WIDTH}  # fmt: skip
    inner, random = heads * HEAD_WIDTH, np.random.default_rng(0)
    weights = dict(_random_weights(layers, inner, columns, random))
    ranges = {name: np.ones(size, np.float32) for layer in range(layers)
              for name, size in zip(linear_names(layers)[4 * layer :], (WIDTH, inner, WIDTH, columns))}  # fmt: skip
    graph = build(weights, (_normal(random, WIDTH, LABELS), np.zeros(LABELS, np.float32)), config, pooling="mean",
                  max_tokens=max(TOKENS), modes=dict.fromkeys(linear_names(layers), "int8"), ranges=ranges)  # fmt: skip
    draft = _draft(folder)
    onnx.save(graph, draft / GRAPH_FILE)
    return _sealed(draft, "encoder/1", folder)


def _random_weights(layers: int, inner: int, columns: int, random: np.random.Generator) -> Iterator[tuple[str, Any]]:
    shapes = {
        "attention.self.query": (inner, WIDTH), "attention.self.key": (inner, WIDTH),
        "attention.self.value": (inner, WIDTH), "attention.output.dense": (WIDTH, inner),
        "intermediate.dense": (columns, WIDTH), "output.dense": (WIDTH, columns),
    }  # fmt: skip
    yield "embeddings.word_embeddings.weight", _normal(random, len(SPECIAL) + len(SYLLABLES), WIDTH)
    yield "embeddings.position_embeddings.weight", _normal(random, max(TOKENS), WIDTH)
    yield "embeddings.token_type_embeddings.weight", _normal(random, 1, WIDTH)
    for name in ("embeddings.LayerNorm", *(f"encoder.layer.{layer}.{part}.LayerNorm" for layer in range(layers)
                                           for part in ("attention.output", "output"))):  # fmt: skip
        yield f"{name}.weight", np.ones(WIDTH, np.float32)
        yield f"{name}.bias", np.zeros(WIDTH, np.float32)
    for layer, (part, shape) in itertools.product(range(layers), shapes.items()):
        yield f"encoder.layer.{layer}.{part}.weight", _normal(random, *shape)
        yield f"encoder.layer.{layer}.{part}.bias", np.zeros(shape[0], np.float32)


def _static(folder: Path, width: int) -> Bundle:
    random, draft = np.random.default_rng(0), _draft(folder)
    pieces = len(SPECIAL) + len(SYLLABLES)
    tensors = {"embeddings": random.integers(-127, 128, (pieces, width), dtype=np.int8),
               "scales": np.ones(pieces, np.float32), "weight": _normal(random, width, LABELS),
               "bias": np.zeros(LABELS, np.float32)}  # fmt: skip
    (draft / WEIGHTS_FILE).write_bytes(save(tensors))
    return _sealed(draft, "static/1", folder)


def _normal(random: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return 0.05 * random.standard_normal(shape, dtype=np.float32)


def _draft(folder: Path) -> Path:
    """A folder with the tokenizer of all syllables."""
    draft = folder.with_name(f"{folder.name}.draft")
    draft.mkdir()
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate((*SPECIAL, *SYLLABLES))},
                                           unk_token=SPECIAL[1]))  # fmt: skip
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(draft / TOKENIZER_FILE))
    return draft


def _sealed(draft: Path, predictor: str, folder: Path) -> Bundle:
    labels = tuple(f"label-{number:03}" for number in range(LABELS))
    manifest = Manifest(
        name=folder.name, created_at=0, predictor=predictor, recipe="none", task=Task("choice", labels),
        max_tokens=max(TOKENS), base=BaseRef("none", "0" * 64), data=DataRef("0" * 64, 0, 0),
        calibration=Calibration(examples=1), settings={}, notes={}, files={}, nanosmith=__version__,
    )  # fmt: skip
    return seal(draft, manifest, folder)
