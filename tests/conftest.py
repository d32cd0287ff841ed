"""Shared by all tests: nothing touches the data folder of whoever runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from nanosmith.jobs.webhooks.hosts import PRIVATE_VARIABLE
from nanosmith.store.home import BLOBS_VARIABLE, DATABASE_VARIABLE, VARIABLE, Home, open_home
from tests.s3_server import INSTALL, S3Server, find_program, started_server

if TYPE_CHECKING:
    from nanosmith.testing.postgres import Server

# Tiny models gain nothing from two threads, and on a busy machine threads that wait for each other take minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# How long one example takes says nothing on a busy machine.
hypothesis.settings.register_profile("calm", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("calm")
# A shell ignores Ctrl-C for what it starts in the background, and so would all that is started and interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NANOSMITH_HOME names a folder of this test, for this process and those it starts."""
    root = tmp_path / "nanosmith-home"
    monkeypatch.setenv(VARIABLE, str(root))
    monkeypatch.delenv(BLOBS_VARIABLE, raising=False)
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    monkeypatch.delenv(PRIVATE_VARIABLE, raising=False)
    return root


@pytest.fixture
def home(own_home: Path) -> Home:
    """The opened data folder of this test."""
    return open_home(own_home)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 1 MiB; skipped where this process may not mount one."""
    from nanosmith.testing.faults.disk import NotPossible, small_disk

    try:
        with small_disk(tmp_path / "disk", 1024**2) as folder:
            yield folder
    except NotPossible as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, started for the first test that asks; skipped where none is installed."""
    program = find_program()
    if program is None or find_spec("obstore") is None:
        pytest.skip(INSTALL)
    with started_server(program, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base encoder of a few kilobytes, with random weights."""
    from nanosmith.testing.tiny_base import save_tiny_base  # torch, only where it is needed

    return save_tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this run; skipped where none is installed."""
    from nanosmith.testing.postgres import NotInstalled, Server

    try:
        server = Server()
    except NotInstalled as error:
        pytest.skip(str(error))
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Each database in turn: a new SQLite file, the URL of an empty PostgreSQL database."""
    if request.param == "sqlite":
        return tmp_path / "ledger.sqlite"
    url: str = request.getfixturevalue("postgres").new_database()
    return url
