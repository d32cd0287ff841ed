"""The time budget of one run."""

from __future__ import annotations

import time


class Budget:
    """Seconds from its making on; `reserve_s` of them are kept for what follows the training."""

    def __init__(self, seconds: float | None, reserve_s: float = 0.0) -> None:
        self._ends_s = time.monotonic() + seconds - reserve_s if seconds else None

    def spend(self, seconds: float) -> None:
        """Take off what earlier attempts at this run have used."""
        if self._ends_s is not None:
            self._ends_s -= seconds

    def left_s(self) -> float:
        """Seconds left for training, never below 1; infinity without a budget."""
        return float("inf") if self._ends_s is None else max(1.0, self._ends_s - time.monotonic())
