"""A tokenizer that knows fewer pieces: those that a task needs, so that the table of token vectors is small.

About half of a vocabulary is enough for one task. What is left out is spelled with shorter pieces: every piece of one
character stays, but for letters of scripts that the task's texts do not use (Latin ones stay: names and commands are
written so anywhere), so that no word of a script that they use becomes unknown.

Letters: V pieces before, K kept.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

CONTINUES = "##"  # how a WordPiece vocabulary writes that a piece goes on with a word


def can_trim(tokenizer: Tokenizer) -> bool:
    """Only WordPiece takes the longest piece that fits (Schuster & Nakajima 2012), whatever others there are."""
    return str(json.loads(tokenizer.to_str())["model"].get("type")) == "WordPiece"


def needed(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> NDArray[np.int64]:
    """Ids (K), ascending, of at most `most` pieces, unless more cannot be done without: special tokens, pieces of one
    character (letters in Latin or a script of the texts), those that occur in the texts, the most frequent first; then
    whole words in the vocabulary's order, which is that of their frequency in general."""
    told = json.loads(tokenizer.to_str())
    pieces: dict[str, int] = told["model"]["vocab"]
    kept = {token["id"] for token in told["added_tokens"]}
    single = {number: bare for piece, number in pieces.items() if len(bare := piece.removeprefix(CONTINUES)) == 1}
    scripts = {script_of(character) for character in set().union(*texts)} | {"", "LATIN"}
    kept |= {number for number, bare in single.items() if script_of(bare) in scripts}
    seen = Counter(chain.from_iterable(row.ids for row in tokenizer.encode_batch(list(texts))))
    by_use = sorted(seen, key=lambda number: (-seen[number], number))
    words = sorted(number for piece, number in pieces.items() if piece.isalpha())
    for number in chain(by_use, words):
        if len(kept) >= most:
            break
        kept.add(number)
    return np.array(sorted(kept), dtype=np.int64)


def script_of(character: str) -> str:
    """The script of a letter or a mark on one, as its name in Unicode begins; nothing for other characters, such as
    digits and signs, which are of no script."""
    return unicodedata.name(character, "").split(" ")[0] if unicodedata.category(character)[0] in "LM" else ""


def trimmed(tokenizer: Tokenizer, kept: NDArray[np.int64]) -> Tokenizer:
    """The same tokenizer with the pieces `kept` (K) alone, numbered by their place there."""
    told = json.loads(tokenizer.to_str())
    new = {int(old): number for number, old in enumerate(kept)}
    pieces: Mapping[str, int] = told["model"]["vocab"]
    told["model"]["vocab"] = {piece: new[number] for piece, number in pieces.items() if number in new}
    for token in told["added_tokens"]:
        token["id"] = new[token["id"]]
    for special in _specials(told["post_processor"]):
        special["ids"] = [new[number] for number in special["ids"]]
    for name in {"cls", "sep"} & (told["post_processor"] or {}).keys():  # the older form, of BERT alone
        piece, number = told["post_processor"][name]
        told["post_processor"][name] = [piece, new[number]]
    return Tokenizer.from_str(json.dumps(told))


def _specials(processor: Any) -> Iterator[dict[str, Any]]:
    """Tables in a post-processor that name special tokens by their numbers, however deep."""
    if isinstance(processor, dict):
        if "ids" in processor:
            yield processor
        for part in processor.values():
            yield from _specials(part)
    elif isinstance(processor, list):
        for part in processor:
            yield from _specials(part)
