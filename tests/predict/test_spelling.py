"""Spelling: what is corrected and what is not, and where it stood in the text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from nanosmith.core.errors import Damaged
from nanosmith.predict.spelling import MOST_CORRECTED, SPELLING_FILE, Correction, Speller, applied, edits, original

KNOWN = ["transfer", "transferred", "card", "car", "money", "my", "is", "the", "where", "mailed", "don", "t", "i", "ad"]
TEXTS = [
    *4 * ["where is my card"], "transfer the money", "is the transfer on my card", "i don't transfer", "glorp glorp",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *KNOWN])}, unk_token="[UNK]"))


@pytest.fixture(scope="module")
def speller(tokenizer: Tokenizer) -> Speller:
    return Speller.learn(TEXTS, tokenizer)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("where is my crad?", "where is my card?"),  # swapped
        ("Trnsfer THE mooney", "transfer THE money"),  # dropped, doubled; what is right stays as it is
        ("tranzfer gloorp", "transfer glorp"),  # replaced; a word that the vocabulary lacks but two texts have
        ("where ismy card", "where is my card"),  # a blank too few
        ("where is my ca rd", "where is my card"),  # a blank too many
        ("where is my car", "where is my card"),  # the vocabulary has it, but both neighbours say otherwise
        ("the car is red", "the car is red"),  # and here they do not
        ("where is yy card", "where is my card"),  # a short one, with neighbours
        ("xx yy qq", "xx yy qq"),  # and without
        ("was it mailed today", "was it mailed today"),  # a word of the vocabulary that no text has
        ("qqqqqqq 7card a1b2 !?", "qqqqqqq 7card a1b2 !?"),  # too far, not words
        ("I dont transfer, don’t", "I don't transfer, don’t"),
        ("", ""),
    ],
)
def test_reading(speller: Speller, text: str, read: str) -> None:
    """Words are read as learned ones where these are near and likely; everything else stays."""
    assert speller.read(text) == read


def test_neighbours_choose_among_words(tokenizer: Tokenizer) -> None:
    """Of two words that are equally near and frequent, the one that goes with the neighbours is read."""
    speller = Speller.learn(5 * ["my cards", "and carts"], tokenizer)
    assert [speller.read("my carxs"), speller.read("and carxs")] == ["my cards", "and carts"]


def test_rare_unknown_words_are_not_learned(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A word of one text that the vocabulary lacks, such as a name, is not in the file, nor is a pair of one text."""
    Speller.learn(["my card Wolfeschlegel", "the card"], tokenizer).write(tmp_path)
    assert (tmp_path / SPELLING_FILE).read_text(encoding="utf-8") == "card 2\nmy 1\nthe 1\n"


def test_file_gives_the_same_speller(speller: Speller, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """What was written reads as what wrote it, pairs included."""
    speller.write(tmp_path)
    again = Speller.open(tmp_path / SPELLING_FILE, tokenizer)
    assert again.read("where is my car") == speller.read("where is my car") == "where is my card"


@pytest.mark.parametrize(
    "content", ["card", "card x", "two words more 3", "card ²", "card 0", "\n", "card 1 ", "$ a 1"]
)
def test_damaged_file(tokenizer: Tokenizer, tmp_path: Path, content: str) -> None:
    """A line that is no word or pair with a number is named."""
    (tmp_path / SPELLING_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(Damaged, match="line 1"):
        Speller.open(tmp_path / SPELLING_FILE, tokenizer)


def test_spans_lead_back(speller: Speller) -> None:
    """Characters of the corrected text are found in the text as it was; those of a correction as its whole word."""
    text = "whhere is my crad, crad?"
    corrections = speller.corrections(text)
    read = applied(text, corrections)
    assert read == "where is my card, card?"
    for word, before in (("where", "whhere"), ("is", "is"), ("my", "my")):
        start = read.index(word)
        assert text[slice(*original((start, start + len(word)), corrections))] == before
    last = original((read.rindex("rd"), read.rindex("rd") + 2), corrections)
    assert text[slice(*last)] == "crad"
    assert last[0] == text.rindex("crad")
    assert text[slice(*original((len(read) - 1, len(read)), corrections))] == "?"


def test_cost_is_bounded(speller: Speller) -> None:
    """Of a text full of unknown words only the first ones are looked at."""
    assert len(speller.corrections("crad " * 100)) == MOST_CORRECTED


def test_edits_of_a_word() -> None:
    """A letter less, two swapped, another one, one more."""
    assert {"ar", "acr", "cur", "carr", "card"} <= edits("car")
    assert "arc" not in edits("car")


def test_corrections_are_in_order() -> None:
    """Several corrections are made at once."""
    assert applied("ab cd", [Correction(0, 2, "x"), Correction(3, 5, "yyy")]) == "x yyy"


@pytest.mark.parametrize("text", ["where is my crad?", "İS thé CRAD", "my ca rd, my ca rd", "ΟΔΟΣ mooney", "", "’’ '"])
def test_asked_again(tokenizer: Tokenizer, speller: Speller, text: str) -> None:
    """What is remembered of words changes no answer: asked twice, or by one that has seen nothing yet."""
    fresh = Speller(speller._counts, tokenizer)
    assert speller.corrections(text) == speller.corrections(text) == fresh.corrections(text)


def test_texts_of_usual_words_are_not_looked_at(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that are frequent in the training texts are right, without a look at their neighbours."""
    speller = Speller.learn(20 * ["where is my card"], tokenizer)
    monkeypatch.delattr(Speller, "_is_odd")
    assert speller.corrections("My card IS where, my card?") == []
