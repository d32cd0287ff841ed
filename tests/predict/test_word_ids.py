"""Ids word by word: the same as the tokenizer's, whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from nanosmith.predict.word_ids import MOST_WORDS, WordIds, cuts_at_spaces

LETTERS = "abcdefghijklmnopqrstuvwxyz'-.,!?αως中é"
SPACES = " \t\n\r\x0b\x0c\x1c\x85\xa0\u2003\u2028\u3000\u200b\u200d"
PARTS = [*LETTERS, *LETTERS.upper(), *SPACES, "\u0301", "İ", "ß", "👩", "[SEP]"]
HARD = st.lists(st.sampled_from(PARTS), max_size=80).map("".join)


def bert_like() -> Tokenizer:
    """Words that fall into letters, read as BERT's uncased tokenizer reads text."""
    pieces = ["[UNK]", "[SEP]", "card", "my", "##s", *LETTERS, *(f"##{letter}" for letter in LETTERS if letter != "s")]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[SEP]"])
    return tokenizer


TOKENIZER = bert_like()
WORD_IDS = WordIds(TOKENIZER)


@given(text=HARD | st.text(max_size=60))
def test_the_same_ids(text: str) -> None:
    """Any spaces, marks, scripts and special tokens: what is joined is what the tokenizer gives, also when asked
    again."""
    text = text.encode("utf-8", "replace").decode()
    wanted = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert WORD_IDS.of(text) == wanted
    assert WORD_IDS.of(text) == wanted


@pytest.mark.parametrize("text", ["", " ", "x" * 5_000, "card " * (MOST_WORDS + 1), "my  cards", "a b " * 300])
def test_lengths(text: str) -> None:
    """Nothing, one endless word, and more words than are looked up one by one."""
    assert WORD_IDS.of(text) == TOKENIZER.encode(text, add_special_tokens=False).ids


def test_words_are_read_once() -> None:
    """The second text of the same words asks the tokenizer nothing; what is kept is bounded."""
    word_ids = WordIds(TOKENIZER)
    word_ids.of("my card")
    word_ids.of("card my")
    assert word_ids._of_word.cache_info()[:2] == (2, 2)
    assert word_ids._of_word.cache_info().maxsize is not None


def test_other_tokenizers_are_asked_each_time() -> None:
    """Where a space is part of a word, or an added token has one, nothing is taken apart."""
    bytes_ = Tokenizer(models.BPE())
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert not cuts_at_spaces(bytes_)
    added = bert_like()
    added.add_tokens([AddedToken("my card")])
    assert not cuts_at_spaces(added)
    assert WordIds(added).of("my card") == added.encode("my card", add_special_tokens=False).ids
    replaced = bert_like()
    replaced.normalizer = normalizers.Replace("a b", "c")
    assert not cuts_at_spaces(replaced)
    assert cuts_at_spaces(bert_like())
