"""nanosmith.toml: which file counts, what is wrong with it, and that it is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nanosmith.core.errors import InputError, NotFound
from nanosmith.store.config import FILE_NAME, VARIABLE, WatchedConfig, find_config, read_config
from nanosmith.store.home import Home

ROUTE = '[route.{name}]\n[[route.{name}.steps]]\nmodel = "tiny"\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A data folder, and an empty working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(VARIABLE, raising=False)
    root = tmp_path / "home"
    root.mkdir()
    return Home(root)


def write(path: Path, text: str) -> None:
    path.write_text(text)
    stamp = path.stat().st_mtime_ns + 1_000_000  # a clock may tick more slowly than the test
    os.utime(path, ns=(stamp, stamp))


def test_the_nearest_file_counts(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable's before the working folder's before the data folder's."""
    assert find_config(home) is None
    write(home.root / FILE_NAME, "")
    assert find_config(home) == home.root / FILE_NAME
    write(Path.cwd() / FILE_NAME, "")
    assert find_config(home) == Path.cwd() / FILE_NAME
    write(tmp_path / "other.toml", "")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other.toml"))
    assert find_config(home) == tmp_path / "other.toml"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none.toml"))
    with pytest.raises(NotFound, match="names no file"):
        find_config(home)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[route", "not valid TOML"),
        (f"remote = {'[' * 2000}", "nested too deeply"),
        ("rout = 1", r"unknown key \(got rout; .*Did you mean route"),
        ("route = 3", r"route: not a table \(got 3"),
        ('remote = "openai/*"', "not a list of remote models"),
        ('[budget]\ntotal = "much"', "not a budget"),
        ('[route.a]\nbudget = "much"\n[[route.a.steps]]\nmodel = "x"', "route.a.budget"),
    ],
)
def test_a_wrong_file_is_named(home: Home, text: str, said: str) -> None:
    """With what is wrong in it."""
    path = home.root / FILE_NAME
    write(path, text)
    with pytest.raises(InputError, match=said) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_of_windows(home: Home) -> None:
    """May begin with a byte order mark."""
    path = home.root / FILE_NAME
    write(path, "\ufeff" + ROUTE.format(name="a"))
    assert list(read_config(path).routes) == ["a"]


def test_it_is_read_again_when_it_changes(home: Home) -> None:
    """And only then."""
    path = home.root / FILE_NAME
    watched = WatchedConfig(home)
    assert (dict(watched.config.routes), watched.refresh()) == ({}, False)
    write(path, ROUTE.format(name="a"))
    assert watched.refresh()
    assert list(watched.config.routes) == ["a"]
    assert not watched.refresh()
    write(path, ROUTE.format(name="a") + ROUTE.format(name="b"))
    assert watched.refresh()
    assert list(watched.config.routes) == ["a", "b"]
    path.unlink()
    assert watched.refresh()
    assert not watched.config.routes


def test_a_broken_file_keeps_the_routes(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and told as long as it is broken."""
    path = home.root / FILE_NAME
    write(path, ROUTE.format(name="a"))
    watched = WatchedConfig(home)
    write(path, "[route")
    for _ in range(3):
        assert not watched.refresh()
    assert list(watched.config.routes) == ["a"]
    assert "not valid TOML" in str(watched.problem)
    assert len([one for one in caplog.records if "cannot be used" in one.message]) == 1
    write(path, ROUTE.format(name="b"))
    assert watched.refresh()
    assert (list(watched.config.routes), watched.problem) == (["b"], None)
