"""The wrong answers of a report, the same for all kinds of answers."""

from __future__ import annotations

import numpy as np

from nanosmith.score.metrics import Bools
from nanosmith.score.report import Wrong
from nanosmith.score.run import Run

MAX_WRONG = 500


def wrong_rows(run: Run, right: Bools) -> tuple[Wrong, ...]:
    """At most MAX_WRONG rows, in the order of the examples; `right` (N)."""
    rows = np.flatnonzero(~right)[:MAX_WRONG].tolist()
    return tuple(
        Wrong(i, run.wanted[i], run.predictions[i].value, _rounded(run.predictions[i].confidence)) for i in rows
    )


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)
