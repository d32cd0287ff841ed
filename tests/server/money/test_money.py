"""Money behind the API: costs in headers and in the ledger, and budgets that hold on every endpoint."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.server.conftest import Served, running

from nanosmith.core.budget import Budget
from nanosmith.core.money import NANO
from nanosmith.jobs.batches.input import Line
from nanosmith.server.batches.lines import PAUSES_S, opened
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.ledger.budgets import Budgets
from nanosmith.store.ledger.costs import CostRows
from nanosmith.store.records import Document
from nanosmith.testing.provider import FakeProvider

CONFIG = """
{budget}
remote = ["fake/*"]
[provider.fake]
base_url = "{url}"
any_model = true
[provider.fake.models.big]
input_usd = 2.0
output_usd = 8.0
output_tokens = 100
[route.support]
[[route.support.steps]]
model = "{local}"
accept = {accept}
[[route.support.steps]]
model = "fake/big"
task = "off"
retries = 0
[route.sorting]
[[route.sorting.steps]]
model = "{local}"
accept = {accept}
[[route.sorting.steps]]
model = "fake/big"
"""
PRICES = (2.0, 8.0)


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(table={}, default="an answer", price=PRICES) as fake:
        yield fake


@pytest.fixture
def route(stocked: Home, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`with route(…) as served`: a server with the route `support`, whose local step never is sure enough."""
    provider.clear()
    provider.set_faults("")

    @contextmanager
    def make(budget: str = "", accept: float = 1.0) -> Iterator[Served]:
        text = CONFIG.format(url=provider.url, local="tiny", accept=accept, budget=budget)
        (stocked.root / "nanosmith.toml").write_text(text)
        monkeypatch.chdir(stocked.root)
        with running(stocked) as served:
            yield served

    return make


def ask(client: openai.OpenAI, **options: Any) -> Any:
    turns = [{"role": "user", "content": "where is my parcel?"}]
    return client.chat.completions.with_raw_response.create(model="support", messages=turns, **options)  # type: ignore[call-overload]


def keep_asking(client: openai.OpenAI, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        ask(client)
        time.sleep(0.1)


def booked(home: Home, by: str = "model") -> dict[str, Any]:
    ledger = open_ledger(home)
    groups = CostRows(ledger.database).groups(by)  # type: ignore[arg-type]
    ledger.close()
    return {"/".join(group.name): group.sums for group in groups}


def test_a_cost_is_told_and_booked(route: Callable[..., Any], stocked: Home, provider: FakeProvider) -> None:
    """The header has what the provider's prices make of its usage, as a plain decimal; the ledger has the same sums, by
    model and by route, when the server has ended."""
    with route() as served, served.client() as client:
        answers = [ask(client) for _ in range(3)]
    costs = []
    for answer in answers:
        usage = answer.parse().usage
        costs.append(2_000 * usage.prompt_tokens + 8_000 * usage.completion_tokens)
        shown = answer.headers["x-nanosmith-cost"]
        assert re.fullmatch(r"0\.\d{1,9}", shown)
        assert round(float(shown) * NANO) == costs[-1]
    sums = booked(stocked)["fake/big"]
    assert (sums.requests, sums.cost, sums.unknown) == (3, sum(costs), 0)
    assert booked(stocked, "route")["support"].cost == sum(costs)
    assert sums.cost == round(provider.seen()["cost_usd"] * NANO)


def test_streams_are_booked(route: Callable[..., Any], stocked: Home, provider: FakeProvider) -> None:
    """A stream costs what its last chunk tells, also where the client did not ask for usage; one that nobody reads to
    its end counts as the most."""
    with route() as served, served.client() as client:
        for asked in ({}, {"stream_options": {"include_usage": True}}):
            with client.chat.completions.create(
                model="support", messages=[{"role": "user", "content": "hello"}], stream=True, **asked
            ) as stream:  # type: ignore[call-overload]
                assert list(stream)
    assert booked(stocked)["fake/big"].cost == round(provider.seen()["cost_usd"] * NANO) > 0


def test_answers_given_here_save(route: Callable[..., Any], stocked: Home) -> None:
    """What a local step answers costs nothing, and saves what the remote step would have taken for its tokens."""
    with route(accept=0.0) as served, served.client() as client:
        answer = ask(client)
        read = answer.parse().usage
    assert answer.headers["x-nanosmith-cost"] == "0"
    sums = booked(stocked)["local/tiny"]
    assert (sums.requests, sums.cost, sums.input_tokens) == (1, 0, read.prompt_tokens)
    assert sums.saved == 2_000 * read.prompt_tokens + 8_000 * read.completion_tokens


CHOICE = {
    "type": "choice", "instructions": "What is it about?",
    "choices": [{"value": "refund"}, {"value": "login"}, {"value": "delivery"}],
}  # fmt: skip
ENDPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
    "stream": ("chat/completions", {"messages": [{"role": "user", "content": "hello"}], "stream": True}),
    "responses": ("responses", {"input": "hello"}),
    "streamed responses": ("responses", {"input": "hello", "stream": True}),
    "decisions": ("decisions", {"input": "hello", "questions": [CHOICE]}),
}


CASES = [(endpoint, model) for endpoint in list(ENDPOINTS)[:-1] for model in ("support", "fake/big")] + [
    ("decisions", "sorting")
]


@pytest.mark.parametrize(("endpoint", "model"), CASES)
def test_no_endpoint_passes_a_budget(
    route: Callable[..., Any], provider: FakeProvider, endpoint: str, model: str
) -> None:
    """Where nothing may be spent, no endpoint sends anything, whether a route or a remote model is named; the answer
    is 429 insufficient_quota in OpenAI's form, and is not to be repeated."""
    path, body = ENDPOINTS[endpoint]
    with route(budget='budget.total = "0 USD / day"') as served:
        answer = httpx.post(f"{served.url}/v1/{path}", json=body | {"model": model}, timeout=20)
    assert answer.status_code == 429, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["type"], answer.headers["x-should-retry"]) == (
        "insufficient_quota", "insufficient_quota", "false",
    )  # fmt: skip
    assert re.search(r"all calls, per day .*allowed 0 USD per day.*renewed at", error["message"])
    assert not provider.seen()["requests"]


def test_no_line_of_a_batch_passes_a_budget(route: Callable[..., Any], stocked: Home, provider: FakeProvider) -> None:
    """Lines are counted to the key that made the batch, and refused at once where its budget is used up; with money
    they are answered and booked, by that key."""
    body = json.dumps({"model": "support", "messages": [{"role": "user", "content": "hello"}]}).encode()
    key = {"endpoint": "/v1/chat/completions", "key": "key_1"}
    for budget, status in (("0 USD", 429), ("1 USD", 200)):
        with route(budget=f'budget.key.key_1 = "{budget}"'), closing(open_ledger(stocked)) as ledger:
            row = Document("batch", "batch_1", 1, key)
            began = time.monotonic()
            with opened(ledger, stocked, row) as answer:
                found = answer(Line(1, "a", body)).result(20)
        assert found.status == status, found.body
        assert time.monotonic() - began < PAUSES_S[0] * 5
        assert bool(provider.seen()["requests"]) == (status == 200)
    assert booked(stocked, "key")["key_1"].requests == 1


def test_many_requests_at_once_stay_within(route: Callable[..., Any], stocked: Home, provider: FakeProvider) -> None:
    """Of a hundred requests at the same time only so many are made as the budget allows for the most that they can
    cost; what the provider asks for is within it, and is what the ledger has."""
    with route(budget='budget.route.support = "0.004 USD / month"') as served, served.client() as client:

        def one(_: int) -> int:
            try:
                ask(client)
            except openai.RateLimitError:
                return 0
            return 1

        with ThreadPoolExecutor(16) as threads:
            made = sum(threads.map(one, range(100)))
    assert 0 < made < 100
    asked_for = round(provider.seen()["cost_usd"] * NANO)
    assert booked(stocked)["fake/big"].cost == asked_for <= 0.004 * NANO
    assert booked(stocked)["fake/big"].requests == made


def test_failed_calls_cost_nothing(route: Callable[..., Any], stocked: Home, provider: FakeProvider) -> None:
    """A provider that refuses takes nothing, and the reservation is there for the next call."""
    provider.set_faults("500=1.0")
    with route(budget='budget.total = "0.002 USD"') as served, served.client() as client:
        for _ in range(3):
            with pytest.raises(openai.APIStatusError) as caught:
                ask(client)
            assert caught.value.code != "insufficient_quota"
        provider.set_faults("")
        ask(client)
    assert booked(stocked)["fake/big"].requests == 1


def test_a_model_without_a_price(route: Callable[..., Any], stocked: Home) -> None:
    """It is refused where a budget applies, and says so; elsewhere its calls are counted as of unknown cost."""
    turns: Any = [{"role": "user", "content": "hello"}]
    with route(budget='budget.project.default = "5 USD"') as served, served.client() as client:
        with pytest.raises(openai.BadRequestError, match="price is not known") as caught:
            client.chat.completions.create(model="fake/other", messages=turns)
        assert caught.value.code == "unknown_price"
    with route() as served, served.client() as client:
        answer = client.chat.completions.with_raw_response.create(model="fake/other", messages=turns)
    assert "x-nanosmith-cost" not in answer.headers
    assert booked(stocked)["fake/other"].unknown == 1


def test_a_budget_that_is_set_while_the_server_runs(route: Callable[..., Any], stocked: Home) -> None:
    """Within some seconds no more calls are made."""
    with route() as served, served.client() as client:
        ask(client)
        ledger = open_ledger(stocked)
        Budgets(ledger.database).set(Budget(0, "month", route="support"))
        ledger.close()
        with pytest.raises(openai.RateLimitError):
            keep_asking(client, 6.0)


def test_metrics(route: Callable[..., Any], tmp_path: Path) -> None:
    """Calls, costs and refusals are on the page for Prometheus."""
    with route(budget='budget.key.environment = "0 USD"') as served, served.client() as client:
        cost = ask(client).headers["x-nanosmith-cost"]
        page = httpx.get(f"{served.url}/metrics").text
    labels = '{model="big",provider="fake",route="support"}'
    assert f"nanosmith_calls_total{labels} 1.0" in page
    found = re.search(re.escape(f"nanosmith_cost_usd_total{labels} ") + r"(\S+)", page)
    assert found is not None
    assert float(found[1]) == pytest.approx(float(cost))
