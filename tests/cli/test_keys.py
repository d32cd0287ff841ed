"""`nanosmith keys` and `nanosmith projects`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.cli.serve import _has_keys
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def run_json(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_key_is_shown_once(home: Home) -> None:
    """`add` prints the key alone on stdout; `ls` never does; the ledger has its digest."""
    done = run("keys", "add", "laptop")
    key = done.stdout.strip()
    assert key.startswith("nsk-")
    assert "not shown again" in done.stderr
    listed = run("keys", "ls").stdout
    assert "laptop" in listed
    assert key not in listed + json.dumps(run_json("keys", "ls"))
    ledger = Ledger(home.ledger)
    assert ledger.key_by_sha256(hashlib.sha256(key.encode()).hexdigest()) is not None
    ledger.close()


def test_what_a_key_may_do(home: Home) -> None:
    """Project, scopes, limits and expiry are kept as they are given."""
    project = run_json("projects", "add", "acme", "--storage-bytes", "1000")
    assert project["limits"] == {"storage_bytes": 1000}
    words = ("--project", "acme", "--scope", "files:read", "--scope", "models", "--days", "2")
    made = run_json("keys", "add", "ci", *words, "--requests-per-minute", "5")
    (row,) = run_json("keys", "ls")
    assert row | {"key": made["key"]} == made
    assert (row["project"], row["scopes"], row["limits"]) == (
        project["id"], ["files:read", "models"], {"requests_per_minute": 5},
    )  # fmt: skip
    assert row["expires_at"] - row["created_at"] == 2 * 86_400


def test_revoked_keys_are_gone(home: Home) -> None:
    """`revoke` removes one key; an id that does not exist is an error."""
    made = run_json("keys", "add", "laptop")
    assert _has_keys(None)
    assert run("keys", "revoke", made["id"]).exit_code == 0
    assert run_json("keys", "ls") == []
    assert not _has_keys(None)
    again = run("keys", "revoke", made["id"])
    assert (again.exit_code, "no such key" in again.stderr) == (2, True)


def test_limits_of_projects(home: Home) -> None:
    """`limit` replaces all limits, also those of the default project, which is always listed."""
    assert [row["id"] for row in run_json("projects", "ls")] == ["default"]
    run("projects", "limit", "default", "--tokens-per-minute", "9", "--storage-bytes", "5")
    run("projects", "limit", "default", "--requests-per-minute", "7")
    assert [row["limits"] for row in run_json("projects", "ls")] == [{"requests_per_minute": 7}]
    run_json("projects", "add", "acme")
    assert [row["name"] for row in run_json("projects", "ls")] == ["default", "acme"]
    assert "requests_per_minute 7" in run("projects", "ls").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "add", "a", "--scope", "file"), "Did you mean"),
        (("keys", "add", "a", "--project", "acne"), "no such project"),
        (("projects", "add", "default"), "has this name"),
        (("projects", "limit", "none"), "no such project"),
        (("keys", "add", "a", "--requests-per-minute", "0"), "--requests-per-minute"),
        (("keys", "add", "a", "--days", "-1"), "--days"),
    ],
)
def test_wrong_words(home: Home, words: tuple[str, ...], said: str) -> None:
    """What cannot be is exit code 2 with the reason, and makes nothing."""
    done = run(*words)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert run_json("keys", "ls") == []
