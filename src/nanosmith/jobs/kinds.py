"""The kinds of work, each with the function that does it, its endings, and the lane it runs in.

A lane is worked off one process at a time by each worker, so that a long fine-tuning job does not keep a batch waiting.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import msgspec

from nanosmith.jobs.attempt import Endings
from nanosmith.jobs.pulse import Pulse
from nanosmith.jobs.worker import REACT_S
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger

BATCH_REACT_S = 30.0  # a cancelled batch first writes down what was answered


class Run(Protocol):
    """Does the work, up to its end; raises Cancelled once `pulse.should_stop()`. `ledger` is fenced by the lease."""

    def __call__(self, ledger: Ledger, home: Home, id: str, pulse: Pulse, /, **options: Any) -> None: ...


class Kind(msgspec.Struct, frozen=True):
    """`run` and `endings` are "module:attribute"; `react_s` is how long its process may take to stop by itself."""

    lane: str
    run: str
    endings: str
    react_s: float = REACT_S

    def load_run(self) -> Run:
        run: Run = load(self.run)
        return run

    def load_endings(self) -> Endings:
        endings: Endings = load(self.endings)()
        return endings


KINDS = {
    "fine_tuning.job": Kind("tuning", "nanosmith.jobs.tuning:run", "nanosmith.jobs.ending:JobEndings"),
    "batch": Kind(
        "batch", "nanosmith.jobs.batches.work:run", "nanosmith.jobs.batches.ending:BatchEndings", BATCH_REACT_S
    ),
    "eval.run": Kind("eval", "nanosmith.server.evals.work:run", "nanosmith.server.evals.work:EvalEndings"),
}


def load(target: str) -> Any:
    """The attribute that "module:attribute" names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
