"""`nanosmith predict --explain`: words with values as text and JSON, colours on a terminal alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from nanosmith.cli.explained import show
from nanosmith.cli.main import app
from nanosmith.core.explanation import Explanation, LabelExplanation, WordValue
from nanosmith.testing import tiny_bundle

WORDS = (WordValue("My", 0, 2, -0.01), WordValue("refund", 3, 9, 2.0), WordValue("[b]", 10, 13, -1.0))
FOUND = Explanation("My refund [b]", False, (LabelExplanation("refund", 1.0, 0.01, WORDS),), 8, 24)


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(tiny_bundle(tmp_path / "tiny").path)


def predict(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", *arguments])


def test_json(bundle: str) -> None:
    """With --json the answer holds the explanation: places, values and scores that fit together."""
    found = json.loads(predict(bundle, "my refund", "--explain", "--json").stdout)["explanation"]
    assert (found["method"], found["unit"], found["text"], found["truncated"]) == (
        "shapley",
        "log_odds",
        "my refund",
        False,
    )
    [label] = found["labels"]
    assert [(word["text"], word["start"], word["end"]) for word in label["words"]] == [("my", 0, 2), ("refund", 3, 9)]
    assert sum(word["value"] for word in label["words"]) == pytest.approx(label["score"] - label["empty_score"])


def test_text(bundle: str) -> None:
    """Without --json a line under the answer names the words, the largest first; nothing is coloured in a pipe."""
    answer, why = predict(bundle, "my refund", "--explain").stdout.splitlines()
    assert answer.startswith("refund")
    assert why.startswith("  refund: refund +")
    assert ", my " in why


def test_only_when_asked(bundle: str) -> None:
    """Without --explain there is no explanation."""
    assert "explanation" not in json.loads(predict(bundle, "my refund", "--json").stdout)


def test_a_bad_line_is_not_explained(bundle: str, tmp_path: Path) -> None:
    """A line that cannot be read is reported as ever, the others are explained."""
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "refund"}\n{"text": \n')
    first, bad = map(json.loads, predict(bundle, "--file", str(file), "--explain", "--json").stdout.splitlines())
    assert first["explanation"]["labels"]
    assert set(bad) == {"line", "error"}


def test_an_empty_text(bundle: str) -> None:
    """Of a text without words, that is said."""
    assert "no word was read" in predict(bundle, "", "--explain").stdout


def shown(*, terminal: bool) -> str:
    file = io.StringIO()
    show(FOUND, Console(file=file, force_terminal=terminal, color_system="truecolor", highlight=False, width=80))
    return file.getvalue()


def test_colours_on_a_terminal() -> None:
    """Words for the label are green, words against it red, weak ones plain; brackets are no markup."""
    lines = shown(terminal=True).splitlines()
    assert len(lines) == 2
    assert "\x1b[30;48;2;46;160;67mrefund\x1b" in lines[1]
    assert "\x1b[30;48;2;236;154;153m[b]\x1b" in lines[1]
    assert "  My " in lines[1]


def test_no_colours_elsewhere() -> None:
    """Anything but a terminal gets the words with their values alone."""
    assert shown(terminal=False) == "  refund: refund +2.00, [b] -1.00, My -0.01\n"
