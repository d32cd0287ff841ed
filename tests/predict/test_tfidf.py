"""The TF-IDF runtime: terms, weights, word ids, and files that do not fit."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tests.predict.conftest import tiny_tfidf

from nanosmith.core.errors import Damaged, InputError
from nanosmith.core.manifest import Manifest
from nanosmith.predict.embed import as_embedder
from nanosmith.predict.open import open_predictor
from nanosmith.predict.tfidf import (
    VOCABULARY_FILE,
    WEIGHTS_FILE,
    TfidfPredictor,
    Vocabulary,
    grams_of,
    id_of,
    known_pairs,
    read_words,
    word_of,
)
from nanosmith.store.bundles import Bundle, seal


@pytest.fixture
def tiny(tmp_path: Path) -> TfidfPredictor:
    opened = open_predictor(tiny_tfidf(tmp_path / "bundle"))
    assert isinstance(opened, TfidfPredictor)
    return opened


def scores_of(predictor: TfidfPredictor, text: str) -> list[float]:
    return predictor.logits(predictor.token_ids(text)[0]).tolist()


def changed(source: Bundle, folder: Path, **files: bytes | dict[str, np.ndarray]) -> Path:
    """The bundle sealed anew with another vocabulary or other tensors."""
    (draft := folder / "changed").mkdir()
    manifest: Manifest = source.manifest
    vocabulary = files.get("vocabulary", source.file(VOCABULARY_FILE).read_bytes())
    assert isinstance(vocabulary, bytes)
    (draft / VOCABULARY_FILE).write_bytes(vocabulary)
    save_file({**load_file(source.file(WEIGHTS_FILE)), **files.get("tensors", {})}, draft / WEIGHTS_FILE)  # type: ignore
    return seal(draft, manifest, folder / "resealed").path


def test_scores_are_those_of_the_formula(tiny: TfidfPredictor) -> None:
    """Words with pairs, and n-grams, are two vectors of length 1; a term that occurs twice counts 1 + ln 2."""
    assert scores_of(tiny, "") == [0, 0, 0]
    assert scores_of(tiny, "delivery") == pytest.approx([8, 0, 0])
    assert scores_of(tiny, "Refund!") == pytest.approx([0, 0, 16])  # the word, and " ref"
    assert scores_of(tiny, "logins") == pytest.approx([0, 8, 0])  # a word that is not known has n-grams that are
    twice = 1 + np.log(2)
    spoken = 8 * np.array([1, 0, twice + 1]) / np.sqrt(1 + twice**2 + 1)
    spelled = np.array([0, 0, 8])
    assert scores_of(tiny, "delivery refund refund") == pytest.approx(spoken + spelled, rel=1e-5)


@given(st.text(min_size=1).map(lambda text: text.encode("utf-8", "replace").decode()))
def test_an_id_is_its_word(word: str) -> None:
    """Any word can be had back from its id, and other words have other ids."""
    assert word_of(id_of(word)) == word


@given(st.text(alphabet=st.characters(), max_size=40))
def test_recipe_and_runtime_read_the_same_words(text: str) -> None:
    """What the recipe counts is what the ids of the runtime stand for."""
    from nanosmith.predict.local import readable
    from nanosmith.predict.tfidf import WordReader

    ids = WordReader([]).encode(readable(text, 8)).ids[:8]
    assert [word_of(number) for number in ids] == read_words(text, 8)


def test_grams_stay_inside_a_word() -> None:
    """All runs of two to five characters, the space at either end included."""
    assert grams_of("ab") == [" a", "ab", "b ", " ab", "ab ", " ab "]
    assert len(grams_of("refund")) == 7 + 6 + 5 + 4


def test_pairs_need_both_words() -> None:
    """Neighbours are found among the known pairs; an unknown word between them parts them."""
    pairs = np.array([1, 5, 8])  # of three words: 0 1, 1 2, 2 2
    assert known_pairs(np.array([0, 1, 2, 2]), 3, pairs).tolist() == [0, 1, 2]
    assert known_pairs(np.array([0, -1, 1]), 3, pairs).tolist() == []
    assert known_pairs(np.array([2, 1]), 3, pairs).tolist() == []
    assert known_pairs(np.array([2]), 3, pairs).tolist() == []


def test_has_no_embedding(tiny: TfidfPredictor) -> None:
    """Whoever asks for an embedding is told that there is none."""
    with pytest.raises(InputError, match="no output for embeddings"):
        as_embedder(tiny)


def test_is_quick(tiny: TfidfPredictor) -> None:
    """Fifty words are answered in under a millisecond, and the longest input in a few."""
    text = " ".join(f"word{i} refund" for i in range(25))
    tiny.predict([text])
    took_s = []
    for _ in range(20):
        began = time.perf_counter()
        tiny.predict([text])
        took_s.append(time.perf_counter() - began)
    assert tiny.is_quick
    assert min(took_s) < 0.001


def test_needs_no_training_package() -> None:
    """The runtime imports neither scikit-learn nor scipy nor torch."""
    code = "import sys, nanosmith.predict.tfidf; print({'sklearn', 'scipy', 'torch'} & set(sys.modules))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "vocabulary", [b"{", b"[]", b'{"words": [1], "grams": []}', msgspec.json.encode(Vocabulary(["refund"], []))]
)
def test_other_vocabulary_is_refused(tiny: TfidfPredictor, tmp_path: Path, vocabulary: bytes) -> None:
    """A vocabulary that cannot be read, or has another size than the weights, is told as damage."""
    with pytest.raises(Damaged):
        open_predictor(changed(tiny.bundle, tmp_path, vocabulary=vocabulary))


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": np.zeros((5, 3), np.int8)},
        {"weight": np.zeros((6, 2), np.int8)},
        {"weight": np.zeros((6, 3), np.float32)},
        {"idf": np.ones((6, 1), np.float32)},
        {"pairs": np.zeros((1, 1), np.int64)},
        {"more": np.zeros(1, np.float32)},
    ],
)
def test_other_shapes_are_refused(tiny: TfidfPredictor, tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Tensors of other shapes or types, or other ones, are told as damage."""
    with pytest.raises(Damaged, match="do not fit"):
        open_predictor(changed(tiny.bundle, tmp_path, tensors=tensors))
