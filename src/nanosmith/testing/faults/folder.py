"""What a data folder must be after any fault: its files are whole, and what the ledger names is there."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

from nanosmith.core.errors import NanosmithError
from nanosmith.jobs.leftovers import sweep
from nanosmith.store.atomic import PART
from nanosmith.store.bundles import open_bundle, read_manifest, sha256_of
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing.faults.found import Findings
from nanosmith.testing.tiny import tiny_bundle

MODEL = "tiny"
CHECKPOINT = ":ckpt-step-"


def new_home(folder: Path, *, database: str | None = None) -> Home:
    """A data folder with one model, MODEL."""
    home = Home(open_home(folder).root, database=database)
    home.bundles.mkdir()
    bundle = tiny_bundle(home.bundles / MODEL, name=MODEL)
    with closing(open_ledger(home)) as ledger:
        ledger.add_model(ModelRow(MODEL, 1_700_000_000, MODEL, bundle.digest, "none"))
    return home


def check_folder(home: Home, found: Findings) -> None:
    """As the next worker finds it; none may be at work."""
    with closing(open_ledger(home)) as ledger:
        sweep(ledger, home)
        check_blobs(home, ledger, found)
        check_models(home, ledger, found)
        _check_others(home, {row.bundle for row in ledger.models()}, found)


def check_blobs(home: Home, ledger: Ledger, found: Findings) -> None:
    """Each file in the folder is what its name says; each row has its file. A file that no row names may be there."""
    there = {path.name for path in files_in(home.blobs)}
    for path in files_in(home.blobs):
        if path.name.startswith(PART):
            found.wrong.append(f"a partial file {path.name}")
        elif sha256_of(path) != path.name:
            found.wrong.append(f"a blob that is not what its name says, {path.name}")
    found.lost += [f"the bytes of {row.id}" for row in ledger.files() if row.sha256 not in there]


def check_models(home: Home, ledger: Ledger, found: Findings) -> None:
    """Each model has its bundle, whole."""
    for row in ledger.models():
        try:
            open_bundle(home.bundles / row.bundle)
        except NanosmithError as error:
            found.lost.append(f"the bundle of {row.name} ({error})")


def _check_others(home: Home, named: set[str], found: Findings) -> None:
    """There is no bundle but those that rows name, and no two of one name."""
    folders = [path for path in home.bundles.iterdir() if not path.name.startswith(PART)]
    found.wrong += [f"a partial bundle {path.name}" for path in home.bundles.glob(f"{PART}*")]
    found.wrong += [f"a bundle without a row, {path.name}" for path in folders if path.name not in named]
    names = Counter(read_manifest(path).name for path in folders)
    found.duplicates += [f"{count} bundles of {name}" for name, count in names.items() if count > 1]


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def finals_of(job_id: str, rows: list[ModelRow]) -> list[str]:
    """The names of a job's models that are no checkpoints."""
    return [row.name for row in rows if row.job_id == job_id and CHECKPOINT not in row.name]
