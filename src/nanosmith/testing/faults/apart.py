"""Runs a fault in an interpreter of its own, which may fork as it has no threads, and reports as it goes.

    python -m nanosmith.testing.faults.apart MODULE:FUNCTION FOLDER OPTIONS

Calls FUNCTION(folder, tick, **options) and prints one JSON object per line: ticks, then what came of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.jobs.kinds import load
from nanosmith.testing.faults.environment import without_settings
from nanosmith.testing.faults.found import FaultFound, Findings, NotPossible, Outcome, Tick


class _Line(msgspec.Struct, omit_defaults=True):
    """One of these."""

    tick: tuple[int, int] | None = None
    outcome: Outcome | None = None
    found: Findings | None = None
    not_possible: str | None = None


def apart(target: str, folder: Path, tick: Tick, **options: Any) -> Outcome:
    """The outcome of "module:function". Raises FaultFound, NotPossible; RuntimeError when it fails otherwise."""
    if not hasattr(os, "fork"):
        raise NotPossible("this system cannot fork; use Linux or macOS")
    command = [sys.executable, "-m", __name__, target, str(folder), msgspec.json.encode(options).decode()]
    outcome: Outcome | None = None
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=without_settings()
        )
        assert process.stdout is not None
        with process:
            for text in process.stdout:
                line = msgspec.json.decode(text, type=_Line)
                if line.tick is not None:
                    tick(*line.tick)
                elif line.found is not None:
                    raise FaultFound(line.found)
                elif line.not_possible is not None:
                    raise NotPossible(line.not_possible)
                outcome = line.outcome or outcome
    if outcome is None:
        raise RuntimeError(f"{target} ended with {process.returncode}:\n{(folder / 'log.txt').read_text()[-2000:]}")
    return outcome


def _say(line: _Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def main(target: str, folder: Path, options: dict[str, Any]) -> None:
    fault = load(target)
    try:
        _say(_Line(outcome=fault(folder, lambda done, total: _say(_Line(tick=(done, total))), **options)))
    except FaultFound as error:
        _say(_Line(found=error.found))
    except NotPossible as error:
        _say(_Line(not_possible=str(error)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), msgspec.json.decode(sys.argv[3]))
