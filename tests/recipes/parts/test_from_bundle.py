"""Bundles opened for training again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.recipes.conftest import topic_samples
from tests.recipes.parts.test_graph import made

from nanosmith.core.errors import InputError
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.recipes import frozen_linear, static
from nanosmith.recipes.parts import graph
from nanosmith.recipes.parts.encoder_model import EncoderModel
from nanosmith.recipes.parts.export import EncoderGraph, run
from nanosmith.recipes.parts.from_bundle import TunedBase, TunedStatic, open_tuned, read_encoder
from nanosmith.recipes.work import Draft, Model, Work
from nanosmith.store.bundles import Bundle, seal


def sealed(model: Model, work: Work, folder: Path) -> Bundle:
    (folder / "draft").mkdir(parents=True)
    draft: Draft = model.write(folder / "draft", work.tune)
    manifest = Manifest(
        name="support", created_at=0, predictor=draft.predictor, recipe="any/1", task=work.task,
        max_tokens=draft.max_tokens, base=BaseRef("tiny", "0"), data=DataRef("0", 1, 0), calibration=Calibration(),
        settings={}, notes={}, files={}, nanosmith="0",
    )  # fmt: skip
    return seal(folder / "draft", manifest, folder / "bundle")


@pytest.mark.parametrize("mode", ["int8", "int4", "block8", "float32"])
@pytest.mark.parametrize(("family", "pooling"), [("bert", "mean"), ("roberta", "cls")])
def test_same_scores_as_before(mode: graph.Mode, family: str, pooling: str, tmp_path: Path) -> None:
    """What is read back gives the trained encoder's scores: exactly from float32, up to rounding from 8 and 4
    bits."""
    encoder_graph, logits, rows = made(tmp_path, family, pooling)
    encoder_graph.write(tmp_path / "m.onnx", dict.fromkeys(encoder_graph.names, mode))
    found = read_encoder(tmp_path / "m.onnx")
    again = EncoderGraph(found.encoder, found.head, found.config, found.pooling, encoder_graph.max_tokens, {})
    again.write(tmp_path / "again.onnx", dict.fromkeys(again.names, "float32"))
    wanted = logits(rows)
    off = np.abs(run(tmp_path / "again.onnx", rows) - wanted).mean() / wanted.std()
    assert off < {"int8": 0.06, "int4": 0.4, "block8": 0.03, "float32": 1e-5}[mode]


def test_encoder_of_a_bundle(work: Callable[..., Work], tmp_path: Path) -> None:
    """A bundle's encoder in torch, with the bundle's head, gives what the fitted model gave."""
    given = work()
    model = frozen_linear.fit(given)
    base = open_tuned(sealed(model, given, tmp_path))
    assert isinstance(base, TunedBase)
    texts = topic_samples(given.task, 20).texts
    weight, bias = base.head
    scores = base.vectors(texts) @ weight + bias
    assert np.abs(scores - model.logits(texts)).mean() < 0.1 * np.abs(scores).mean()
    assert (base.folder.name, base.max_tokens, base.pooling) == ("support", given.base.max_tokens, "mean")


def test_reading_and_writing_does_not_drift(work: Callable[..., Work], tmp_path: Path) -> None:
    """Five rounds of sealing and opening again, without any training, lose no more than rounding."""
    given = work()
    texts = topic_samples(given.task, 20).texts
    model = frozen_linear.fit(given)
    wanted = model.logits(texts)
    for step in range(5):
        base = open_tuned(sealed(model, given, tmp_path / str(step)))
        head = torch.nn.Linear(*base.head[0].shape)
        head.weight.data, head.bias.data = (
            torch.from_numpy(base.head[0].T.copy()),
            torch.from_numpy(base.head[1].copy()),
        )
        again = Work(task=given.task, train=given.train, tune=given.tune, base=base, seed=0, watch=given.watch)
        model = EncoderModel(again, None, head, {}, 0)
    off = np.abs(model.logits(texts) - wanted).mean() / np.abs(wanted).mean()
    assert off < 0.2


def test_static_vectors_of_a_bundle(work: Callable[..., Work], tmp_path: Path) -> None:
    """A static bundle gives its own token vectors as the start, and its head."""
    given = work()
    base = open_tuned(sealed(static.fit(given), given, tmp_path))
    assert isinstance(base, TunedStatic)
    vectors = base.static_vectors()
    assert vectors is not None
    assert vectors.shape == (given.base.tokenizer.get_vocab_size(), base.head[0].shape[0])
    assert base.head[0].shape[1] == len(given.task.labels)


def test_strange_graph_is_refused(tmp_path: Path) -> None:
    """A graph that was not made here gives an error that says what can be trained further."""
    encoder_graph, _, _ = made(tmp_path)
    encoder_graph.write(tmp_path / "m.onnx", dict.fromkeys(encoder_graph.names, "int8"))
    model = onnx.load(tmp_path / "m.onnx")
    del model.graph.node[10:]
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="cannot be trained further"):
        read_encoder(tmp_path / "m.onnx")
