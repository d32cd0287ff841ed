"""The data folder: where everything that is kept lives, and which database and blob store belong to it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

VARIABLE = "NANOSMITH_HOME"
DATABASE_VARIABLE = "NANOSMITH_DATABASE"
BLOBS_VARIABLE = "NANOSMITH_BLOBS"
DEFAULT_PROJECT = "default"


class Home(msgspec.Struct, frozen=True):
    """
    HOME/ledger.sqlite   files, jobs, events, checkpoints, models, … (or `database`, a URL)
    HOME/blobs/          uploaded files, by SHA-256 (or `blob_url`, an S3 address)
    HOME/bundles/        sealed models, one folder each
    HOME/examples/       what models were made from, to retrain them
    HOME/jobs/           a working folder per job, removed when it ends
    HOME/certificates/   what was promised of routes, signed
    HOME/signing.key     what they are signed with
    HOME/providers/      keys of providers, encrypted
    HOME/cache/          things that can be made again
    HOME/projects/ID/    blobs, bundles, examples, jobs and certificates of a project other than the default one
    """

    root: Path
    project: str = DEFAULT_PROJECT
    database: str | None = None
    blob_url: str | None = None

    def of(self, project: str) -> Home:
        """The same data folder, as another project sees it."""
        return msgspec.structs.replace(self, project=project)

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.sqlite"

    @property
    def has_ledger(self) -> bool:
        """Whether there may be rows to read; opening a ledger that is absent creates it."""
        return self.database is not None or self.ledger.is_file()

    @property
    def blobs(self) -> Path:
        return self._own / "blobs"

    @property
    def bundles(self) -> Path:
        return self._own / "bundles"

    @property
    def examples(self) -> Path:
        return self._own / "examples"

    @property
    def jobs(self) -> Path:
        return self._own / "jobs"

    @property
    def certificates(self) -> Path:
        return self._own / "certificates"

    @property
    def signing_key(self) -> Path:
        return self.root / "signing.key"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def _own(self) -> Path:
        return self.root if self.project == DEFAULT_PROJECT else self.root / "projects" / self.project


def open_home(root: Path | str | None = None) -> Home:
    """The data folder: `root`, else $NANOSMITH_HOME, else ~/.nanosmith. Created with mode 0700 when absent.

    $NANOSMITH_DATABASE names another database (postgresql://…), $NANOSMITH_BLOBS another place for uploads (s3://…).
    """
    path = Path(root or os.environ.get(VARIABLE) or Path.home() / ".nanosmith").expanduser().resolve()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Home(
        path, database=os.environ.get(DATABASE_VARIABLE) or None, blob_url=os.environ.get(BLOBS_VARIABLE) or None
    )
