"""Near duplicates among many short texts.

MinHash (Broder 1997) over character 4-grams, candidates by banding (Leskovec, Rajaraman & Ullman, "Mining of Massive
Datasets", ch. 3.4), then the exact Jaccard similarity. Time and memory grow linearly with the number of texts, also
when all are alike: each text is compared with at most two candidates per band.

Letters: N texts, C characters of all texts together, K hash functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SIMILAR = 0.8  # Jaccard similarity from which two texts count as near duplicates
GRAM = 4  # characters of one shingle
BANDS = 8
ROWS = 4  # hash functions of one band: a pair at 0.8 shares a band with probability 1 - (1 - 0.8**4)**8 = 0.985
LEAST_AGREEING = 20  # of the K hashes, before the exact comparison: 25.6 are expected at 0.8, standard deviation 2.3
MAX_CHARS = 2_000  # compared characters of one text
CHUNK_CHARS = 1_000_000  # characters hashed at once; bounds memory

Hashes = NDArray[np.uint32]
Pairs = NDArray[np.intp]


def near_pairs(texts: Sequence[str], among: Sequence[str] | None = None) -> list[tuple[int, int]]:
    """(i, j) for each text i that has a near duplicate: j is an earlier text, or one in `among` where that is given.

    `texts` are normalised. At most one pair per text, ordered by i.
    """
    if not texts or (among is not None and not among):
        return []
    hashes = _min_hashes(texts)
    other_hashes = hashes if among is None else _min_hashes(among)
    pairs = _earlier(hashes) if among is None else _others(hashes, other_hashes)
    agreeing = (hashes[pairs[:, 0]] == other_hashes[pairs[:, 1]]).sum(axis=1)
    others = texts if among is None else among
    found: dict[int, int] = {}
    for i, j in pairs[agreeing >= LEAST_AGREEING].tolist():
        if i not in found and _similar(texts[i], others[j]):
            found[i] = j
    return sorted(found.items())


def _earlier(hashes: Hashes) -> Pairs:
    """Candidates (i, j), j < i: per band the first text with the same hashes, and the one just before."""
    pairs = [np.empty((0, 2), dtype=np.intp)]
    for band in _bands(hashes):
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        first = np.repeat(starts, np.diff(np.append(starts, len(order))))
        again = np.flatnonzero(first != np.arange(len(order)))
        pairs += [np.stack([order[again], order[before]], axis=1) for before in (first[again], again - 1)]
    return np.unique(np.concatenate(pairs), axis=0)


def _others(hashes: Hashes, other_hashes: Hashes) -> Pairs:
    """Candidates (i, j), j in the other set: per band the first and the last text there with the same hashes."""
    pairs = [np.empty((0, 2), dtype=np.intp)]
    for band, other in zip(_bands(hashes), _bands(other_hashes)):
        order = np.argsort(other, kind="stable")
        left, right = (np.searchsorted(other[order], band, side) for side in ("left", "right"))
        hits = np.flatnonzero(right > left)
        pairs += [np.stack([hits, order[found]], axis=1) for found in (left[hits], right[hits] - 1)]
    return np.unique(np.concatenate(pairs), axis=0)


def _bands(hashes: Hashes) -> Iterator[NDArray[np.uint64]]:
    """One key per text (N) for each band: texts that agree in all ROWS hashes of the band have the same key."""
    for start in range(0, BANDS * ROWS, ROWS):
        key = np.zeros(len(hashes), dtype=np.uint64)
        for k in range(start, start + ROWS):
            key = key * np.uint64(0x9E3779B97F4A7C15) + hashes[:, k]
        yield key


def _similar(first: str, second: str) -> bool:
    a, b = _grams(first), _grams(second)
    shared = len(a & b)
    return shared >= SIMILAR * (len(a) + len(b) - shared)


def _grams(text: str) -> set[str]:
    text = text[:MAX_CHARS].ljust(GRAM)
    return {text[i : i + GRAM] for i in range(len(text) - GRAM + 1)}


def _min_hashes(texts: Sequence[str]) -> Hashes:
    """For each text the smallest hash of its grams, under K hash functions (N, K)."""
    parts, start, size = [], 0, 0
    for i, text in enumerate(texts):
        size += min(len(text), MAX_CHARS)
        if size >= CHUNK_CHARS or i + 1 == len(texts):
            parts.append(_min_hashes_of_chunk(texts[start : i + 1]))
            start, size = i + 1, 0
    return np.concatenate(parts)


def _min_hashes_of_chunk(texts: Sequence[str]) -> Hashes:
    padded = [text[:MAX_CHARS].ljust(GRAM) for text in texts]
    sizes = np.array([len(text) for text in padded])
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)  # (C)
    grams = _gram_hashes(codes)
    whole = np.ones(len(codes), dtype=bool)  # grams that do not run over into the next text
    for back in range(1, GRAM):
        whole[np.cumsum(sizes) - back] = False
    grams = grams[whole[: len(grams)]]
    counts = sizes - (GRAM - 1)  # grams of each text
    begins = np.cumsum(counts) - counts
    factors = np.random.default_rng(0).integers(0, 2**32, (2, BANDS * ROWS), dtype=np.uint32)
    hashes = np.empty((len(texts), BANDS * ROWS), dtype=np.uint32)
    for k in range(BANDS * ROWS):
        hashed = _mix(grams * (factors[0, k] | np.uint32(1)) + factors[1, k])
        hashes[:, k] = np.minimum.reduceat(hashed, begins)
    return hashes


def _gram_hashes(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A hash of every GRAM neighbouring characters (C - GRAM + 1)."""
    length = len(codes) - GRAM + 1
    hashed = np.zeros(length, dtype=np.uint32)
    for i in range(GRAM):
        hashed = _mix(hashed * np.uint32(0x01000193) ^ codes[i : i + length])
    return hashed


def _mix(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread the bits of 32-bit values (one round of the MurmurHash3 finaliser)."""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    return values ^ (values >> np.uint32(13))
