"""A fake predictor, tiny data sets and tiny bundles, made in milliseconds without torch."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from nanosmith.core.example import Input
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest, Scope
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import AnswerForm, Kind, Task
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.scope import SCOPE_FILE
from nanosmith.predict.static import WEIGHTS_FILE
from nanosmith.store.bundles import Bundle, seal
from nanosmith.version import __version__

UNKNOWN = "[UNK]"
TOPICS = {
    "refund": ("I want my money back for order", "please refund the payment of"),
    "login": ("I cannot sign in to account", "my password is not accepted on"),
    "delivery": ("where is the parcel number", "the courier did not bring package"),
}


class FakePredictor:
    """Answers with the label whose name occurs in the text, else the first one."""

    def __init__(self, labels: Sequence[str], name: str = "fake") -> None:
        self.name = name
        self.task = Task(kind="choice", labels=tuple(sorted(labels)))

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return [self._answer(self.task.text_of(given)) for given in inputs]

    def _answer(self, text: str) -> Prediction:
        labels = self.task.labels
        best = next((i for i, label in enumerate(labels) if label in text), 0)
        rest = 0.1 / max(1, len(labels) - 1)
        probabilities = tuple(0.9 if i == best else rest for i in range(len(labels)))
        return Prediction(labels[best], 0.9, labels, probabilities, self.name, tokens=len(text.split()))


def topic_rows(n: int = 30) -> list[tuple[str, str]]:
    """`n` (text, label) pairs over three easy topics, all texts different, the same at every call."""
    names = list(TOPICS)
    return [(f"{TOPICS[names[i % 3]][i // 3 % 2]} {i}", names[i % 3]) for i in range(n)]


def write_chat(path: Path, rows: Iterable[tuple[str, str]], system: str | None = None) -> Path:
    """Write (user text, assistant answer) pairs in the OpenAI chat format."""
    path.write_bytes(chat_lines(rows, system))
    return path


def chat_lines(rows: Iterable[tuple[str, str]], system: str | None = None) -> bytes:
    """What `write_chat` writes."""
    prompt = [{"role": "system", "content": system}] if system else []
    lines = [
        {"messages": [*prompt, {"role": "user", "content": text}, {"role": "assistant", "content": answer}]}
        for text, answer in rows
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def tiny_bundle(
    folder: Path, labels: Sequence[str] = tuple(TOPICS), *, name: str = "tiny", kind: Kind = "choice",
    scope: Scope | None = None,
) -> Bundle:  # fmt: skip
    """Seal a static bundle at `folder` that answers with the labels whose names are words of the text.

    With a `scope` (see `tiny_scope`) it also tells texts that have no such word.
    """
    names = sorted(labels)
    with tempfile.TemporaryDirectory() as made:
        draft = Path(made) / "draft"
        draft.mkdir()
        vocabulary = {UNKNOWN: 0} | {word.lower(): i + 1 for i, word in enumerate(names)}
        word_tokenizer(vocabulary).save(str(draft / TOKENIZER_FILE))
        embeddings = 127 * np.eye(len(vocabulary), dtype=np.int8)
        weight = np.zeros((len(vocabulary), len(names)), dtype=np.float32)
        weight[1:] = 8 * np.eye(len(names), dtype=np.float32)
        bias = np.full(len(names), 0.0 if kind == "choice" else -4.0, dtype=np.float32)
        scales = np.full(len(vocabulary), 1 / 127, dtype=np.float32)
        tensors = {"embeddings": embeddings, "scales": scales, "weight": weight, "bias": bias}
        save_file(tensors, draft / WEIGHTS_FILE)
        if scope:
            square = np.eye(len(vocabulary), dtype=np.float32)
            distances = {"square": square, "linear": -2 * square[:, 1:], "constant": np.ones(len(names), np.float32)}
            save_file({**distances, "classes": square[1:].copy(), "outside": square[:0].copy()}, draft / SCOPE_FILE)
        form: AnswerForm = "plain" if kind == "choice" else "json_list"
        manifest = Manifest(
            name=name, created_at=1_700_000_000, predictor="static/1", recipe="static/1",
            task=Task(kind=kind, labels=tuple(names), form=form), max_tokens=64,
            base=BaseRef("none", "0" * 64), data=DataRef("0" * 64, 10, 0),
            calibration=Calibration(examples=10), settings={}, notes={}, files={}, nanosmith=__version__,
            scope=scope,
        )  # fmt: skip
        return seal(draft, manifest, folder)


def tiny_scope(label: str | None = None) -> Scope:
    """Refuses what is at a distance of 1 and more from all labels; a text without any label is at 2."""
    shares = tuple(i / 20 for i in range(21))
    return Scope(0.05, label, weights=(1.0, 0.0), centres=(0.0, 0.0), quantiles=shares, examples=1_000)


def word_tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer
