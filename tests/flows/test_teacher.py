"""From the name of a teacher to a predictor."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.task import Task
from nanosmith.flows.teacher import open_teacher
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle
from nanosmith.testing.provider import FakeProvider


@pytest.fixture
def home(own_home: Path) -> Home:
    """A data folder with the models one and two."""
    home = open_home()
    ledger = Ledger(home.ledger)
    for name in ("one", "two"):
        bundle = tiny_bundle(home.bundles / name, name=name)
        ledger.add_model(ModelRow(name, 0, name, bundle.digest, "x"))
    ledger.close()
    return home


def test_bundles(home: Home, tmp_path: Path) -> None:
    """A name, a folder, and several with commas are bundles; each has its digest."""
    folder = str(tiny_bundle(tmp_path / "three", name="three").path)
    assert open_teacher("one", home).predictor.name == "one"
    assert open_teacher(folder, home).predictor.name == "three"
    several = open_teacher(f"one, two,{folder}", home)
    assert several.predictor.name == "one,two,three"
    assert list(several.digests) == ["one", "two", folder]


def test_remote(home: Home) -> None:
    """A URL with a model is a remote one, which is asked for the task."""
    task = Task("choice", ("login", "refund"))
    with FakeProvider(table={"where is my money?": "refund"}) as provider:
        found = open_teacher(provider.remote(), home, task=task)
        assert found.remote is not None
        assert found.digests == {}
        assert found.predictor.predict(["where is my money?"])[0].value == "refund"


@pytest.mark.parametrize(
    "name", ["", ",", "nothing", "one,nothing", "nobody/model", "http://127.0.0.1/v1", "openai/nothing"]
)
def test_wrong(home: Home, name: str) -> None:
    """What names no teacher is an error that says so."""
    with pytest.raises((NotFound, InputError)) as caught:
        open_teacher(name, home)
    assert "got" in str(caught.value)


def test_folder_without_bundle(home: Home, tmp_path: Path) -> None:
    """A folder that is no bundle is named."""
    with pytest.raises(NotFound, match="no bundle here"):
        open_teacher(str(tmp_path), home)


def test_near_name(home: Home) -> None:
    """A slip is answered with what is near."""
    with pytest.raises(NotFound, match="Did you mean two"):
        open_teacher("tow", home)
