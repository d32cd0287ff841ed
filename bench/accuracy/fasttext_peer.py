"""The peer fastText (Joulin et al. 2017): word pairs and letter pieces, on one thread, so that a seed decides all."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from bench.accuracy import rows as r
from bench.accuracy.contender import Contender, Fitted, Floats, PeerPredictor, Setup, timed
from bench.accuracy.sets import Trial

PREFIX = "__label__"
RATES = (0.2, 0.5, 1.0)
EXAMPLES_SEEN = 300_000  # passes × rows, which settles the number of passes, 10 to 100
SEARCHED = 5_000  # rows that choose the rate
HELD_OUT = 5  # one in so many of these is asked
SETTINGS = {"wordNgrams": 2, "minn": 2, "maxn": 5, "dim": 100, "bucket": 200_000, "minCount": 1, "thread": 1,
            "verbose": 0}  # fmt: skip


def fit(trial: Trial, setup: Setup) -> Fitted:
    """The learning rate is chosen on some of the rows, then all are fitted."""
    number = {label: i for i, label in enumerate(trial.labels)}
    lines = [f"{PREFIX}{number[row['label']]} {_tokens(r.text(row))}" for row in trial.train]
    order = np.random.default_rng(setup.seed).permutation(len(lines)).tolist()
    shuffled = [lines[i] for i in order]
    some = shuffled[:SEARCHED]
    held_out, rest = some[::HELD_OUT], [line for i, line in enumerate(some) if i % HELD_OUT]
    passes = min(100, max(10, EXAMPLES_SEEN // len(lines)))
    with timed() as clock:
        right = {rate: _right(_train(rest, setup, rate, passes), held_out) for rate in RATES}
        rate = max(RATES, key=lambda one: right[one])
        model = _train(shuffled, setup, rate, passes, "ova" if trial.combined else "softmax")

    def scores(texts: list[str]) -> Floats:
        found = np.zeros((len(texts), len(trial.labels)))
        for row, text in zip(found, texts):
            for probability, label in model.f.predict(_tokens(text) + "\n", -1, 0.0, "strict"):
                row[int(label.removeprefix(PREFIX))] = min(1.0, probability)
        return found

    notes = {"lr": rate, "epochs": passes}
    return Fitted(PeerPredictor("fasttext", trial, scores), clock.seconds, clock.cpu_seconds, notes)


def _train(lines: list[str], setup: Setup, rate: float, passes: int, loss: str = "softmax"):  # type: ignore[no-untyped-def]
    import fasttext

    file = setup.work / "fasttext.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return fasttext.train_supervised(str(file), lr=rate, epoch=passes, loss=loss, seed=setup.seed, **SETTINGS)


def _right(model, lines: list[str]) -> int:  # type: ignore[no-untyped-def]
    pairs = [line.split(" ", 1) for line in lines]
    return sum(model.f.predict(text + "\n", 1, 0.0, "strict")[0][1] == label for label, text in pairs)


def _tokens(text: str) -> str:
    """Lower case, punctuation apart, on one line: what fastText's own recipes feed it."""
    return " ".join("".join(c if c.isalnum() or c == "'" else f" {c} " for c in text.lower()).split())


FASTTEXT = Contender(fit=fit, version=lambda: f"fasttext-wheel {version('fasttext-wheel')}", title="fastText")
