"""What is known about the machine and this process."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from nanosmith.score import machine
from nanosmith.score.machine import cpu, memory


def test_cpu_is_named() -> None:
    """The processor has a name and at least one core that may be used."""
    found = cpu()
    assert found.name.strip()
    assert 1 <= found.cores <= (psutil.cpu_count() or 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_peak_memory_is_in_bytes() -> None:
    """The peak is at least about what is resident now, and grows with what is used."""
    before = memory().peak_bytes
    held = bytearray(64_000_000)
    held[::4096] = b"x" * len(held[::4096])
    after = memory().peak_bytes
    assert before is not None
    assert after is not None
    assert after >= before
    assert after >= 0.9 * psutil.Process().memory_info().rss
    assert after < 100 * psutil.Process().memory_info().rss


@pytest.mark.skipif(not machine.STATUS.is_file(), reason="not Linux")
def test_peak_is_of_this_process_alone() -> None:
    """What the process that started this one held does not count."""
    held = bytearray(400_000_000)
    held[::4096] = b"x" * len(held[::4096])
    code = "from nanosmith.score.machine import memory; print(memory().peak_bytes)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(child.stdout) < len(held)


def test_platform_without_resource(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the module the peak is unknown, not an error."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "resource":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(machine, "STATUS", tmp_path / "absent")
    assert memory().peak_bytes is None
