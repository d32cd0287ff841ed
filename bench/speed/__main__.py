"""Our bundles beside what people use for such a task, on one data set and one machine, in one run.

    taskset -c 0 python -m bench.speed --static BUNDLE --nano BUNDLE --cascade BUNDLE [--peers-python PYTHON]

Peers whose packages are absent from this interpreter and from PYTHON are left out, and named. The first run fits them
(minutes) and keeps them in --work. Writes docs/speed.json, and from it the measured part of docs/speed.md and
docs/speed.svg; `--table` does that alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from bench.speed.fleet import Contender, Worker
from bench.speed.make import make
from bench.speed.page import write_page

from nanosmith.core.task import Value
from nanosmith.data.load import load
from nanosmith.flows.evaluate import size_bytes
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.recipes.base_folder import find_base
from nanosmith.score.machine import cpu
from nanosmith.store.bundles import open_bundle
from nanosmith.version import __version__

LENGTHS = (8, 16, 64)  # tokens, special ones included
NEAR = 1  # tokens more or less
TEXTS = 300  # of each length
BATCH = 32
UNMOVED = ("torch", "setfit", "openvino")  # slow peers whose answers do not depend on their batch
CELLS = ((1, 1), (1, 8), (1, 32), (BATCH, 1))  # texts per call, clients


def texts_by_length(predictor: LocalPredictor, texts: Sequence[str]) -> dict[int, list[str]]:
    """Real texts, as they are, and (under 0) all of them; where few are so long, neighbours are joined and cut."""
    counts = [len(predictor.token_ids(text)[0]) for text in texts]
    found = {0: list(texts)}
    for length in LENGTHS:
        fit = [text for text, count in zip(texts, counts) if abs(count - length) <= NEAR]
        found[length] = (fit if len(fit) >= TEXTS // 3 else list(joined(predictor, texts, length)))[:TEXTS]
    return found


def joined(predictor: LocalPredictor, texts: Sequence[str], length: int) -> Iterator[str]:
    words: list[str] = []
    for word in " ".join(texts).split():
        words.append(word)
        if len(predictor.token_ids(" ".join(words))[0]) >= length:
            yield " ".join(words)
            words = []


def contenders(given: argparse.Namespace) -> list[Contender]:
    """Ours first."""
    mine, folder, base = sys.executable, given.work, find_base("minilm-l6").path
    peers = given.peers_python or mine

    def size(*names: str) -> int:
        return sum((folder / name).stat().st_size for name in names if (folder / name).exists())

    made = {"folder": str(folder)}
    encoder = size("tokenizer.json") + sum(file.stat().st_size for file in base.glob("*.safetensors"))
    return [
        *(Contender(f"Nanosmith {name}", "ours", {"bundle": str(path)}, size_bytes(open_bundle(path).manifest), mine)
          for name, path in (("static", given.static), ("nano", given.nano), ("cascade", given.cascade)) if path),
        Contender("ONNX Runtime int8", "onnxruntime", made | {"precision": "int8"},
                  size("int8.onnx", "tokenizer.json"), mine),
        Contender("ONNX Runtime float32", "onnxruntime", made | {"precision": "fp32"},
                  size("fp32.onnx", "tokenizer.json"), mine),
        Contender("OpenVINO float32", "openvino", made, size("fp32.onnx", "tokenizer.json"), peers),
        Contender("torch eager", "torch", made, encoder, mine),
        Contender("SetFit", "setfit", made | {"base": str(base)}, encoder + size("head.pickle"), mine),
        Contender("fastText", "fasttext", made, size("fasttext.bin"), peers),
        Contender("TF-IDF + LR", "tfidf", made, size("tfidf.pickle"), mine),
    ]  # fmt: skip


@contextmanager
def started(wanted: Sequence[Contender]) -> Iterator[list[Worker]]:
    """Those that start; the others are named."""
    workers: list[Worker] = []
    try:
        for contender in wanted:
            try:
                workers.append(Worker(contender))
            except OSError as error:
                print(f"{contender.title} is left out: {error}", file=sys.stderr)
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def measure(
    workers: Sequence[Worker], texts: dict[int, list[str]], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """One row per contender, length and cell. In each round all contenders have a turn, one after the other."""
    rows = []
    cells = [(length, *cell) for length in texts for cell in (CELLS if length else CELLS[:1])]
    for number, (length, batch, clients) in enumerate(cells):
        for worker in workers:
            worker.load(texts[length])
        turns: dict[str, list[dict[str, Any]]] = {worker.contender.title: [] for worker in workers}
        for turn in range(rounds):
            for worker in workers:
                offset = len(texts[length]) * turn // rounds
                found = worker.turn(batch=batch, clients=clients, seconds=seconds, offset=offset)
                turns[worker.contender.title].append(found)
        place = {"tokens": length, "batch": batch, "clients": clients}
        rows += [place | {"contender": title} | figures(found) for title, found in turns.items()]
        print(f"measured {number + 1} of {len(cells)} cells", file=sys.stderr)
    return rows


def figures(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of all turns of one contender in one cell; the energy is that of the whole processor package."""
    took = np.concatenate([turn["ms"] for turn in turns])
    total = sum(turn["texts"] for turn in turns)
    joules = [turn["joules"] for turn in turns]
    return {
        "calls": len(took),
        "p50_ms": float(np.median(took)),
        "p99_ms": float(np.quantile(took, 0.99)),
        "mean_ms": float(took.mean()),
        "by_turn_ms": [round(float(np.mean(turn["ms"])), 4) for turn in turns],
        "texts_per_s": total / sum(turn["wall_s"] for turn in turns),
        "cpu_s_per_1000": 1000 * sum(turn["cpu_s"] for turn in turns) / total,
        "joules_per_1000": None if None in joules else 1000 * sum(joules) / total,
    }


def main() -> None:
    given = arguments()
    page = given.out / "speed.md"
    if not given.table:
        found = json.dumps(run(given), indent=1) + "\n"
        page.with_suffix(".json").write_text(found, encoding="utf-8")
    write_page(page)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Everything that is known afterwards, as JSON."""
    train = load(given.data / "train.jsonl", kind="choice")
    test = load(given.data / "test.jsonl", task=train.task)
    kept = range(0, len(train), 5 if given.short else 1)
    make(given.work, [train.texts[i] for i in kept], [str(train.values[i]) for i in kept],
         find_base("minilm-l6").path, [sys.executable, given.peers_python or sys.executable])  # fmt: skip
    predictor = open_predictor(given.nano)
    assert isinstance(predictor, LocalPredictor)
    asked = 300 if given.short else len(test)
    load_average = os.getloadavg()[0]
    with started([one for one in contenders(given) if not given.only or one.kind in given.only]) as workers:
        about = {worker.contender.title: judged(worker, test.texts[:asked], test.values[:asked]) for worker in workers}
        rows = measure(workers, texts_by_length(predictor, test.texts), given.rounds, given.seconds)
        for worker in workers:
            about[worker.contender.title]["peak_bytes"] = worker.peak_bytes
    return {"cpu": cpu().name, "load": load_average, "nanosmith": __version__, "day": time.strftime("%Y-%m-%d"),
            "short": given.short, "data": given.data.name, "contenders": about, "rows": rows}  # fmt: skip


def judged(worker: Worker, texts: Sequence[str], wanted: Sequence[Value]) -> dict[str, Any]:
    """Accuracy in [0, 1], the bytes of the files, and the seconds of the opening."""
    print(f"accuracy: {worker.contender.title}", file=sys.stderr)
    answers = worker.load(texts, answer=BATCH if worker.contender.kind in UNMOVED else 1)
    right = float(np.mean([answer == value for answer, value in zip(answers, wanted)]))
    return {"accuracy": right, "bytes": worker.contender.bytes, "opened_s": worker.opened_s}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speed", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    for name in ("static", "nano", "cascade"):
        parser.add_argument(f"--{name}", type=Path, help="a bundle's folder")
    parser.add_argument("--data", type=Path, default=Path("data/banking77"))
    parser.add_argument("--peers-python", help="another interpreter, which has fasttext or openvino")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(gettempdir()) / "nanosmith-bench-speed",
        help="where the fitted peers are kept",
    )
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--rounds", type=int, help="none: 5, of a short run 2")
    parser.add_argument("--seconds", type=float, help="of one contender's turn; none: 0.3, of a short run 0.15")
    parser.add_argument("--only", nargs="*", help="kinds of contenders: ours, onnxruntime, torch, …")
    parser.add_argument("--short", action="store_true", help="fewer rows to fit, shorter turns")
    parser.add_argument("--table", action="store_true", help="write the page from what was measured")
    given = parser.parse_args()
    given.rounds = given.rounds or (2 if given.short else 5)
    given.seconds = given.seconds or (0.15 if given.short else 0.3)
    given.work /= f"{given.data.name}-short" if given.short else given.data.name
    return given


if __name__ == "__main__":
    main()
