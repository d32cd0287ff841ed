"""How faithful explanations are, and what they cost: ways to value the words of a text, on the same texts.

    python bench/explain.py BUNDLE FILE [--texts 200] [--seed 0] [--exact]

Ctrl-C ends it early, with the figures of the texts that were done.

Faithfulness as in ERASER (DeYoung et al. 2020), for the probability p of the answer: when the most valuable 1, 5, 10,
20 and 50 % of the words (one at least) are taken away, p should fall far (comprehensiveness, higher is better); when
only they are left, p should fall little (sufficiency, lower is better). `deletion` is the mean p while words are taken
away one by one, best first (lower is better; Petsiuk et al. 2018), `insertion` while they are put back (higher is
better). `masked` is the comprehensiveness when words become [MASK] instead of going away, which no method here saw.
`error` (with --exact) is the mean distance to the exact Shapley values over their mean size, on texts of 9 or 10 words.

Gradients need torch: the graph of a bundle is run again in float32 by a small interpreter of its operators. Costs are
CPU time of this process, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gradients import gradient_times_input, integrated_gradients, scorer_of, token_id
from numpy.typing import NDArray

from nanosmith.data.load import load
from nanosmith.predict.explain import Reading
from nanosmith.predict.local import LocalPredictor, softmax
from nanosmith.predict.open import open_predictor
from nanosmith.predict.shapley import shapley

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
EXACT_WORDS = (9, 10)
MASK = "[MASK]"
Values = NDArray[np.float64]
Method = Callable[["Text"], Values]


class Text(Reading):
    """A text whose games are counted in CPU seconds, the words' tokens gone or masked."""

    def __init__(self, predictor: LocalPredictor, text: str, label: str) -> None:
        super().__init__(predictor, text, [label])
        self.words = len(self.spans)
        self.costs: dict[bytes, float] = {}
        self.asked: set[bytes] = set()

    def scores(self, masks: NDArray[np.bool_]) -> Values:
        self.asked.update(mask.tobytes() for mask in masks)
        return super().scores(masks)

    def play(self, mask: NDArray[np.bool_]) -> Values:
        began = time.process_time()
        found = super().play(mask)
        self.costs[mask.tobytes()] = time.process_time() - began
        return found

    def gain(self, masks: Any) -> Values:
        """Scores (C) of coalitions (C, W)."""
        return self.scores(np.array(masks, dtype=bool))[:, 0]

    def probability(self, mask: Sequence[bool]) -> float:
        return float(1 / (1 + np.exp(-self.scores(np.array([mask], dtype=bool))[0, 0])))

    def masked_probability(self, mask: NDArray[np.bool_], mask_id: int) -> float:
        ids = [i if o < 0 or mask[o] else mask_id for i, o in zip(self.ids, self.owners)]
        found = softmax(self.predictor.logits(ids).tolist(), self.temperature)
        return found[self.columns[0]]


def by_chance(text: Text) -> Values:
    return np.random.default_rng(text.words).random(text.words)


def leave_one_out(text: Text) -> Values:
    whole = np.ones(text.words, dtype=bool)
    won = text.gain([whole, *(~np.eye(text.words, dtype=bool))])
    return won[0] - won[1:]


def first_and_last(text: Text) -> Values:
    """The mean of what a word brings to nothing and to all the others."""
    won = text.gain([np.zeros(text.words), *np.eye(text.words)])
    return (leave_one_out(text) + won[1:] - won[0]) / 2


def permutations(most: int) -> Method:
    """Sampled orders, each also reversed (Mitchell et al. 2022)."""

    def values(text: Text) -> Values:
        random, total = np.random.default_rng(0), np.zeros(text.words)
        rounds = max(1, most // (2 * max(1, text.words - 1)))
        for _ in range(rounds):
            order = random.permutation(text.words)
            for one in (order, order[::-1]):
                grown = np.tril(np.ones((text.words + 1, text.words)), -1)[:, np.argsort(one)]
                total[one] += np.diff(text.gain(grown))
        return total / (2 * rounds)

    return values


def kernel(most: int) -> Method:
    return lambda text: shapley(text.scores, text.words, most)[:, 0]


def by_gradients(predictor: LocalPredictor) -> dict[str, Method]:
    scorer = scorer_of(predictor)

    def pooled(values: Callable[[Any, list[int], list[bool], int], Values]) -> Method:
        def of_words(text: Text) -> Values:
            tokens = values(scorer, text.ids, [o >= 0 for o in text.owners], text.columns[0])
            return np.array([tokens[np.array(text.owners) == word].sum() for word in range(text.words)])

        return of_words

    return {
        "gradient × input": pooled(gradient_times_input),
        "integrated gradients, 16 steps": pooled(integrated_gradients(16)),
    }


def faithfulness(text: Text, values: Values, mask_id: int | None) -> dict[str, float]:
    order = np.argsort(-values, kind="stable")
    whole = text.probability([True] * text.words)
    grown = [np.isin(np.arange(text.words), order[:count]) for count in range(text.words + 1)]
    counts = [max(1, round(share * text.words)) for share in SHARES]
    found = {
        "comprehensiveness": whole - np.mean([text.probability(~grown[count]) for count in counts]),
        "sufficiency": whole - np.mean([text.probability(grown[count]) for count in counts]),
        "deletion": np.mean([text.probability(~mask) for mask in grown]),
        "insertion": np.mean([text.probability(mask) for mask in grown]),
    }
    if mask_id is not None:
        masked = [text.masked_probability(~grown[count], mask_id) for count in counts]
        found["masked"] = whole - np.mean(masked)
    return {name: float(value) for name, value in found.items()}


def measured(text: Text, method: Method, mask_id: int | None, *, exactly: bool) -> dict[str, float]:
    text.asked.clear()
    began, played = time.process_time(), sum(text.costs.values())
    values = method(text)
    own = time.process_time() - began - (sum(text.costs.values()) - played)
    found = {"runs": float(len(text.asked)), "cpu_ms": 1000 * (own + sum(text.costs[key] for key in text.asked))}
    if exactly and text.words in EXACT_WORDS:
        exact = kernel(2**text.words)(text)
        found["error"] = float(np.abs(values - exact).mean() / np.abs(exact).mean())
    return found | faithfulness(text, values, mask_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exact", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    predictor = open_predictor(given.bundle)
    assert isinstance(predictor, LocalPredictor)
    assert predictor.task.kind == "choice"
    texts = load(given.file, task=predictor.task).texts
    chosen = np.random.default_rng(given.seed).permutation(len(texts))[: given.texts]
    methods: dict[str, Method] = {
        "by chance": by_chance, "leave one out": leave_one_out, "first and last": first_and_last,
        "Shapley by orders, 128": permutations(128),
        **{f"KernelSHAP, {most}": kernel(most) for most in (32, 64, 128)},
        **by_gradients(predictor),
    }  # fmt: skip
    show(run(predictor, [texts[i] for i in chosen], methods, exactly=given.exact))


def run(
    predictor: LocalPredictor, texts: Sequence[str], methods: dict[str, Method], *, exactly: bool
) -> list[dict[str, dict[str, float]]]:
    """Figures by method, of each text that has two words at least."""
    mask_id, rows = token_id(predictor, MASK), []
    with suppress(KeyboardInterrupt):
        for given in texts:
            text = Text(predictor, given, str(predictor.predict([given])[0].value))
            if text.words >= 2:
                rows.append({name: measured(text, one, mask_id, exactly=exactly) for name, one in methods.items()})
    return rows


def show(rows: list[dict[str, dict[str, float]]]) -> None:
    """Means as a Markdown table."""
    columns = list(dict.fromkeys(column for row in rows for found in row.values() for column in found))
    print(f"{len(rows)} texts\n\n| method | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for name in rows[0]:
        found = [[row[name][column] for row in rows if column in row[name]] for column in columns]
        print(f"| {name} | " + " | ".join(f"{np.mean(values):.3g}" for values in found) + " |")


if __name__ == "__main__":
    main()
