"""An exported model in Node, beside the bundle, on 500 messages of BANKING77. Installs three packages from npm."""

from __future__ import annotations

import shutil
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from nanosmith.cli.inputs import from_file
from nanosmith.core.errors import InputError
from nanosmith.core.settings import TuneSettings
from nanosmith.flows.export import export
from nanosmith.flows.tune import tune
from nanosmith.store.home import Home

DATA = Path("data/banking77")
TEXTS = 500
PACKAGES = Path("src/nanosmith/recipes/exports/files/package.json")
EVERY = 6  # of the test messages, which are sorted by label


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder below which Node finds the packages of the examples."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(PACKAGES, folder)
    done = subprocess.run([npm, "install", "--ignore-scripts"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm could not install the packages: {done.stderr[-200:]}")
    return folder


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("recipe", ["tfidf_linear/1", "static/1", "frozen_linear/1"])
def test_500_messages(recipe: str, folder: Path, home: Home) -> None:
    """Node's native runtime, and the one of browsers, give the bundle's answers."""
    bundle = folder / f"bundle-{recipe[:-2]}"
    tune(DATA / "train.jsonl", settings=TuneSettings(recipe=recipe), home=home, out=bundle)
    inputs = [given for _, given in islice(from_file(str(DATA / "test.jsonl")), 0, None, EVERY)][:TEXTS]
    assert not any(isinstance(given, InputError) for given in inputs)
    exported = export(bundle, "onnx", folder / recipe[:-2], inputs=inputs)  # type: ignore[arg-type]
    assert [check.ran for check in exported.checks] == [True] * 3
    python, node, web = (check.same_answer for check in exported.checks)
    assert python == node == TEXTS
    assert web >= TEXTS - 2  # its kernels round differently
