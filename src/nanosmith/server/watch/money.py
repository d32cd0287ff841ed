"""What remote models cost, in Prometheus' form; of this process, since it started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nanosmith.core.money import NANO
from nanosmith.store.purse import Purse

if TYPE_CHECKING:
    from prometheus_client import Metric

CALL = ("route", "provider", "model")


def of_money(purse: Purse) -> Iterator[Metric]:
    """Runs on another thread than those that count: `list` takes a dict's items in one step."""
    from prometheus_client.core import CounterMetricFamily

    calls = CounterMetricFamily("nanosmith_calls", "Calls of models by routes, local ones too.", labels=CALL)
    cost = CounterMetricFamily("nanosmith_cost_usd", "What calls cost, in US dollars.", labels=CALL)
    unknown = CounterMetricFamily("nanosmith_unknown_cost_calls", "Calls of models without a price.", labels=CALL)
    saved = CounterMetricFamily("nanosmith_saved_usd", "What local answers saved, in US dollars.", labels=CALL)
    for labels, sums in list(purse.totals.items()):
        calls.add_metric(labels, sums.requests)
        cost.add_metric(labels, sums.cost / NANO)
        unknown.add_metric(labels, sums.unknown)
        saved.add_metric(labels, sums.saved / NANO)
    refused = CounterMetricFamily("nanosmith_over_budget", "Calls that a budget refused.", labels=("budget",))
    for name, count in list(purse.refused.items()):
        refused.add_metric((name,), count)
    yield from (calls, cost, unknown, saved, refused)
