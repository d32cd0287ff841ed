from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from nanosmith.predict.pieces import (
    BEFORE,
    CASES,
    CODES,
    MAX_WINDOWS,
    OVERLAP,
    case_of,
    code_of,
    parts_of,
    reach,
    read_pieces,
    windows,
)


@pytest.fixture
def tokenizer() -> Tokenizer:
    words = {"[UNK]": 0, "mc": 1, "##donald": 2, "in": 3, "may": 4, "$": 5, "8": 6, ".": 7, "##5": 8}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def test_codes_can_be_taken_apart() -> None:
    """Each code stands for one case, one thing before, and one side of the turn."""
    parts = [parts_of(code) for code in range(CODES)]
    assert len(set(parts)) == CODES
    assert [code_of(*part) for part in parts] == list(range(CODES))


@pytest.mark.parametrize(
    ("word", "case"),
    [("may", "lower"), ("May", "title"), ("USA", "upper"), ("I", "letter"), ("McDonald", "mixed"), ("42", "digits"),
     ("A4", "digits and letters"), ("$", "sign"), ("", "sign"), ("語", "lower"), ("École", "title")],
)  # fmt: skip
def test_case_of_a_word(word: str, case: str) -> None:
    """The shape of a word is told from its letters, in any script."""
    assert CASES[case_of(word)] == case


def test_words_and_what_stands_before(tokenizer: Tokenizer) -> None:
    """All pieces of a word share its case; a line's first piece, one after a space and one right behind differ."""
    text = "McDonald in\nMay $8.5"
    read = read_pieces(tokenizer, text, None, whole_words=True)
    assert [text[a:b] for a, b in read.spans] == ["McDonald", "in", "May", "$", "8", ".", "5"]
    assert read.firsts == [0, 2, 3, 4, 5, 6, 7]
    assert [CASES[parts_of(code)[0]] for code in read.codes[:4]] == ["mixed", "mixed", "lower", "title"]
    before = [BEFORE[parts_of(code)[1]] for code in read.codes]
    assert before == ["line", "piece", "space", "line", "space", "nothing", "nothing", "nothing"]


def test_pieces_can_be_units(tokenizer: Tokenizer) -> None:
    """Where spans may begin inside of words, each piece is a unit of its own."""
    read = read_pieces(tokenizer, "McDonald", None, whole_words=False)
    assert read.spans == [(0, 2), (2, 8)]
    assert read.firsts == [0, 1]


def test_turns_are_told_apart(tokenizer: Tokenizer) -> None:
    """What is not of the last user turn has another code."""
    read = read_pieces(tokenizer, "in May in", (3, 6), whole_words=True)
    assert [parts_of(code)[2] for code in read.codes] == [1, 0, 1]


@pytest.mark.parametrize("pieces", [0, 1, 254, 255, 300, 445, 1_000, 2_861])
def test_windows_answer_for_each_piece_once(pieces: int) -> None:
    """Every piece has one window that answers for it, with neighbours on both sides wherever the text has any."""
    spread = windows(pieces, 254)
    assert [place for one in spread for place in range(one.first, one.last)] == list(range(min(pieces, reach(254))))
    for one in spread:
        assert one.end - one.start <= 254
        assert one.first == 0 or one.first - one.start >= OVERLAP // 2
        assert one.last == pieces or one.end - one.last >= OVERLAP // 2


def test_what_is_too_long_is_cut() -> None:
    """There are at most MAX_WINDOWS windows."""
    spread = windows(1_000_000, 254)
    assert len(spread) == MAX_WINDOWS
    assert spread[-1].end == reach(254)
