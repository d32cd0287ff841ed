"""The part of a report about confidences, the same for all kinds of answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanosmith.core.prediction import Prediction
from nanosmith.score import calibration, coverage
from nanosmith.score.metrics import Bools
from nanosmith.score.report import Calibration


def confidence_figures(
    predictions: Sequence[Prediction], right: Bools, brier: float | None = None, nll: float | None = None
) -> Calibration | None:
    """What confidences say of which answers are `right` (N); None where one answer has no confidence."""
    known = [p.confidence for p in predictions if p.confidence is not None]
    if len(known) < len(right):
        return None
    confidence = np.array(known)
    curve = coverage.coverage_curve(confidence, right)
    return Calibration(
        ece=calibration.expected_calibration_error(confidence, right),
        brier=brier,
        nll=nll,
        reliability=calibration.reliability_curve(confidence, right),
        coverage=coverage.thinned(curve),
        targets=tuple(coverage.answerable(curve, target) for target in coverage.TARGETS),
    )
