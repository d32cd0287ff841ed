"""`nanosmith models` and `nanosmith providers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.store.config import VARIABLE
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle

KEY = "sk-secret-9876543210"
CONFIG = """
[provider.mine]
base_url = "https://llm.example.com/v1"
[provider.mine.models.big]
input_usd = 1.5
output_usd = 3

[route.support]
[[route.support.steps]]
model = "tiny"
accept = 0.9
[[route.support.steps]]
model = "mine/big"
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nanosmith.toml"
    path.write_text(CONFIG)
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def run(*words: str, typed: str | None = None) -> Any:
    return CliRunner().invoke(app, list(words), input=typed)


def found(*words: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(run("models", *words, "--json").stdout)}


def test_local_and_remote_alike(home: Home) -> None:
    """One list of the data folder's models, the routes, and the catalogue with one's own providers."""
    bundle = tiny_bundle(home.bundles / "tiny")
    ledger = open_ledger(home)
    ledger.add_model(ModelRow("tiny", 1_700_000_000, "tiny", bundle.digest, base="none"))
    ledger.close()
    rows = found()
    assert (rows["tiny"]["where"], rows["tiny"]["kind"]) == ("local", "choice")
    assert rows["support"]["steps"] == ["tiny", "mine/big"]
    assert (rows["mine/big"]["input_usd"], rows["mine/big"]["ready"]) == (1.5, True)
    assert rows["openai/gpt-5-mini"]["ready"] is False
    assert set(found("--local")) == {"tiny", "support"}
    assert "tiny" not in found("--remote")
    assert all("haiku" in name for name in found("haiku"))
    table = run("models", "gpt-5-mini").stdout
    assert "OPENAI" not in table
    assert "400,000" in table


def test_nothing_found() -> None:
    """A name that nothing has is said, and is no error."""
    done = run("models", "zzz")
    assert (done.exit_code, "No models" in done.stdout) == (0, True)


def test_keys_are_kept_and_never_shown(own_home: Path) -> None:
    """A key from standard input makes a provider ready; no list and no file shows it; it can be removed."""
    added = run("providers", "add", "openai", typed=f"{KEY}\n")
    assert added.exit_code == 0
    assert found()["openai/gpt-5-mini"]["ready"] is True
    listed = run("providers", "ls", "--json").stdout
    assert {row["name"]: row["key"] for row in json.loads(listed)}["openai"] == "kept"
    assert KEY not in listed + added.output
    assert all(KEY.encode() not in file.read_bytes() for file in own_home.rglob("*") if file.is_file())
    assert run("providers", "rm", "openai").exit_code == 0
    assert found()["openai/gpt-5-mini"]["ready"] is False


@pytest.mark.parametrize(
    ("words", "typed", "message"),
    [(("add", "opnai"), KEY, "Did you mean openai"), (("add", "openai"), "", "this is no key"),
     (("rm", "openai"), None, "no key is kept"), (("rm", "../secret"), None, "no key is kept")],
)  # fmt: skip
def test_wrong_words(words: tuple[str, ...], typed: str | None, message: str) -> None:
    """Unknown providers and empty keys are told."""
    done = run("providers", *words, typed=typed)
    assert done.exit_code == 2
    assert message in done.output


def test_wrong_configuration_is_told(tmp_path: Path) -> None:
    """A wrong table of nanosmith.toml names itself and its field."""
    (tmp_path / "nanosmith.toml").write_text("[provider.mine]\nbase_url = 3\n")
    done = run("models")
    assert done.exit_code == 2
    assert "provider.mine" in done.output
    assert "base_url" in done.output


def test_prices_have_a_date() -> None:
    """The table says of which day they are."""
    assert "as of 2026-07-01" in run("models", "openai/gpt-5-mini").stdout
