"""How far a model goes from its old weights to newly trained ones, so that it learns the new and keeps the old."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

MAX_LOSS = 0.005  # accuracy that old classes may lose while choosing: half of what the gate allows
NEAR = 0.002  # differences of the accuracies' mean that say nothing


class Balance(msgspec.Struct, frozen=True):
    """`share` of the way, 0 to 1, and `shift`, which is added to the scores of new labels: a model that learnt them
    last gives them too often (bias correction, Wu et al. 2019). Accuracies on held-out examples of both sides; None
    where there are none."""

    SHIFTS: ClassVar[tuple[float, ...]] = (0.0, 0.5, -0.5, -1.0, -1.5, -2.0, -3.0)

    share: float
    shift: float
    old: float | None
    new: float | None
    before: float | None

    def said(self, name: str) -> str:
        """The choice in one sentence."""
        how = f"{self.share:.0%} of the way from {name} to the newly trained weights"
        how += f", scores of new labels {self.shift:+.1f}" if self.shift else ""
        facts = []
        if self.old is not None and self.before is not None:
            facts.append(f"old classes {self.before:.1%} → {self.old:.1%}")
        if self.new is not None:
            facts.append(f"new examples {self.new:.1%}")
        return f"{how}: {', '.join(facts)} right on held-out examples." if facts else f"{how}."


def balance(right: NDArray[np.bool_], shares: tuple[float, ...], held: int, before: float | None) -> Balance:
    """The best of the models by what is `right` (shares, SHIFTS, N): the first `held` of N are old examples, the others
    new ones. `before` is the earlier model's accuracy on the old ones.

    Those that lose more than MAX_LOSS on the old examples come last. Of the others the one with the best mean of both
    accuracies; where that is about the same, the smallest shift and the longest way. Without new examples the longest
    way is the best.
    """
    found = [
        Balance(share, shift, _mean(right[i, j, :held]), _mean(right[i, j, held:]), before)
        for i, share in enumerate(shares)
        for j, shift in enumerate(Balance.SHIFTS)
    ]
    return max(found, key=_order)


def _order(one: Balance) -> tuple[float, float, float, float]:
    lost = 0.0 if one.old is None or one.before is None else one.before - one.old - MAX_LOSS
    kept = one.old or 0.0
    mean = (kept + (one.share if one.new is None else one.new)) / 2
    return -max(0.0, lost), round(mean / NEAR), -abs(one.shift), one.share


def _mean(right: NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None
