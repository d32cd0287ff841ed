"""Our bundles beside what people use for such a task, on one data set, one machine, in one run.

    taskset -c 0 python bench/peers.py --data data/banking77 [--nano BUNDLE] [--static BUNDLE]

Peers: TF-IDF with logistic regression (scikit-learn), and all-MiniLM-L6-v2 in torch with logistic regression on its
sentence vectors. Each is trained on train.jsonl and answers test.jsonl; then all answer the same 300 queries in turn,
one at a time, tokenizer included.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from nanosmith.data.load import load
from nanosmith.flows.evaluate import size_bytes
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import open_bundle

Answer = Callable[[Sequence[str]], list[str]]
TIMED = 300


def tf_idf(texts: list[str], labels: list[str]) -> tuple[Answer, int]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=20, max_iter=1000)).fit(texts, labels)
    size = model[-1].coef_.nbytes + sum(map(len, model[0].vocabulary_))
    return lambda given: model.predict(list(given)).tolist(), size


def torch_minilm(texts: list[str], labels: list[str]) -> tuple[Answer, int]:
    import torch
    from sklearn.linear_model import LogisticRegression

    from nanosmith.recipes.base_folder import find_base
    from nanosmith.recipes.parts.base import Base

    base = Base(find_base("minilm-l6"))
    encoder = base.new_encoder().eval()
    head = LogisticRegression(C=20, max_iter=1000).fit(base.encode(encoder, base.token_ids(texts)), labels)

    def answer(given: Sequence[str]) -> list[str]:
        with torch.inference_mode():
            found: list[str] = head.predict(base.encode(encoder, base.token_ids(given))).tolist()
        return found

    return answer, sum(parameter.nbytes for parameter in encoder.parameters())


def ours(path: Path) -> tuple[Answer, int]:
    bundle = open_bundle(path)
    predictor = open_predictor(bundle)
    return lambda given: [str(one.value) for one in predictor.predict(list(given))], size_bytes(bundle.manifest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--nano", type=Path)
    parser.add_argument("--static", type=Path)
    given = parser.parse_args()
    train = load(given.data / "train.jsonl", kind="choice")
    test = load(given.data / "test.jsonl", task=train.task)
    columns = train.texts, [str(value) for value in train.values]
    contenders = {
        "TF-IDF + logistic regression": tf_idf(*columns),
        "MiniLM in torch + logistic regression": torch_minilm(*columns),
    }
    contenders |= {name: ours(path) for name, path in (("static", given.static), ("nano", given.nano)) if path}
    texts = test.texts
    accuracy = {
        name: float(np.mean([a == wanted for a, wanted in zip(answer(texts), test.values)]))
        for name, (answer, _) in contenders.items()
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for text in texts[:: max(1, len(texts) // TIMED)]:
        for name, (answer, _) in contenders.items():
            began = time.perf_counter_ns()
            answer([text])
            times[name].append((time.perf_counter_ns() - began) / 1e6)
    for name, (_, size) in contenders.items():
        print(json.dumps({"model": name, "accuracy": round(100 * accuracy[name], 2),
                          "p50_ms": round(float(np.median(times[name])), 3), "mb": round(size / 1e6, 1)}))  # fmt: skip


if __name__ == "__main__":
    main()
