"""The machine that a figure was measured on, and the memory of this process."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

import msgspec

CPU_INFO = Path("/proc/cpuinfo")
STATUS = Path("/proc/self/status")


class Cpu(msgspec.Struct, frozen=True):
    """`cores` counts the logical cores that this process may use."""

    name: str
    cores: int


class Memory(msgspec.Struct, frozen=True):
    """The largest resident size of this process since it started, in bytes; None where the platform does not tell.

    `training` says that torch was loaded in the same process, so that the figure is not that of answering alone.
    """

    peak_bytes: int | None
    training: bool


def cpu() -> Cpu:
    """The processor of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Cpu(_linux_name() or platform.processor() or platform.machine() or "unknown", cores)


def memory() -> Memory:
    """Peak memory up to now."""
    return Memory(_peak_bytes(), "torch" in sys.modules)


def _linux_name() -> str | None:
    if not CPU_INFO.is_file():
        return None
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _peak_bytes() -> int | None:
    """ru_maxrss counts what the starting process had, too: Linux is asked otherwise. It is in bytes on macOS, in KiB
    elsewhere. Windows has no `resource` module."""
    if STATUS.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(encoding="utf-8"), re.M)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
