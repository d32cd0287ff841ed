"""What a run tells, written down as the events, checkpoints and hyperparameters of its job."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nanosmith.core.watch import Level, Watch
from nanosmith.jobs import messages
from nanosmith.store.ledger import Ledger, new_event, new_id
from nanosmith.store.records import CheckpointRow, JobRow

HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier", "beta")
EVENTS_PER_RUN = 100
MOST = 1000  # checkpoints of one job


class LedgerWatch(Watch):
    """`steps` collects the figures of every step; events are written for about EVENTS_PER_RUN of them.
    `hyperparameters` are those of the job, with what was resolved in place of "auto"."""

    def __init__(self, ledger: Ledger, job: JobRow, *, should_stop: Callable[[], bool]) -> None:
        self.steps: list[tuple[int, dict[str, float]]] = []
        self._ledger = ledger
        self._job = job
        self._stop = should_stop
        self.hyperparameters = dict(job.hyperparameters)
        self._first_step, self._began_s = 0, 0.0

    def should_stop(self) -> bool:
        return self._stop()

    def message(self, text: str, level: Level = "info") -> None:
        self._ledger.add_event(self._job.id, text, level=level)

    def resolved(self, settings: Mapping[str, Any]) -> None:
        self.hyperparameters |= known_hyperparameters(settings)
        text = "Settings: " + ", ".join(f"{name}={value}" for name, value in settings.items())
        self._update(text, data=_plain(settings), hyperparameters=self.hyperparameters)

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        if not self.steps or step < self.steps[-1][0]:  # the first step of a run; the last run's figures are kept
            self.steps.clear()
            self._begin(step)
        kept = _finite(values)
        self._keep(step, kept)
        if step % max(1, total_steps // EVENTS_PER_RUN) == 0 or step == total_steps or "valid_loss" in kept:
            self._update(
                messages.step(step, total_steps, kept),
                type="metrics",
                data={"step": step, "total_steps": total_steps, **kept},
                estimated_finish=self._estimate(step, total_steps),
            )

    def resumed(self, earlier: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        self.steps.clear()
        for step, values in earlier:
            self._keep(step, _finite(values))
        self._begin(self.steps[-1][0] if self.steps else 0)

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        self._ledger.update_model(model, job_id=self._job.id)
        if any(known.step_number == step for known in self._ledger.checkpoints(self._job.id, limit=MOST)):
            return  # an earlier attempt announced it
        figures = {"step": float(step), **_finite(values)}
        row = CheckpointRow(new_id("ftckpt_"), self._job.id, int(time.time()), step, model, figures)
        self._ledger.add(row, new_event(self._job.id, messages.checkpoint(step)))

    def _keep(self, step: int, values: dict[str, float]) -> None:
        """Figures on held-out data follow those of the same step."""
        if self.steps and self.steps[-1][0] == step:
            self.steps[-1][1].update(values)
        else:
            self.steps.append((step, values))

    def _begin(self, step: int) -> None:
        """The pace is that of this attempt."""
        self._first_step, self._began_s = step, time.time()

    def _estimate(self, step: int, total_steps: int) -> int | None:
        """When the last step ends, at the pace of this run so far; None until there is a pace."""
        done = step - self._first_step
        if not done:
            return None
        now = time.time()
        return math.ceil(now + (now - self._began_s) / done * (total_steps - step))

    def _update(self, text: str, *, type: Any = "message", data: dict[str, Any], **values: Any) -> None:
        said = new_event(self._job.id, text, type=type, data=data)
        self._ledger.update_job(self._job.id, also=[said], **values)


def known_hyperparameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that a job shows as its hyperparameters."""
    return {name: settings[name] for name in HYPERPARAMETERS if settings.get(name) is not None}


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """JSON has no NaN and no infinity: such figures are left out."""
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = (str, int, float, type(None))
    return {name: value if isinstance(value, kept) else str(value) for name, value in settings.items()}
