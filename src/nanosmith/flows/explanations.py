"""Why the worst wrong answers of a report were given."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from nanosmith.core.example import Input
from nanosmith.core.prediction import Predictor
from nanosmith.core.watch import Watch
from nanosmith.predict.cascade import CascadePredictor
from nanosmith.predict.explain import explain
from nanosmith.predict.local import LocalPredictor
from nanosmith.score.report import Explained, Report

MOST = 5
LIMIT_S = 10.0  # after which no other answer is explained


def with_explanations(report: Report, predictor: Predictor, inputs: Sequence[Input], watch: Watch) -> Report:
    """The report with the wrong answers of the highest confidence explained, as far as the predictor runs here. Raises
    Cancelled."""
    if not isinstance(predictor, LocalPredictor | CascadePredictor):
        return report
    worst = sorted(report.wrong, key=lambda row: -(row.confidence or 0.0))[:MOST]
    began, explained = time.monotonic(), []
    for done, row in enumerate(worst):
        watch.check()
        watch.progress("explain wrong answers", done, len(worst))
        if time.monotonic() - began > LIMIT_S:
            break
        found = explain(predictor, inputs[row.index], row.given)
        explained.append(Explained(row.index, row.wanted, row.given, row.confidence, found))
    if worst:
        watch.progress("explain wrong answers", len(worst), len(worst))
    return msgspec.structs.replace(report, explained=tuple(explained))
