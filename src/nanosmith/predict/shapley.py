"""Shapley values of a game whose coalitions are dear to play (Shapley 1953).

A player's value is its mean contribution over all orders in which the players could have come. KernelSHAP (Lundberg &
Lee 2017) finds all of them at once: they are the additive model that fits the games best, weighted by coalition size,
under the condition that the values sum to what the whole gains over nothing. All games are played where `most` allows
it, and the values are then exact; otherwise sizes are played whole from both ends, and the rest is drawn in pairs of a
coalition and its complement (Covert & Lee 2021), always the same ones.

Letters: P players, C coalitions, A games that are played with the same coalitions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Masks: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Games: TypeAlias = Callable[[Masks], Floats]
"""From coalitions (C, P) to what each wins (C, A)."""
SEED = 0


def shapley(games: Games, players: int, most: int) -> Floats:
    """Values (P, A) from about `most` coalitions beside the empty and the full one; 2 P of them at the least."""
    nothing, whole = games(ends(players))  # (A) each
    gain = whole - nothing
    if players < 2:
        return np.repeat(gain[None], players, axis=0)
    masks, weights = coalitions(players, most)
    return fit(masks, weights, games(masks) - nothing, gain)


def ends(players: int) -> Masks:
    """The empty and the full coalition (2, P)."""
    return np.array([[False] * players, [True] * players], dtype=bool)


def coalitions(players: int, most: int) -> tuple[Masks, Floats]:
    """Distinct coalitions (C, P) with the weights (C) of their games."""
    masks, weights, left = [], [], most
    sizes = list(range(1, players // 2 + 1))
    total = {size: _both(players, size) * (players - 1) / (size * (players - size)) for size in sizes}
    while sizes and (sizes[0] == 1 or _both(players, sizes[0]) * comb(players, sizes[0]) <= left):
        size = sizes.pop(0)
        chosen = _all_of(players, size)
        masks.append(chosen)
        weights.append(np.full(len(chosen), total[size] / len(chosen)))
        left -= len(chosen)
    if sizes and left >= 2:
        drawn, counts = _drawn(players, np.array([total[size] for size in sizes]), np.array(sizes), left // 2)
        masks.append(drawn)
        weights.append(sum(total[size] for size in sizes) * counts / counts.sum())
    return np.concatenate(masks), np.concatenate(weights)


def fit(masks: Masks, weights: Floats, wins: Floats, gain: Floats) -> Floats:
    """Values (P, A) that sum to `gain` (A) and explain `wins` (C, A) of the coalitions (C, P) best."""
    last = masks[:, -1:].astype(float)
    design = masks[:, :-1] - last  # the last value is what the others leave of the gain
    root = np.sqrt(weights)[:, None]
    values = np.linalg.lstsq(design * root, (wins - last * gain) * root, rcond=None)[0]
    return np.concatenate([values, (gain - values.sum(axis=0))[None]])


def _both(players: int, size: int) -> int:
    """How many sizes a size stands for: itself and that of the complements."""
    return 1 if 2 * size == players else 2


def _all_of(players: int, size: int) -> Masks:
    members = np.array(list(combinations(range(players), size)))
    masks = np.zeros((len(members), players), dtype=bool)
    np.put_along_axis(masks, members, True, axis=1)
    return masks if 2 * size == players else np.concatenate([masks, ~masks])


def _drawn(players: int, shares: Floats, sizes: NDArray[np.integer], pairs: int) -> tuple[Masks, Floats]:
    """Distinct pairs (2 · pairs at most, P) of coalitions and complements, and how often each was drawn."""
    random = np.random.default_rng(SEED)
    found: dict[bytes, int] = {}
    for size in random.choice(sizes, size=4 * pairs, p=shares / shares.sum()):
        mask = np.zeros(players, dtype=bool)
        mask[random.permutation(players)[:size]] = True
        key = min(mask.tobytes(), (~mask).tobytes())
        if key in found or len(found) < pairs:
            found[key] = found.get(key, 0) + 1
    masks = np.array([np.frombuffer(key, dtype=bool) for key in found])
    return np.concatenate([masks, ~masks]), np.tile(np.array(list(found.values()), dtype=float), 2)
