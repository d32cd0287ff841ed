"""The kernel of our own beside ONNX Runtime, in one run on one core: time of an answer, tokenizer included.

    taskset -c 0 python -m bench.native --nano BUNDLE [--tokens 8 16 64 128] [--batches 1 32] [--data FILE]

plain   the base as torch exports it, with a head, quantised by onnxruntime.quantization.quantize_dynamic; batches are
        padded
graph   the bundle's own graph in ONNX Runtime (NANOSMITH_NATIVE=0)
native  the bundle as it is served; NANOSMITH_NATIVE=avx2 or avx512vnni takes that kernel

All answer the same texts in turns: texts with just so many tokens, and 32 of --data, whose lengths are mixed. Times are
those of the thread (CPU), so that other work on the machine counts less; the clock's are beside. With --data it also
counts how often native and graph answer the same, and how often right. Needs the train extra.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from bench.latency import text_of_length

from nanosmith.data.load import load
from nanosmith.predict.graph_session import open_session
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.native.library import VARIABLE
from nanosmith.predict.open import open_predictor

Answer = Callable[[list[str]], object]
BASE = "minilm-l6"
MIXED = 32  # texts of a batch of different lengths


def exported(folder: Path, labels: int) -> Path:
    """The base with a mean and a linear head, exported by torch in float32 and quantised with the tool's defaults."""
    import torch
    from onnxruntime.quantization import quantize_dynamic

    from nanosmith.recipes.base_folder import find_base
    from nanosmith.recipes.parts.base import Base

    class Classifier(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Base(find_base(BASE)).new_encoder()
            self.head = torch.nn.Linear(self.encoder.config.hidden_size, labels)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return self.head((hidden * mask).sum(1) / mask.sum(1))

    names = ["input_ids", "attention_mask"]
    example = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
    axes = {name: {0: "B", 1: "T"} for name in names} | {"logits": {0: "B"}}
    torch.onnx.export(Classifier().eval(), example, str(folder / "float32.onnx"), input_names=names,
                      output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False)  # fmt: skip
    quantize_dynamic(folder / "float32.onnx", folder / "int8.onnx")
    return folder / "int8.onnx"


def plain(path: Path, predictor: LocalPredictor) -> Answer:
    """Tokenizer, one padded run, the best label of each row."""
    session, tokenizer = open_session(str(path)), predictor._open_tokenizer()
    tokenizer.enable_padding()

    def answer(texts: list[str]) -> list[int]:
        read = tokenizer.encode_batch(texts)
        ids, mask = (
            np.array([getattr(one, name) for one in read], dtype=np.int64) for name in ("ids", "attention_mask")
        )
        found: list[int] = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0].argmax(1).tolist()
        return found

    return answer


def in_onnx_runtime(bundle: Path) -> LocalPredictor:
    """The bundle without the kernel."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "0"
    try:
        return opened(bundle)
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


def opened(bundle: Path) -> LocalPredictor:
    predictor = open_predictor(bundle)
    assert isinstance(predictor, LocalPredictor)
    return predictor


def in_turns(contenders: dict[str, Answer], texts: list[str], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of CPU and of the clock of each answer, after two rounds that do not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(rounds + 2):
        for name, answer in contenders.items():
            cpu, clock = time.thread_time_ns(), time.perf_counter_ns()
            answer(texts)
            if number >= 2:
                times[name].append(((time.thread_time_ns() - cpu) / 1e6, (time.perf_counter_ns() - clock) / 1e6))
    return times


def agreement(native: LocalPredictor, graph: LocalPredictor, data: Any) -> dict[str, object]:
    """Of all examples: the same answers, and the right ones of each."""
    inputs = [one.messages for one in data.examples]
    ours, theirs = ([one.value for one in predictor.predict(inputs)] for predictor in (native, graph))
    right = {name: float(np.mean([a == b for a, b in zip(given, data.values)]))
             for name, given in (("native", ours), ("graph", theirs))}  # fmt: skip
    return {"texts": len(ours), "same": float(np.mean([a == b for a, b in zip(ours, theirs)])), "accuracy": right}


def summary(times: dict[str, list[tuple[float, float]]], tokens: int | str, batch: int) -> dict[str, object]:
    p50 = {name: np.median(each, axis=0) for name, each in times.items()}
    cpu = {name: float(each[0]) for name, each in p50.items()}
    return {
        "tokens": tokens,
        "batch": batch,
        "p50_cpu_ms": {name: round(value, 3) for name, value in cpu.items()},
        "p50_ms": {name: round(float(each[1]), 3) for name, each in p50.items()},
        "queries_per_cpu_s": {name: round(1000 * batch / value) for name, value in cpu.items()},
        "native_to_plain": round(cpu["native"] / cpu["plain"], 3),
        "native_to_graph": round(cpu["native"] / cpu["graph"], 3),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nano", type=Path, required=True)
    parser.add_argument("--tokens", type=int, nargs="+", default=[8, 16, 64, 128])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args(arguments)
    native, graph = opened(given.nano), in_onnx_runtime(given.nano)
    print(json.dumps({"native": getattr(native, "engine", None), "graph": getattr(graph, "engine", None)}))
    with tempfile.TemporaryDirectory() as folder:
        contenders: dict[str, Answer] = {
            "plain": plain(exported(Path(folder), len(native.task.labels)), native),
            "graph": graph.predict,
            "native": native.predict,
        }
        for batch in given.batches:
            for tokens in given.tokens:
                texts = [text_of_length(native, tokens, offset) for offset in range(batch)]
                rounds = given.rounds * (8 if batch == 1 else 1)
                print(json.dumps(summary(in_turns(contenders, texts, rounds), tokens, batch)), flush=True)
        if given.data:
            data = load(given.data, task=native.task)
            texts = [one.messages[-1].content for one in data.examples]
            times = in_turns(contenders, texts[:: max(1, len(data) // MIXED)][:MIXED], given.rounds)
            print(json.dumps(summary(times, "mixed", MIXED)))
            print(json.dumps(agreement(native, graph, data)))


if __name__ == "__main__":
    main()
