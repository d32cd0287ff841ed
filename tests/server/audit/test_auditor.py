"""A certificate in service: a real server with a route to tiny models, asked by the real client."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import OpenAI
from tests.server.conftest import Served, running
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.flows.certify import Promise, certify, find_local
from nanosmith.jobs.webhooks.webhooks import DELIVERY, new_endpoint
from nanosmith.score.drift import Sight
from nanosmith.server.audit import auditor as auditor_module
from nanosmith.server.audit.guard import identity
from nanosmith.server.audit.watch import WatchedRoute
from nanosmith.store import certificates
from nanosmith.store.audits import alarms, read_audit
from nanosmith.store.config import FILE_NAME
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.purse import Purse
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


def deliveries(served: Served) -> list[dict[str, Any]]:
    """Events that webhooks are to be told."""
    return [row.body["event"] for row in served.services.ledger.documents(DELIVERY)]


def state(served: Served) -> dict[str, object]:
    row = read_audit(served.services.ledger, "support")
    return {} if row is None else row.body


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
        assert served.services.shared.auditor.threshold("support", "tiny") == 0.0


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
        wait_for(lambda: served.services.shared.auditor.threshold("support", "tiny") == math.inf)
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


def test_two_processes(certified: Home) -> None:
    """Two servers over one data folder count together: neither sees enough for an alarm, both retreat, and people are
    told once."""
    with closing(open_ledger(certified)) as ledger:
        ledger.add(new_endpoint("https://hooks.example/in"))
    with running(certified) as one, running(certified) as other, one.client() as first, other.client() as second:
        for i in range(12):
            ask(first, f"login but the teacher disagrees {i}")
            ask(second, f"login and the teacher disagrees {i}")
        for served in (one, other):
            wait_for(lambda served=served: served.services.shared.auditor.threshold("support", "tiny") == math.inf)
        assert ask(first, TEXTS[1])[0] == ask(second, TEXTS[1])[0] == "fake/big"
        (told,) = deliveries(one)
        assert (told["type"], told["data"]["id"]) == ("route.certificate.suspended", "support")
        assert told["data"]["reason"] == "agreement"
        assert "audited answers agree" in told["data"]["text"]


def test_another_certificate(certified: Home) -> None:
    """What a process still says of an older certificate is not kept in place of the newer one's state."""
    certificate = certificates.newest(certified, "support")
    newer = msgspec.structs.replace(certificate, created_at=certificate.created_at + 1)
    with closing(open_ledger(certified)) as ledger, closing(Purse(ledger.database)) as purse:
        ours = WatchedRoute(newer, certified, ledger, purse)
        theirs = WatchedRoute(certificate, certified, ledger, purse)
        for route, label in ((ours, "login"), (theirs, "refund"), (theirs, "refund"), (ours, "login")):
            route._take(Sight(1.0, label, 5, 5), None)
            route.share()
        kept = read_audit(ledger, "support")
    assert kept is not None
    assert kept.body["certificate"] == identity(newer)
    assert [sight["label"] for sight in kept.body["recent"]] == ["login", "login"]


def test_another_model(certified: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another model takes the name of the certified one, nothing is accepted any more; people are told once."""
    monkeypatch.setattr(auditor_module, "FRESH_S", 0.0)
    ledger = open_ledger(certified)
    ledger.add(new_endpoint("https://hooks.example/in"))
    with running(certified) as served, served.client() as client:
        assert ask(client, TEXTS[1])[0] == "tiny"
        tiny_bundle(certified.bundles / "other", ["login", "refund"], name="tiny")
        ledger.update_model("tiny", bundle="other")
        wait_for(lambda: served.services.shared.auditor.threshold("support", "tiny") is None)
    with running(certified) as served:
        assert served.services.shared.auditor.threshold("support", "tiny") is None
        (told,) = deliveries(served)
    assert told["data"]["reason"] == "outdated"
    assert "another model is in service" in told["data"]["text"]
    ledger.close()


def test_another_model_at_once(certified: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another model of this name answers, here or in another project, is not accepted, even while the certificate
    of the first is still believed."""
    monkeypatch.setattr(auditor_module, "FRESH_S", 1_000.0)
    with closing(open_ledger(certified)) as ledger, running(certified) as served, served.client() as client:
        assert ask(client, TEXTS[1])[0] == "tiny"
        tiny_bundle(certified.bundles / "other", ["login", "refund"], name="tiny")
        ledger.update_model("tiny", bundle="other", digest="another")
        wait_for(lambda: ask(client, TEXTS[1])[0] == "fake/big")
        assert served.services.shared.auditor.threshold("support", "tiny") == 0.0


def test_damaged_state(certified: Home) -> None:
    """A state that cannot be read is begun anew, and a damaged certificate accepts nothing."""
    from nanosmith.store.audits import write_audit

    ledger = open_ledger(certified)
    write_audit(ledger, "support", {"certificate": 5})
    ledger.close()
    with running(certified) as served:
        assert served.services.shared.auditor.threshold("support", "tiny") == 0.0
    (file,) = (certified.certificates / "support").iterdir()
    file.write_text(file.read_text().replace('"agreed": 150', '"agreed": 149'))
    with running(certified) as served:
        assert served.services.shared.auditor.threshold("support", "tiny") is None
