"""Where a base's embedder is kept, that it is made once, and what is said when it cannot be made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nanosmith.core.errors import Damaged, MissingExtra, NotFound
from nanosmith.flows import assemble, embedder
from nanosmith.flows.embedder import folder_of, main, make
from nanosmith.store.home import Home


def test_made_once(base_folder: Path, home: Home) -> None:
    """A second call finds the first one's bundle, with the base no longer needed, and nothing else lies beside it."""
    first = make(home, "nano", str(base_folder))
    assert first.path == folder_of(home, "nano", str(base_folder))
    assert make(home, "auto", str(base_folder)) == first
    assert [path.name for path in first.path.parent.iterdir()] == [first.path.name]
    assert make(home, "pico", str(base_folder)).path != first.path


def test_the_catalogue_needs_no_weights(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place of a known base's embedder follows from the catalogue, even where its weights are not installed."""
    monkeypatch.setattr(embedder, "find_base", lambda name: pytest.fail("looked for the weights"))
    assert folder_of(home, "nano", "minilm-l6").parent == home.cache / "embedders"


def test_another_process_was_quicker(base_folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the bundle is there at the end of the making, that one is taken and the draft goes."""
    made = make(home, "nano", str(base_folder))
    monkeypatch.setattr(embedder.Path, "is_dir", _not_the_first_time(made.path))
    assert make(home, "nano", str(base_folder)).digest == made.digest
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]


def test_a_changed_byte_is_found(base_folder: Path, home: Home) -> None:
    """The kept bundle is checked like any other."""
    file = make(home, "nano", str(base_folder)).file("tokenizer.json")
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    with pytest.raises(Damaged, match=r"tokenizer\.json"):
        make(home, "nano", str(base_folder))


def test_without_the_train_extra(base_folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is named with its pip line, and nothing is left."""
    monkeypatch.setattr(assemble, "TRAIN_MODULES", ("no_such_module",))
    with pytest.raises(MissingExtra, match=r"pip install 'nanosmith\[train\]'"):
        make(home, "nano", str(base_folder))
    assert not home.cache.exists()


def test_unknown_base(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The process says in one line of JSON what is missing, and ends with 1."""
    with pytest.raises(NotFound):
        make(home, "nano", "no-such-base")
    assert main("nano", "no-such-base", str(home.root)) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["code"] == "not_found"
    assert "no-such-base" in said["message"]


def test_a_failure_leaves_no_draft(base_folder: Path, home: Home, tmp_path: Path) -> None:
    """A base of an architecture that is not supported leaves no folder behind."""
    shutil.copytree(base_folder, tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"gpt2"'))
    assert main("nano", str(tmp_path / "other"), str(home.root)) == 1
    assert list((home.cache / "embedders").iterdir()) == []


def _not_the_first_time(folder: Path):  # type: ignore[no-untyped-def]
    """`Path.is_dir`, but for the first look at `folder`."""
    looks: list[Path] = []
    real = Path.is_dir

    def is_dir(path: Path, **options: bool) -> bool:
        if path == folder and folder not in looks:
            looks.append(path)
            return False
        return real(path, **options)

    return is_dir
