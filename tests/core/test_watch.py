"""Watch."""

from __future__ import annotations

import pytest

from nanosmith.core.errors import Cancelled
from nanosmith.core.watch import Watch


def test_base_ignores_everything() -> None:
    """A run without a watcher is not disturbed."""
    watch = Watch()
    watch.message("x")
    watch.progress("x", 1, 1)
    watch.resolved({})
    watch.metrics(1, 1, {})
    watch.checkpoint(1, {}, "m")
    watch.check()
    assert watch.should_stop() is False


def test_check_raises_on_request() -> None:
    """Whoever says stop is obeyed."""

    class Impatient(Watch):
        def should_stop(self) -> bool:
            return True

    with pytest.raises(Cancelled):
        Impatient().check()
