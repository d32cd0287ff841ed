"""The story of a base's embedder: weights → bundle in HOME/cache/embedders, made once.

Making needs torch, so a server has it made by a process of its own:

    python -m nanosmith.flows.embedder SIZE BASE HOME

It ends with 0, or with 1 and one line of JSON: {"code", "message"}.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from nanosmith.core.errors import NanosmithError
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.settings import Size
from nanosmith.core.task import Task
from nanosmith.flows.assemble import require_training
from nanosmith.recipes.base_folder import BaseFolder, catalogue, find_base
from nanosmith.store.atomic import disk_errors, part_prefix, sweep_parts
from nanosmith.store.bundles import Bundle, open_bundle, seal
from nanosmith.store.home import Home, open_home
from nanosmith.version import __version__

VERSION = 1
"""Of what is made. To be raised when the same weights would give other vectors."""
RECIPE = f"embedder/{VERSION}"


def folder_of(home: Home, size: Size, base: str) -> Path:
    """Where the embedder of a base is, or will be once it was made. Raises NotFound, InputError.

    A base of the catalogue need not be there: its digest is known.
    """
    known = None if Path(base).is_dir() else catalogue().get(base)
    weights = known["sha256"] if known else find_base(base).sha256
    content = msgspec.json.encode([VERSION, "static" if size == "pico" else "encoder", weights])
    return home.cache / "embedders" / hashlib.sha256(content).hexdigest()


def make(home: Home, size: Size, base: str) -> Bundle:
    """Make the embedder of a base where it does not exist. Raises MissingExtra, NotFound, InputError, StorageFull."""
    out = folder_of(home, size, base)
    if out.is_dir():
        return open_bundle(out)
    require_training()
    weights = find_base(base)  # before torch is loaded: what is missing is said at once
    with disk_errors(home.cache):
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep_parts(out.parent)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=part_prefix()))
        try:
            return _write(draft, weights, size, out, home.cache)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _write(folder: Path, base: BaseFolder, size: Size, out: Path, cache: Path) -> Bundle:
    """Write and seal. When another process was quicker, its bundle is the one: both are equal."""
    from nanosmith.recipes.embedder import write
    from nanosmith.recipes.parts.base import Base

    draft = write(Base(base, cache), size, folder)
    manifest = Manifest(
        name=f"{base.name}-{'static' if size == 'pico' else 'encoder'}", created_at=int(time.time()),
        predictor=draft.predictor, recipe=RECIPE, task=Task("text"), max_tokens=draft.max_tokens,
        base=BaseRef(base.name, base.sha256), data=DataRef("", 0, 0), calibration=Calibration(),
        settings=draft.settings, notes=draft.notes, files={}, nanosmith=__version__,
    )  # fmt: skip
    try:
        return seal(folder, manifest, out)
    except (NanosmithError, OSError):
        if out.is_dir():
            return open_bundle(out)
        raise


def main(size: str, base: str, root: str) -> int:
    """One run of the process; see the top of this file."""
    try:
        make(open_home(root), msgspec.convert(size, Size), base)
    except NanosmithError as error:
        sys.stdout.write(msgspec.json.encode({"code": error.code, "message": str(error)}).decode() + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
