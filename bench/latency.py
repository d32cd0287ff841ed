"""Time of one answer in process, tokenizer included, beside a bare ONNX Runtime session on the same graph, in one run.

    taskset -c 0 python bench/latency.py --nano BUNDLE [--static BUNDLE] [--tokens 16] [--rounds 25]

The bare session gets the ready token ids of the same 20 texts and does nothing else. All contenders take turns, round
by round, so that a change of the machine's speed hits all of them; p50 and the ratios of the p50s are printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nanosmith.predict.graph_names import GRAPH_FILE, INPUT, OUTPUT
from nanosmith.predict.graph_session import open_session
from nanosmith.predict.local import LocalPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import open_bundle

TEXTS = 20
SENTENCE = "why has the transfer that i made to my new account last week not arrived yet please tell me now if you can "


def text_of_length(predictor: LocalPredictor, tokens: int, offset: int) -> str:
    """A text that has just `tokens` tokens, special ones included; `offset` varies its words."""
    words = SENTENCE.split() * 8
    words = words[offset % 20 :]
    for count in range(1, len(words)):
        if len(predictor.token_ids(" ".join(words[:count]))[0]) >= tokens:
            return " ".join(words[:count])
    raise SystemExit(f"no text of {tokens} tokens")


def in_turns(contenders: dict[str, Callable[[int], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call. In each round every contender answers the same texts, one after the other."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 2):
        for name, call in contenders.items():
            for text in range(TEXTS):
                began = time.perf_counter_ns()
                call(text)
                elapsed_ms = (time.perf_counter_ns() - began) / 1e6
                if number >= 2:  # warm-up
                    times[name].append(elapsed_ms)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nano", type=Path, required=True)
    parser.add_argument("--static", type=Path)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    nano = open_predictor(given.nano)
    assert isinstance(nano, LocalPredictor)
    texts = [text_of_length(nano, given.tokens, offset) for offset in range(TEXTS)]
    ids = [np.asarray([nano.token_ids(text)[0]], dtype=np.int64) for text in texts]
    bare = open_session(str(open_bundle(given.nano).file(GRAPH_FILE)))
    contenders: dict[str, Callable[[int], object]] = {
        "bare": lambda number: bare.run([OUTPUT], {INPUT: ids[number]}),
        "nano": lambda number: nano.predict([texts[number]]),
    }
    if given.static:
        static = open_predictor(given.static)
        contenders["static"] = lambda number: static.predict([texts[number]])
    print(json.dumps(summary(in_turns(contenders, given.rounds), given.tokens)))


def summary(times: dict[str, Sequence[float]], tokens: int) -> dict[str, object]:
    p50 = {name: round(float(np.median(values)), 4) for name, values in times.items()}
    return {
        "tokens": tokens,
        "p50_ms": p50,
        "p95_ms": {name: round(float(np.quantile(values, 0.95)), 4) for name, values in times.items()},
        "nano_to_bare": round(p50["nano"] / p50["bare"], 3),
        "nano_to_static": round(p50["nano"] / p50["static"], 1) if "static" in p50 else None,
    }


if __name__ == "__main__":
    main()
