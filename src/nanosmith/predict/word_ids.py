"""Token ids without the tokenizer, for words that it has read before.

A tokenizer that cuts at every space before it does anything else, and whose normaliser looks at one character after the
other, reads a text as it reads the pieces between the spaces, each alone. Their ids are remembered, and joined.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer, Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace, WhitespaceSplit

NORMALIZERS = (type(None), BertNormalizer, Lowercase)
CUT_AT_SPACES = (BertPreTokenizer, Whitespace, WhitespaceSplit)
KEPT_WORDS, KEPT_CHARS = 20_000, 32  # so many are remembered, none longer
MOST_WORDS = 512  # of a text; more are read at once, which is quicker where they are new


class WordIds:
    """The ids of texts, without special tokens: the same as `tokenizer` gives."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._of_word = lru_cache(KEPT_WORDS)(self._read)
        self._remembers = cuts_at_spaces(tokenizer)

    def of(self, text: str) -> list[int]:
        words = text.split(" ")
        if not self._remembers or len(words) > MOST_WORDS or len(max(words, key=len)) > KEPT_CHARS:
            return self._read(text)
        return list(chain.from_iterable(map(self._of_word, words)))

    def _read(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def cuts_at_spaces(tokenizer: Tokenizer) -> bool:
    """Whether each piece between spaces is read as if it stood alone."""
    added = tokenizer.get_added_tokens_decoder().values()
    return (
        isinstance(tokenizer.normalizer, NORMALIZERS)
        and isinstance(tokenizer.pre_tokenizer, CUT_AT_SPACES)
        and not any(" " in token.content for token in added)
    )
