"""Whether an exported model still says what the trained one said: the figures of the int8 gate.

Letters: N examples, L labels.
"""

from __future__ import annotations

import msgspec
import numpy as np

from nanosmith.score.metrics import Answers, Bools, Floats, correct

MAX_CHANGED = 20


class Parity(msgspec.Struct, frozen=True):
    """Two sets of logits for the same `n` examples.

    `agreement` is the share of equal answers, `reference_accuracy` and `candidate_accuracy` the shares of right ones,
    all in [0, 1]; `loss_points` = 100 (reference - candidate), so a worse candidate has a positive loss. `max_abs` and
    `mean_abs` are differences of logits, over examples whose logits are all finite; `not_finite` counts the others,
    which count as wrong and changed. `changed` has the positions of up to 20 examples with different answers.
    """

    n: int
    agreement: float
    reference_accuracy: float
    candidate_accuracy: float
    loss_points: float
    max_abs: float
    mean_abs: float
    changed: tuple[int, ...]
    not_finite: int = 0


def compare(reference: Floats, candidate: Floats, wanted: Answers) -> Parity:
    """Compare logits (N, L) of the same inputs; wanted is (N) label numbers, or (N, L) memberships.

    An answer is the largest logit for choice, and the labels with a logit above 0 (probability 0.5) for labels.
    Raises ValueError when the shapes differ or N is 0.
    """
    if reference.shape != candidate.shape or len(reference) != len(wanted) or not len(reference):
        raise ValueError(f"shapes do not fit: {reference.shape}, {candidate.shape} and {wanted.shape}")
    finite = np.isfinite(reference).all(axis=1) & np.isfinite(candidate).all(axis=1)  # (N)
    same = correct(_answers(reference, wanted), _answers(candidate, wanted)) & finite
    before, after = (_accuracy(logits, wanted) for logits in (reference, candidate))
    gap = np.abs(reference[finite].astype(np.float64) - candidate[finite])
    return Parity(
        n=len(reference),
        agreement=float(same.mean()),
        reference_accuracy=before,
        candidate_accuracy=after,
        loss_points=100 * (before - after),
        max_abs=float(gap.max(initial=0.0)),
        mean_abs=float(gap.mean()) if gap.size else 0.0,
        changed=tuple(np.flatnonzero(~same)[:MAX_CHANGED].tolist()),
        not_finite=int((~finite).sum()),
    )


def _answers(logits: Floats, wanted: Answers) -> Answers:
    return logits > 0 if wanted.ndim == 2 else logits.argmax(axis=1)


def _accuracy(logits: Floats, wanted: Answers) -> float:
    right: Bools = correct(wanted, _answers(logits, wanted)) & np.isfinite(logits).all(axis=1)
    return float(right.mean())
