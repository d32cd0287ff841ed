"""How far to go from old weights to new ones."""

from __future__ import annotations

import numpy as np

from nanosmith.flows.balance import Balance, balance

SHARES = (0.0, 0.5, 1.0)
HELD, NEW = 1_000, 100


def right(old: tuple[float, ...], new: tuple[float, ...], shifted: float = 0.0) -> np.ndarray:
    """What is right at each share; with a negative shift `shifted` more of the old and less of the new ones."""
    found = np.zeros((len(old), len(Balance.SHIFTS), HELD + NEW), dtype=bool)
    for i, (a, b) in enumerate(zip(old, new)):
        for j, shift in enumerate(Balance.SHIFTS):
            more = shifted * -np.sign(shift)
            found[i, j, : round((a + more) * HELD)] = True
            found[i, j, HELD : HELD + round((b - more) * NEW)] = True
    return found


def test_as_far_as_the_old_classes_bear() -> None:
    """The best new accuracy is taken among the models that lose no more than the limit."""
    found = balance(right((0.9, 0.896, 0.88), (0.2, 0.8, 0.9)), SHARES, HELD, before=0.9)
    assert (found.share, found.shift) == (0.5, 0.0)
    assert (found.old, found.new) == (0.896, 0.8)


def test_scores_of_new_labels_are_lowered() -> None:
    """Where every model loses too much, the one whose new labels are scored lower is taken."""
    found = balance(right((0.88, 0.88, 0.88), (0.2, 0.5, 0.9), shifted=0.02), SHARES, HELD, before=0.9)
    assert (found.share, found.shift) == (1.0, -0.5)


def test_least_loss_where_all_lose() -> None:
    """When nothing keeps the limit, the model that loses least is taken."""
    assert balance(right((0.85, 0.8, 0.7), (0.2, 0.8, 0.9)), SHARES, HELD, before=0.9).share == 0.0


def test_without_old_examples() -> None:
    """Without held-out old examples the new ones decide."""
    found = balance(right((0.9, 0.8, 0.7), (0.2, 0.8, 0.9))[:, :, HELD:], SHARES, 0, before=None)
    assert (found.share, found.old, found.new) == (1.0, None, 0.9)


def test_without_new_examples() -> None:
    """Without held-out new examples the longest way is taken that the old classes bear."""
    found = balance(right((0.9, 0.899, 0.88), (0.0, 0.0, 0.0))[:, :, :HELD], SHARES, HELD, before=0.9)
    assert (found.share, found.new) == (0.5, None)


def test_it_is_told() -> None:
    """The choice is told in one sentence with its figures."""
    said = Balance(0.75, -0.5, 0.931, 0.9, 0.934).said("support")
    assert said == (
        "75% of the way from support to the newly trained weights, scores of new labels -0.5: "
        "old classes 93.4% → 93.1%, new examples 90.0% right on held-out examples."
    )
