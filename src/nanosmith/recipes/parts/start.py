"""What the students of a teacher start from: its encoder, or the base of a teacher that has none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanosmith.core.errors import InputError, NanosmithError
from nanosmith.core.watch import Watch
from nanosmith.recipes.base_folder import BaseFolder, find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.from_bundle import TunedBase
from nanosmith.store.bundles import Bundle

ENCODER = "encoder/1"


class Untuned(TunedBase):
    """The base that a bundle of words or static vectors was tuned from. Static students alone start from it: it has
    neither a head nor weights that know the task."""

    def __init__(self, folder: BaseFolder, cache: Path) -> None:
        self._whole = Base(folder, cache)
        Base.__init__(self, folder, cache)

    def vectors_of(self, tokens: Iterable[int], watch: Watch | None = None) -> NDArray[np.float32]:
        """Those (K, D) of the whole vocabulary are in the cache since the tuning of static vectors."""
        vectors: NDArray[np.float32] = self._whole.token_vectors(watch)[list(tokens)]
        return vectors


def start_of(bundle: Bundle, cache: Path) -> TunedBase:
    """Raises InputError where the bundle has no encoder, and its base is not at hand or another one now."""
    if bundle.manifest.predictor == ENCODER:
        return TunedBase(bundle)
    wanted = bundle.manifest.base
    try:
        folder = find_base(wanted.name)
    except NanosmithError as error:
        raise _no_base(bundle, str(error)) from error
    if folder.sha256 != wanted.sha256:
        raise _no_base(bundle, f"another {wanted.name}")
    return Untuned(folder, cache)


def _no_base(bundle: Bundle, got: str) -> InputError:
    return InputError(
        "the base that this model was tuned from is not at hand", where=str(bundle.path), got=got, param="bundle",
        allowed=f"{bundle.manifest.base.name}, or a model of {ENCODER}",
        remedy="Tune with --size nano, and compress that.",
    )  # fmt: skip
