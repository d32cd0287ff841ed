"""Processes that are there to be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nanosmith.testing.faults.client import GONE, Client
from nanosmith.testing.faults.environment import without_settings
from nanosmith.testing.faults.launch import SLOW

WITHIN_S = 120.0
ENDS_S = 20.0
LOOK_S = 0.02


class Process:
    """`nanosmith VERB` over a data folder, in a session of its own; it can be started again after it has ended."""

    def __init__(
        self, folder: Path, verb: str, *options: str, tune: str = SLOW, broken: str = "", under: Sequence[str] = (),
        environment: dict[str, str] | None = None, log: Path | None = None,
    ) -> None:  # fmt: skip
        """`under` is the command that runs it, such as strace."""
        launch = [sys.executable, "-m", "nanosmith.testing.faults.launch", "--tune", tune, "--broken", broken]
        self._command = [*under, *launch, verb, "--home", str(folder), *options]
        self._is_under = bool(under)
        self._environment = without_settings() | (environment or {})
        self.log = log or folder.with_name(f"{folder.name}-{verb}.log")
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=self._environment,
            )  # fmt: skip

    @property
    def status(self) -> int | None:
        """As Popen.poll gives it."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL; what it has started goes on, until it sees that."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """SIGTERM; SIGKILL to its whole session after a while, or at once where another program is between."""
        try:
            if not self._is_under:
                self._process.terminate()
                self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            pass
        if self.status is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def words(self) -> str:
        """The last of what it printed."""
        return self.log.read_text(errors="replace")[-2000:]


class Server(Process):
    """`nanosmith serve`, on the same port in all its lives."""

    def __init__(
        self, folder: Path, *, tune: str = SLOW, broken: str = "", under: Sequence[str] = (),
        environment: dict[str, str] | None = None, log: Path | None = None,
    ) -> None:  # fmt: skip
        self.client = Client(_free_port())
        super().__init__(
            folder, "serve", "--port", str(self.client.port), tune=tune, broken=broken, under=under,
            environment=environment, log=log,
        )  # fmt: skip

    def wait(self) -> bool:
        """Until it answers; False when it has ended instead."""
        until(lambda: self.status is not None or self._answers(), "the server answers", self.words)
        return self.status is None

    def _answers(self) -> bool:
        try:
            return self.client.get("/models").is_good
        except GONE:
            return False


@contextmanager
def ended(*processes: Process) -> Iterator[None]:
    """After the block they are no more, however it ends."""
    try:
        yield
    finally:
        for process in processes:
            if process.status is None:
                process.end()


def until(
    true: Callable[[], object], what: str, words: Callable[[], str] = lambda: "", within_s: float = WITHIN_S
) -> None:
    """Wait for it. Raises RuntimeError, with `words`, when it takes too long."""
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}\n{words()}")
        time.sleep(LOOK_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
