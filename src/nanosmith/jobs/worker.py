"""A job's process as its supervisor sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import IO

from nanosmith.jobs.leftovers import log_file
from nanosmith.jobs.pulse import STALE_S
from nanosmith.store.atomic import process_exists
from nanosmith.store.home import Home
from nanosmith.store.records import JobRow

REACT_S = 0.7
"""How long a cancelled job may take to stop by itself; then it gets SIGTERM, and KILL_S later SIGKILL."""
KILL_S = 0.4


class Worker:
    """The process of one job, in a session of its own, so that Ctrl-C in the server's terminal does not reach it."""

    def __init__(self, home: Home, job_id: str, *, only_validate: bool, tune: str | None) -> None:
        self.job_id = job_id
        self.only_validate = only_validate
        self._hurried_s: float | None = None
        command = [sys.executable, "-m", "nanosmith.jobs.run", job_id]
        command += ["--home", str(home.root), "--parent", str(os.getpid())]
        command += ["--only-validate"] * only_validate + (["--tune", tune] if tune else [])
        with _open_log(home, job_id) as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def why(self) -> str:
        """How the process ended, in words."""
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return "it was killed; most often the machine had too little memory"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    @property
    def went_wrong(self) -> bool:
        return self._process.returncode != 0

    def hurry(self) -> None:
        """To be called again and again once the job was cancelled: first patience, then SIGTERM, then SIGKILL."""
        now = time.monotonic()
        self._hurried_s = self._hurried_s or now
        if now - self._hurried_s > REACT_S + KILL_S:
            self.kill()
        elif now - self._hurried_s > REACT_S:
            self._process.terminate()

    def end(self, patience_s: float) -> None:
        """Ask the process to end, and make sure of it."""
        self._process.terminate()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process.wait()

    def kill(self) -> None:
        """SIGKILL to the process and those it started."""
        if hasattr(os, "killpg") and not self.ended:
            os.killpg(self.pid, signal.SIGKILL)
        else:
            self._process.kill()


def is_alive(job: JobRow) -> bool:
    """Whether the process that has `job` still works on it: it exists and gave a sign lately. Its number alone proves
    little, as numbers are used again."""
    if job.pid is None or abs(time.time() - (job.heartbeat_at or 0)) > STALE_S:
        return False
    return process_exists(job.pid)


def _open_log(home: Home, job_id: str) -> IO[bytes]:
    """Where the process prints to; nowhere when the disk is full, as the job itself will say that better."""
    path = log_file(home, job_id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError:
        return open(os.devnull, "ab")  # noqa: PTH123
