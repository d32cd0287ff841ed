"""GET /metrics: figures of this server process, in Prometheus' text format.

Requests only add to plain counters, all on the event loop; they are put into Prometheus' form when somebody asks.
Labels are route templates, known methods and statuses, never what a client sent, so that their number is bounded.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nanosmith.core.errors import MissingExtra
from nanosmith.server.access.auth import METRICS_PATH
from nanosmith.server.watch.money import of_money
from nanosmith.server.watch.tally import method_of, route_of, tally_of
from nanosmith.store.ledger import Ledger
from nanosmith.store.purse import Purse
from nanosmith.store.records import JobStatus
from nanosmith.version import __version__

if TYPE_CHECKING:
    from prometheus_client import Metric

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What was counted since the process started."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()  # by route, method and status
        self.durations: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.in_flight = 0
        self.predictions = 0
        self.tokens = 0

    def count(self, scope: Scope, seconds: float) -> None:
        tally, route = tally_of(scope), route_of(scope)
        self.requests[route, method_of(scope), str(tally.status)] += 1
        self.durations[route][bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds[route] += seconds
        self.predictions += tally.predictions
        self.tokens += tally.tokens


class Measured:
    """Counts every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        self._metrics.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._metrics.in_flight -= 1
            self._metrics.count(scope, time.perf_counter() - began)


class Collector:
    """What prometheus_client asks when it writes the page."""

    def __init__(self, metrics: Metrics, ledger: Ledger, purse: Purse) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._purse = purse

    def collect(self) -> Iterator[Metric]:
        yield from _of_requests(self._metrics)
        yield _jobs(self._ledger.count_jobs())
        yield from of_money(self._purse)
        yield _build()


def show(request: Request) -> Response:
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ModuleNotFoundError as error:
        raise MissingExtra("prometheus_client", "serve") from error
    registry = CollectorRegistry()
    home = request.app.state.services
    registry.register(Collector(request.app.state.metrics, home.ledger, home.shared.purse.own))
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


def _of_requests(metrics: Metrics) -> Iterator[Metric]:
    """Runs on another thread than those that count: `list` takes a dict's items in one step."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    requests = CounterMetricFamily("nanosmith_requests", "Requests that ended.", labels=("route", "method", "status"))
    for labels, count in list(metrics.requests.items()):
        requests.add_metric(labels, count)
    yield requests
    durations = HistogramMetricFamily(
        "nanosmith_request_duration_seconds", "From the first byte to the last of the answer.", labels=("route",)
    )
    for route, counts in list(metrics.durations.items()):
        durations.add_metric((route,), _cumulative(counts), metrics.seconds[route])
    yield durations
    yield GaugeMetricFamily("nanosmith_requests_in_flight", "Requests being answered.", metrics.in_flight)
    yield CounterMetricFamily("nanosmith_predictions", "Inputs that models answered.", metrics.predictions)
    yield CounterMetricFamily("nanosmith_tokens", "Tokens in the usage of answers.", metrics.tokens)


def _cumulative(counts: list[int]) -> list[tuple[str, int]]:
    """Prometheus' buckets: of each bound, how many were not above it."""
    return list(zip([*map(str, BUCKETS_S), "+Inf"], accumulate(counts)))


def _jobs(by_status: Mapping[str, int]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    jobs = GaugeMetricFamily("nanosmith_jobs", "Fine-tuning jobs of all projects.", labels=("status",))
    for status in get_args(JobStatus):
        jobs.add_metric((status,), by_status.get(status, 0))
    return jobs


def _build() -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    build = GaugeMetricFamily("nanosmith_build_info", "The version that runs.", labels=("version",))
    build.add_metric((__version__,), 1)
    return build


routes = [Route(METRICS_PATH, show, methods=["GET"])]
