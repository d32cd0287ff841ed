"""From what a user calls a bundle to its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanosmith.core.errors import NotFound, did_you_mean

if TYPE_CHECKING:
    from nanosmith.store.home import Home

ALLOWED = "a bundle's folder, or the name of a model in the data folder"


def bundle_path(name_or_path: str | Path, home: Home | None = None) -> Path:
    """An existing folder as it is, else the bundle of the model with this name. Raises NotFound with near names.

    `home` is the data folder (None: $NANOSMITH_HOME, else ~/.nanosmith).
    """
    path, name = Path(name_or_path), str(name_or_path)
    if name and path.is_dir():
        return path
    bundles = _model_bundles(home)
    if name not in bundles:
        raise NotFound(
            "no bundle or model of this name", got=repr(name), allowed=ALLOWED, remedy=_remedy(name, bundles)
        )
    return bundles[name]


def _model_bundles(home: Home | None) -> dict[str, Path]:
    from nanosmith.store.home import open_home
    from nanosmith.store.named import model_bundles

    return model_bundles(home or open_home())


def _remedy(name: str, known: dict[str, Path]) -> str:
    return did_you_mean(name, known) or "See what is there: nanosmith ls"
