"""What the peers need, made once in a folder: a head on the encoder's vectors, its graphs, TF-IDF, fastText.

All are fitted on the same rows. What is there already is not made again.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

OPSET = 17
BATCH = 64
FASTTEXT = """
import sys, fasttext
model = fasttext.train_supervised(sys.argv[1], lr=0.5, epoch=30, wordNgrams=2, minn=2, maxn=5, dim=100, bucket=200000,
                                  thread=1, verbose=0)
model.save_model(sys.argv[2])
"""


def make(folder: Path, texts: Sequence[str], labels: Sequence[str], base: Path, pythons: Sequence[str]) -> None:
    """`pythons` are interpreters that may have fasttext."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(set(labels))
    (folder / "labels.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    numbers = np.array([names.index(label) for label in labels])
    if not (folder / "int8.onnx").exists():
        _graphs(folder, texts, numbers, names, base)
    if not (folder / "tfidf.pickle").exists():
        _tfidf(folder, texts, labels)
    if not (folder / "fasttext.bin").exists():
        _fasttext(folder, texts, numbers, pythons)


def _graphs(folder: Path, texts: Sequence[str], numbers: Any, names: list[str], base: Path) -> None:
    import torch
    from bench.speed.classifier import Classifier
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    encoder = AutoModel.from_pretrained(base, attn_implementation="eager").eval()
    empty = torch.zeros(len(names), encoder.config.hidden_size), torch.zeros(len(names))
    model = Classifier(encoder, *empty)
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            read = tokenizer(list(texts[start : start + BATCH]), padding=True, truncation=True, return_tensors="pt")
            vectors.append(model.vectors(read["input_ids"], read["attention_mask"]).numpy())
            print(f"\rencode {start + BATCH:,} of {len(texts):,}", end="", file=sys.stderr)
    head = LogisticRegression(C=20, max_iter=300).fit(np.concatenate(vectors), np.array(names)[numbers])
    (folder / "head.pickle").write_bytes(pickle.dumps(head))
    weights = (torch.from_numpy(part.astype(np.float32)) for part in (head.coef_, head.intercept_))
    model = Classifier(encoder, *weights).eval()
    torch.save(model, folder / "torch.pt")
    axes = {"input_ids": {0: "n", 1: "t"}, "attention_mask": {0: "n", 1: "t"}, "logits": {0: "n"}}
    example = torch.ones(2, 8, dtype=torch.int64)
    torch.onnx.export(model, (example, example), str(folder / "fp32.onnx"), opset_version=OPSET, dynamo=False,
                      input_names=["input_ids", "attention_mask"], output_names=["logits"],
                      dynamic_axes=axes)  # fmt: skip
    quantize_dynamic(folder / "fp32.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)


def _tfidf(folder: Path, texts: Sequence[str], labels: Sequence[str]) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=20, max_iter=300)).fit(texts, labels)
    (folder / "tfidf.pickle").write_bytes(pickle.dumps(model))


def _fasttext(folder: Path, texts: Sequence[str], numbers: Any, pythons: Sequence[str]) -> None:
    """By the first interpreter that has it."""
    lines = [f"__label__{number} {' '.join(text.split())}" for number, text in zip(numbers, texts)]
    source = folder / "fasttext.txt"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for python in pythons:
        command = [python, "-c", FASTTEXT, str(source), str(folder / "fasttext.bin")]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return
