"""Who has a work: a process of a machine."""

from __future__ import annotations

import os
import socket

from nanosmith.store.atomic import process_exists
from nanosmith.store.records import Work


def owner_name(pid: int | None = None) -> str:
    """Of this process, or of another one of this machine."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def is_dead(owner: str) -> bool:
    """Whether the owner was a process of this machine that is no more. Of other machines only a lease tells."""
    host, _, pid = owner.rpartition(":")
    return host == socket.gethostname() and pid.isdecimal() and not process_exists(int(pid))


def is_owned_by(work: Work | None, pid: int) -> bool:
    return work is not None and work.owner == owner_name(pid)
