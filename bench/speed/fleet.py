"""The processes of the contenders, which take turns, so that a change of the machine's speed hits all of them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
               "HF_HUB_OFFLINE": "1"}  # fmt: skip
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


class Contender(NamedTuple):
    """`kind` is a name in contenders.py; `bytes` what its files take."""

    title: str
    kind: str
    options: dict[str, Any]
    bytes: int
    python: str


class Worker:
    """One contender's process. Raises OSError where it did not start."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.peak_bytes = 0
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in stop(); a pipe could fill
        command = [contender.python, "-m", "bench.speed.worker", contender.kind, json.dumps(contender.options)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
            env=os.environ | ENVIRONMENT,
        )  # fmt: skip
        try:
            self.opened_s = float(self._read()["opened_s"])
        except OSError:
            self.stop()
            raise

    def load(self, texts: Sequence[str], *, answer: int = 0) -> list[str]:
        """The texts of the next turns, and the answers to them, so many at a time; none with 0."""
        found: list[str] = self._ask({"load": list(texts), "answer": answer})["answers"]
        return found

    def turn(self, *, batch: int, clients: int, seconds: float, offset: int) -> dict[str, Any]:
        """See worker.timed; `joules` is None where the machine does not tell them."""
        before = _microjoules()
        found = self._ask({"batch": batch, "clients": clients, "seconds": seconds, "offset": offset})
        after = _microjoules()
        used = None if before is None or after is None or after < before else (after - before) / 1e6
        return found | {"joules": used}

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        found = self._read()
        self.peak_bytes = found["peak_bytes"]
        return found

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise OSError(" ".join(self._said.read().strip().splitlines()[-1:]))
        found: dict[str, Any] = json.loads(line)
        return found


def _microjoules() -> int | None:
    try:
        return int(RAPL.read_text())
    except OSError:
        return None
