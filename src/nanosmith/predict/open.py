"""From a sealed folder to a Predictor."""

from __future__ import annotations

from pathlib import Path

from nanosmith.core import registry
from nanosmith.core.prediction import Predictor
from nanosmith.store.bundles import Bundle, open_bundle


def open_predictor(bundle: Bundle | Path | str, *, threads: int = 1) -> Predictor:
    """Open a bundle for answering; `threads` bounds the cores of one prediction. Raises NotFound, Damaged."""
    sealed = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    opened: Predictor = registry.load("predictors", sealed.manifest.predictor)(sealed, threads=threads)
    return opened
