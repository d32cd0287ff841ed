"""A job that is killed anywhere ends with exactly one model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger

SCRIPT = Path(__file__).with_name("crash_points.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_killed_before_each_durable_step(home: Home, ledger: Ledger, create: Any, every: int) -> None:
    """Whatever was on disk when the process died, the next run ends with one final model, one checkpoint, whole
    bundles, one result file, one message of success, and no working folder."""
    job = create(hyperparameters={"n_epochs": 2})
    ledger.close()
    command = [sys.executable, str(SCRIPT), str(home.root), job.id, str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = {
        "status": "succeeded",
        "named": f"ft:gpt-4.1-nano:local::{job.id[-8:]}",
        "models": ["", ":ckpt-step-1"],
        "folders": 2,
        "whole": 2,
        "checkpoints": 1,
        "results": True,
        "completed": 1,
        "working": 0,
    }
    assert len(rounds) > 30 // every
    assert [found for found in rounds if found != wanted] == []
