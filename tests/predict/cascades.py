"""A cascade of tiny bundles, made in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from tests.predict.conftest import tiny_encoder

from nanosmith.core.manifest import Scope
from nanosmith.predict.cascade import CASCADE_FILE, QUICK, THOROUGH, CascadePredictor
from nanosmith.store.bundles import Bundle, seal
from nanosmith.testing import tiny_bundle


def tiny_cascade(folder: Path, threshold: Any = 0.9, scope: Scope | None = None) -> Bundle:
    """The quick stage knows the words of its labels, the thorough one too; both have the cascade's name."""
    draft = folder.with_name(f"{folder.name}-draft")
    draft.mkdir()
    quick = tiny_bundle(draft / QUICK, name="both", scope=scope)
    made = folder.with_name(f"{folder.name}-made")
    made.mkdir()
    thorough = tiny_encoder(made / "thorough")
    manifest = msgspec.structs.replace(thorough.manifest, name="both")
    seal(_copied(thorough, made / "copy"), manifest, draft / THOROUGH)
    (draft / CASCADE_FILE).write_bytes(msgspec.json.encode({"threshold": threshold}))
    return seal(draft, msgspec.structs.replace(quick.manifest, predictor="cascade/1", recipe="cascade/1"), folder)


def answering(predictor: Any, text: str) -> Any:
    """The predictor itself, or the stage of it that answers a text."""
    return predictor.stage_of(text) if isinstance(predictor, CascadePredictor) else predictor


def _copied(bundle: Bundle, folder: Path) -> Path:
    folder.mkdir()
    for name in bundle.manifest.files:
        (folder / name).write_bytes(bundle.file(name).read_bytes())
    return folder
