"""Vectors of written bundles beside those of torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.recipes.conftest import CHOICE, topic_samples
from tests.recipes.test_contract import RECIPES, opened

from nanosmith.core.errors import InputError
from nanosmith.flows.embedder import make
from nanosmith.predict.embed import as_embedder, unit
from nanosmith.predict.open import open_predictor
from nanosmith.recipes import embedder
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.graph import Mode
from nanosmith.recipes.static import start_vectors, token_ids
from nanosmith.recipes.work import Work
from nanosmith.store.home import Home
from nanosmith.testing.tiny_base import WIDTH, save_tiny_base

TEXTS = topic_samples(CHOICE, 30).texts


def torch_vectors(folder: Path) -> np.ndarray:
    """Unit vectors (30, D) of the base in float32."""
    base = Base(find_base(str(folder)))
    vectors = torch.from_numpy(base.vectors(TEXTS))
    return torch.nn.functional.normalize(vectors, dim=1).numpy()


@pytest.mark.parametrize(("mode", "cosine"), [("float32", 0.999999), (embedder.MODE, 0.998)])
@pytest.mark.parametrize(("model_type", "pooling"), [("bert", "mean"), ("roberta", "cls")])
def test_base_embedder_is_near_torch(
    model_type: str,
    pooling: str,
    mode: Mode,
    cosine: float,
    tmp_path: Path,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundle's unit vectors are torch's in float32; in the precision that is kept, nearly so; for both poolings."""
    monkeypatch.setattr(embedder, "MODE", mode)
    folder = save_tiny_base(tmp_path / "base", model_type, pooling)
    vectors = as_embedder(open_predictor(make(home, "nano", str(folder)))).embed(TEXTS).vectors
    assert vectors.shape == (30, WIDTH)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert (vectors * torch_vectors(folder)).sum(1).min() > cosine


def test_static_embedder_is_the_mean_of_token_vectors(base_folder: Path, home: Home) -> None:
    """The static bundle of a base gives the direction of its distilled token vectors, up to the rounding of int8."""
    base = Base(find_base(str(base_folder)))
    table = start_vectors(base)
    wanted = unit(np.stack([table[ids].mean(0) for ids in token_ids(base, TEXTS)]))
    vectors = as_embedder(open_predictor(make(home, "pico", str(base_folder)))).embed(TEXTS).vectors
    assert (vectors * wanted).sum(1).min() > 0.9995


def test_a_bundle_that_only_embeds_does_not_answer(base_folder: Path, home: Home) -> None:
    """Asked for an answer, it says that it has no labels."""
    with pytest.raises(InputError, match="no labels"):
        open_predictor(make(home, "nano", str(base_folder))).predict(["refund"])


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != "tfidf_linear/1"])
def test_tuned_bundles_embed(recipe: str, work: Callable[..., Work], tmp_path: Path) -> None:
    """Every recipe's bundle, but that of words alone, gives unit vectors that are nearest to a text of the same topic,
    alone as among others."""
    predictor, _ = opened(work(n=60), recipe, tmp_path)
    held_out = topic_samples(CHOICE, 90)
    vectors = predictor.embed(held_out.texts).vectors
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    cosines = vectors @ vectors.T - 2 * np.eye(90)
    assert np.mean(held_out.targets[cosines.argmax(1)] == held_out.targets) > 0.9
    assert np.array_equal(vectors[7:8], predictor.embed(held_out.texts[7:8]).vectors)
