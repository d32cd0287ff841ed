"""Platt scaling: a probability that is right as often as it says, from one that only ranks (Platt 1999).

Letters: N answers.
"""

from __future__ import annotations

import numpy as np

from nanosmith.score.metrics import Bools, Floats

SURE = 1e-6  # probabilities are taken to be at least so far from 0 and 1
PRIOR = 4.0  # answers that speak for leaving the probabilities as they are
STEPS = 50
MIN_SLOPE, MAX_SLOPE = 0.05, 10.0


def fit_platt(probabilities: Floats, right: Bools) -> tuple[float, float]:
    """Slope and offset of sigmoid(slope · logit(p) + offset), by Newton's steps on the likelihood of `right` (N).

    With few answers both stay near 1 and 0, which leave p (N) as it is.
    """
    p = np.clip(np.asarray(probabilities, dtype=np.float64), SURE, 1 - SURE)
    features = np.stack([np.log(p / (1 - p)), np.ones(len(p))], axis=1)  # (N, 2)
    start = np.array([1.0, 0.0])
    found = start.copy()
    if not len(p):
        return 1.0, 0.0
    for _ in range(STEPS):
        given = 1 / (1 + np.exp(-np.clip(features @ found, -500, 500)))
        slope = features.T @ (given - right) + PRIOR * (found - start)
        curvature = (features * (given * (1 - given))[:, None]).T @ features + PRIOR * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        found = found - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-7:
            break
    return float(np.clip(found[0], MIN_SLOPE, MAX_SLOPE)), float(found[1])
