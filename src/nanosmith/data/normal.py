"""Texts compared without case, punctuation and spacing."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable

_SPACES = dict.fromkeys(map(ord, "-–—_/\\\t"), " ")
_REMOVED = dict.fromkeys(map(ord, ".,;:!?…'\"`´()[]{}“”„‘’‚«»‹›¿¡。，！？、"))
_TABLE = _SPACES | _REMOVED


def normalise(text: str) -> str:
    """NFKC, case-folded, without punctuation, single spaces; signs that carry meaning (+ # % € emoji) stay.

    A text of punctuation only is kept as it is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_TABLE).split()) or folded.strip()


def groups(keys: Iterable[Hashable]) -> list[list[int]]:
    """Positions with equal keys, in order of first occurrence."""
    found: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return list(found.values())
