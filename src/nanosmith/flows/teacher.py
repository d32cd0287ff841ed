"""From the name of a teacher to something that answers: a bundle, several bundles, or a remote model.

opened = open_teacher("support-large", home)                       # a model of the data folder, or a bundle's folder
opened = open_teacher("one,two,three", home)                       # an ensemble
opened = open_teacher("openai/gpt-5-mini", home, task=task)        # of the catalogue
opened = open_teacher("http://127.0.0.1:9000/v1#model", home, task=task)
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from nanosmith.core.errors import InputError, NotFound, did_you_mean
from nanosmith.core.prediction import Predictor
from nanosmith.core.task import Task
from nanosmith.predict.endpoint.catalogue import Remote, is_remote, is_url, open_catalogue
from nanosmith.store.bundles import Bundle, open_bundle
from nanosmith.store.config import find_config, read_config
from nanosmith.store.home import Home
from nanosmith.store.named import bundle_of, model_bundles

ALLOWED = "a bundle's folder, the name of a model, several of them separated by commas, PROVIDER/MODEL, or URL#MODEL"


class Teacher(msgspec.Struct, frozen=True):
    """Who is asked. `digests` are those of its bundles by name (empty for a remote model, which `remote` describes)."""

    name: str
    predictor: Predictor
    digests: dict[str, str] = {}
    remote: Remote | None = None


def open_teacher(name: str, home: Home, *, task: Task | None = None) -> Teacher:
    """The teacher of this name; a remote one answers `task`, whose labels it is told.

    Raises NotFound, Damaged, InputError (an ensemble whose members do not fit, a key that is missing).
    """
    parts = [part.strip() for part in name.split(",") if part.strip()]
    if not parts:
        raise InputError("no teacher is named", got=repr(name), allowed=ALLOWED, param="teacher")
    bundles = [] if is_url(name) else [bundle_of(part, home) for part in parts]
    if bundles and all(bundles):
        return _local(name, {part: open_bundle(path) for part, path in zip(parts, bundles) if path is not None})
    if len(parts) == 1 or is_url(name):
        return _remote(name, home, task)
    raise _not_found(next(part for part, path in zip(parts, bundles) if path is None), home)


def _local(name: str, bundles: dict[str, Bundle]) -> Teacher:
    from nanosmith.predict.ensemble import Ensemble
    from nanosmith.predict.open import open_predictor

    opened = [open_predictor(bundle) for bundle in bundles.values()]
    digests = {part: bundle.manifest.model_digest for part, bundle in bundles.items()}
    return Teacher(name, opened[0] if len(opened) == 1 else Ensemble(opened), digests)


def _remote(name: str, home: Home, task: Task | None) -> Teacher:
    config = read_config(find_config(home))
    if not is_remote(name) and name.partition("/")[0] not in config.providers:
        raise _not_found(name, home)
    from nanosmith.predict.endpoint.predictor import open_endpoint

    remote = open_catalogue(config.providers).find(name)
    return Teacher(name, open_endpoint(remote, home, task), remote=remote)


def _not_found(name: str, home: Home) -> NotFound:
    if Path(name).is_dir():
        return NotFound("no bundle here", where=name, allowed=ALLOWED, param="teacher")
    return NotFound("no teacher of this name", got=repr(name), allowed=ALLOWED, param="teacher",
                    remedy=did_you_mean(name, model_bundles(home)) or "See what is there: nanosmith ls")  # fmt: skip
