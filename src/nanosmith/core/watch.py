"""Watch: who is told about a run while it goes on, and who may stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from nanosmith.core.errors import Cancelled

Level: TypeAlias = Literal["info", "warn", "error"]


class Watch:
    """Told of everything worth showing; this base ignores it all. The command line draws, a job records."""

    def message(self, text: str, level: Level = "info") -> None:
        """One sentence for a person."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of a stage are finished; a stage ends with done == total."""

    def resolved(self, settings: Mapping[str, Any]) -> None:
        """The values that "auto" stood for: n_epochs, batch_size, learning_rate_multiplier, and others."""

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """Figures of one step: train_loss, train_mean_token_accuracy, valid_loss, valid_mean_token_accuracy."""

    def resumed(self, earlier: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """A fit goes on where an interrupted attempt was; `earlier` are the (step, figures) told of it until then."""

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        """The model of this step was sealed and can be called by the name `model`. A run that was interrupted and goes
        on may tell this again."""

    def should_stop(self) -> bool:
        """Whether somebody asked to stop; looked at after each step."""
        return False

    def check(self) -> None:
        """Raise Cancelled when somebody asked to stop."""
        if self.should_stop():
            raise Cancelled("stopped on request")
