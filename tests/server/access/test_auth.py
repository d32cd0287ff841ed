"""Who may call what: keys over every route, scopes, and what a server without keys refuses."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

import httpx
import openai
import pytest
from starlette.testclient import TestClient
from tests.server.app_routes import calls

from nanosmith.core.errors import Unavailable
from nanosmith.server.access import keys, scopes
from nanosmith.server.access.keys import PREFIX, KeyRing, digest, new_key
from nanosmith.server.app import create_app
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import KeyRow

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def add_key(ledger: Ledger, *scopes: str, project: str = "default", expires_at: int | None = None) -> tuple[str, str]:
    """A new key and its id."""
    key, id = new_key(), new_id("key_")
    ledger.add(
        KeyRow(id, project, "test", digest(key.encode()), 1_700_000_000, scopes or ("all",), expires_at=expires_at)
    )
    return key, id


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers look for new keys ten times a second."""
    monkeypatch.setattr(keys, "FRESH_S", 0.1)


def test_a_key_is_random_and_only_its_digest_is_kept(home: Home) -> None:
    """Keys are long, differ, and stand nowhere in the data folder."""
    ledger = Ledger(home.ledger)
    key, id = add_key(ledger)
    assert len(key) - len(PREFIX) >= 40
    assert key != new_key()
    (row,) = ledger.keys()
    assert (row.id, row.sha256) == (id, hashlib.sha256(key.encode()).hexdigest())
    assert not any(key.encode() in path.read_bytes() for path in home.root.rglob("*") if path.is_file())
    ledger.close()


def test_every_call_asks_for_a_key(start: Any, home: Home) -> None:
    """Where a key exists, each path with each method is a 401 without one, and with a wrong one; but for /health."""
    with start(home, api_key="sk-right") as served, httpx.Client(base_url=served.url) as http:
        paths = sorted({call.path() for call in calls(create_app(home))} | {"/", "/v1", "/v1/unknown"})
        paths.remove("/health")
        assert len(paths) > 20
        answers = {(path, method): http.request(method, path).status_code for path in paths for method in METHODS}
        assert {asked: status for asked, status in answers.items() if status != 401} == {}
        wrong = {path: http.get(path, headers=bearer("sk-wrong")).status_code for path in paths}
        assert set(wrong.values()) == {401}
        assert http.get("/health").status_code == 200


def test_a_key_of_the_ledger_opens_and_closes_a_running_server(start: Any, home: Home, quick: None) -> None:
    """The first key closes a server that had none; a revoked one is refused; the server does not open up again."""
    with start(home) as served, httpx.Client(base_url=served.url) as http:
        assert http.get("/v1/files").status_code == 200
        key, id = add_key(served.services.ledger)
        time.sleep(0.15)
        assert http.get("/v1/files").status_code == 401
        assert http.get("/v1/files", headers=bearer(key)).status_code == 200
        served.services.ledger.delete_key(id)
        time.sleep(0.15)
        assert http.get("/v1/files", headers=bearer(key)).status_code == 401
        assert http.get("/v1/files").status_code == 401


def test_both_kinds_of_keys_are_accepted(start: Any, home: Home) -> None:
    """NANOSMITH_API_KEY keeps working beside the ledger's keys; a key may hold any character."""
    with start(home, api_key="sk-ünï") as served:
        key, _ = add_key(served.services.ledger)
        for good in ("sk-ünï", key):
            headers = {"authorization": f"Bearer {good}".encode()}
            assert httpx.get(f"{served.url}/v1/files", headers=headers).status_code == 200


def test_an_expired_key_is_refused(start: Any, home: Home) -> None:
    """After its time a key is a 401 that says so; before, it opens."""
    with start(home, api_key="sk-own") as served:
        ledger = served.services.ledger
        (old, _), (new, _) = (add_key(ledger, expires_at=int(time.time()) + s) for s in (-1, 3600))
        with served.client(old) as client, pytest.raises(openai.AuthenticationError, match="expired"):
            client.files.list()
        with served.client(new) as client:
            assert client.files.list().data == []


class Looks(Ledger):
    """Counts how often the keys are read."""

    count = 0

    def keys(self) -> list[KeyRow]:
        self.count += 1
        return super().keys()


def test_keys_are_read_rarely_and_never_too_late(home: Home) -> None:
    """However many requests come, the ledger is asked once in half of FRESH_S; what is older than FRESH_S is not
    believed."""
    ledger, now = Looks(home.ledger), [0.0]
    ring = KeyRing(ledger, None, clock=lambda: now[0])

    async def ask(at: float) -> bool:
        now[0] = at
        await asyncio.gather(*(ring.known() for _ in range(20)))
        known = await ring.known()
        await asyncio.sleep(0.05)  # what is read beside comes in
        assert at - known.read_at < keys.FRESH_S
        return known.asked

    async def story() -> None:
        assert not await ask(0.0)
        assert not await ask(keys.FRESH_S * 0.49)
        assert ledger.count == 1
        add_key(ledger)
        await ask(keys.FRESH_S * 0.6)
        assert ledger.count == 2
        assert await ask(keys.FRESH_S * 0.7)
        assert await ask(keys.FRESH_S * 9)
        assert ledger.count == 3

    asyncio.run(story())
    ledger.close()


def test_a_ledger_that_is_away_opens_nothing(start: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody can say which keys exist requests get 503, and afterwards answers again."""

    def away(_: Ledger) -> list[KeyRow]:
        raise Unavailable("the database cannot be reached")

    monkeypatch.setattr(keys, "FRESH_S", 0.0)
    with start(home) as served:
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "keys", away)
            assert httpx.get(f"{served.url}/v1/files").status_code == 503
            assert httpx.get(f"{served.url}/health").status_code == 200
        assert httpx.get(f"{served.url}/v1/files").status_code == 200


def test_a_request_of_another_machine_needs_a_key(home: Home) -> None:
    """Without keys only loopback clients are answered, whatever host they name."""
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403)):
        with TestClient(create_app(home), base_url="http://localhost", client=(address, 1)) as client:
            assert client.get("/v1/files").status_code == status
            assert client.get("/metrics").status_code == status


def test_scopes_open_their_group_alone(start: Any, home: Home) -> None:
    """Outside its scopes a key gets 403, and the message names the scope that is missing."""
    with start(home, api_key="sk-own") as served, httpx.Client(base_url=served.url) as http:
        reader, _ = add_key(served.services.ledger, "files:read")
        assert http.get("/v1/files", headers=bearer(reader)).status_code == 200
        for method, path, needed in (
            ("POST", "/v1/files", "files"),
            ("DELETE", "/v1/files/file-1", "files"),
            ("GET", "/v1/models", "models:read"),
            ("POST", "/v1/chat/completions", "inference"),
            ("GET", "/v1/unknown", "all:read"),
            ("GET", "/metrics", "metrics"),
        ):
            refused = http.request(method, path, headers=bearer(reader))
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "missing_scope")
            assert f"the scope {needed}," in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("has", "needs", "opened"),
    [
        ({"files"}, "files", True), ({"files"}, "files:read", True), ({"files:read"}, "files", False),
        ({"files:read"}, "files:read", True), ({"models"}, "files:read", False), ({"all"}, "files", True),
        ({"all"}, "all", True), ({"all:read"}, "files:read", True), ({"all:read"}, "files", False),
        ({"all:read"}, "all", False), ({"all"}, "metrics", False), ({"metrics"}, "metrics", True),
        ({"metrics"}, "files:read", False), (set(), "files:read", False), ({"all"}, "webhooks", False),
        ({"all"}, "webhooks:read", False), ({"all:read"}, "webhooks:read", False), ({"webhooks"}, "webhooks", True),
        ({"webhooks"}, "webhooks:read", True), ({"webhooks:read"}, "webhooks", False),
    ],
)  # fmt: skip
def test_what_a_scope_opens(has: set[str], needs: str, opened: bool) -> None:
    """A group opens its reading part, `all` every group but `webhooks`, which opens itself alone as `metrics` does."""
    assert scopes.opens(has, needs) is opened


def test_every_route_has_a_scope(home: Home) -> None:
    """Each resource that is built is in the table of scopes, and its first part is no parameter."""
    built = [call for call in calls(create_app(home)) if call.built and call.template.startswith("/v1/")]
    resources = {call.template.split("/")[2] for call in built}
    assert resources - scopes.GROUPS.keys() == set(), "add these to nanosmith.server.access.scopes.GROUPS"
    assert set(scopes.GROUPS.values()) <= set(scopes.NAMES)
    assert scopes.ALSO.keys() <= {call.template.removeprefix("/v1/") for call in built}


def test_an_export_of_completions_needs_both_scopes(start: Any, home: Home) -> None:
    """Whoever may only write files cannot read stored completions by exporting them."""
    with start(home, api_key="sk-own") as served:
        granted = {("files",): 403, ("inference",): 403, ("files", "inference:read"): 415}
        made = [(add_key(served.services.ledger, *names)[0], status) for names, status in granted.items()]
        for key, status in made:
            assert httpx.post(f"{served.url}/v1/files/from_completions", headers=bearer(key)).status_code == status


@pytest.mark.parametrize("headers", [{"host": "["}, {"origin": "http://["}, {"host": "x]:y"}])
def test_a_host_that_is_no_host_is_refused(http: httpx.Client, headers: dict[str, str]) -> None:
    """What cannot be parsed is not local; it is a 403 and no error of the server."""
    assert http.get("/v1/models", headers=headers).status_code == 403
