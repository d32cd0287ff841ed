"""BLEU, chrF and ROUGE-L: values known from elsewhere, and how texts with several references are handed over."""

from __future__ import annotations

import pytest

from nanosmith.score import nearness
from nanosmith.score.nearness import bleu, check_installed, chrf, rouge_l


def test_bleu_by_hand() -> None:
    """7 of 7 words, 5 of 6 pairs, 3 of 5 triples and 2 of 4 quadruples at the same length: their geometric mean."""
    given = "the cat sat on the mat today"
    wanted = "the cat sat quietly on the mat today"
    matches = (7 / 7) * (5 / 6) * (3 / 5) * (1 / 4)
    brevity = 2.718281828459045 ** (1 - 8 / 7)
    assert bleu([given], [(wanted,)]) == pytest.approx(100 * brevity * matches**0.25)


def test_the_best_of_several_references() -> None:
    """An answer that is one of its references has the highest figures, whatever the other references say, and however
    many other answers have."""
    given = ["Blue Spice is a coffee shop.", "It costs 3,000.50 dollars, or less"]
    references = [("Something else.", given[0], "And more."), (given[1],)]
    assert bleu(given, references) == pytest.approx(100)
    assert chrf(given, references) == pytest.approx(100)


def test_chrf_by_hand() -> None:
    """ "ab" beside "abcd": precision 1, recall 2/4 and 1/3; F with recall twice as important."""
    precision, recall = 1.0, (2 / 4 + 1 / 3) / 2
    assert chrf(["ab"], [("abcd",)]) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_nothing_in_common() -> None:
    """Empty answers, those without any word of the references, and no answers at all score 0."""
    assert bleu(["", "a b"], [("x y",), ("z",)]) == chrf(["", "ab"], [("xy",), ("z",)]) == 0.0
    assert bleu([], []) == chrf([], []) == 0.0
    assert rouge_l("", "a") == rouge_l("", "") == 0.0


def test_rouge_l() -> None:
    """The F1 of the longest common subsequence of words: 3 of 4 and of 6; other letters are words, too."""
    assert rouge_l("police killed the gunman", "the police then killed the gunman") == pytest.approx(2 * 4 / (4 + 6))
    assert rouge_l("gunman the killed police", "police killed the gunman") == pytest.approx(1 / 4)
    assert rouge_l("grüße aus köln", "Grüße aus Köln!") == 1.0


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages the pip line is told."""
    monkeypatch.setattr(nearness, "find_spec", lambda _: None)
    with pytest.raises(nearness.MissingExtra, match=r"nanosmith\[evals\]"):
        check_installed()
