"""Flows that behave badly, for processes started by tests (found through PYTHONPATH)."""

from __future__ import annotations

import os
import signal
import time
from typing import Any


def dies(*_: Any, **__: Any) -> Any:
    """Is killed, as by a system without memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def deaf(*_: Any, watch: Any, **__: Any) -> Any:
    """Never looks at should_stop."""
    watch.message("deaf")
    time.sleep(60)


def stubborn(*_: Any, watch: Any, **__: Any) -> Any:
    """Does not even end on SIGTERM, as a long call into native code."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watch.message("stubborn")
    time.sleep(60)


def lingering(*_: Any, watch: Any, **__: Any) -> Any:
    """Cannot end when it is asked to."""
    watch.message("lingering")
    try:
        time.sleep(60)
    finally:
        time.sleep(60)


def dies_once(train: Any, *, home: Any, **given: Any) -> Any:
    """Is killed after everything was made, the first time."""
    from nanosmith.testing import slow_tune

    made = slow_tune(train, home=home, step_s=0, **given)
    mark = home.root / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return made
