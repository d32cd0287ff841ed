"""Bundles by the names of their models."""

from __future__ import annotations

from pathlib import Path

from nanosmith.core.manifest import MANIFEST_NAME
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger


def model_bundles(home: Home) -> dict[str, Path]:
    """The bundle's folder of every model in the ledger; nothing is created where there is no ledger yet."""
    if not home.has_ledger:
        return {}
    ledger = open_ledger(home)
    try:
        return {row.name: home.bundles / row.bundle for row in ledger.models()}
    finally:
        ledger.close()


def bundle_of(name: str, home: Home) -> Path | None:
    """The bundle that a folder, or the name of a model, stands for; None where it is neither."""
    if name and (Path(name) / MANIFEST_NAME).is_file():
        return Path(name)
    return model_bundles(home).get(name)
