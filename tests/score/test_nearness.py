"""BLEU, chrF and ROUGE-L beside the packages that define them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nanosmith.score.nearness import bleu, chrf, common_length, rouge_l

WORDS = ["the", "cat", ",", "sat", "on", "3,000", ".", "It's", "5-6", "o'clock", "&", '"fine"', "ü", "naïve", "a", "a"]
REFERENCES = [
    ("A coffee shop in the city centre called Blue Spice.", "Blue Spice is a coffee shop in the city centre."),
    ("It costs $3,000.50 - or less!",),
    ("Well -- that's it.", "That is it, then.", "So be it"),
]
GIVEN = ["Blue Spice is a coffee shop in the city.", "It costs 3,000.50 dollars, or less", "that's it"]


def shuffled(n: int, seed: int) -> tuple[list[str], list[tuple[str, ...]]]:
    """Random answers with one to three references each."""
    draw = random.Random(seed)

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(0, 9)))

    return [text() for _ in range(n)], [tuple(text() for _ in range(draw.randint(1, 3))) for _ in range(n)]


@pytest.mark.parametrize(("given", "references"), [(GIVEN, REFERENCES), shuffled(40, 1), shuffled(3, 2)])
def test_as_sacrebleu(given: list[str], references: list[tuple[str, ...]]) -> None:
    """A set's BLEU and chrF are those of sacrebleu, whatever the number of references."""
    sacrebleu: Any = pytest.importorskip("sacrebleu")
    most = max(map(len, references))
    streams = [[row[i] if i < len(row) else None for row in references] for i in range(most)]
    assert bleu(given, references) == pytest.approx(sacrebleu.corpus_bleu(given, streams).score)
    assert chrf(given, references) == pytest.approx(sacrebleu.corpus_chrf(given, streams).score)


def test_nothing_in_common() -> None:
    """Empty answers, and those without any word of the references, score 0."""
    assert bleu(["", "a b"], [("x y",), ("z",)]) == chrf(["", "ab"], [("xy",), ("z",)]) == 0.0
    assert rouge_l("", "a") == rouge_l("", "") == 0.0


def test_as_rouge_score() -> None:
    """ROUGE-L of plain English is that of rouge-score; other letters are words here, too."""
    scorer: Any = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    for text, others in zip(GIVEN, REFERENCES, strict=True):
        for one in others:
            assert rouge_l(text, one) == pytest.approx(scorer.score(one, text)["rougeL"].fmeasure)
    assert rouge_l("grüße aus köln", "Grüße aus Köln!") == 1.0


def test_common_length() -> None:
    """The longest common subsequence, as by the plain table of Wagner and Fischer."""
    draw = random.Random(0)
    for _ in range(30):
        one, other = ("".join(draw.choices("abc", k=draw.randint(0, 12))) for _ in range(2))
        table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
        for i, a in enumerate(one):
            for j, b in enumerate(other):
                table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
        assert common_length(one, other) == table[-1][-1]
