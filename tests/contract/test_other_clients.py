"""The tests of this folder again, with the older clients that `make install` lays beside the .venv."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.conftest import CLIENT_VARIABLE, ROOT

HERE = Path(__file__).parent
CLIENTS = ROOT / ".clients"
[VERSIONS] = re.findall(r"^OLDER_CLIENTS := (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)
LIMIT_S = 240


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One process for each client that is installed, all at the same time."""
    started = {version: start(version) for version in VERSIONS.split() if (CLIENTS / version / ".installed").exists()}
    yield started
    for run in started.values():
        run.kill()
        run.communicate()


def start(version: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", str(HERE), "--ignore", __file__, "-p", "no:cacheprovider", "--tb=short"]
    environment = os.environ | {"PYTHONPATH": str(CLIENTS / version), CLIENT_VARIABLE: version}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("version", VERSIONS.split())
def test_with_an_older_client(version: str, runs: dict[str, subprocess.Popen[str]]) -> None:
    """All that this client can call is answered as it expects."""
    assert version in runs, f"openai {version} is not installed. Run: make install"
    said, _ = runs[version].communicate(timeout=LIMIT_S)
    assert runs[version].returncode == 0, said
