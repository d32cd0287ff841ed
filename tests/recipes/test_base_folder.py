from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nanosmith.core.errors import Damaged, InputError, NotFound
from nanosmith.recipes import base_folder as base_folder_module
from nanosmith.recipes.base_folder import catalogue, find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.store.bundles import sha256_of


def test_installed_package_is_found_and_checked() -> None:
    """The short name finds the installed weights, and their digest is the one of the catalogue."""
    found = find_base("minilm-l6")
    assert found.sha256 == catalogue()["minilm-l6"]["sha256"]
    assert found.config["hidden_size"] == 384


def test_folder_is_found(base_folder: Path) -> None:
    """A folder is taken as it is, with the digest of its weights."""
    assert find_base(str(base_folder)).sha256 == sha256_of(base_folder / "model.safetensors")


def test_incomplete_folder(base_folder: Path, tmp_path: Path) -> None:
    """A folder without a tokenizer is refused, naming what is missing."""
    shutil.copytree(base_folder, tmp_path / "base")
    (tmp_path / "base" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        find_base(str(tmp_path / "base"))


def test_changed_weights_are_refused(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights with another digest than the catalogue's are refused."""
    monkeypatch.setattr(base_folder_module, "_package_folder", lambda entry: base_folder)
    with pytest.raises(Damaged, match="not the expected ones"):
        find_base("minilm-l6")


def test_unknown_name() -> None:
    """A misspelt name is answered with the near one."""
    with pytest.raises(NotFound, match="Did you mean minilm-l6"):
        find_base("minilm-16")


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub name without a connection is an error that says what to do, not a traceback or a hang."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotFound, match="local folder"):
        find_base("nobody/no-such-model")


def test_unsupported_architecture(base_folder: Path, tmp_path: Path) -> None:
    """An architecture that cannot be exported is refused before any training."""
    shutil.copytree(base_folder, tmp_path / "base")
    config = tmp_path / "base" / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"gpt2"'))
    with pytest.raises(InputError, match="gpt2"):
        Base(find_base(str(tmp_path / "base")))


def test_a_folder_that_is_not_there() -> None:
    """A path is not asked for at a hub: the error says what a base may be."""
    for path in ("/no/such/folder", "../none", "a/b/c"):
        with pytest.raises(NotFound, match="no base of this name"):
            find_base(path)
