"""The worker's side of the protocol of worker.py. Imports nothing but the standard library."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(train: Callable[[dict[str, Any]], tuple[Callable[[list[str]], list[list[float]]], dict[str, Any]]]) -> None:
    """Train as the first line asks, then answer the texts of each further line with probabilities.

    `train` gives what answers, and notes with the `seconds` and `cpu_seconds` of the training alone.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not belong between the answers
    scores, trained = train(json.loads(sys.stdin.readline()))
    _say(answers, trained)
    for line in sys.stdin:
        _say(answers, scores(json.loads(line)))


def timed(work: Callable[[], Any]) -> dict[str, float]:
    began, cpu_began = time.monotonic(), time.process_time()
    work()
    return {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu_began}


def _say(answers: Any, message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()
