"""Embeddings of a base in each precision beside torch in float32, on chat-format data (BANKING77), in one run.

    OMP_NUM_THREADS=1 python bench/embeddings.py [--texts 1000] [--index 3000]

For each precision of the encoder, and for the static embedder: bytes, cosine to torch (mean, least), the share of
`--texts` test texts whose nearest of `--index` training texts has their label (all dimensions, and fewer), and the time
of one text on one thread. The contenders take turns text by text when they are timed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from nanosmith.data.dataset import Dataset
from nanosmith.data.load import load
from nanosmith.flows.embedder import make
from nanosmith.predict.embed import Embedder, as_embedder, shorten, unit
from nanosmith.predict.open import open_predictor
from nanosmith.recipes import embedder
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.graph import Mode
from nanosmith.store.home import Home

DATA = Path(__file__).resolve().parents[1] / "data" / "banking77"
BASE = "minilm-l6"
PRECISIONS: tuple[Mode, ...] = ("float32", "block8")
TIMED = 100


def sample(data: Dataset, n: int) -> tuple[list[str], np.ndarray]:
    chosen = np.random.default_rng(0).permutation(len(data))[:n]
    return [data.texts[i] for i in chosen], np.array([data.values[i] for i in chosen])


def contenders(root: Path) -> dict[str, tuple[Embedder, int]]:
    """By name, the opened embedder and its bytes; each in a data folder of its own."""
    found = {}
    for name in (*PRECISIONS, "static"):
        embedder.MODE = "block8" if name == "static" else name
        bundle = make(Home(root / name), "pico" if name == "static" else "nano", BASE)
        found[name] = as_embedder(open_predictor(bundle)), bundle.manifest.total_bytes
    return found


def milliseconds(embedders: dict[str, Embedder], texts: list[str]) -> dict[str, float]:
    """The median time of one text."""
    times: dict[str, list[float]] = {name: [] for name in embedders}
    for text in texts:
        for name, one in embedders.items():
            began = time.perf_counter()
            one.embed([text])
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: round(float(np.median(values)), 3) for name, values in times.items()}


def nearest_right(asked: np.ndarray, index: np.ndarray, wanted: np.ndarray, labels: np.ndarray) -> float:
    """The share of `asked` (N, D) whose nearest row of `index` (M, D) has the wanted label."""
    return round(float((labels[(asked @ index.T).argmax(1)] == wanted).mean()), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1_000)
    parser.add_argument("--index", type=int, default=3_000)
    given = parser.parse_args()
    texts, wanted = sample(load(DATA / "test.jsonl"), given.texts)
    known, labels = sample(load(DATA / "train.jsonl"), given.index)
    base = Base(find_base(BASE))
    torch_asked, torch_index = unit(base.vectors(texts)), unit(base.vectors(known))
    rows = {"torch": {"nearest_right": nearest_right(torch_asked, torch_index, wanted, labels)}}
    with tempfile.TemporaryDirectory() as root:
        found = contenders(Path(root))
        times = milliseconds({name: one for name, (one, _) in found.items()}, texts[:TIMED])
        for name, (one, size) in found.items():
            asked, index = one.embed(texts).vectors, one.embed(known).vectors
            row: dict[str, object] = {"bytes": size, "dimensions": one.width, "p50_ms": times[name]}
            if name != "static":
                cosines = (asked * torch_asked).sum(1)
                row["cosine_mean_least"] = [round(float(cosines.mean()), 6), round(float(cosines.min()), 6)]
            row["nearest_right"] = {
                n: nearest_right(shorten(asked, n), shorten(index, n), wanted, labels)
                for n in (one.width, 256, 128, 64) if n <= one.width
            }  # fmt: skip
            rows[name] = row
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
