"""OpenTelemetry spans."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from nanosmith.server.app import create_app
from nanosmith.server.watch import tracing
from nanosmith.store.home import Home

CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "a private refund"}]}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def received() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(stocked: Home, received: InMemorySpanExporter) -> Iterator[TestClient]:
    """A client of an app whose spans are kept in memory."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(received))
    with TestClient(create_app(stocked, spans=provider), client=("127.0.0.1", 1)) as client:
        yield client


def only(received: InMemorySpanExporter) -> ReadableSpan:
    (span,) = received.get_finished_spans()
    return span


def test_a_span_tells_route_status_and_model(traced: TestClient, received: InMemorySpanExporter) -> None:
    """One span per request, part of the caller's trace, and nothing of what was asked or by which key."""
    headers = {"authorization": "Bearer sk-hidden", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    answer = traced.post("/v1/chat/completions?query=hidden", json=CHAT, headers=headers)
    span = only(received)
    assert span.name == "POST /v1/chat/completions"
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200,
        "nanosmith.request_id": answer.headers["x-request-id"], "nanosmith.project": "default",
        "gen_ai.response.model": "tiny",
    }  # fmt: skip
    assert span.status.is_unset
    assert f"{span.context.trace_id:x}" == TRACE.lstrip("0")
    assert [word for word in ("private", "hidden") if word in span.to_json()] == []


def test_a_bug_is_an_error_without_its_message(
    traced: TestClient, received: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span of a request that met a bug has the status error, and no exception, whose text could be private."""

    def broken() -> None:
        raise RuntimeError("a private text")

    monkeypatch.setattr(traced.app.state.services.of("default").ledger, "models", broken)  # type: ignore[attr-defined]
    assert traced.get("/v1/models").status_code == 500
    span = only(received)
    assert span.status.status_code.name == "ERROR"
    assert "private" not in span.to_json()


def test_ids_are_not_in_names(traced: TestClient, received: InMemorySpanExporter) -> None:
    """A span is named by its route's template, so that names are few."""
    traced.get("/v1/files/file-1")
    assert only(received).name == "GET /v1/files/{id}"


def test_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a receiver in the environment nothing is traced."""
    for name in tracing.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert tracing.from_environment() is None


class Receiver(BaseHTTPRequestHandler):
    """Takes what an exporter sends."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_the_environment_names_the_receiver(stocked: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """With OTEL_EXPORTER_OTLP_ENDPOINT spans go there, the last ones when the app ends; answers carry nothing of it."""
    monkeypatch.setattr(Receiver, "bodies", [], raising=False)
    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.server_port}")
        with TestClient(create_app(stocked, spans=tracing.from_environment()), client=("127.0.0.1", 1)) as client:
            answer = client.post("/v1/chat/completions", json=CHAT)
        receiver.shutdown()
        thread.join()
    sent = b"".join(Receiver.bodies)
    assert answer.headers["x-request-id"].encode() in sent
    assert b"nanosmith" in sent
    assert b"private" not in sent


def test_a_receiver_that_is_away_does_not_hold_up_the_end(stocked: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app ends within seconds although nobody takes its spans."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with TestClient(create_app(stocked, spans=tracing.from_environment()), client=("127.0.0.1", 1)) as client:
        assert client.get("/health").status_code == 200
        began = time.monotonic()
    assert time.monotonic() - began < 5 * tracing.LAST_SPANS_S


def test_without_the_package_it_is_off(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """A receiver but no OpenTelemetry: the server runs without traces, and says what to install."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert tracing.from_environment() is None
    assert "nanosmith[otel]" in caplog.text
