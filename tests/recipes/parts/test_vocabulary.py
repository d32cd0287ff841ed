"""Tokenizers with fewer pieces."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from nanosmith.recipes.parts.vocabulary import can_trim, needed, trimmed

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "card", "refund", "##able", "please", "login",
          *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]  # fmt: skip
SINGLE = 52


@pytest.fixture
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def test_text_of_kept_pieces_reads_the_same(tokenizer: Tokenizer) -> None:
    """Its tokens are the same, under their new numbers, special ones included."""
    kept = needed(tokenizer, ["refund please", "refundable"], 4 + SINGLE + 3)
    small = trimmed(tokenizer, kept)
    before, after = (one.encode("please refundable refund") for one in (tokenizer, small))
    assert after.tokens == before.tokens
    assert kept[after.ids].tolist() == before.ids
    assert small.get_vocab_size() == len(kept) == 4 + SINGLE + 3


def test_every_word_can_still_be_spelled(tokenizer: Tokenizer) -> None:
    """A word whose piece was left out falls into letters, never into the unknown token, however few pieces are asked
    for."""
    small = trimmed(tokenizer, needed(tokenizer, ["refund"], 1))
    assert small.get_vocab_size() == 4 + SINGLE
    assert small.encode("login").tokens == ["[CLS]", "l", "##o", "##g", "##i", "##n", "[SEP]"]


def test_letters_of_other_scripts_are_left_out(tokenizer: Tokenizer) -> None:
    """They stay where the texts have one letter of their script; Latin ones, digits and signs stay always."""
    told = json.loads(tokenizer.to_str())
    told["model"]["vocab"] |= {piece: len(PIECES) + i for i, piece in enumerate(["я", "##ж", "7", "##€"])}
    more = Tokenizer.from_str(json.dumps(told))
    latin, both = (needed(more, [text], 1) for text in ("refund", "refund ж"))
    assert [more.id_to_token(i) for i in latin[4 + SINGLE :]] == ["7", "##€"]
    assert [more.id_to_token(i) for i in both[4 + SINGLE :]] == ["я", "##ж", "7", "##€"]
    assert needed(more, ["жж"], 1).tolist() == both.tolist()


def test_room_is_filled_with_whole_words(tokenizer: Tokenizer) -> None:
    """First the pieces of the texts, then words in the vocabulary's order."""
    names = np.array(PIECES)
    kept = needed(tokenizer, ["login"], 4 + SINGLE + 2)
    assert [name for name in names[kept] if len(name) > 3 and name.isalpha()] == ["card", "login"]


def test_older_form_of_the_post_processor(tokenizer: Tokenizer) -> None:
    """BertProcessing names its tokens by number, too."""
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    told = json.loads(tokenizer.to_str())
    told["model"]["vocab"] = {piece: i for i, piece in enumerate(["x", *PIECES])}
    for token in told["added_tokens"]:
        token["id"] += 1
    told["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 4], "cls": ["[CLS]", 3]}
    shifted = Tokenizer.from_str(json.dumps(told))
    kept = np.delete(np.arange(len(PIECES) + 1), 0)
    assert trimmed(shifted, kept).encode("card").tokens == ["[CLS]", "card", "[SEP]"]
    assert trimmed(shifted, kept).encode("card").ids == [2, 4, 3]


def test_only_wordpiece_is_trimmed(tokenizer: Tokenizer) -> None:
    """Other models depend on pieces that are not in the texts."""
    assert can_trim(tokenizer)
    assert not can_trim(Tokenizer(models.BPE()))
