"""`nanosmith webhooks`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.jobs.webhooks.webhooks import DELIVERY, EVENTS, announce
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger

URL = "https://hooks.example/in"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["webhooks", *words])


def run_json(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger)
    yield opened
    opened.close()


def test_a_secret_is_shown_once(home: Home) -> None:
    """`add` prints the secret alone on stdout, 256 bits of it; `ls` never does."""
    done = run("add", URL)
    secret = done.stdout.strip()
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert "not shown again" in done.stderr
    listed = run("ls").stdout
    assert URL in listed
    assert secret not in listed + json.dumps(run_json("ls"))
    assert run_json("add", URL)["secret"] != secret


def test_events(home: Home) -> None:
    """Those that are named, once each; all when none is; another one is refused with near names."""
    assert run_json("add", URL)["events"] == list(EVENTS)
    named = run_json("add", URL, "--event", "batch.failed", "--event", "batch.failed")
    assert named["events"] == ["batch.failed"]
    refused = run("add", URL, "--event", "batch.fail")
    assert refused.exit_code == 2
    assert "Did you mean batch.failed" in refused.output


def test_what_ls_shows(home: Home) -> None:
    """The name that it was given, and where it may be: anywhere, as the operator has named it."""
    run("add", URL, "--name", "billing")
    (shown,) = run_json("ls")
    assert (shown["name"], shown["reach"]) == ("billing", "any")
    assert "billing" in run("ls").stdout


def test_addresses(home: Home) -> None:
    """http beyond this machine needs --allow-http."""
    assert run("add", "http://hooks.example/in").exit_code == 2
    assert run("add", "http://hooks.example/in", "--allow-http").exit_code == 0


def test_what_became_of_deliveries(home: Home, ledger: Ledger) -> None:
    """`ls` counts what waits, was taken and was given up, and tells the last problem."""
    run("add", URL)
    for i in range(3):
        ledger.add(*announce(ledger, "batch.completed", f"batch_{i}"))
    first, second, third = ledger.documents(DELIVERY)
    for row, changes in (
        (first, {"body": first.body | {"problem": "status 500"}}),
        (second, {"status": "delivered"}),
        (third, {"status": "failed"}),
    ):
        ledger.update_document(DELIVERY, row.id, **changes)  # type: ignore[arg-type]
    (shown,) = run_json("ls")
    assert shown["deliveries"] == {"waiting": 1, "delivered": 1, "failed": 1}
    assert shown["problem"] == "status 500"
    assert "status 500" in run("ls").stdout


def test_remove(home: Home, ledger: Ledger) -> None:
    """The endpoint goes with what waits for it; an id that is not there is an error."""
    id = run_json("add", URL)["id"]
    ledger.add(*announce(ledger, "batch.completed", "batch_1"))
    assert run("rm", id).exit_code == 0
    assert (run_json("ls"), ledger.documents(DELIVERY)) == ([], [])
    assert run("rm", id).exit_code == 2


def test_projects(home: Home) -> None:
    """A webhook is one project's; a project that is not there is refused."""
    assert CliRunner().invoke(app, ["projects", "add", "acme"]).exit_code == 0
    id = run_json("add", URL, "--project", "acme")["id"]
    assert run_json("ls") == []
    assert [one["id"] for one in run_json("ls", "--project", "acme")] == [id]
    assert run("rm", id).exit_code == 2
    assert run("add", URL, "--project", "nobody").exit_code == 2
