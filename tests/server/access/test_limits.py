"""Limits: requests and tokens per minute, their headers, and storage."""

from __future__ import annotations

import re
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.limits import ProjectLimits
from nanosmith.server.access.keys import digest, new_key
from nanosmith.server.access.limits import Bucket, Limiter, Meter, admit, duration, rate_headers
from nanosmith.server.http.errors import RateLimited
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import KeyRow, ProjectRow

CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "one two three refund"}]}


def limit(home: Home, **limits: int) -> None:
    """Limits of the default project, set before a server starts."""
    ledger = Ledger(home.ledger)
    ledger.add(ProjectRow("default", "default", 1_700_000_000, limits))
    ledger.close()


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.integers(1, 600))
def test_no_minute_has_more_than_twice_the_limit(pauses: list[float], per_minute: int) -> None:
    """A full bucket and one minute's refill: that many pass in a minute, and a bucket never holds more than its
    limit."""
    now = [0.0]
    meter = Meter(ProjectLimits(requests_per_minute=per_minute), lambda: now[0])
    passed: list[float] = []
    for pause in pauses:
        now[0] += pause
        for _ in range(per_minute // 10 + 2):
            try:
                admit([meter])
            except RateLimited:
                break
            passed.append(now[0])
        assert meter.requests is not None
        assert meter.requests.left() <= per_minute
    for end in passed:
        assert sum(end - 60 < at <= end for at in passed) <= 2 * per_minute


def test_a_bucket_refills_steadily() -> None:
    """What is taken comes back within a minute, also when more was taken than was there."""
    now = [0.0]
    bucket = Bucket(60, lambda: now[0])
    assert bucket.take(90) == -30
    assert bucket.wait_s() == 31
    now[0] = 31
    assert bucket.wait_s() == 0
    now[0] = 1000
    assert bucket.left() == 60


def test_the_narrower_limit_counts() -> None:
    """With limits of a project and of a key, either refuses, and headers tell of the one that has least left."""
    now = [0.0]
    wide, narrow = (Meter(ProjectLimits(requests_per_minute=n), lambda: now[0]) for n in (10, 2))
    admit([wide, narrow])
    assert dict(rate_headers((wide, narrow)))["x-ratelimit-remaining-requests"] == "1"
    admit([wide, narrow])
    with pytest.raises(RateLimited):
        admit([wide, narrow])
    assert wide.requests is not None
    assert wide.requests.left() == 8  # what was refused is not counted


def test_a_changed_limit_counts_anew() -> None:
    """Equal limits keep their meter; other limits get another."""
    limiter, one, two = Limiter(), ProjectLimits(requests_per_minute=1), ProjectLimits(requests_per_minute=2)
    (meter,) = limiter.meters([("project:a", one)])
    assert limiter.meters([("project:a", one)]) == (meter,)
    assert limiter.meters([("project:b", one)]) != (meter,)
    assert limiter.meters([("project:a", two)])[0].limits == two
    assert limiter.meters([("project:a", ProjectLimits(storage_bytes=5))]) == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"), (0.0114, "12ms"), (0.9999, "1s"), (8.64, "8.64s"), (59.9999, "1m0s"), (360, "6m0s"),
        (361.2, "6m2s"),
    ],
)  # fmt: skip
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    """Milliseconds below a second, then seconds, then minutes and seconds; rounded up."""
    assert duration(seconds) == text


def test_requests_per_minute(start: Any, stocked: Home) -> None:
    """The first requests pass and tell what is left; then comes a 429 that says when to come back."""
    limit(stocked, requests_per_minute=2)
    with start(stocked) as served, httpx.Client(base_url=served.url) as http:
        first, second, third = (http.get("/v1/models") for _ in range(3))
        assert [one.status_code for one in (first, second, third)] == [200, 200, 429]
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        left = [one.headers["x-ratelimit-remaining-requests"] for one in (first, second, third)]
        assert left == ["1", "0", "0"]
        assert re.fullmatch(r"\d+(\.\d+)?s|\d+ms|\d+m\d+s", third.headers["x-ratelimit-reset-requests"])
        assert "x-ratelimit-limit-tokens" not in first.headers
        assert 1 <= int(third.headers["retry-after"]) <= 30
        error = third.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_exceeded", "rate_limit_exceeded")
        assert http.get("/health").status_code == 200
        assert http.get("/metrics").status_code == 200
        with served.client() as client, pytest.raises(openai.RateLimitError):
            client.models.list()


def test_tokens_per_minute(start: Any, stocked: Home) -> None:
    """Tokens of an answer's usage are taken off, streamed or not; what goes below zero refuses the next request."""
    limit(stocked, tokens_per_minute=7)
    with start(stocked) as served, httpx.Client(base_url=served.url) as http:
        answer = http.post("/v1/chat/completions", json=CHAT)
        used = answer.json()["usage"]["total_tokens"]
        assert used == 5
        assert answer.headers["x-ratelimit-limit-tokens"] == "7"
        assert answer.headers["x-ratelimit-remaining-tokens"] == "2"
        assert http.post("/v1/chat/completions", json=CHAT | {"stream": True}).status_code == 200
        refused = http.post("/v1/chat/completions", json=CHAT)
        assert (refused.status_code, refused.headers["x-ratelimit-remaining-tokens"]) == (429, "0")
        assert "tokens" in refused.json()["error"]["message"]


def test_every_kind_of_answer_is_counted(fresh: Any) -> None:
    """Chat completions, responses and decisions report what their usage says."""
    question = {"type": "predicate", "name": "refund", "instructions": "refund"}
    bodies = {
        "chat/completions": CHAT, "responses": {"model": "tiny", "input": "refund"},
        "decisions": {"model": "tiny", "input": "refund", "questions": [question]},
    }  # fmt: skip
    with httpx.Client(base_url=fresh.url) as http:
        used = 0
        for path, body in bodies.items():
            used += http.post(f"/v1/{path}", json=body).json()["usage"]["total_tokens"]
            assert f"nanosmith_tokens_total {float(used)}" in http.get("/metrics").text, path


def test_a_key_may_have_limits_of_its_own(start: Any, home: Home) -> None:
    """One key's limit leaves the project's other keys alone."""
    with start(home, api_key="sk-own") as served:
        key = new_key()
        served.services.ledger.add(
            KeyRow(new_id("key_"), "default", "narrow", digest(key.encode()), 1, limits={"requests_per_minute": 1})
        )
        statuses = [
            httpx.get(f"{served.url}/v1/files", headers={"authorization": f"Bearer {one}"}).status_code
            for one in (key, key, "sk-own")
        ]
        assert statuses == [200, 429, 200]


def test_no_limit_no_headers(http: httpx.Client) -> None:
    """Where nothing is limited no header speaks of limits."""
    assert not [name for name in http.get("/v1/models").headers if name.startswith("x-ratelimit")]


def test_storage(start: Any, home: Home) -> None:
    """An upload that would exceed the project's storage is refused with what is used and allowed, and leaves nothing;
    deleting makes room."""
    limit(home, storage_bytes=100)
    with start(home) as served, served.client(max_retries=2) as client:
        kept = client.files.create(file=("a", b"a" * 60), purpose="user_data")
        with pytest.raises(openai.RateLimitError) as caught:
            client.files.create(file=("b", b"b" * 41), purpose="user_data")
        assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
        assert "60 bytes stored and 41 more" in caught.value.message
        assert "100 bytes" in caught.value.message
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert [file.id for file in client.files.list()] == [kept.id]
        assert sum(path.is_file() for path in home.blobs.rglob("*")) == 1
        client.files.create(file=("b", b"b" * 40), purpose="user_data")
        client.files.delete(kept.id)
        client.files.create(file=("c", b"c" * 60), purpose="user_data")
