"""Shapley values against their definition."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from nanosmith.predict.shapley import Games, coalitions, shapley


def by_definition(games: Games, players: int) -> NDArray[np.float64]:
    """Mean contribution (P) over all orders."""
    total, orders = np.zeros(players), list(permutations(range(players)))
    for order in orders:
        grown = np.array([np.isin(np.arange(players), order[:count]) for count in range(players + 1)])
        total[list(order)] += np.diff(games(grown)[:, 0])
    return total / len(orders)


def odd_game(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A game (C, 2) in which players help and hinder each other."""
    count = masks.sum(axis=1)
    first = 3.0 * masks[:, 0] - 2 * masks[:, 0] * masks[:, -1] + np.sin(count) * masks[:, 1]
    return np.stack([first, 5 - count**1.5], axis=1)


@pytest.mark.parametrize("players", [2, 3, 5])
def test_exact_where_all_can_be_played(players: int) -> None:
    """With room for all coalitions the values are those of the definition."""
    found = shapley(odd_game, players, 2**players)
    assert found[:, 0] == pytest.approx(by_definition(odd_game, players), abs=1e-9)


@pytest.mark.parametrize("players", [0, 1, 2, 9, 30, 64])
def test_values_sum_to_the_gain(players: int) -> None:
    """However few coalitions are played, what is explained is the whole difference, for every game."""

    def game(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        weights = np.arange(players) - 3.0
        return np.stack([(masks @ weights) ** 2, np.tanh(masks @ weights) + 1], axis=1)

    ends = game(np.array([[False] * players, [True] * players]))
    found = shapley(game, players, 128)
    assert found.shape == (players, 2)
    gain = ends[1] - ends[0] if players else [0, 0]
    assert found.sum(axis=0) == pytest.approx(gain, rel=1e-9, abs=1e-9)


def test_additive_games_are_exact() -> None:
    """Where players do not interact, few coalitions are enough for the true values, whatever their number."""
    worth = np.linspace(-2, 3, 40)
    found = shapley(lambda masks: (masks @ worth)[:, None], 40, 128)
    assert found[:, 0] == pytest.approx(worth, abs=1e-8)


def test_more_games_come_nearer() -> None:
    """On a game with interactions the distance to the true values shrinks as more coalitions are played."""

    def game(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        pairs = masks[:, :-1] & masks[:, 1:]
        return (pairs @ np.cos(np.arange(11)) + (masks[:, ::3].sum(axis=1) == 4) * 2.0)[:, None]

    exact = shapley(game, 12, 2**12)[:, 0]
    errors = [np.abs(shapley(game, 12, most)[:, 0] - exact).mean() for most in (32, 256, 1024)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.1


@pytest.mark.parametrize(("players", "most"), [(2, 128), (7, 128), (8, 128), (20, 128), (64, 128), (70, 128)])
def test_coalitions(players: int, most: int) -> None:
    """They are distinct, come with their complements, are neither empty nor full, the same at each call, and about
    `most`, but for the 2 P that are always played."""
    masks, weights = coalitions(players, most)
    rows = {mask.tobytes() for mask in masks}
    assert len(rows) == len(masks) == len(weights) <= max(most, 2 * players)
    assert {(~mask).tobytes() for mask in masks} == rows
    assert not masks.all(axis=1).any()
    assert masks.any(axis=1).all()
    assert (weights > 0).all()
    assert (coalitions(players, most)[0] == masks).all()
