"""GET /metrics, and the log line."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families as parse

from nanosmith.server.access.keys import digest, new_key
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document, JobRow, KeyRow
from nanosmith.version import __version__

LABELS = ("route", "method", "status", "le", "version")
CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "a private refund"}]}


def scrape(http: httpx.Client) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name and the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    for family in parse(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[
                tuple(sample.labels[name] for name in LABELS if name in sample.labels)
            ] = sample.value
    return found


def add_job(ledger: Ledger, status: Any) -> None:
    ledger.add(JobRow(new_id("ftjob-"), 1, "nanosmith-nano", "file-1", {}, 0, {}, status=status))


def test_figures(fresh: Any) -> None:
    """Requests by route, method and status, their durations, predictions, tokens, jobs of all projects, the version."""
    add_job(fresh.services.ledger, "succeeded")
    add_job(fresh.services.of("proj_other").ledger, "succeeded")
    with httpx.Client(base_url=fresh.url) as http:
        used = [http.post("/v1/chat/completions", json=CHAT).json()["usage"]["total_tokens"] for _ in range(3)]
        http.post("/v1/chat/completions", json=CHAT | {"model": "none"})
        found = scrape(http)
    chat = "/v1/chat/completions"
    assert found["nanosmith_requests_total"] == {(chat, "POST", "200"): 3, (chat, "POST", "404"): 1}
    assert found["nanosmith_request_duration_seconds_count"] == {(chat,): 4}
    buckets = [*found["nanosmith_request_duration_seconds_bucket"].values()]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 4
    assert found["nanosmith_request_duration_seconds_sum"][(chat,)] > 0
    assert found["nanosmith_requests_in_flight"] == {(): 1}  # the scrape itself
    assert found["nanosmith_predictions_total"] == {(): 3}
    assert found["nanosmith_tokens_total"] == {(): sum(used)}
    assert found["nanosmith_jobs"][("succeeded",)] == 2
    assert found["nanosmith_jobs"][("failed",)] == 0
    assert found["nanosmith_build_info"] == {(__version__,): 1}


def test_labels_do_not_grow_with_what_clients_send(fresh: Any) -> None:
    """A hundred ids and paths, and methods that the API does not have, make no more than one label each."""
    with httpx.Client(base_url=fresh.url) as http:
        for i in range(100):
            http.get(f"/v1/files/file-{i}")
            http.get(f"/v1/nothing/{i}")
        for method in ("PROPFIND", "MKCOL", "LOCK"):
            http.request(method, "/v1/files")
        found = scrape(http)["nanosmith_requests_total"]
    assert set(found) == {
        ("/v1/files/{id}", "GET", "404"), ("none", "GET", "404"), ("/v1/files", "OTHER", "405"),
    }  # fmt: skip


def test_figures_of_the_whole_server_need_their_own_scope(start: Any, home: Home) -> None:
    """A project's key does not open /metrics, unless it has that scope; NANOSMITH_API_KEY has."""
    with start(home, api_key="sk-own") as served:
        keys = {scope: new_key() for scope in ("all", "metrics")}
        for scope, key in keys.items():
            served.services.ledger.add(KeyRow(new_id("key_"), "default", "", digest(key.encode()), 1, (scope,)))
        for key, status in ((keys["all"], 403), (keys["metrics"], 200), ("sk-own", 200)):
            assert httpx.get(f"{served.url}/metrics", headers={"authorization": f"Bearer {key}"}).status_code == status


def test_the_log_names_project_key_and_model(start: Any, stocked: Home, caplog: Any) -> None:
    """A line says who asked which model and what it cost, and neither the key, nor the text, nor the query."""
    caplog.set_level("INFO", "nanosmith.server")
    key, id = new_key(), new_id("key_")
    with start(stocked) as served:
        served.services.ledger.add(KeyRow(id, "default", "", digest(key.encode()), 1))
        headers = {"authorization": f"Bearer {key}"}
        httpx.post(f"{served.url}/v1/chat/completions?secret=query", json=CHAT, headers=headers)
        httpx.get(f"{served.url}/v1/{'a' * 5000}", headers=headers)
    chat, long = (json.loads(r.getMessage()) for r in caplog.records if r.name == "nanosmith.server")
    assert {name: chat[name] for name in ("method", "path", "status", "project", "key", "model", "tokens")} == {
        "method": "POST", "path": "/v1/chat/completions", "status": 200, "project": "default", "key": id,
        "model": "tiny", "tokens": 4,
    }  # fmt: skip
    assert len(long["path"]) < 300
    assert [word for word in (key, "private", "secret") if word in caplog.text] == []


def test_a_failed_statement_does_not_tell_its_values(home: Home) -> None:
    """The error of a row that the database refuses, which may come into the log, has nothing of what was in it."""
    ledger = Ledger(home.ledger)
    row = Document("chat.completion", "chatcmpl-1", 1, {"text": "a private text"})
    ledger.add(row)
    with pytest.raises(sa.exc.IntegrityError) as caught:
        ledger.add(row)
    assert "private" not in str(caught.value)
    ledger.close()
