"""A server that is a fork of this process, so that it is there in milliseconds; for interpreters without threads."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from nanosmith.jobs.kinds import load
from nanosmith.store.home import Home
from nanosmith.testing.faults.client import Client


def fork(work: Callable[[], object]) -> int:
    """The number of a process that does `work`, and nothing else."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def wait(child: int) -> int:
    """Its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def break_by(broken: str) -> None:
    """Call the function that `broken` names, if any."""
    if broken:
        load(broken)()


@contextmanager
def forked_server(home: Home, prepare: Callable[[], object]) -> Iterator[Client]:
    """`prepare` is called in the server before it begins. After the block it is no more."""
    sock = socket.create_server(("127.0.0.1", 0))
    child = fork(partial(_serve, home, sock, prepare))
    client = Client(sock.getsockname()[1])
    sock.close()  # when the child ends, who waits for it is told
    try:
        yield client
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        wait(child)


def _serve(home: Home, sock: socket.socket, prepare: Callable[[], object]) -> None:
    prepare()
    from nanosmith.cli.serve import make_server
    from nanosmith.server.app import create_app

    make_server(create_app(home)).run(sockets=[sock])
