"""`nanosmith compress` and `nanosmith profile`: what they print, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.compress import as_object
from nanosmith.cli.main import app
from nanosmith.core.goal import Goal
from nanosmith.flows.compress import Compressed
from nanosmith.score.front import Loss, Point
from nanosmith.store.bundles import Bundle
from nanosmith.testing import tiny_bundle, topic_rows, write_chat

LARGE = Point("teacher", "tune_encoder/1", 9, 3.0, Loss(10, 0.9, 0.0, (0.0, 0.0)))
SMALL = Point("static-64-4000", "static/1", 1, 0.1, Loss(10, 0.8, 10.0, (1.0, 20.0)), on_front=True)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_chat(tmp_path / "train.jsonl", topic_rows(30)))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_object_of_a_success(bundle: Bundle) -> None:
    """Scripts find the folder, the front and the figures of what was chosen."""
    made = Compressed(bundle, "small", None, SMALL, None, LARGE, [SMALL], Goal(bytes=5), "held out")
    found = json.loads(json.dumps(as_object(made, 1.25)))
    assert found["bundle"] == str(bundle.path)
    assert found["front"] == [found["chosen"]]
    assert (found["front"][0]["bytes"], found["front"][0]["loss"]["points"]) == (1, 10.0)
    assert found["goal"] == {"latency_ms": None, "bytes": 5, "loss_points": None}


def test_object_of_an_honest_no() -> None:
    """`bundle` is null, and the nearest miss is told."""
    made = Compressed(None, None, None, None, SMALL, LARGE, [SMALL], Goal(loss_points=1.0), "held out")
    found = as_object(made, 1.0)
    assert (found["bundle"], found["name"], found["chosen"]) == (None, None, None)
    assert found["nearest"]["name"] == "static-64-4000"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-bytes", "8 elephants"),
        ("--max-bytes", "0"),
        ("--max-latency", "soon"),
        ("--max-latency", "2"),
        ("--max-loss", "-1"),
    ],
)
def test_bounds_that_are_none(option: str, value: str, bundle: Bundle, file: str) -> None:
    """Exit code 2 and one line, before any work."""
    result = run("compress", str(bundle.path), "--data", file, option, value)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_other_kinds_are_refused(bundle: Bundle, file: str) -> None:
    """A static bundle cannot be made smaller; the error says what can be compressed."""
    result = run("compress", str(bundle.path), "--data", file, "--json")
    assert result.exit_code == 2
    assert "encoder/1" in json.loads(result.stdout)["error"]["message"]


def test_no_such_teacher(file: str, own_home: Path) -> None:
    """A name that nothing has is told as such."""
    result = run("compress", "nobody", "--data", file, "--home", str(own_home))
    assert result.exit_code == 2
    assert "nobody" in result.stderr


def test_profile_that_is_none(bundle: Bundle, file: str, tmp_path: Path) -> None:
    """A file that is no profile is refused before any work."""
    other = tmp_path / "other.json"
    other.write_text("{}")
    result = run("compress", str(bundle.path), "--data", file, "--profile", str(other))
    assert result.exit_code == 2
    assert "nanosmith profile" in result.stderr


def test_plot_needs_a_folder(bundle: Bundle, file: str, tmp_path: Path) -> None:
    """It is drawn at the end, and checked at the beginning."""
    result = run("compress", str(bundle.path), "--data", file, "--plot", str(tmp_path))
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr


def test_profile_needs_a_folder(tmp_path: Path) -> None:
    """Where the file cannot be written is found before any work."""
    assert run("profile", "--out", str(tmp_path / "nowhere" / "device.json")).exit_code == 2
