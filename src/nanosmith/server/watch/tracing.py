"""OpenTelemetry: one span per request, with its route, status and model, and nothing of its content.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set and the extra `otel` is installed. OpenTelemetry's
own variables do the rest, such as OTEL_SERVICE_NAME and OTEL_TRACES_SAMPLER.
Names: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nanosmith.server.watch.middleware import log
from nanosmith.server.watch.tally import method_of, route_of, tally_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE_VARIABLE = "OTEL_SERVICE_NAME"
LAST_SPANS_S = 1.0  # how long a stop waits until the last spans are sent


def from_environment() -> TracerProvider | None:
    """What sends spans, as OpenTelemetry's variables say; None when they name no receiver."""
    if not any(os.environ.get(name) for name in VARIABLES):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        log.warning("no traces are sent: run pip install 'nanosmith[otel]'")
        return None
    os.environ.setdefault(SERVICE_VARIABLE, "nanosmith")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def close(provider: TracerProvider) -> None:
    """Send the last spans; a receiver that is away does not hold up the end of the process."""
    sending = threading.Thread(target=provider.shutdown, daemon=True)
    sending.start()
    sending.join(LAST_SPANS_S)


class Traced:
    """Makes a span of every request; it belongs to the caller's trace when a `traceparent` header names one."""

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._tracer = provider.get_tracer("nanosmith")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        method = method_of(scope)
        with self._tracer.start_as_current_span(
            method, extract(Headers(scope=scope)), SpanKind.SERVER, {"http.request.method": method},
            record_exception=False, set_status_on_exception=False,  # an exception's message may hold what was asked
        ) as span:  # fmt: skip
            try:
                await self._app(scope, receive, send)
            finally:
                _describe(span, scope)


def _describe(span: Span, scope: Scope) -> None:
    from opentelemetry.trace import StatusCode

    tally, route = tally_of(scope), route_of(scope)
    span.update_name(f"{method_of(scope)} {route}")
    known: dict[str, str | int | None] = {
        "http.route": route, "http.response.status_code": tally.status, "nanosmith.request_id": tally.id,
        "nanosmith.project": tally.project, "gen_ai.response.model": tally.model,
    }  # fmt: skip
    span.set_attributes({name: value for name, value in known.items() if value is not None})
    if tally.status >= 500 or not tally.status:
        span.set_status(StatusCode.ERROR)
