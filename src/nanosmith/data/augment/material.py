"""What typos are made of: real misspellings, neighbouring keys, and chat spellings. Loaded when first needed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

MISSPELLINGS_FILE = "misspellings.txt.gz"
HELD_OUT = 5  # one in so many misspellings is kept for tests
KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

CHAT = MappingProxyType(
    {
        "about": ("abt",), "and": ("n", "&"), "are": ("r",), "be": ("b",), "because": ("cuz", "bc", "coz"),
        "before": ("b4",), "cannot": ("cant",), "could": ("cud",), "don't": ("dont",), "for": ("4",),
        "going": ("goin",), "got": ("gt",), "great": ("gr8",), "have": ("hv",), "hello": ("hi", "helo"),
        "know": ("kno",), "later": ("l8r",), "message": ("msg",), "minutes": ("mins",), "money": ("cash",),
        "need": ("nd",), "number": ("no.", "num"), "okay": ("ok", "k"), "please": ("pls", "plz"), "really": ("rly",),
        "right": ("rite",), "should": ("shud",), "something": ("smth",), "thanks": ("thx", "tnx"), "that": ("dat",),
        "the": ("da", "teh"), "though": ("tho",), "through": ("thru",), "to": ("2",), "today": ("2day",),
        "tomorrow": ("tmrw",), "tonight": ("2nite",), "want": ("wan",), "what": ("wat", "wut"), "why": ("y",),
        "with": ("w/", "wiv"), "would": ("wud",), "you": ("u", "ya"), "you're": ("ur", "youre"), "your": ("ur", "yr"),
    }
)  # fmt: skip
"""Spellings of short messages, by the lower-case word they stand for."""


@cache
def misspellings(*, held_out: bool = False) -> Mapping[str, tuple[str, ...]]:
    """Real misspellings by the lower-case word that was meant. The held-out fifth shares no pair with the rest."""
    content = files("nanosmith.data.augment").joinpath(MISSPELLINGS_FILE).read_bytes()
    found = {}
    for line in gzip.decompress(content).decode("ascii").splitlines():
        word, *typos = line.split(" ")
        kept = tuple(typo for typo in typos if _is_held_out(word, typo) == held_out)
        if kept:
            found[word] = kept
    return MappingProxyType(found)


def _is_held_out(word: str, typo: str) -> bool:
    return zlib.crc32(f"{word} {typo}".encode()) % HELD_OUT == 0


@cache
def near_keys() -> Mapping[str, str]:
    """The letters around each letter on a QWERTY keyboard, whose rows are shifted by half a key each."""
    places = {key: (row, column + row / 2) for row, keys in enumerate(KEY_ROWS) for column, key in enumerate(keys)}
    return {
        key: "".join(
            other for other, (y, x) in places.items() if other != key and abs(y - row) + abs(x - column) <= 1.5
        )
        for key, (row, column) in places.items()
    }
