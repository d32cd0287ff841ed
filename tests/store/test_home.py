"""The data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.store.home import VARIABLE, open_home


def test_argument_before_variable_before_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder named by the caller wins over the environment, which wins over ~/.nanosmith."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "variable"))
    assert open_home(tmp_path / "argument").root == tmp_path / "argument"
    assert open_home().root == tmp_path / "variable"
    monkeypatch.setenv(VARIABLE, "")
    assert open_home().root == tmp_path / "user" / ".nanosmith"
    assert open_home("~/own").root == tmp_path / "user" / "own"


def test_private(tmp_path: Path) -> None:
    """Only its owner may look inside."""
    assert open_home(tmp_path / "new").root.stat().st_mode & 0o777 == 0o700
