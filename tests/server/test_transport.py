"""Errors, ids and headers of every response, and the key."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from nanosmith.core.limits import MAX_BODY_BYTES
from nanosmith.server.access.auth import is_local
from nanosmith.store.home import Home

CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "refund"}]}
JSON = {"content-type": "application/json"}


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of a response, after checking that it has OpenAI's shape and headers."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1/files/", 404, "unknown_url"),
        ("PUT", "/v1/files", 405, "method_not_allowed"),
        ("DELETE", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/responses/compact", 501, "not_implemented"),
        ("POST", "/v1/images/generations", 501, "not_implemented"),
        ("GET", "/v1/vector_stores", 501, "not_implemented"),
        ("POST", "/v1/moderations", 501, "no_moderation_model"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("GET", "/v1/files/file-none", 404, "not_found"),
        ("GET", "/v1/fine_tuning/jobs/ftjob-none", 404, "not_found"),
    ],
)
def test_every_refused_route_has_an_error_body(
    http: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    """Whatever cannot be answered gives its status and code in OpenAI's error body."""
    response = http.request(method, path)
    error = error_of(response)
    assert (response.status_code, error["code"]) == (status, code)
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"nothing", b"\xff{}", b'{"a": "\\ud800"}', b"[" * 100_000])
def test_malformed_json_is_a_400(http: httpx.Client, body: bytes) -> None:
    """A body that is not a JSON object is refused as such."""
    response = http.post("/v1/chat/completions", content=body, headers=JSON)
    assert response.status_code == 400
    assert error_of(response)["code"] == "invalid_json"


def test_another_content_type_is_a_415(http: httpx.Client) -> None:
    """JSON sent as something else is refused, and the message says what is allowed."""
    for path in ("/v1/chat/completions", "/v1/fine_tuning/jobs"):
        response = http.post(path, content=b"{}", headers={"content-type": "text/plain"})
        assert response.status_code == 415
        assert "application/json" in error_of(response)["message"]
    assert http.post("/v1/files", json={}).status_code == 415


def test_the_error_names_the_field(client: OpenAI) -> None:
    """A wrong value gives 400 (not 422) with the field's path, what was given and what is allowed."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=[{"role": "robot", "content": "x"}])  # type: ignore[typeddict-item, list-item]
    assert caught.value.param == "messages[0].role"
    assert '"robot"' in caught.value.message
    with pytest.raises(openai.BadRequestError, match="messages") as caught:
        client.post("/chat/completions", body={"model": "tiny"}, cast_to=object)
    assert (caught.value.param, caught.value.code) == ("messages", "missing_required_parameter")


def test_headers_are_on_answers_too(http: httpx.Client, client: OpenAI) -> None:
    """A success has a request id, the processing time, the version and the organization; ids differ."""
    first, second = (http.post("/v1/chat/completions", json=CHAT) for _ in range(2))
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert int(first.headers["openai-processing-ms"]) >= 0
    assert first.headers["openai-organization"]
    assert first.headers["openai-version"]
    assert client.models.retrieve("tiny")._request_id


def test_an_announced_large_body_is_refused_unread(served: Any) -> None:
    """413 comes before the body is sent."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        link.sendall(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
        assert link.recv(65_536).startswith(b"HTTP/1.1 413")


def test_a_large_body_without_length_is_refused(http: httpx.Client) -> None:
    """A chunked body is counted while it is read."""
    piece = b" " * 1024**2
    response = http.post(
        "/v1/chat/completions", content=(piece for _ in range(MAX_BODY_BYTES // len(piece) + 2)), headers=JSON
    )
    assert response.status_code == 413
    assert error_of(response)["code"] == "request_too_large"


def test_a_bug_shows_no_traceback(
    served: Any, http: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """An unexpected exception becomes a 500 with a request id; what happened is in the log alone."""

    def broken() -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr(served.services.of("default").ledger, "models", broken)
    response = http.get("/v1/models")
    error = error_of(response)
    assert (response.status_code, error["type"]) == (500, "server_error")
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in error["message"]
    assert "the secret cause" in caplog.text
    assert response.headers["x-request-id"] in caplog.text


def test_the_log_has_neither_prompts_nor_keys(http: httpx.Client, caplog: Any) -> None:
    """One line per request: method, path, status and time, and nothing of what was asked."""
    caplog.set_level("INFO", "nanosmith.server")
    message = {"role": "user", "content": "a very private text"}
    http.post(
        "/v1/chat/completions", json=CHAT | {"messages": [message]}, headers={"authorization": "Bearer sk-hidden"}
    )
    lines = [r.getMessage() for r in caplog.records if r.name == "nanosmith.server"]
    assert len(lines) == 1
    assert '"path":"/v1/chat/completions","status":200' in lines[0]
    assert "private" not in caplog.text
    assert "sk-hidden" not in caplog.text


def test_health_needs_no_key(start: Any, home: Home) -> None:
    """/health answers without a key; every other route asks for the right one."""
    with start(home, api_key="sk-right") as keyed:
        assert httpx.get(f"{keyed.url}/health").json()["status"] == "ok"
        for headers in ({}, {"authorization": "Bearer sk-wrong"}, {"authorization": "Basic sk-right"}):
            response = httpx.get(f"{keyed.url}/v1/models", headers=headers)
            assert response.status_code == 401
            assert error_of(response)["code"] == "invalid_api_key"
        with keyed.client("sk-wrong") as wrong, pytest.raises(openai.AuthenticationError):
            wrong.files.list()
        with keyed.client("sk-right") as right:
            assert right.files.list().data == []


def test_without_a_key_any_key_is_accepted(served: Any) -> None:
    """Clients must send some key; a server without one does not look at it."""
    with served.client("whatever") as client:
        assert client.models.list().data
    assert httpx.get(f"{served.url}/v1/models").status_code == 200


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}])
def test_web_pages_cannot_reach_a_server_without_a_key(http: httpx.Client, headers: dict[str, str]) -> None:
    """A request from a page of another origin, or by a name that points here, is refused."""
    response = http.get("/v1/models", headers=headers)
    assert response.status_code == 403
    assert "NANOSMITH_API_KEY" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("app.localhost", True),
        ("nanosmith", True), ("10.0.0.1", False), ("127.0.0.1.evil.example", False), ("", False), (None, False),
    ],
)  # fmt: skip
def test_local_names(host: str | None, local: bool) -> None:
    """Loopback addresses and names that the public DNS cannot hold are local."""
    assert is_local(host) is local


def test_a_full_queue_is_a_429(fresh: Any, queueing: None) -> None:
    """When too many predictions wait, clients are told to come back in a second."""
    fresh.services.shared.opened.max_waiting = 0
    response = httpx.post(f"{fresh.url}/v1/chat/completions", json=CHAT)
    assert response.status_code == 429
    assert error_of(response)["code"] == "rate_limit_exceeded"
    assert response.headers["retry-after"] == "1"
    with fresh.client() as client, pytest.raises(openai.RateLimitError):
        client.chat.completions.create(**CHAT)


def test_what_will_not_pass_is_not_retried(http: httpx.Client) -> None:
    """An error above 499 that stays tells the client not to try again."""
    assert http.post("/v1/moderations", json={}).headers["x-should-retry"] == "false"
