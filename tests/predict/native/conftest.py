"""The kernel, built anew from its sources with warnings as errors, and graphs for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nanosmith.predict.native import library
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.graph import Mode, Tagger, build, linear_names
from nanosmith.recipes.parts.ranges import activation_ranges
from nanosmith.testing.tiny_base import WIDTH, save_tiny_base

NATIVE = Path(__file__).parents[3] / "native"
LABELS, TAGS, CODES, TOKENS = 5, 3, 4, 64
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def native_build() -> object:
    """The module native/build.py."""
    sys.path.insert(0, str(NATIVE))
    try:
        import build as module
    finally:
        sys.path.remove(str(NATIVE))
    return module


@pytest.fixture(scope="session")
def built(native_build: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kernel") / "libencoder.so"
    try:
        return native_build.build(out, ["-Werror"])  # type: ignore[attr-defined]
    except native_build.CannotBuild as error:  # type: ignore[attr-defined]
        if "failed" in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture
def kernel_library(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library that was just built is the one that is used."""
    monkeypatch.setattr(library, "LIBRARY", built)
    library.library.cache_clear()
    yield
    library.library.cache_clear()


def kernels() -> list[str]:
    """Those that this machine can run."""
    return [name for name in library.KERNELS if library._runs(name)]


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes the graph of a tiny encoder: write(pooling="cls", mode="int8", kind="record") → its path."""
    folder = tmp_path_factory.mktemp("graphs")
    random = np.random.default_rng(3)
    head = (random.normal(size=(WIDTH, LABELS)).astype(np.float32), random.normal(size=LABELS).astype(np.float32))
    tags = (random.normal(size=(WIDTH, TAGS)).astype(np.float32), random.normal(size=TAGS).astype(np.float32))
    table = random.normal(scale=0.1, size=(CODES, WIDTH)).astype(np.float32)
    taggers = {"choice": None, "record": Tagger(table, *tags), "segments": Tagger(None, *tags, tokens=True),
               "embedder": None}  # fmt: skip

    def graph(pooling: str = "mean", mode: Mode = "int8", kind: str = "choice") -> Path:
        path = folder / f"{pooling}-{mode}-{kind}.onnx"
        if not path.exists():
            base = Base(find_base(str(save_tiny_base(folder / pooling, "bert", pooling))))
            encoder = base.new_encoder().eval()
            rows = [random.integers(5, 40, size=length).tolist() for length in (1, 2, 7, 33)]
            modes = dict.fromkeys(linear_names(int(base.config["num_hidden_layers"])), mode)
            weights = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
            model = build(weights, None if kind == "embedder" else head, base.config, pooling=pooling,
                          max_tokens=TOKENS, modes=modes, ranges=activation_ranges(base, encoder, rows),
                          tagger=taggers[kind])  # fmt: skip
            path.write_bytes(model.SerializeToString())
        return path

    return graph
