"""RichWatch on a terminal and off it."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nanosmith.cli.progress import RichWatch


def watch_into(text: io.StringIO, *, terminal: bool = False, clock: list[float] | None = None) -> RichWatch:
    """A watch that draws into `text`; `clock[0]` is the time in seconds."""
    console = Console(file=text, force_terminal=terminal, width=120, highlight=False)
    return RichWatch(console, now=lambda: clock[0] if clock else 0.0)


def test_plain_lines_tell_how_far_and_how_long() -> None:
    """Off a terminal a line shows the stage, the share done, the time left and the newest figures."""
    text, clock = io.StringIO(), [0.0]
    with watch_into(text, clock=clock) as watch:
        watch.progress("tune", 0, 100)
        watch.metrics(25, 100, {"train_loss": 1.25})
        clock[0] = 10.0
        watch.progress("tune", 25, 100)
        clock[0] = 40.0
        watch.progress("tune", 100, 100)
    assert text.getvalue().splitlines() == [
        "tune 0/100",
        "tune 25/100 (25 %, 30 s left)  loss 1.25",
        "tune 100/100 (40 s)  loss 1.25",
    ]


@given(st.lists(st.floats(0, 8), min_size=1, max_size=200))
def test_plain_lines_are_few(pauses_s: list[float]) -> None:
    """However fast or slow a stage goes, it prints at most a line per 5 s and per 5 %, beside its first and last."""
    text, clock = io.StringIO(), [0.0]
    total = len(pauses_s)
    with watch_into(text, clock=clock) as watch:
        watch.progress("tune", 0, total)
        for done, pause_s in enumerate(pauses_s, start=1):
            clock[0] += pause_s
            watch.progress("tune", done, total)
    lines = text.getvalue().splitlines()
    assert len(lines) <= 2 + min(20, clock[0] // 5)
    assert lines[-1].startswith(f"tune {total}/{total}")


def test_stage_that_runs_again() -> None:
    """A stage that starts again, as on the next fold, is shown again, and its time is counted anew."""
    text, clock = io.StringIO(), [0.0]
    with watch_into(text, clock=clock) as watch:
        for done in (1, 2, 1, 2):
            watch.progress("fold", done, 2)
            clock[0] += 7
    assert text.getvalue().splitlines() == ["fold 1/2", "fold 2/2 (7 s)", "fold 1/2", "fold 2/2 (7 s)"]


def test_bar_that_runs_again() -> None:
    """On a terminal the same bar starts again, with the time of this run."""
    text, clock = io.StringIO(), [0.0]
    with watch_into(text, terminal=True, clock=clock) as watch:
        for done, clock[0] in ((1, 0.0), (9, 60.0), (1, 100.0), (2, 130.0)):
            watch.progress("fold", done, 9)
    last = text.getvalue().rsplit("fold", 1)[-1]
    assert "2/9" in last
    assert "0:00:30" in last


def test_end_is_shown_once() -> None:
    """A stage that reports its end twice prints it once."""
    text = io.StringIO()
    with watch_into(text) as watch:
        for done in (0, 5, 5):
            watch.progress("export", done, 5)
    assert text.getvalue().splitlines() == ["export 0/5", "export 5/5 (0 s)"]


def test_terminal_draws_a_bar_per_stage() -> None:
    """On a terminal each stage is a bar with its figures, and messages stand above, brackets and all."""
    text = io.StringIO()
    with watch_into(text, terminal=True) as watch:
        watch.progress("cheap ones", 3, 3)
        watch.metrics(1, 2, {"train_loss": 0.5})
        watch.progress("tune", 0, 2)
        watch.metrics(1, 2, {"train_loss": 0.25})
        watch.progress("tune", 1, 2)
        watch.message("kept [bold] as it is", "warn")
    last = text.getvalue().rsplit("cheap ones", 1)[-1]
    assert "3/3" in last
    assert "1/2" in last
    assert "loss 0.25" in last
    assert "warning: kept [bold] as it is" in text.getvalue()


def test_settings_are_said_once() -> None:
    """Settings that are told again, as by each fold, are not said again; others are."""
    text = io.StringIO()
    with watch_into(text) as watch:
        for epochs in (3, 3, 4, 3):
            watch.resolved({"n_epochs": epochs})
    assert text.getvalue().splitlines() == ["settings: n_epochs 3", "settings: n_epochs 4", "settings: n_epochs 3"]


def test_settings_and_checkpoints_are_lines() -> None:
    """Resolved settings and checkpoints are said in one line each, however long."""
    text = io.StringIO()
    with watch_into(text) as watch:
        watch.resolved({"n_epochs": 3, "batch_size": 16, "note": "x" * 200})
        watch.checkpoint(40, {}, "support:ckpt-step-40")
    first, second = text.getvalue().splitlines()
    assert first.startswith("settings: n_epochs 3, batch_size 16, note x")
    assert second == "checkpoint at step 40: support:ckpt-step-40"
