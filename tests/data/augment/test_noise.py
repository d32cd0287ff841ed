"""Typos: where they are put, how many, and that they are the same for the same generator."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.data.augment.material import misspellings, near_keys
from nanosmith.data.augment.noise import KINDS, Kind, Typos, noisy

TEXT = "Why has the payment from my account not arrived yet?"
TEXTS = [f"{TEXT} {number}" for number in range(400)]


def changed_words(before: str, after: str) -> int:
    return sum(a != b for a, b in zip(before.split(), after.split(), strict=True))


def test_a_pass_leaves_its_share_as_it_is() -> None:
    """About four in ten texts are untouched, the others are not; order and number stay."""
    made = noisy(TEXTS, np.random.default_rng(0))
    same = sum(a == b for a, b in zip(TEXTS, made, strict=True))
    assert 0.4 * len(TEXTS) - 60 < same < 0.4 * len(TEXTS) + 80
    assert noisy(TEXTS, np.random.default_rng(0), share=0.0) == TEXTS


def test_passes_differ_and_seeds_repeat() -> None:
    """The same generator gives the same texts, its next call gives others."""
    random = np.random.default_rng(3)
    first, second = noisy(TEXTS, random), noisy(TEXTS, random)
    assert first == noisy(TEXTS, np.random.default_rng(3))
    assert first != second


@pytest.mark.parametrize("seed", range(20))
def test_one_typo_is_in_one_word(seed: int) -> None:
    """Letters, blanks or a whole word change at one place only: all before and after it stays."""
    after = Typos().one(TEXT, Random(seed))
    start = next(i for i, (a, b) in enumerate(zip(TEXT, after)) if a != b)
    end = next(i for i, (a, b) in enumerate(zip(reversed(TEXT), reversed(after))) if a != b)
    assert " " not in TEXT[start + 1 : len(TEXT) - end - 1]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_rate_is_that_of_the_words(rate: float) -> None:
    """On the mean, the wanted share of words has a typo."""
    words = " ".join(["account"] * 40)
    random, typos, changed = Random(1), Typos(), []
    for _ in range(60):
        after = typos.share(words, random, rate)
        changed.append(40 - after.split(" ").count("account"))
    assert np.mean(changed) / 40 == pytest.approx(rate, abs=0.04)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_does_what_its_name_says(kind: Kind) -> None:
    """Every kind of typo changes a text that can have it, by what its name says."""
    after = Typos().one("please account", Random(5), kind)
    letters, changed = sorted("please account"), sorted(after)
    assert after != "please account"
    if kind == "swap":
        assert changed == letters
    elif kind in ("double", "insert", "split"):
        assert len(changed) == len(letters) + 1
    elif kind in ("drop", "join"):
        assert len(changed) == len(letters) - 1
    elif kind == "key":
        assert len(changed) == len(letters)


def test_held_out_misspellings_are_others() -> None:
    """No pair of a word and its misspelling is in both halves, and both have thousands."""
    train, test = (
        {(word, typo) for word, typos in misspellings(held_out=held_out).items() for typo in typos}
        for held_out in (False, True)
    )
    assert not train & test
    assert len(train) > 20_000
    assert len(test) > 5_000


def test_roles_and_lines_stay() -> None:
    """The names of roles before turns, and line breaks, are no words."""
    text = "user: hello there friend\nassistant: hi how are you"
    for seed in range(30):
        lines = Typos().share(text, Random(seed), 1.0).split("\n")
        assert [line.split(" ")[0] for line in lines] == ["user:", "assistant:"]


@pytest.mark.parametrize("text", ["", " ", "7 42", "!?", "a", "漢字", "\n\t"])
def test_odd_texts_are_no_problem(text: str) -> None:
    """Texts without words of letters come back; scripts without our keys get a swap at most."""
    assert sorted(Typos().share(text, Random(0), 1.0)) == sorted(text) or text == "漢字"


@given(st.text(max_size=60), st.integers(0, 99))
def test_any_text_can_be_read(text: str, seed: int) -> None:
    """Whatever the text is, noise gives a text, and one that can be encoded where the text could."""
    made = noisy([text], np.random.default_rng(seed), share=1.0)
    assert len(made) == 1
    assert isinstance(made[0].encode("utf-8", "surrogatepass"), bytes)


def test_case_is_kept() -> None:
    """A misspelling of a capitalised word has its capital, one of capitals is in capitals."""
    typos = Typos()
    assert typos.one("Because", Random(0), "misspelling")[0] == "B"
    assert typos.one("BECAUSE", Random(0), "misspelling").isupper()


def test_keys_beside_keys() -> None:
    """Neighbours on a QWERTY keyboard are mutual, and those of "g" are the six around it."""
    keys = near_keys()
    assert set(keys["g"]) == set("tyfhvb")
    assert all(key in keys[other] for key, others in keys.items() for other in others)
