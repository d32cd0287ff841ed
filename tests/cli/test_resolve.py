"""bundle_path: folders first, then models of the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.cli.resolve import bundle_path
from nanosmith.core.errors import NotFound
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow


def add_model(home: Home, name: str, bundle: str) -> None:
    ledger = Ledger(home.ledger)
    ledger.add_model(ModelRow(name, 1, bundle, "0" * 64, "minilm-l6"))
    ledger.close()


def test_a_folder_wins(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing folder is taken as it is, even where a model has its name."""
    monkeypatch.chdir(tmp_path)
    add_model(home, "support", "elsewhere")
    assert bundle_path("support") == home.bundles / "elsewhere"
    (tmp_path / "support").mkdir()
    assert bundle_path("support") == Path("support")


def test_names(tmp_path: Path, home: Home) -> None:
    """A bundle lies under HOME/bundles unless its folder is absolute; names may hold colons and slashes."""
    add_model(home, "ft:gpt-4.1-nano:org/x::abc", "abc")
    add_model(home, "far", str(tmp_path / "far"))
    assert bundle_path("ft:gpt-4.1-nano:org/x::abc") == home.bundles / "abc"
    assert bundle_path("far", home) == tmp_path / "far"


def test_unknown_name(home: Home) -> None:
    """The message has what was asked, what is allowed, and names nearby or where to look."""
    add_model(home, "support", "s")
    with pytest.raises(NotFound, match=r"got 'suport'.*Did you mean support\?"):
        bundle_path("suport")
    with pytest.raises(NotFound, match="nanosmith ls"):
        bundle_path("something else")


def test_looking_creates_no_ledger(own_home: Path) -> None:
    """An unknown name in a fresh data folder leaves no database behind."""
    with pytest.raises(NotFound):
        bundle_path("support")
    assert not (own_home / "ledger.sqlite").exists()


@pytest.mark.parametrize("name", ["", "\0", "a/b/c"])
def test_odd_names(name: str) -> None:
    """An empty name does not mean the current folder; odd ones are just not found."""
    with pytest.raises(NotFound):
        bundle_path(name)
