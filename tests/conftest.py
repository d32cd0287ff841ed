"""Shared by all tests: nothing touches the data folder of whoever runs them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanosmith.store.home import VARIABLE, Home, open_home

# Tiny models gain nothing from two threads, and on a busy machine threads that wait for each other take minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell ignores Ctrl-C for what it starts in the background, and so would all that is started and interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NANOSMITH_HOME names a folder of this test, for this process and those it starts."""
    root = tmp_path / "nanosmith-home"
    monkeypatch.setenv(VARIABLE, str(root))
    return root


@pytest.fixture
def home(own_home: Path) -> Home:
    """The opened data folder of this test."""
    return open_home(own_home)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 1 MiB; skipped where this process may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"cannot mount a small disk: {error}")
    if made.returncode:
        pytest.skip(f"cannot mount a small disk: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base encoder of a few kilobytes, with random weights."""
    from tests.tiny_base import save_tiny_base  # torch, only where it is needed

    return save_tiny_base(tmp_path_factory.mktemp("base") / "tiny")
