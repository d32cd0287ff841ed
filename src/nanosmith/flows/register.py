"""Names and folders of new models, and their rows in the ledger."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from nanosmith.core.errors import InputError
from nanosmith.store.bundles import Bundle
from nanosmith.store.home import Home
from nanosmith.store.records import ModelRow


def free_name(wanted: str | None, stem: str, taken: Iterable[str], *, replace: bool = False) -> str:
    """`wanted`, which must be free unless it may be replaced, or `stem` with a number when it is taken. Raises
    InputError."""
    names = set(taken)
    if wanted is not None:
        if wanted in names and not replace:
            raise InputError("a model of this name exists already", got=repr(wanted),
                             remedy="Choose another with --name, or delete the old one.", param="name")  # fmt: skip
        return wanted
    numbered = (f"{stem}-{number}" for number in range(2, len(names) + 3))
    return next(name for name in (stem, *numbered) if name not in names)


def slug(name: str) -> str:
    """A name that is safe as a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "model"


def new_folder(home: Home, name: str) -> Path:
    """Where a bundle of this name may be sealed."""
    return home.bundles / f"{slug(name)}-{secrets.token_hex(4)}"


def row_of(name: str, bundle: Bundle, home: Home) -> ModelRow:
    """What makes a sealed bundle callable by its name, wherever it lies."""
    path = bundle.path.resolve()
    inside = path.is_relative_to(home.bundles)
    place = path.relative_to(home.bundles) if inside else path
    manifest = bundle.manifest
    return ModelRow(name, manifest.created_at, str(place), bundle.digest, manifest.base.name)
