"""RichWatch: progress on stderr, as a live bar on a terminal and as a few plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from nanosmith.core.watch import Level, Watch

STYLES: dict[Level, str] = {"info": "", "warn": "yellow", "error": "red"}
PREFIXES: dict[Level, str] = {"info": "", "warn": "warning: ", "error": "error: "}
METRIC_NAMES = {
    "train_loss": "loss",
    "train_mean_token_accuracy": "accuracy",
    "valid_loss": "held-out loss",
    "valid_mean_token_accuracy": "held-out accuracy",
}
PLAIN_EVERY_S = 5.0
PLAIN_EVERY_SHARE = 0.05


class RichWatch(Watch):
    """Draws a run; use it as a context manager, so that the terminal is left in order.

    A terminal shows one bar per stage with the time left. Anything else (a file, a CI log) gets a line when a stage
    starts and ends, and between these when both 5 s and 5 % have passed.
    """

    def __init__(self, console: Console | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._settings = ""
        self._bars = _Bars(self._console, now) if self._console.is_terminal else _Lines(self._say, now)

    def __enter__(self) -> RichWatch:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def message(self, text: str, level: Level = "info") -> None:
        self._say(PREFIXES[level] + text, STYLES[level])

    def progress(self, stage: str, done: int, total: int) -> None:
        self._bars.progress(stage, done, total)

    def resolved(self, settings: Mapping[str, Any]) -> None:
        text = "settings: " + ", ".join(f"{name} {value}" for name, value in settings.items())
        if text != self._settings:  # each fold tells them again
            self._say(text)
        self._settings = text

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        self._bars.note = "  ".join(f"{METRIC_NAMES.get(name, name)} {value:.3g}" for name, value in values.items())

    def checkpoint(self, step: int, values: Mapping[str, float], model: str) -> None:
        self._say(f"checkpoint at step {step}: {model}")

    def _say(self, text: str, style: str = "") -> None:
        """A line above the bars. Text, not markup: a message may hold square brackets."""
        self._console.print(Text(text, style=style), soft_wrap=True)


class _Bars:
    """One live bar per stage; `note` (the newest figures) stands behind the stage that runs."""

    def __init__(self, console: Console, now: Callable[[], float]) -> None:
        self.note = ""
        self._stages: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            get_time=now,
            refresh_per_second=4,
        )

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        if stage not in self._stages:
            self._stages[stage] = self._progress.add_task(stage, total=total, note="")
            self.note = ""
        task = self._stages[stage]
        if done < self._progress.tasks[task].completed:  # the stage runs once more, such as on another fold
            self._progress.reset(task, total=total)
        self._progress.update(task, completed=done, total=total, note=self.note)


@dataclass
class _Run:
    """One run of a stage: when and where it was first heard of, and what was last shown of it."""

    began_s: float
    first: int
    shown_s: float
    shown: int


class _Lines:
    """The same as plain lines: `stage 120/400 (30 %, 95 s left)  loss 0.41`."""

    def __init__(self, say: Callable[[str], None], now: Callable[[], float]) -> None:
        self.note = ""
        self._say = say
        self._now = now
        self._runs: dict[str, _Run] = {}

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def progress(self, stage: str, done: int, total: int) -> None:
        now = self._now()
        run = self._runs.get(stage)
        if run is None or done < run.shown:
            if run is None:
                self.note = ""
            run = self._runs[stage] = _Run(now, done, now, done)
        elif not _is_due(run, done, total, now):
            return
        run.shown_s, run.shown = now, done
        self._say(f"{stage} {done}/{total}{_eta(run, done, total, now)}  {self.note}".rstrip())


def _is_due(run: _Run, done: int, total: int, now: float) -> bool:
    if done >= total:
        return run.shown < total
    return now - run.shown_s >= PLAIN_EVERY_S and done - run.shown >= PLAIN_EVERY_SHARE * total


def _eta(run: _Run, done: int, total: int, now: float) -> str:
    elapsed_s, gone = now - run.began_s, done - run.first
    if done >= total:
        return f" ({elapsed_s:.0f} s)"
    return f" ({100 * done // total} %, {elapsed_s * (total - done) / gone:.0f} s left)" if gone else ""
