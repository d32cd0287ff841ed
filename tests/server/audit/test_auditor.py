"""A certificate in service: a real server with a route to tiny models, asked by the real client."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from tests.server.conftest import Served, running
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.flows.certify import Promise, certify, find_local
from nanosmith.server.audit import auditor as auditor_module
from nanosmith.store.audits import alarms, read_audit
from nanosmith.store.config import FILE_NAME
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle
from nanosmith.testing.provider import FakeProvider

LABELS = ("delivery", "login", "refund")
TEXTS = [f"{LABELS[i % 3]} {i}" for i in range(150)]
ROUTE = """
[route.support]
audit = 1.0
[[route.support.steps]]
model = "tiny"
accept = "certified"
[[route.support.steps]]
model = "fake/big"
[provider.fake]
base_url = "{url}"
any_model = true
"""


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Agrees with the tiny model on the texts, and says "refund" to all others."""
    with FakeProvider(table={text: text.split()[0] for text in TEXTS}, default="refund") as running_provider:
        yield running_provider


@pytest.fixture
def home(own_home: Path, provider: FakeProvider) -> Home:
    home = open_home()
    ledger = open_ledger(home)
    bundle = tiny_bundle(home.bundles / "tiny")
    ledger.add_model(ModelRow("tiny", 0, "tiny", bundle.digest, "x"))
    ledger.close()
    (home.root / FILE_NAME).write_text(ROUTE.format(url=provider.url))
    return home


@pytest.fixture
def certified(home: Home) -> Home:
    made = certify(find_local("support", home), "fake/big", TEXTS, Promise(), home, source="x")
    assert made.certificate is not None
    return home


def ask(client: OpenAI, text: str, **headers: str) -> tuple[str, str]:
    """The step that answered, and what."""
    raw = client.chat.completions.with_raw_response.create(
        model="support", messages=[{"role": "user", "content": text}], extra_headers=headers
    )
    return raw.headers["x-nanosmith-step"], raw.parse().choices[0].message.content or ""


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def state(served: Served) -> dict[str, object]:
    return read_audit(served.services.ledger, "support") or {}


def test_without_certificate(home: Home) -> None:
    """A certified step accepts nothing while there is no certificate."""
    with running(home) as served, served.client() as client:
        assert ask(client, TEXTS[0]) == ("fake/big", "delivery")


def test_answers_and_audits(certified: Home, provider: FakeProvider) -> None:
    """What reaches the threshold is answered here and put to the teacher, too; the state is there after a restart."""
    with running(certified) as served, served.client() as client:
        asked = provider.seen()["requests"]
        assert [ask(client, text) for text in TEXTS[:10]] == [("tiny", text.split()[0]) for text in TEXTS[:10]]
        wait_for(lambda: provider.seen()["requests"] == asked + 10)
    with running(certified) as served:
        wait_for(lambda: state(served).get("agreed") == 10)
        assert state(served)["seen"] == 10
        assert served.services.shared.routing.certified("support", "tiny") == 0.0


def test_private_requests(certified: Home, provider: FakeProvider) -> None:
    """A private request is answered here, and no audit sends it away."""
    with running(certified) as served, served.client() as client:
        asked = provider.seen()["requests"]
        for text in TEXTS[:10]:
            assert ask(client, text, **{"x-nanosmith-private": "1"})[0] == "tiny"
        wait_for(lambda: served.services.shared.auditor._waiting == 0)
        assert provider.seen()["requests"] == asked


def test_retreat(certified: Home) -> None:
    """When the teacher begins to say otherwise, the route retreats: the teacher answers, the alarm is kept, and after a
    restart it is still so."""
    with running(certified) as served, served.client() as client:
        for i in range(12):
            ask(client, f"login but the teacher disagrees {i}")
        wait_for(lambda: served.services.shared.routing.certified("support", "tiny") == math.inf)
        assert ask(client, TEXTS[1])[0] == "fake/big"
        found = alarms(served.services.ledger, "support")
        assert [alarm.body["kind"] for alarm in found] == ["agreement"]
    with running(certified) as served, served.client() as client:
        assert ask(client, TEXTS[1])[0] == "fake/big"
    plot = certified.root / "plot.svg"
    shown = CliRunner().invoke(app, ["certify", "support", "--audit", "--json", "--plot", str(plot)])
    state = json.loads(shown.stdout)
    assert not state["believed"]
    assert [alarm["kind"] for alarm in state["alarms"]] == ["agreement"]
    assert "</svg>" in plot.read_text()
    assert "nothing is accepted here" in CliRunner().invoke(app, ["certify", "support", "--audit"]).stdout


def test_another_model(certified: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another model takes the name of the certified one, nothing is accepted any more."""
    monkeypatch.setattr(auditor_module, "FRESH_S", 0.0)
    ledger = open_ledger(certified)
    with running(certified) as served, served.client() as client:
        assert ask(client, TEXTS[1])[0] == "tiny"
        tiny_bundle(certified.bundles / "other", ["login", "refund"], name="tiny")
        ledger.update_model("tiny", bundle="other")
        wait_for(lambda: served.services.shared.routing.certified("support", "tiny") is None)
    ledger.close()


def test_damaged_state(certified: Home) -> None:
    """A state that cannot be read is begun anew, and a damaged certificate accepts nothing."""
    from nanosmith.store.audits import write_audit

    ledger = open_ledger(certified)
    write_audit(ledger, "support", {"certificate": 5})
    ledger.close()
    with running(certified) as served:
        assert served.services.shared.routing.certified("support", "tiny") == 0.0
    (file,) = (certified.certificates / "support").iterdir()
    file.write_text(file.read_text().replace('"agreed": 150', '"agreed": 149'))
    with running(certified) as served:
        assert served.services.shared.routing.certified("support", "tiny") is None
