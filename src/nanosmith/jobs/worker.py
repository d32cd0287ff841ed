"""The process of a work as its supervisor sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import IO

from nanosmith.jobs.leftovers import log_file
from nanosmith.store.home import Home
from nanosmith.store.records import Work

REACT_S = 0.7
"""How long a work that is to stop may take to do so by itself, unless its kind says more; then it gets SIGTERM, and
KILL_S later SIGKILL."""
KILL_S = 0.4


class Worker:
    """A process in a session of its own, so that Ctrl-C in the server's terminal does not reach it."""

    def __init__(self, home: Home, work: Work, lane: str, options: list[str], *, react_s: float = REACT_S) -> None:
        self.id = work.id
        self.lane = lane
        self.home = home.of(work.project)
        self._react_s = react_s
        self._hurried_s: float | None = None
        command = [sys.executable, "-m", "nanosmith.jobs.run", work.id]
        command += ["--home", str(home.root), "--parent", str(os.getpid()), *options]
        with _open_log(self.home, work.id) as log:
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
        """To be called again and again once the work is to stop: first patience, then SIGTERM, then SIGKILL."""
        now = time.monotonic()
        self._hurried_s = self._hurried_s or now
        if now - self._hurried_s > self._react_s + KILL_S:
            self.kill()
        elif now - self._hurried_s > self._react_s:
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


def _open_log(home: Home, id: str) -> IO[bytes]:
    """Where the process prints to; nowhere when the disk is full, as the work itself will say that better."""
    path = log_file(home, id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError:
        return open(os.devnull, "ab")  # noqa: PTH123
