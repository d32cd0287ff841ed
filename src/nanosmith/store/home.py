"""The data folder: where everything that is kept lives."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

VARIABLE = "NANOSMITH_HOME"


class Home(msgspec.Struct, frozen=True):
    """
    HOME/ledger.sqlite   files, jobs, events, checkpoints, models
    HOME/blobs/          uploaded files, by SHA-256
    HOME/bundles/        sealed models, one folder each
    HOME/jobs/           a working folder per job, removed when it ends
    HOME/cache/          things that can be made again
    """

    root: Path

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.sqlite"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def cache(self) -> Path:
        return self.root / "cache"


def open_home(root: Path | str | None = None) -> Home:
    """The data folder: `root`, else $NANOSMITH_HOME, else ~/.nanosmith. Created with mode 0700 when absent."""
    path = Path(root or os.environ.get(VARIABLE) or Path.home() / ".nanosmith").expanduser().resolve()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Home(path)
