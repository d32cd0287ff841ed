"""Which files are looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nanosmith.core.errors import InputError, NotFound
from nanosmith.server.migration import sources as module
from nanosmith.server.migration.sources import OUTSIDE, sources


def test_folders_are_walked(tmp_path: Path) -> None:
    """All files of a folder and those below it, by name, without hidden ones; each once."""
    for name in ("b.json", "a/c.jsonl", ".hidden", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    found = sources([tmp_path, tmp_path / "b.json"])
    assert [source.name for source in found] == ["b.json", "a/c.jsonl"]


def test_links(tmp_path: Path) -> None:
    """A link inside a folder is followed to its own files alone; a link that the user names is followed."""
    outside, folder = tmp_path / "outside.json", tmp_path / "folder"
    outside.write_text("{}")
    folder.mkdir()
    (folder / "real.json").write_text("{}")
    (folder / "inside").symlink_to(folder / "real.json")
    (folder / "leads-out").symlink_to(outside)
    (folder / "loop").symlink_to(folder / "loop")
    why_not = {source.name: source.why_not for source in sources([folder])}
    assert why_not == {"inside": None, "leads-out": OUTSIDE, "loop": OUTSIDE, "real.json": None}
    assert sources([folder / "leads-out"])[0].why_not is None


def test_linked_folders_are_not_entered(tmp_path: Path) -> None:
    """A link to another folder is not walked."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.json").write_text("{}")
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="no file to import"):
        sources([tmp_path / "folder"])


def test_nothing(tmp_path: Path) -> None:
    """An empty folder and a path that is not there are errors."""
    with pytest.raises(InputError, match="there is no file to import"):
        sources([tmp_path])
    with pytest.raises(NotFound, match="no such file or folder"):
        sources([tmp_path / "absent"])


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with more files than the limit is refused."""
    monkeypatch.setattr(module, "MAX_FILES", 2)
    for i in range(3):
        (tmp_path / f"{i}.json").write_text("{}")
    with pytest.raises(InputError, match="too many files"):
        sources([tmp_path])


def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder that the system does not open, here because its path is too long, is told; the rest is read."""
    (tmp_path / "a.json").write_text("{}")
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(4096 // 200 + 2):
        os.mkdir("d" * 200, dir_fd=handle)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    good, bad = sources([tmp_path])
    assert (good.name, good.why_not) == ("a.json", None)
    assert str(bad.why_not).startswith("the folder cannot be read: ")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A name of other bytes is shown with a mark in their place."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xfcn.json")).write_text("{}")
    assert [source.name for source in sources([tmp_path])] == ["gr\ufffdn.json"]
