"""Report: what one evaluation found. Shares lie in [0, 1], intervals hold 95 %; docs/report.md explains each figure."""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.core.explanation import Explanation
from nanosmith.core.task import Kind, Value
from nanosmith.score.calibration import ReliabilityBin
from nanosmith.score.cost import Cost
from nanosmith.score.coverage import CoveragePoint, Target
from nanosmith.score.fairness import Fairness
from nanosmith.score.intervals import Interval
from nanosmith.score.latency import Latency
from nanosmith.score.machine import Cpu
from nanosmith.score.metrics import ClassRow, Confusion
from nanosmith.score.record_figures import RecordFigures
from nanosmith.score.robustness import Robustness
from nanosmith.score.scope import ScopeFigures
from nanosmith.score.text_figures import TextFigures

FORMAT = 1


class Calibration(msgspec.Struct, frozen=True):
    """Whether confidences mean what they say.

    `ece` is the expected calibration error in [0, 1] over `reliability`; `brier` and `nll` (nats) are None where the
    predictor tells no probabilities. `coverage` and `targets` tell what share can be answered at which accuracy.
    """

    ece: float
    brier: float | None
    nll: float | None
    reliability: tuple[ReliabilityBin, ...]
    coverage: tuple[CoveragePoint, ...]
    targets: tuple[Target, ...]


class Wrong(msgspec.Struct, frozen=True):
    """A wrong answer: `index` is the 0-based position in the evaluated examples."""

    index: int
    wanted: Value
    given: Value
    confidence: float | None


class Explained(msgspec.Struct, frozen=True):
    """A wrong answer, as in Wrong, with the words that carried it."""

    index: int
    wanted: Value
    given: Value
    confidence: float | None
    explanation: Explanation


class Unseen(msgspec.Struct, frozen=True):
    """A wanted label that the model does not have, and how many examples want it."""

    label: str
    count: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One predictor's figures on `n` examples; it knows `labels` different labels.

    `accuracy` counts wholly right answers (for labels: equal sets), its interval is Wilson's; `macro_f1` averages the
    F1 of the classes that were wanted or given, its interval is a bootstrap's; `micro_f1` pools all decisions.
    `calibration` is None for a predictor without confidence. `latency_ms` was timed on the evaluated calls themselves,
    one input per call. `bytes` is the bundle's size, None where there is none; `peak_memory_bytes` the largest resident
    size of the whole process so far, None where unknown. `cut_inputs` counts inputs longer than the model reads.
    `wrong` holds at most 500 of `wrong_count` wrong answers, `unseen` the wanted labels that the model does not have.
    `made` holds whatever the flow knows about the making; `notes` are sentences that a reader should not miss.
    `robustness` and `fairness` are None where they were not asked for, `scope` where nothing tells that a query is out
    of scope; `n`, `accuracy` and all other figures are of in-scope examples, refused or not. `explained` holds some of
    `wrong`, the most confident first.

    `record` and `text` are there for their kinds of task. `accuracy` is then the share of records, or texts, that are
    exactly as wanted; for records the F1s are over fields and labels of entities, for texts they are the accuracy.
    """

    model: str
    kind: Kind
    labels: int
    n: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    micro_f1: float
    per_class: tuple[ClassRow, ...]
    confusions: tuple[Confusion, ...]
    calibration: Calibration | None
    latency_ms: Latency
    bytes: int | None
    peak_memory_bytes: int | None
    cpu: Cpu
    cost: Cost
    cut_inputs: int
    wrong_count: int
    wrong: tuple[Wrong, ...]
    unseen: tuple[Unseen, ...] = ()
    made: dict[str, Any]
    notes: tuple[str, ...]
    created_at: int
    nanosmith: str
    format: int = FORMAT
    robustness: Robustness | None = None
    fairness: Fairness | None = None
    scope: ScopeFigures | None = None
    explained: tuple[Explained, ...] = ()
    record: RecordFigures | None = None
    text: TextFigures | None = None
