"""Fixtures of the recipes' tests: a tiny base, and work on three easy topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.work import Samples, Work, targets_of
from nanosmith.testing import TOPICS, topic_rows

CHOICE = Task("choice", tuple(sorted(TOPICS)))
LABELS = Task("labels", tuple(sorted(TOPICS)), form="json_list")


@pytest.fixture
def base(base_folder: Path) -> Base:
    return Base(find_base(str(base_folder)))


def topic_samples(task: Task, n: int) -> Samples:
    """`n` rows of easy topics; for a labels task every third row has two topics."""
    rows = topic_rows(n)
    if task.kind == "choice":
        return Samples(
            [text for text, _ in rows], targets_of(task, [label for _, label in rows]), np.ones(n, np.float32)
        )
    texts, values = [], []
    for i, (text, label) in enumerate(rows):
        other, other_label = rows[i - 1]
        double = i % 3 == 0
        texts.append(f"{text} {other}" if double else text)
        values.append(tuple(sorted({label, other_label})) if double else (label,))
    return Samples(texts, targets_of(task, values), np.ones(n, np.float32))


@dataclass
class Stopper(Watch):
    """Asks to stop after so many looks."""

    looks: int

    def should_stop(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.fixture
def work(base: Base) -> Callable[..., Work]:
    def make(task: Task = CHOICE, n: int = 36, **more: Any) -> Work:
        given: dict[str, Any] = {"task": task, "train": topic_samples(task, n), "tune": topic_samples(task, 12),
                                 "base": base, "seed": 3, "watch": Watch(), **more}  # fmt: skip
        return Work(**given)

    return make
